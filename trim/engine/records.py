"""Episodes as a table: a row per step, with the calls of models that it took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from trim.engine.episode import Episode, Step
from trim.evaluation.schema import RATERS, STEPS
from trim.files import write_table
from trim.ledger.calls import COLUMNS, columns
from trim.setting import Setting


def write_episodes(
    path: Path, episodes: Sequence[Episode], settings: Sequence[Setting], header: dict[str, Any]
) -> None:
    """Write one router's episodes; the steps of discarded solutions come first.

    `header` names benchmark, split, router, title, reference and models.
    """
    rows = [(episode, *step) for episode in episodes for step in _steps(episode)]
    texts = list(map(str, settings))
    table = {
        "problem": [episode.problem.id for episode, *_ in rows],
        "setting": [texts[episode.policy] for episode, *_ in rows],
        "step": [index for _, index, *_ in rows],
        "writer": [step.writer for *_, step, _ in rows],
        "decision": [_decision(step, discarded) for *_, step, discarded in rows],
        "text": ["" if discarded else step.text for *_, step, discarded in rows],
        "draft": [step.text if discarded else step.draft for *_, step, discarded in rows],
        "tokens": [step.tokens for *_, step, _ in rows],
        "draft_tokens": [step.draft_tokens for *_, step, _ in rows],
        "glimpse": _numbers([step.glimpse for *_, step, _ in rows]),
        **{f"score_{r}": _numbers([step.scores.get(r, np.nan) for *_, step, _ in rows]) for r in RATERS},
        "calls": _calls([step for *_, step, _ in rows]),
        "correct": [episode.correct for episode, *_ in rows],
    }
    write_table(path, pa.table(table, schema=STEPS), header | {"settings": texts})


def _calls(steps: Sequence[Step]) -> pa.Array:
    """The list of calls of each step."""
    made = columns(call for step in steps for call in step.calls)
    flat = pa.StructArray.from_arrays(
        [pa.array(made[field.name], field.type, from_pandas=True) for field in COLUMNS], fields=list(COLUMNS)
    )
    return pa.ListArray.from_arrays(np.cumsum([0, *(len(step.calls) for step in steps)]), flat)


def _steps(episode: Episode) -> Iterator[tuple[int, Step, bool]]:
    """Each step with its number in its solution, and whether that was discarded."""
    for solution in (episode.discarded, episode.steps):
        for index, step in enumerate(solution):
            yield index, step, solution is episode.discarded


def _decision(step: Step, discarded: bool) -> str:
    if discarded:
        return "discard"
    return "accept" if step.writer == "weak" else "delegate" if step.draft is None else "rewrite"


def _numbers(values: Sequence[float]) -> pa.Array:
    """Numbers of a column, null for NaN."""
    return pa.array(np.array(values, dtype=float), from_pandas=True)
