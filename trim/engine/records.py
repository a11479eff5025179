"""Episodes as a table, one row per step, with all data of the measures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from trim.engine.episode import Episode, Step
from trim.evaluation.schema import SCHEMA
from trim.files import write_table
from trim.models.base import Usage


def write_episodes(path: Path, episodes: Sequence[Episode], settings: Sequence[str], header: dict[str, Any]) -> None:
    """Write one router's episodes; the steps of discarded solutions come first.

    `header` names benchmark, split, router, title, reference, seeds, models, and the tokens of each model's prompts.
    """
    rows = []
    for episode in episodes:
        common = {"problem": episode.problem.id, "setting": settings[episode.policy], "correct": episode.correct}
        for index, step in enumerate(episode.discarded):
            thrown_away = {"decision": "discard", "text": "", "draft": step.text}
            rows.append(common | step_row(index, step) | thrown_away)
        rows += [common | step_row(index, step) for index, step in enumerate(episode.steps)]
    write_table(path, pa.Table.from_pylist(rows, schema=SCHEMA), header | {"settings": list(settings)})


def step_row(index: int, step: Step) -> dict[str, Any]:
    """The row of a step, without the problem, the setting and the verdict."""
    return {
        "step": index,
        "writer": step.writer,
        "decision": "accept" if step.writer == "weak" else "delegate" if step.draft is None else "regenerate",
        "text": step.text,
        "draft": step.draft,
        "glimpse": _known(step.glimpse),
        "logprob": _known(step.logprob),
        "score": _known(step.score),
        "tokens": step.tokens,
        "draft_tokens": step.draft_tokens,
        "rater": step.rater,
        "first_score": _known(step.first),
        "first_rater": step.first_rating and step.first_rating.rater,
        "first_read": step.first_rating.read if step.first_rating else 0,
        "first_reread": step.first_rating.reread if step.first_rating else 0,
        "read_tokens": step.read,
        "reread_tokens": step.reread,
        "verdict_tokens": step.verdict_tokens,
        "rating_calls": step.rating_calls,
        **_billed("draft", step.draft_usage),
        **_billed("rating", step.rating_usage),
        **_billed("first", step.first_rating and step.first_rating.rating_usage),
        **_billed("rewrite", step.rewrite_usage),
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _billed(kind: str, usage: Usage | None) -> dict[str, int | None]:
    return {f"{kind}_billed": usage and usage.read, f"{kind}_cached": usage and usage.cached}
