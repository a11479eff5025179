"""The episodes table: one row per step, with all data of the measures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from trim.evaluation.schema import STEPS
from trim.files import read_table
from trim.ledger.calls import COLUMNS
from trim.ledger.units import REGIMES, UNITS, Regime, in_units, totals
from trim.models.cost import ModelCost
from trim.setting import Setting

COUNTS = (
    "weak_tokens_kept", "weak_tokens_discarded", "strong_calls", "prm_tokens", "prm_calls", "steps", "weak_read",
    "weak_cached", "weak_written", "strong_read", "strong_cached", "strong_written", "prm_cached",
)  # fmt: skip
PER_PROBLEM = UNITS + COUNTS


@dataclass(frozen=True)
class Results:
    """One router on one benchmark, per problem.

    Attributes:
        benchmark, split, router, title, reference: the run's labels.
        settings: k settings, in the router's order.
        problems: n ids.
        correct: shape (k, n), bool.
        costs: costs by regime, each of `PER_PROBLEM`, shape (k, n); `billed` is there if a server billed anything.
    """

    benchmark: str
    split: str
    router: str
    title: str
    reference: bool
    settings: list[Setting]
    problems: list[str]
    correct: np.ndarray
    costs: dict[Regime, dict[str, np.ndarray]]

    @property
    def totals(self) -> dict[str, np.ndarray]:
        """Each of `PER_PROBLEM` under the regime `prefix`."""
        return self.costs["prefix"]


def read_results(path: Path) -> Results:
    """Add up one router's episodes; only the file is needed.

    Raises:
        TrimError: if the file is damaged.
    """
    table, header = read_table(path, STEPS)
    problems = pc.unique(table["problem"]).to_pylist()
    shape = len(header["settings"]), len(problems)
    steps = table.select(["writer", "decision", "tokens", "draft_tokens", "correct"]).to_pandas()
    setting, problem = (
        pc.index_in(table[name], value_set=pa.array(values)).to_numpy()
        for name, values in (("setting", header["settings"]), ("problem", problems))
    )
    of = setting * len(problems) + problem
    weak, kept = (steps[name] == value for name, value in (("writer", "weak"), ("decision", "accept")))
    accepted = steps["decision"] != "discard"

    def summed(values: Any) -> np.ndarray:
        return np.bincount(of, values, np.prod(shape)).reshape(shape)

    kept_tokens = np.where(weak & kept, steps["tokens"], 0)
    counts = {  # `strong_calls` are the steps that it wrote, in however many calls
        "weak_tokens_kept": summed(kept_tokens),
        "weak_tokens_discarded": summed(steps["draft_tokens"] - kept_tokens),
        "strong_calls": summed(~weak),
        "steps": summed(accepted),
    }
    models = {name: ModelCost(**values) for name, values in header["models"].items()}
    calls, called, costs = table["calls"].combine_chunks(), of[pc.list_parent_indices(table["calls"])], {}
    columns = {
        field.name: pc.struct_field(calls.flatten(), field.name).to_numpy(zero_copy_only=False) for field in COLUMNS
    }
    for regime in REGIMES if np.isfinite(columns["billed"]).any() else REGIMES[:2]:
        total = totals(columns, called, int(np.prod(shape)), regime)
        total |= in_units(total, models) | {"prm_tokens": total["prm_read"]}
        costs[regime] = {name: total[name].reshape(shape) for name in PER_PROBLEM if name in total} | counts
    return Results(
        **{name: header[name] for name in ("benchmark", "split", "router", "title", "reference")},
        settings=list(map(Setting.parse, header["settings"])),
        problems=problems,
        correct=summed(accepted & steps["correct"]) > 0,
        costs=costs,
    )


def read_steps(path: Path, setting: Setting) -> pd.DataFrame:
    """The rows of one setting.

    Raises:
        TrimError: if the file is damaged.
    """
    table, _ = read_table(path, STEPS)
    return table.filter(pc.field("setting") == str(setting)).to_pandas()


def read_scores(path: Path) -> pd.DataFrame:
    """The drafts of one router that the reward model scored: columns score_prm and correct (whether the episode was).

    Raises:
        TrimError: if the file is damaged.
    """
    table, _ = read_table(path, STEPS)
    return table.select(["score_prm", "correct"]).to_pandas().dropna()
