"""The episodes table: one row per step, with all data of the measures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from trim.evaluation.costs import REGIMES, ROLES, UNITS, Regime, count_calls, in_units, totals
from trim.evaluation.schema import CALLS, SCHEMA
from trim.files import read_table
from trim.models.cost import ModelCost

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
        settings: k names, in the router's order.
        seeds: training seed of each setting, None if it was not trained; see `trim.engine.policy.Policy`.
        problems: n ids.
        correct: shape (k, n), bool.
        costs: costs by regime, each of `PER_PROBLEM`, shape (k, n); `billed` is there if a server billed anything.
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
    table, header = read_table(path, SCHEMA)
    repeats = pc.equal(table["text"], table["draft"]).fill_null(False)
    steps = table.drop_columns(["text", "draft"]).to_pandas().assign(repeats_draft=repeats)
    models = {name: ModelCost(**values) for name, values in header["models"].items()}
    codes, names = pd.factorize(steps["problem"])
    problems = names.tolist()
    prompts = {role: np.asarray(header["prompts"][role], dtype=np.int64)[codes] for role in ROLES}
    order = pd.MultiIndex.from_product([header["settings"], problems])
    shape = len(header["settings"]), len(problems)
    correct, costs = _add_up(steps, models, prompts)
    return Results(
        **{name: header[name] for name in ("benchmark", "split", "router", "title", "reference")},
        settings=header["settings"],
        seeds=header["seeds"],
        problems=problems,
        correct=correct.reindex(order).to_numpy(dtype=bool).reshape(shape),
        costs={
            regime: {name: total[name].reindex(order).to_numpy(dtype=float).reshape(shape) for name in PER_PROBLEM}
            for regime, total in costs.items()
        },
    )


def read_steps(path: Path, setting: str) -> pd.DataFrame:
    """The rows of one setting.

    Raises:
        TrimError: if the file is damaged.
    """
    table, _ = read_table(path, SCHEMA)
    return table.filter(pc.field("setting") == setting).to_pandas()


def read_scores(path: Path) -> pd.DataFrame:
    """The scored drafts of one router: columns score and correct (whether the episode was).

    Raises:
        TrimError: if the file is damaged.
    """
    table, _ = read_table(path, SCHEMA)
    return table.select(["score", "correct"]).to_pandas().dropna()


def _add_up(
    steps: pd.DataFrame, models: dict[str, ModelCost], prompts: dict[str, np.ndarray]
) -> tuple[pd.Series, dict[Regime, pd.DataFrame]]:
    """Correctness of each setting on each problem, and the sums of `PER_PROBLEM` by regime."""
    keys = steps[["setting", "problem"]]
    first = np.flatnonzero((keys != keys.shift()).any(axis=1))
    index = pd.MultiIndex.from_frame(keys.iloc[first])
    stands = (steps["decision"] != "discard").to_numpy()
    kept = np.where(stands & (steps["writer"] == "weak"), steps["tokens"], 0)
    same = {
        "weak_tokens_kept": kept,
        "weak_tokens_discarded": steps["draft_tokens"].to_numpy() - kept,
        "steps": stands,
    }
    calls, costs = count_calls(steps, prompts), {}
    billed = any(steps[f"{kind}_billed"].notna().any() for kind in CALLS)
    for regime in REGIMES if billed else REGIMES[:2]:
        rows = same | totals(steps, calls, regime)
        total = {name: np.add.reduceat(values.astype(float), first) for name, values in rows.items()}
        total |= in_units(total, models) | {"strong_tokens": total["strong_written"], "prm_tokens": total["prm_read"]}
        total["strong_calls"] = np.add.reduceat((steps["writer"] == "strong").to_numpy().astype(float), first)
        costs[regime] = pd.DataFrame(total, index=index)
    return pd.Series(steps["correct"].to_numpy()[first], index), costs
