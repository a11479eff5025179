"""Interventions: which steps each router hands over, at the middle budget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from trim.config import Params
from trim.evaluation.interventions import decisions, rates
from trim.evaluation.records import read_results, read_steps
from trim.evaluation.summary import nearest_setting, studies
from trim.problems import read_problems
from trim.stages.evaluate import protocol
from trim.tables import write_text


def make_interventions(params: Params, benchmark: str, problems: Path, episodes: Sequence[Path], out: Path) -> None:
    """Write a row per step router and bin; see `trim.evaluation.interventions.rates`.

    Difficulty tells which of the models alone solves the problem.
    """
    found = {path.stem: read_results(path) for path in episodes}
    ends = found["always_weak"].correct[0], found["always_strong"].correct[0]
    difficulty = {
        name: "weak solves it" if weak else "only strong solves it" if strong else "neither solves it"
        for name, weak, strong in zip(found["always_weak"].problems, *ends, strict=True)
    }
    (study,) = studies(list(found.values()), protocol(params))
    known = {problem.id: problem for problem in read_problems(problems, "test")}
    tables = []
    for path in episodes:
        result = found[path.stem]
        spent = study.fractions(path.stem, "strong_tokens")[0]
        setting = result.settings[nearest_setting(result.settings, spent, params.evaluation.middle)]
        steps = read_steps(path, setting)
        if not (steps["decision"] == "regenerate").any():
            continue
        judged = decisions(steps, known, difficulty)
        table = rates(judged, result.problems, study.weights, study.interval)
        tables.append(table.assign(benchmark=benchmark, router=path.stem, setting=setting))
    write_text(out, pd.concat(tables).to_csv(index=False, float_format="%.6g"))
