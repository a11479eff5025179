"""Problems: generated, downloaded or read, and written to one table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from trim.errors import TrimError
from trim.stages.stage import Benchmark, Input, Out, Stage

if TYPE_CHECKING:
    from trim.experiment.params import Params, Sizes
    from trim.problems import Problem


def make_problems(params: Params, benchmark: Benchmark, out: Out) -> str:
    """Generate or read the problems of a benchmark.

    Example: trim problems --benchmark standard --out p.parquet

    Raises:
        TrimError: if they cannot be downloaded, or a record is malformed.
    """
    from trim.problems import write_problems
    from trim.problems.catalogue import fetch
    from trim.problems.generated import generate
    from trim.problems.jsonl import read_jsonl

    source = params.benchmarks[benchmark]
    if source.family and source.sizes:
        problems = generate(source.family, source.sizes.model_dump(), source.seed)
    else:
        found = fetch(source.hub) if source.hub else read_jsonl(Path(source.path or ""))
        problems = _at_most(found, source.sizes) if source.sizes else found
    write_problems(out, [replace(problem, tolerance=source.tolerance) for problem in problems])
    return f"{out}: {len(problems)} problems"


def make_labelled(
    part: Annotated[str, Input("A part of ProcessBench: gsm8k, math, olympiadbench or omnimath.", positional=True)],
    out: Out,
) -> str:
    """Download solutions with labelled first errors, for calibration.

    Example: trim labelled math --out processbench.jsonl

    Raises:
        TrimError: if there is no such part, or it cannot be downloaded.
    """
    from trim.files import write_text
    from trim.problems.catalogue import PROCESSBENCH

    if part not in PROCESSBENCH:
        raise TrimError(f"calibration.solutions: processbench/{part} found, allowed: {', '.join(PROCESSBENCH)}")
    records = [record for _, record in PROCESSBENCH[part].records()]
    write_text(out, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    return f"{out}: {len(records)} solutions"


def _at_most(problems: Sequence[Problem], sizes: Sizes) -> list[Problem]:
    """At most `sizes` problems of each split, chosen by a hash of the question, in their order."""
    from trim.problems import SPLITS

    ranked = sorted(problems, key=lambda p: hashlib.sha256(p.question.encode()).digest())
    limits = sizes.model_dump()
    kept = {p.id for split in SPLITS for p in [q for q in ranked if q.split == split][: limits[split]]}
    return [problem for problem in problems if problem.id in kept]


STAGES = [Stage("problems", make_problems, order=1), Stage("labelled", make_labelled, order=2)]
