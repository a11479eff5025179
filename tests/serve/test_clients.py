"""Clients that people use, installed in an environment of their own by `make test-clients`."""

import json
import subprocess

import pytest
from conftest import ROOT
from fakes.serving import serving

from trim.answers import boxed
from trim.problems.generated import generate
from trim.solve import Solver

PYTHON = ROOT / ".venv-clients/bin/python"
NODE = ROOT / "tests/clients/node"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not PYTHON.exists(), reason="`make test-clients` installs them")]

MODEL = "trim-budget@0.2"
PROBLEMS = generate("standard", {"test": 20}, 80)


@pytest.fixture(scope="module")
def server():
    with serving() as started:
        yield started


@pytest.fixture(scope="module")
def solved():
    """What `trim solve` answers."""
    solutions = Solver.load()([problem.question for problem in PROBLEMS])
    return ["\n\n".join(step.text for step in solution.steps) for solution in solutions]


def run(command, server, lines):
    """What a client's script prints."""
    text = "\n".join(map(json.dumps, lines))
    done = subprocess.run([*command, server.url, MODEL], input=text, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def python(client):
    return [PYTHON, ROOT / f"tests/clients/with_{client}.py"]


def test_openai_sync_async_and_streaming(server, solved):
    found = run(python("openai"), server, [problem.question for problem in PROBLEMS])
    assert found["whole"] == found["streamed"] == found["plain"] == solved[:4]
    assert found["together"] == solved
    assert "leave out the system prompt and earlier turns" in found["given_back"]
    assert found["helped"] == solved[0]


def test_litellm(server, solved):
    found = run(python("litellm"), server, [problem.question for problem in PROBLEMS])
    assert found["whole"] == found["streamed"] == solved[:4]


def test_langchain(server, solved):
    found = run(python("langchain"), server, [problem.question for problem in PROBLEMS])
    assert found["whole"] == found["streamed"] == solved[:4]
    assert found["together"] == solved


@pytest.mark.skipif(not (NODE / "node_modules").is_dir(), reason="`make test-clients` installs them where npm is")
def test_openai_for_node_and_the_ai_sdk(server, solved):
    found = run(["node", NODE / "with_node.mjs"], server, [problem.question for problem in PROBLEMS])
    assert set(found) == {"whole", "streamed", "helped", "generated", "flowing"}
    assert all(texts == solved[:4] for texts in found.values())


def test_inspect_measures_the_accuracy_of_solve(server, solved):
    found = run(python("inspect"), server, [{"question": p.question, "answer": p.answer} for p in PROBLEMS])
    assert found["answers"] == solved
    right = [boxed(text) == problem.answer for text, problem in zip(solved, PROBLEMS, strict=True)]
    assert found["accuracy"] == pytest.approx(sum(right) / len(right))
    assert 0 < found["accuracy"] < 1
