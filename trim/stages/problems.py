"""Problems: generated or read, then one table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from trim.config import Params
from trim.problems import write_problems
from trim.problems.generated import generate
from trim.problems.jsonl import read_jsonl


def make_problems(params: Params, benchmark: str, out: Path) -> int:
    """Generate or read the problems of a benchmark; returns their number."""
    source = params.benchmarks[benchmark]
    if source.family and source.sizes:
        problems = generate(source.family, source.sizes.model_dump(), source.seed)
    else:
        assert source.path is not None
        problems = read_jsonl(source.path)
    write_problems(out, [replace(problem, tolerance=source.tolerance) for problem in problems])
    return len(problems)
