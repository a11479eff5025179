"""A finished run in dvc.lock: when an experiment starts, DVC removes results that are not locked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from trim.errors import TrimError
from trim.stages.environment import find
from trim.stages.stage import Stage

_PARAMS = "params.yaml"
_WHOLE = [{_PARAMS: None}]


def make_lock() -> str:
    """Record the finished run in dvc.lock, as `dvc repro` would; the last job of a run does it."""
    return lock(Path())


def lock(root: Path) -> str:
    """Record the results under `root` in dvc.lock; returns a report of one line.

    Does nothing without a DVC repository or DVC, or when DVC itself runs this. Times of files stay as they are, since
    Snakemake relies on them.

    Raises:
        TrimError: if DVC fails.
    """
    import yaml

    if "DVC_STAGE" in os.environ:
        return "dvc.lock: left to the DVC stage that runs this"
    if not (root / ".dvc").is_dir() or not (root / ".git").exists() or not (root / "dvc.yaml").is_file():
        return "dvc.lock: no DVC repository here, so nothing is locked"
    tool = find("dvc")
    if tool is None:
        return f"dvc.lock: no dvc beside {sys.executable} or on PATH, so nothing is locked; `dvc commit` does it later"
    stages = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for stage in stages.values():
        for path in (name for out in stage["outs"] for name in out):
            if not Path(path).suffix:  # a folder, empty if the experiment does not use it
                (root / path).mkdir(parents=True, exist_ok=True)
    times = {path: path.stat().st_mtime_ns for path in (root / "results").rglob("*") if path.is_file()}
    done = subprocess.run([tool, "commit", "--force"], cwd=root, capture_output=True, text=True, check=False)
    for path, time in times.items():
        if path.is_file():
            os.utime(path, ns=(time, time))
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise TrimError(f"dvc commit: {said[0] if said else 'failed'}; `dvc repro` locks the run")
    _record_parameters(root, stages)
    return "dvc.lock: the run is recorded"


def _record_parameters(root: Path, stages: Mapping[str, Any]) -> None:
    """Replace the parameters that DVC took from params.yaml by those that ran, with an overlay or `--config`."""
    import yaml

    from trim.files import write_text

    path, ran = root / "dvc.lock", root / "results/params.yaml"
    if not path.is_file() or not ran.is_file():
        return
    locked, parameters = (yaml.safe_load(file.read_text(encoding="utf-8")) for file in (path, ran))
    before = deepcopy(locked)
    for name, stage in locked["stages"].items():
        if "params" in stage:
            keys = stages[name]["params"]
            stage["params"][_PARAMS] = parameters if keys == _WHOLE else _values(parameters, keys)
    if locked != before:
        write_text(path, yaml.safe_dump(locked, sort_keys=False, allow_unicode=True))


def _values(parameters: Any, keys: Sequence[str]) -> dict[str, Any]:
    """The parameters of keys such as evaluation.budgets, without missing ones."""
    values = {}
    for key in keys:
        value = parameters
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            values[key] = value
    return values


STAGES = [Stage("lock", make_lock, order=17)]
