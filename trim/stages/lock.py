"""A finished run in dvc.lock: DVC removes what it did not lock when an experiment starts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from trim.errors import TrimError
from trim.stages.environment import find

_EMPTY_FOLDERS = re.compile(r"mkdir -p ([^&]+)")


def lock(root: Path) -> str:
    """Record the results under `root` in dvc.lock, as `dvc repro` would; returns what was done, in one line.

    Nothing is done where there is no DVC repository or no DVC, or where DVC itself runs this. Times of files stay as
    they are, since Snakemake goes by them.

    Raises:
        TrimError: if DVC fails.
    """
    if "DVC_STAGE" in os.environ:
        return "dvc.lock: left to the DVC stage that runs this"
    if not (root / ".dvc").is_dir() or not (root / ".git").exists() or not (root / "dvc.yaml").is_file():
        return "dvc.lock: no DVC repository here, so nothing is locked"
    tool = find("dvc")
    if tool is None:
        return f"dvc.lock: no dvc beside {sys.executable} or on PATH, so nothing is locked; `dvc commit` does it later"
    for stage in yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values():
        for folders in _EMPTY_FOLDERS.findall(stage["cmd"]):
            for folder in folders.split():
                (root / folder).mkdir(parents=True, exist_ok=True)
    times = {path: path.stat().st_mtime_ns for path in (root / "results").rglob("*") if path.is_file()}
    done = subprocess.run([tool, "commit", "--force"], cwd=root, capture_output=True, text=True, check=False)
    for path, time in times.items():
        if path.is_file():
            os.utime(path, ns=(time, time))
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise TrimError(f"dvc commit: {said[0] if said else 'failed'}; `dvc repro` locks the run")
    return "dvc.lock: the run is recorded"
