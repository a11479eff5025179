"""What a run computes is what was planned, wherever the project lies, and whatever is edited or named meanwhile."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from project import BIN, environment, make_project, run

from trim.problems import read_problems, write_problems

pytestmark = pytest.mark.slow

KEPT = ("always_weak", "always_strong", "random", "trim_thr")


def small(raw: dict) -> dict:
    """The shipped experiment with one benchmark and no studies."""
    found = yaml.safe_load(yaml.safe_dump(raw))
    sizes = {"train": 60, "validation": 8, "test": 12}
    found["benchmarks"] = {"standard": {"title": "Standard", "family": "standard", "sizes": sizes}}
    found["routers"] = {name: found["routers"][name] for name in KEPT}
    found["routers"]["trim_thr"]["thresholds"] = [0, 0.5, 1]
    found |= {"trees": [], "ceiling": {}, "transfer": {}, "granularity": {}, "robustness": {}}
    found["evaluation"] |= {"baselines": ["random"], "bootstrap": 20}
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory, raw):
    folder = make_project(tmp_path_factory.mktemp("small"), small(raw))
    run(folder, "snakemake", "--cores", "2", "--quiet", "all", "--", "results/metrics.json")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """All results, and Snakemake's records of them."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted((folder / "results").rglob("*")) if p.is_file()}


def nothing_to_do(folder: Path, *options: str) -> bool:
    return "Nothing to be done" in run(folder, "snakemake", "-n", *options, "--", "results/metrics.json").stdout


def edit(folder: Path, **generation) -> None:
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["generation"] |= generation
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def test_a_dry_run_and_an_audit_write_nothing(project):
    before, text = files(project), (project / "params.yaml").read_text()
    edit(project, seed=11)
    assert not nothing_to_do(project)
    run(project, "trim", "audit", "--no-lineage", check=False)
    run(project, "snakemake", "--summary", "--", "results/metrics.json")
    (project / "params.yaml").write_text(text)
    assert files(project) == before
    assert nothing_to_do(project)


def test_what_is_edited_during_a_run_changes_nothing_of_it(project, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(project, copy, symlinks=True)
    text, expected = (copy / "params.yaml").read_text(), (copy / "results/metrics.json").read_bytes()
    for name in ("rollouts", "scores", "episodes", "draws", "routers", ".journal", "metrics.json"):
        path = copy / "results" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    command = ["snakemake", "--cores", "1", "--", "results/metrics.json"]
    process = subprocess.Popen(
        command, cwd=copy, env=environment(copy), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (copy / "results/.journal").exists():
        assert process.poll() is None
        time.sleep(0.05)
    edit(copy, seed=11)
    run(copy, "snakemake", "-n", "--", "results/metrics.json")
    refused = run(copy, *command, check=False)
    assert refused.returncode
    assert "lock" in (refused.stdout + refused.stderr).lower()
    (copy / "params.yaml").write_text(text)
    assert process.wait() == 0
    assert (copy / "results/metrics.json").read_bytes() == expected
    assert yaml.safe_load((copy / "results/params.yaml").read_text())["generation"]["seed"] == 10
    assert nothing_to_do(copy)


def pending(project: Path) -> list[str]:
    """The rules of the jobs up to the evaluation that a run would start."""
    listed = run(project, "snakemake", "-n", "--", "results/metrics.json").stdout
    return re.findall(r"^(?:local)?rule (\w+):", listed, re.MULTILINE)


def test_a_run_that_was_stopped_before_its_fits_leaves_nothing_of_other_problems(project, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(project, copy, symlinks=True)
    path = copy / "results/problems/standard.parquet"
    write_problems(path, read_problems(path)[:-1])
    run(copy, "snakemake", "--touch", "--cores", "1", "--quiet", "all", "--", "all_rollouts", "all_scores")
    listed = pending(copy)
    assert set(listed) == {"test_inputs", "fit", "draws", "episodes", "evaluate"}
    assert listed.count("episodes") == len(KEPT)


def test_an_edit_of_a_router_makes_its_own_fit_and_episodes_again(project, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(project, copy, symlinks=True)
    with (copy / "trim/routers/trim_thr.py").open("a") as file:
        file.write("\n_EDITED = True\n")
    assert sorted(pending(copy)) == ["episodes", "evaluate", "fit"]


def test_a_project_may_be_moved_renamed_and_checked_out_again(project, tmp_path):
    moved = tmp_path / "another name's project"
    shutil.copytree(project, moved, symlinks=True)
    for path in moved.rglob("*"):  # as after a checkout, all code is new
        if "trim" in path.parts and path.is_file():
            path.touch()
    assert nothing_to_do(moved)
    (moved / "trim/rl/ppo.py").write_text((moved / "trim/rl/ppo.py").read_text() + "\n# a remark\n")
    listed = run(moved, "snakemake", "-n", "--", "results/metrics.json").stdout
    assert "rule rollouts" not in listed
    assert "rule problems" not in listed


def test_shards_change_no_byte_of_a_table(project, tmp_path):
    copy = tmp_path / "shards"
    shutil.copytree(project, copy, symlinks=True)
    params = yaml.safe_load((copy / "params.yaml").read_text())
    (copy / "params.yaml").write_text(yaml.safe_dump(params | {"shards": 2}, sort_keys=False))
    for name in (".journal", "rollouts", "scores", "draws", "episodes"):
        shutil.rmtree(copy / "results" / name)
    run(copy, "snakemake", "--cores", "2", "--quiet", "all", "--", "results/metrics.json")
    assert len(list((copy / "results/rollouts/standard/test").glob("weak.*.parquet"))) == 2
    for name in ("summary.csv", "measures.csv", "metrics.json"):
        assert (copy / "results" / name).read_bytes() == (project / "results" / name).read_bytes()


def test_it_runs_in_another_folder(project, tmp_path):
    """With --directory; and, the environment not activated, from a folder that has not even an experiment."""
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(project / "params.yaml", other / "params.yaml")
    target = "results/problems/standard.parquet"
    run(project, "snakemake", "--cores", "1", "--quiet", "all", "--directory", str(other), "--", target)
    assert (other / target).read_bytes() == (project / target).read_bytes()
    empty = tmp_path / "empty"
    empty.mkdir()
    options = ("-s", str(project / "Snakefile"), "--cores", "1", "--quiet", "all")
    command, plain = [f"{BIN}/snakemake", *options, "--", target], environment(project) | {"PATH": os.defpath}
    done = subprocess.run(command, cwd=empty, env=plain, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (empty / target).read_bytes() == (project / target).read_bytes()


HOSTILE = 'it\'s "$(touch PWNED)" `touch PWNED`; touch PWNED & x|y>z *'


def test_no_text_of_an_experiment_reaches_the_shell(project, tmp_path, raw):
    params = small(raw)
    (tmp_path / "hostile").mkdir()
    folder = make_project(tmp_path / "hostile", params)
    questions = [
        {"problem": f"Start with {n}, add 1, add 2, add 3, add {n}.", "answer": "1", "split": split}
        for split, numbers in (("train", range(1, 31)), ("validation", range(31, 36)), ("test", range(36, 41)))
        for n in numbers
    ]
    (folder / f"{HOSTILE}.jsonl").write_text("\n".join(map(json.dumps, questions)))
    labelled = [
        {
            "problem": f"Start with {n}, add 2, add 3, add 4, add 5.",
            "steps": [f"{n} + 2 = {n + 2 + n % 2}"],
            "label": n % 2 - 1,
        }
        for n in range(1, 81)
    ]
    (folder / f"{HOSTILE} labelled.jsonl").write_text("\n".join(map(json.dumps, labelled)))
    shutil.copytree(folder / "trim/models/embedded/prm", folder / HOSTILE)
    params["benchmarks"] = {"mine": {"title": HOSTILE, "path": f"{HOSTILE}.jsonl"}}
    params["calibration"] |= {"solutions": f"{HOSTILE} labelled.jsonl", "labels": "rule"}
    params["generation"]["instruction"] = HOSTILE
    params["models"]["prm"]["path"] = HOSTILE
    params["routers"]["trim_pomdp"] = {"costs": [1, 4], "title": HOSTILE}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    run(folder, "snakemake", "--cores", "2", "--quiet", "all", "--", "results/scores/mine/test.0.parquet")
    # These solutions are too much alike to calibrate on; that they are read is what counts.
    run(folder, "snakemake", "--cores", "2", "--", "results/calibration/mine/single.json", check=False)
    assert "trim: calibration: the scores of S0 are constant" in (folder / "logs/calibrate/mine.log").read_text()
    settings = yaml.safe_load((folder / "tools/pretrain/settings.yaml").read_text())
    (folder / "hostile.yaml").write_text(yaml.safe_dump(settings | {"out": f"results/{HOSTILE}"}))
    options = ("--snakefile", "tools/pretrain/Snakefile", "--config", "settings=hostile.yaml")
    shown = run(folder, "snakemake", "-n", "-p", *options).stdout
    assert not list(folder.rglob("PWNED"))
    (command,) = {line.partition("Shell command: ")[2] for line in shown.splitlines() if "tools.pretrain cards" in line}
    echo = "python() { printf '%s\\n' \"$@\"; }; " + command.partition(" > logs/")[0]
    listed = subprocess.run(["bash", "-c", echo], cwd=tmp_path, capture_output=True, text=True)
    assert f"results/{HOSTILE}" in listed.stdout.splitlines()
    assert not list(tmp_path.rglob("PWNED"))
