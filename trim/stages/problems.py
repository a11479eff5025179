"""Problems: generated, downloaded or read, and written to one table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trim.errors import TrimError
from trim.experiment.params import Params, Sizes
from trim.files import write_text
from trim.problems import SPLITS, Problem, write_problems
from trim.problems.catalogue import PROCESSBENCH, fetch
from trim.problems.generated import generate
from trim.problems.jsonl import read_jsonl


def make_problems(params: Params, benchmark: str, out: Path) -> int:
    """Generate, download or read the problems of a benchmark; returns their number.

    Raises:
        TrimError: if they cannot be downloaded, or a record is malformed.
    """
    source = params.benchmarks[benchmark]
    if source.family and source.sizes:
        problems = generate(source.family, source.sizes.model_dump(), source.seed)
    else:
        found = fetch(source.hub) if source.hub else read_jsonl(Path(source.path or ""))
        problems = _at_most(found, source.sizes) if source.sizes else found
    write_problems(out, [replace(problem, tolerance=source.tolerance) for problem in problems])
    return len(problems)


def make_labelled(part: str, out: Path) -> int:
    """Download solutions with labelled first errors (a part of ProcessBench); returns their number.

    Raises:
        TrimError: if there is no such part, or it cannot be downloaded.
    """
    if part not in PROCESSBENCH:
        raise TrimError(f"calibration.solutions: processbench/{part} found, allowed: {', '.join(PROCESSBENCH)}")
    records = [record for _, record in PROCESSBENCH[part].records()]
    write_text(out, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    return len(records)


def _at_most(problems: Sequence[Problem], sizes: Sizes) -> list[Problem]:
    """At most `sizes` problems of each split, chosen by a hash of the question, in their order."""
    ranked = sorted(problems, key=lambda p: hashlib.sha256(p.question.encode()).digest())
    limits = sizes.model_dump()
    kept = {p.id for split in SPLITS for p in [q for q in ranked if q.split == split][: limits[split]]}
    return [problem for problem in problems if problem.id in kept]
