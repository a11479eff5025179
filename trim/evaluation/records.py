"""The episodes table: one row a step, with all that the figures are computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from trim.episodes import Episode
from trim.evaluation.costs import ModelCost
from trim.tables import read_table, write_table

SCHEMA = pa.schema(
    [
        ("problem", pa.string()),
        ("setting", pa.string()),
        ("step", pa.int16()),
        ("writer", pa.string()),
        ("decision", pa.string()),
        ("text", pa.string()),
        ("draft", pa.string()),
        ("score", pa.float64()),
        ("tokens", pa.int32()),
        ("draft_tokens", pa.int32()),
        ("prm_tokens", pa.int32()),
        ("correct", pa.bool_()),
    ]
)
COSTS = ("strong_tokens", "flops", "money", "latency")
PER_PROBLEM = (
    "strong_tokens",
    "weak_tokens_kept",
    "weak_tokens_discarded",
    "strong_calls",
    "prm_tokens",
    "prm_calls",
    "steps",
    "flops",
    "latency",
    "money",
)


@dataclass(frozen=True)
class Results:
    """One router on one benchmark, per problem.

    Attributes:
        benchmark, split, router, title, reference: what it is.
        settings: k names, in the router's order.
        seeds: of the training behind each setting, None where there was none; see `trim.routers.base.Policy`.
        problems: n ids.
        correct: shape (k, n), bool.
        totals: each of `PER_PROBLEM`, shape (k, n).
    """

    benchmark: str
    split: str
    router: str
    title: str
    reference: bool
    settings: list[str]
    seeds: list[int | None]
    problems: list[str]
    correct: np.ndarray
    totals: dict[str, np.ndarray]


def write_episodes(path: Path, episodes: Sequence[Episode], settings: Sequence[str], header: dict[str, Any]) -> None:
    """Write one router's episodes; `header` names benchmark, split, router, title, reference, seeds and models."""
    rows = []
    for episode in episodes:
        for index, step in enumerate(episode.steps):
            decision = "accept" if step.writer == "weak" else "regenerate" if step.draft is not None else "delegate"
            rows.append(
                {
                    "problem": episode.problem.id,
                    "setting": settings[episode.policy],
                    "step": index,
                    "writer": step.writer,
                    "decision": decision,
                    "text": step.text,
                    "draft": step.draft,
                    "score": None if np.isnan(step.score) else step.score,
                    "tokens": step.tokens,
                    "draft_tokens": step.draft_tokens,
                    "prm_tokens": step.prm_tokens,
                    "correct": episode.correct,
                }
            )
    write_table(path, pa.Table.from_pylist(rows, schema=SCHEMA), header | {"settings": list(settings)})


def read_results(path: Path) -> Results:
    """Add up one router's episodes; nothing but the file is needed.

    Raises:
        TrimError: if the file is damaged.
    """
    table, header = read_table(path, SCHEMA)
    steps = table.drop_columns(["text", "draft"]).to_pandas()
    costs = {name: ModelCost(**values) for name, values in header["models"].items()}
    totals = _totals(steps, costs)
    problems = list(dict.fromkeys(steps["problem"]))
    index = pd.MultiIndex.from_product([header["settings"], problems])
    shape = len(header["settings"]), len(problems)
    totals = totals.reindex(index)
    return Results(
        **{name: header[name] for name in ("benchmark", "split", "router", "title", "reference")},
        settings=header["settings"],
        seeds=header["seeds"],
        problems=problems,
        correct=totals["correct"].to_numpy(dtype=bool).reshape(shape),
        totals={name: totals[name].to_numpy(dtype=float).reshape(shape) for name in PER_PROBLEM},
    )


def read_scores(path: Path) -> pd.DataFrame:
    """The scored drafts of one router: columns score and correct (whether the episode was).

    Raises:
        TrimError: if the file is damaged.
    """
    table, _ = read_table(path, SCHEMA)
    return table.select(["score", "correct"]).to_pandas().dropna()


def _totals(steps: pd.DataFrame, costs: dict[str, ModelCost]) -> pd.DataFrame:
    strong, drafted = steps["writer"] == "strong", steps["draft_tokens"] > 0
    columns = pd.DataFrame(
        {
            "setting": steps["setting"],
            "problem": steps["problem"],
            "correct": steps["correct"],
            "strong_tokens": steps["tokens"].where(strong, 0),
            "weak_tokens_kept": steps["tokens"].where(~strong, 0),
            "weak_tokens_discarded": steps["draft_tokens"].where(strong, 0),
            "strong_calls": strong.astype(int),
            "weak_calls": drafted.astype(int),
            "prm_tokens": steps["prm_tokens"],
            "prm_calls": steps["score"].notna().astype(int),
            "steps": 1,
        }
    )
    total = columns.groupby(["setting", "problem"], sort=False).agg(
        {name: "max" if name == "correct" else "sum" for name in columns.columns[2:]}
    )
    used = {
        "weak": (total["weak_tokens_kept"] + total["weak_tokens_discarded"], total["weak_calls"]),
        "strong": (total["strong_tokens"], total["strong_calls"]),
        "prm": (total["prm_tokens"], total["prm_calls"]),
    }
    total["flops"] = sum(2.0 * costs[name].parameters * tokens for name, (tokens, _) in used.items())
    total["money"] = sum(costs[name].price / 1e6 * tokens for name, (tokens, _) in used.items())
    total["latency"] = sum(
        costs[name].latency_per_call * calls + costs[name].latency_per_token * tokens
        for name, (tokens, calls) in used.items()
    )
    return total
