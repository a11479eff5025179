"""What is added is found by its file: each case adds one in a copy of the package, and sees it work."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import ROOT
from project import make_project, run

from trim.problems import read_problems


@pytest.fixture
def package(tmp_path) -> Path:
    """A folder with a copy of the package and of the experiment."""
    return make_project(tmp_path, yaml.safe_load((ROOT / "params.yaml").read_text()))


def edit(folder: Path, **sections) -> None:
    path = folder / "params.yaml"
    found = yaml.safe_load(path.read_text())
    for name, added in sections.items():
        found[name] = found[name] | added
    path.write_text(yaml.safe_dump(found, sort_keys=False))


def example(folder: Path, path: str) -> None:
    """Write a file as docs/extending.md has it: the block whose first line is the path."""
    text = (ROOT / "docs/extending.md").read_text()
    (block,) = re.findall(rf"```(?:python)?\n# {re.escape(path)}\n(.*?)```", text, re.DOTALL)
    (folder / path).write_text(block)


def test_a_router_is_one_file(package):
    example(package, "trim/routers/long_drafts.py")
    edit(package, routers={"long_drafts": {}})
    assert "15 routers" in run(package, "trim", "check").stdout
    question = "Start with 60, add 90, multiply by 41, add 4, subtract 8."
    steps = run(package, "trim", "solve", question, "--router", "long_drafts", "--setting", "limit=9").stdout
    assert "  strong " in steps
    assert "  weak " in steps


def test_a_study_is_one_file(package):
    example(package, "trim/studies/ranges.py")
    rows = [("standard", "random", 0.25), ("standard", "random", 0.5), ("standard", "trim_thr", 0.75)]
    summary = pd.DataFrame(rows, columns=["benchmark", "router", "accuracy"])
    summary.to_csv(package / "results/summary.csv", index=False)
    path = package / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["studies"].append("ranges")
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    run(package, "trim", "study", "ranges", "--params", "params.yaml")
    table = pd.read_csv(package / "results/tables/ranges.csv")
    assert table["router"].tolist() == ["random", "trim_thr"]
    assert table[["count", "min", "max"]].to_numpy().tolist() == [[2, 0.25, 0.5], [1, 0.75, 0.75]]
    assert (package / "results/figures/ranges.png").stat().st_size
    assert "ranges" in run(package, "snakemake", "--dry-run", "--", "results/tables/ranges.md").stdout


def test_a_stage_is_one_file(package):
    example(package, "trim/stages/lengths.py")
    assert "Write the mean length" in run(package, "trim", "--help").stdout
    run(package, "trim", "problems", "--benchmark", "standard", "--out", "p.parquet", "--params", "params.yaml")
    done = run(package, "trim", "lengths", "--problems", "p.parquet", "--out", "lengths.json")
    assert done.stdout.startswith("lengths.json: ")
    assert json.loads((package / "lengths.json").read_text())["mean"] > 5


BACKEND = '''
"""Always says the same."""

from trim.models.base import Draft

ANY_STEP = False


class Same:
    id, parameters = "same", 1

    def prompt_tokens(self, prefixes):
        return [1] * len(prefixes)

    def next_steps(self, prefixes, keys, keep=None):
        return [Draft("It is \\\\boxed{7}.", 4, "end")] * len(prefixes)


def language_model(model, sampling, chat, spending=None):
    return Same()


def reward_model(model, chat, spending=None):
    raise NotImplementedError
'''


def test_a_backend_is_one_file(package):
    (package / "trim/models/backends/mine.py").write_text(BACKEND)
    model = yaml.safe_load((package / "params.yaml").read_text())["models"]["weak"]
    edit(package, models={"weak": model | {"backend": "mine"}})
    run(package, "trim", "check")
    question = "Start with 6, add 9, add 4, add 8."
    solved = run(package, "trim", "solve", question, "--router", "always_weak", "--setting", "-").stdout
    assert "answer 7" in solved


def test_a_verifier_is_one_file(package):
    example(package, "trim/verifiers/brevity.py")
    rungs = (
        "from trim.verifiers import registry; from types import SimpleNamespace as N; import numpy as np; "
        "seen = N(tree=N(tokens=np.array([3, 8])), points=np.array([1])); "
        "print(*registry(), registry()['brevity'].learn(seen)(seen))"
    )
    names = run(package, "python", "-c", rungs).stdout.split()
    assert names[-1] == "[-8]"
    assert "brevity" in names[: names.index("network")]


def test_a_benchmark_of_your_own_is_a_file_of_questions(package):
    example(package, "mine.jsonl")
    edit(package, benchmarks={"mine": {"path": "mine.jsonl"}})
    named = run(package, "trim", "check", check=False)
    assert named.returncode == 2 and "routers.trim_pomdp" in named.stderr and "there are 1" in named.stderr
    path = package / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["routers"] = {name: params["routers"][name] for name in ("always_weak", "always_strong", "trim_thr")}
    params["evaluation"]["baselines"] = ["trim_thr"]
    path.write_text(yaml.safe_dump(params | {"trees": []}, sort_keys=False))
    assert "5 benchmarks" in run(package, "trim", "check").stdout
    run(package, "trim", "problems", "--benchmark", "mine", "--params", "params.yaml", "--out", "mine.parquet")
    problems = read_problems(package / "mine.parquet")
    assert [problem.split for problem in problems] == ["test", "validation", "train"]


def test_a_published_benchmark_is_one_entry(package):
    path = package / "trim/problems/catalogue.py"
    path.write_text(
        path.read_text().replace(
            '    "aime": Published(', '    "mine": Published(((AIME, _aime),), (30, 1, 1)),\n    "aime": Published('
        )
    )
    edit(package, benchmarks={"mine": {"hub": "mine"}}, routers={"oracle": {"only": ["standard"]}})
    assert "5 benchmarks" in run(package, "trim", "check").stdout


def test_what_is_not_there_is_named(package):
    for sections, said in (
        (
            {"models": {"weak": {"backend": "mine"}}},
            "models.weak.backend: 'mine' found, allowed: 'openai', 'transformers' or 'vllm'",
        ),
        ({"benchmarks": {"mine": {"hub": "mine"}}}, "benchmarks.mine.hub: 'mine' found, allowed: 'math500'"),
    ):
        path = package / "params.yaml"
        text = path.read_text()
        edit(package, **sections)
        done = run(package, "trim", "check", check=False)
        path.write_text(text)
        assert done.returncode == 2
        assert said in done.stderr
