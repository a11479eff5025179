"""What is added is found by its file: each case adds one in a copy of the package, and sees it work."""

from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from project import make_project, run


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


ROUTER = '''
"""Hands over long drafts."""

import numpy as np

from trim.engine.policy import Decisions, Policy
from trim.routers.base import Router


class _Long(Policy):
    rater = None

    def regenerate(self, seen: Decisions) -> np.ndarray:
        return seen.tokens[:, -1] > 9


class Mine(Router):
    name = "mine"
    title = "Mine"

    def policies(self):
        return {"-": _Long()}
'''


def test_a_router_is_one_file(package):
    (package / "trim/routers/mine.py").write_text(ROUTER)
    edit(package, routers={"mine": {}})
    assert "15 routers" in run(package, "trim", "check").stdout
    question = "Start with 60, add 90, multiply by 41, add 4, subtract 8."
    steps = run(package, "trim", "solve", question, "--router", "mine", "--setting", "-").stdout
    assert "  strong " in steps
    assert "  weak " in steps


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


VERIFIER = '''
"""The length of the draft."""

import numpy as np

from trim.verifiers.base import Verifier, given

VERIFIERS = {"mine": Verifier("length", given(lambda seen: -np.asarray(seen.tree.tokens[seen.points])))}
'''


def test_a_verifier_is_one_file(package):
    (package / "trim/verifiers/mine.py").write_text(VERIFIER)
    rungs = (
        "from trim.verifiers import registry; from types import SimpleNamespace as N; import numpy as np; "
        "seen = N(tree=N(tokens=np.array([3, 8])), points=np.array([1])); "
        "print(*registry(), registry()['mine'].learn(seen)(seen))"
    )
    names = run(package, "python", "-c", rungs).stdout.split()
    assert names[-1] == "[-8]"
    assert names[names.index("mine") + 1] == "network"


def test_a_published_benchmark_is_one_entry(package):
    path = package / "trim/problems/catalogue.py"
    path.write_text(
        path.read_text().replace(
            '    "aime": Published(', '    "mine": Published(((AIME, _aime),), (1, 1, 1)),\n    "aime": Published('
        )
    )
    edit(package, benchmarks={"mine": {"hub": "mine"}})
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
