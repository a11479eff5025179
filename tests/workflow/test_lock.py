"""A finished run is locked where there is a DVC, wherever it lies."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from trim.errors import TrimError
from trim.stages.environment import find, use_own_commands
from trim.stages.lock import lock

ALWAYS = {f"results/{name}" for name in ("problems", "rollouts", "scores", "draws", "episodes", "tables", "figures")}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A run of an experiment that calibrates, trains and fits nothing, and a Python with no command beside it."""
    folder = tmp_path / "run"
    for name in (".dvc", ".git", *ALWAYS):
        (folder / name).mkdir(parents=True)
    (folder / "results/metrics.json").write_text("{}")
    os.utime(folder / "results/metrics.json", (1, 1))
    shutil.copy(ROOT / "dvc.yaml", folder)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'elsewhere'}:{os.defpath}")
    monkeypatch.delenv("DVC_STAGE", raising=False)
    return folder


def command(folder: Path, name: str, script: str) -> None:
    folder.mkdir()
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize("place", ["bin", "elsewhere"])
def test_dvc_is_found_beside_python_or_on_the_path(root, tmp_path, place):
    command(tmp_path / place, "dvc", 'echo "$@" > said; touch results/metrics.json')
    assert lock(root) == "dvc.lock: the run is recorded"
    assert (root / "said").read_text() == "commit --force\n"
    assert (root / "results/metrics.json").stat().st_mtime == 1


def test_without_dvc_it_is_left_out_in_a_sentence(root):
    assert "no dvc beside" in lock(root) and "`dvc commit` does it later" in lock(root)


def test_what_dvc_says_is_named(root, tmp_path):
    command(tmp_path / "bin", "dvc", "echo ERROR: no space >&2; exit 1")
    with pytest.raises(TrimError, match="dvc commit: ERROR: no space; `dvc repro` locks the run"):
        lock(root)


def test_every_folder_that_dvc_locks_is_there_in_the_smallest_experiment(root, tmp_path):
    command(tmp_path / "bin", "dvc", "true")
    lock(root)
    for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values():
        for out in (next(iter(out)) if isinstance(out, dict) else out for out in stage.get("outs", [])):
            assert Path(out).suffix or (root / out).is_dir(), out


def test_jobs_find_the_commands_beside_python(root, tmp_path):
    with pytest.raises(TrimError, match=r"trim: not beside .* and not on PATH"):
        use_own_commands()
    command(tmp_path / "elsewhere", "trim", "")
    use_own_commands()
    command(tmp_path / "bin", "trim", "")
    assert find("trim") == shutil.which("trim") == str(tmp_path / "bin/trim")


def test_the_parameters_that_ran_are_recorded(tmp_path, monkeypatch):
    monkeypatch.delenv("DVC_STAGE", raising=False)
    stages = {
        "some": {"cmd": "true", "params": ["a", "b.c"], "outs": [{"results": {"persist": True}}]},
        "whole": {"cmd": "true", "deps": ["results"], "params": [{"params.yaml": None}]},
    }
    stages["whole"]["outs"] = [{"out": {"persist": True}}]
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    given = {"a": [1, 2], "b": {"c": 3, "d": 4}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(given))
    (tmp_path / "results").mkdir()
    ran = {"a": [1, 2], "b": {"c": 5, "d": 4}, "e": {"f": 6}}
    (tmp_path / "results/params.yaml").write_text(yaml.safe_dump(ran))
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "-q"], cwd=tmp_path, check=True)
    assert lock(tmp_path) == "dvc.lock: the run is recorded"
    locked = yaml.safe_load((tmp_path / "dvc.lock").read_text())["stages"]
    assert locked["some"]["params"] == {"params.yaml": {"a": [1, 2], "b.c": 5}}
    assert locked["whole"]["params"] == {"params.yaml": ran}
    changed = json.loads(
        subprocess.run([*dvc, "status", "--json"], cwd=tmp_path, capture_output=True, check=True).stdout
    )
    assert set(changed) == {"some", "whole"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(ran))
    same = subprocess.run([*dvc, "status", "--json"], cwd=tmp_path, capture_output=True, check=True).stdout
    assert json.loads(same) == {}
