"""The published benchmarks, by name: their files, revisions and splits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trim.errors import TrimError
from trim.models.hub import download, verify
from trim.problems.jsonl import plain, to_problem
from trim.problems.problem import PARTS, Problem
from trim.problems.records import records

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Files:
    """Files of a dataset on the hub.

    Attributes:
        repo, revision: the dataset and its commit.
        paths: paths in the repository, with their SHA-256, None if unknown to us.
        fields: names of columns with another name in `trim.problems.jsonl`.
        number: total number of records, None if it is not checked.
    """

    repo: str
    revision: str
    paths: Mapping[str, str | None]
    fields: Mapping[str, str] = field(default_factory=dict)
    number: int | None = None

    def records(self) -> Iterator[tuple[str, Record]]:
        """Every record, and its place; downloads files that the cache lacks.

        Raises:
            TrimError: if the files cannot be downloaded, or are not the expected ones.
        """
        folder = download(self.repo, self.revision, "dataset", list(self.paths))
        count = 0
        for path, sha256 in self.paths.items():
            if not (folder / path).is_file():
                raise TrimError(f"{self.repo}@{self.revision[:12]}: holds no {path}")
            if sha256:
                verify(folder / path, sha256)
            for number, record in enumerate(_read(folder / path), 1):
                count += 1
                yield f"{self.repo}/{path}:{number}", {self.fields.get(k, k): v for k, v in record.items()}
        if self.number not in (None, count):
            raise TrimError(f"{self.repo}@{self.revision[:12]}: {count} records, where {self.number} were expected")


def _read(path: Path) -> list[Record]:
    """The records of a downloaded file."""
    try:
        return [record for _, record in records(path)]
    except TrimError as error:
        raise TrimError(f"{error}; delete it and download it again") from error


def _fitting(record: Record) -> str:
    """Four fifths for training, the rest for validation, by a hash of the question."""
    question = str(record.get("problem", record.get("question")))
    return "train" if hashlib.sha256(question.encode()).digest()[0] % 5 else "validation"


def _testing(record: Record) -> str:
    return "test"


def _aime(record: Record) -> str:
    """The paper's split: every other year before 2000, and the second examination since."""
    year = int(record["Year"])
    held_out = year % 2 == 1 if year < 2000 else record["Part"] == "II"
    return "test" if held_out else _fitting(record)


_MATH_SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)
MATH_500 = Files("HuggingFaceH4/MATH-500", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be", {"test.jsonl": None}, number=500)
MATH_TRAIN = Files(
    "EleutherAI/hendrycks_math",
    "21a5633873b6a120296cce3e2df9d5550074f4a3",
    {f"{subject}/train-00000-of-00001.parquet": None for subject in _MATH_SUBJECTS},
    number=7500,
)
AIME = Files(
    "di-zhang-fdu/AIME_1983_2024",
    "3e2cc86390666c5c756622afc0eeb9e6194496bc",
    {"AIME_Dataset_1983_2024.csv": "959358884aa93b30b8d85ecb80fd8b577014498c08f7569faf88f675cc3fb9f4"},
    {"Question": "problem", "Answer": "answer"},
    933,
)
OLYMPIAD = Files(
    "math-ai/olympiadbench", "4faaf1e6ec17d11a4218a9bf4c049ecaf954dd84", {"test.parquet": None}, number=674
)
MINERVA = Files("math-ai/minervamath", "ee46ddc498933b1977577953250ca5c66be64f96", {"test.jsonl": None}, number=272)
GSM8K = {
    split: Files(
        "openai/gsm8k",
        "740312add88f781978c0658806c59bc2815b9866",
        {f"main/{split}-00000-of-00001.parquet": None},
    )
    for split in ("train", "test")
}
PROCESSBENCH = {
    part: Files("Qwen/ProcessBench", "3bdcd5371ed567559a78f559c01c13a6deee7604", {f"{part}.json": None})
    for part in PARTS
}


@dataclass(frozen=True)
class Published:
    """A published benchmark.

    Attributes:
        parts: the files of its problems, each with the split of its records or a function of a record to its split.
        sizes: approximate problems of the train, validation and test splits; those for fitting are split by a hash.
    """

    parts: tuple[tuple[Files, Callable[[Record], str]], ...]
    sizes: tuple[int, int, int]


PUBLISHED = {
    "math500": Published(((MATH_500, _testing), (MATH_TRAIN, _fitting)), (6000, 1500, 500)),
    "aime": Published(((AIME, _aime),), (360, 90, 483)),
    "olympiadbench": Published(((OLYMPIAD, _testing),), (0, 0, 674)),
    "minerva": Published(((MINERVA, _testing),), (0, 0, 272)),
    "gsm8k": Published(((GSM8K["test"], _testing), (GSM8K["train"], _fitting)), (5980, 1490, 1319)),
}


def fetch(name: str) -> list[Problem]:
    """The problems of a published benchmark.

    Problems for fitting exclude test problems, and problems whose solution does not mark its answer.

    Raises:
        TrimError: if its files cannot be downloaded, or a record is malformed.
    """
    problems: dict[str, Problem] = {}
    for files, split in PUBLISHED[name].parts:
        for place, record in files.records():
            try:
                problem = to_problem({**record, "split": split(record)}, place)
            except (ValueError, KeyError) as error:
                if split(record) != "test" and isinstance(record.get("solution"), str):
                    continue
                raise TrimError(f"{place}: {error}") from error
            if problem.id in problems:
                raise TrimError(f"{place}: the id {problem.id!r} is a duplicate")
            problems[problem.id] = problem
    tested = {plain(problem.question) for problem in problems.values() if problem.split == "test"}
    return [p for p in problems.values() if p.split == "test" or plain(p.question) not in tested]
