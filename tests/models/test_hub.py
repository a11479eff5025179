"""Benchmarks and models by name, from a hub on the loopback address, through the command line."""

import csv
import io
import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import ROOT
from fakes.hub import FakeHub

from trim.models.files import resolve
from trim.problems import read_problems
from trim.problems.catalogue import MATH_TRAIN, plain
from trim.problems.catalogue import PUBLISHED as CATALOGUE

pytestmark = pytest.mark.slow

PUBLISHED = ROOT.parent / "shared" / "benchmarks"
MATH_500 = "datasets/HuggingFaceH4/MATH-500"
MATH = "datasets/EleutherAI/hendrycks_math"


def lines(rows):
    return "\n".join(json.dumps(row) for row in rows).encode()


def parquet(rows):
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def math_500(count=500):
    return [
        {"problem": f"What is ${i}+1$?", "answer": str(i + 1), "unique_id": f"test/{i}", "level": 1}
        for i in range(count)
    ]


def math_train(leaked=0):
    """7,500 problems; the first ones are of MATH-500, written a little differently."""
    rows = [{"problem": f"What is $ {i} + 1 $ ?", "solution": f"It is $\\boxed{{{i + 1}}}$."} for i in range(leaked)]
    rows += [{"problem": f"What is $2 \\cdot {i}$?", "solution": f"\\boxed{{{2 * i}}}"} for i in range(7500 - leaked)]
    rows[-1]["solution"] = "So it\n\nis $\\boxed 2$."
    rows[-2]["solution"] = "It is\n\nleft to the reader."
    paths = list(MATH_TRAIN.paths)
    return {path: parquet(rows[n :: len(paths)]) for n, path in enumerate(paths)}


@pytest.fixture
def hub():
    hubs = []

    def start(repositories, *failure):
        hubs.append(FakeHub(repositories, *failure))
        return hubs[-1]

    yield start
    for found in hubs:
        found.close()


@pytest.fixture
def trim(tmp_path, raw):
    """Runs a command on an experiment with one benchmark of the hub."""

    def run(*command, endpoint, source=None, models=None, **environment):
        params = yaml.safe_load(yaml.safe_dump(raw))
        params["benchmarks"] = {"standard": source or {"hub": "math500"}}
        del params["routers"]["oracle"]
        for role, changed in (models or {}).items():
            params["models"][role] |= changed
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
        known = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_DISABLE_TELEMETRY": "1"}
        clean = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        return subprocess.run(
            [sys.executable, "-c", "from trim.cli import main; main()", *command],
            cwd=tmp_path,
            env=clean | known | environment,
            capture_output=True,
            text=True,
        )

    return run


def problems(trim, endpoint, **kwargs):
    return trim("problems", "--benchmark", "standard", "--out", "p.parquet", endpoint=endpoint, **kwargs)


def test_math_500_is_the_test_split_and_stands_nowhere_else(hub, trim, tmp_path):
    found = hub({MATH_500: {"test.jsonl": lines(math_500())}, MATH: math_train(leaked=40)})
    done = problems(trim, found.url)
    assert done.returncode == 0, done.stderr
    made = read_problems(tmp_path / "p.parquet")
    split = {name: [p for p in made if p.split == name] for name in ("train", "validation", "test")}
    assert len(split["test"]) == 500
    assert len(made) == 500 + 7500 - 40 - 1  # one marks no answer
    assert 0.15 < len(split["validation"]) / 7460 < 0.25
    tested = {plain(p.question) for p in split["test"]}
    assert not tested & {plain(p.question) for p in split["train"] + split["validation"]}
    assert {p.answer for p in split["train"] + split["validation"]} <= {str(2 * i) for i in range(7500)}
    assert sum(p.answer == "2" for p in made) == 3
    again = problems(trim, "http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert again.returncode == 0, again.stderr
    assert read_problems(tmp_path / "p.parquet") == made


def test_sizes_take_the_same_problems_whatever_their_order(hub, trim, tmp_path):
    sizes = {"train": 30, "validation": 10, "test": 20}
    rows = math_500()
    made = []
    for n, order in enumerate((rows, rows[::-1])):
        found = hub({MATH_500: {"test.jsonl": lines(order)}, MATH: math_train()})
        done = problems(trim, found.url, source={"hub": "math500", "sizes": sizes}, HF_HOME=str(tmp_path / str(n)))
        assert done.returncode == 0, done.stderr
        made.append({(p.id, p.split) for p in read_problems(tmp_path / "p.parquet") if p.split == "test"})
    assert made[0] == made[1]
    assert len(made[0]) == 20


def test_a_hub_that_stumbles_is_asked_again(hub, trim, tmp_path):
    def fail(path, count):
        return {1: 503, 2: "drop"}.get(count) if path.endswith("test.jsonl") else None

    found = hub({MATH_500: {"test.jsonl": lines(math_500())}, MATH: math_train()}, fail)
    done = problems(trim, found.url)
    assert done.returncode == 0, done.stderr
    assert len(read_problems(tmp_path / "p.parquet", "test")) == 500


@pytest.mark.parametrize(
    ("failure", "environment", "message"),
    [
        (403, {}, "gated; accept its terms on the hub and set HF_TOKEN"),
        (404, {}, "no such repository, or it is private; set HF_TOKEN"),
        (None, {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set and the cache lacks it"),
    ],
)
def test_what_cannot_be_had_is_one_line_with_a_cure(hub, trim, failure, environment, message):
    found = hub({MATH_500: {"test.jsonl": b""}}, lambda path, count: failure)
    done = problems(trim, found.url, **environment)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("trim: HuggingFaceH4/MATH-500@6e4ed1a2a79a: ")
    assert message in last
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lines(math_500(499)), "499 records, where 500 were expected"),
        (lines([{"problem": "q"}] * 500), "no answer in"),
        (b"{", "test.jsonl:1: not JSON"),
    ],
)
def test_other_data_than_expected_is_refused(hub, trim, content, message):
    found = hub({MATH_500: {"test.jsonl": content}, MATH: math_train()})
    done = problems(trim, found.url)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_with_another_checksum_is_refused(hub, trim):
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["ID", "Year", "Problem Number", "Question", "Answer", "Part"])
    rows.writerow(["1984-1", "1984", "1", "What is 1+1?", "2", ""])
    found = hub({"datasets/di-zhang-fdu/AIME_1983_2024": {"AIME_Dataset_1983_2024.csv": text.getvalue().encode()}})
    done = problems(trim, found.url, source={"hub": "aime"})
    assert done.returncode == 2
    assert "its SHA-256 is" in done.stderr


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published files are not here")
def test_the_split_of_aime_is_the_papers():
    _, split = CATALOGUE["aime"].parts[0]
    rows = [json.loads(line) for line in (PUBLISHED / "aime.jsonl").read_text().splitlines()]
    assert len(rows) == 482
    assert {split(row) for row in rows} == {"test"}
    years = {"Year": "2001", "Part": "I", "problem": "q"}, {"Year": "1984", "Part": "", "problem": "q"}
    assert not {split(row) for row in years} & {"test"}


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published files are not here")
def test_a_question_is_found_again_but_not_taken_for_another():
    rows = [json.loads(line) for line in (PUBLISHED / "math500.jsonl").read_text().splitlines()]
    assert len({plain(row["problem"]) for row in rows}) == 500


def test_models_of_the_hub_are_downloaded_and_known_by_their_revision(hub, trim, tmp_path):
    folder = resolve("embedded/weak")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    found = hub({"models/someone/weak": files})
    named = {"weak": {"path": "someone/weak", "revision": "a" * 40}}
    missing = trim("rollouts", "--problems", "p.parquet", "--model", "weak", "--out", "o", "--journal", "j.sqlite",
                   endpoint=found.url, models=named, source={"path": "q.jsonl"})  # fmt: skip
    assert missing.returncode == 2
    done = trim("download", "--model", "weak", "--out", "weak.json", endpoint=found.url, models=named)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "weak.json").read_text())["revision"] == "a" * 40
    wrong = {"weak": named["weak"] | {"weights": 5}}
    done = trim("download", "--model", "weak", endpoint=found.url, models=wrong)
    assert done.returncode == 2
    assert "models.weak.weights: 5 found, but someone/weak has" in done.stderr
