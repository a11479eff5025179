"""A copy of the workflow in a folder of its own, and commands run in it as a user would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from conftest import ROOT

FILES = ("Snakefile", "snakemake_logger_plugin_trim", "workflow", "dvc.yaml", ".dvcignore")
BIN = str(Path(sys.executable).parent)


def environment(folder: Path) -> dict[str, str]:
    # The package is looked up in the folder, so that an edit there is seen as an edit.
    return os.environ | {
        "PATH": BIN + os.pathsep + os.environ["PATH"],
        "PYTHONPATH": str(folder),
        "DVC_NO_ANALYTICS": "1",
        "HF_HUB_OFFLINE": "1",
        "COLUMNS": "400",
    }


def run(folder: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess:
    if command[0] == "snakemake":  # which else waits for a timespan of the profile before it ends
        command = ("snakemake", "--max-jobs-per-timespan", "100/1s", *command[1:])
    done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True)
    if check and done.returncode:
        logs = sorted(folder.glob(".snakemake/log/*.log"))
        said = logs[-1].read_text()[-4000:] if command[0] == "snakemake" and logs else ""
        raise AssertionError(f"{command}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}\n{said}")
    return done


def make_project(folder: Path, params: dict) -> Path:
    for name in FILES:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    (folder / "profiles").symlink_to("workflow/profiles")
    shutil.copytree(ROOT / "trim", folder / "trim", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    shutil.copy(ROOT / ".gitignore", folder / ".gitignore")
    (folder / "results").mkdir()
    shutil.copy(ROOT / "results" / ".gitignore", folder / "results" / ".gitignore")
    return folder
