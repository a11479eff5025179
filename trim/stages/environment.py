"""The commands of jobs come from Snakemake's own environment, activated or not."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from trim.errors import TrimError


def find(command: str) -> str | None:
    """The path of a command, beside this Python or else on PATH; None if there is none."""
    return shutil.which(command, path=_path())


def use_own_commands() -> None:
    """Put the folder of this Python first on PATH, for all jobs.

    Raises:
        TrimError: if jobs would not find `trim`.
    """
    if not find("trim"):
        raise TrimError(f"trim: not beside {sys.executable} and not on PATH; install it, or put its folder on PATH")
    os.environ["PATH"] = _path()


def _path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
