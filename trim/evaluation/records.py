"""The episodes table: one row a step, with all that the figures are computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trim.episodes import Episode, Step
from trim.evaluation.costs import ModelCost
from trim.tables import read_table, write_table

if TYPE_CHECKING:
    import pandas as pd

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
        ("role", pa.string()),
        ("read_tokens", pa.int32()),
        ("verdict_tokens", pa.int32()),
        ("correct", pa.bool_()),
    ]
)
# What is written by the strong model; that is written or read by any; computed, with and without the reward model.
COSTS = ("strong_tokens", "all_tokens", "flops", "flops_without_prm", "money", "latency")
PER_PROBLEM = (
    "strong_tokens",
    "weak_tokens_kept",
    "weak_tokens_discarded",
    "strong_calls",
    "prm_tokens",
    "prm_calls",
    "verification_tokens",
    "steps",
    "all_tokens",
    "flops",
    "flops_without_prm",
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
    """Write one router's episodes, the steps of solutions that were thrown away first.

    `header` names benchmark, split, router, title, reference, seeds and models.
    """
    rows = []
    for episode in episodes:
        common = {"problem": episode.problem.id, "setting": settings[episode.policy], "correct": episode.correct}
        for index, step in enumerate(episode.discarded):
            thrown_away = {"decision": "discard", "text": "", "draft": step.text, "tokens": 0}
            rows.append(common | _row(index, step) | thrown_away)
        rows += [common | _row(index, step) for index, step in enumerate(episode.steps)]
    write_table(path, pa.Table.from_pylist(rows, schema=SCHEMA), header | {"settings": list(settings)})


def _row(index: int, step: Step) -> dict[str, Any]:
    return {
        "step": index,
        "writer": step.writer,
        "decision": "accept" if step.writer == "weak" else "delegate" if step.draft is None else "regenerate",
        "text": step.text,
        "draft": step.draft,
        "score": None if np.isnan(step.score) else step.score,
        "tokens": step.tokens,
        "draft_tokens": step.draft_tokens,
        "role": step.role,
        "read_tokens": step.read,
        "verdict_tokens": step.verdict_tokens,
    }


def read_results(path: Path) -> Results:
    """Add up one router's episodes; nothing but the file is needed.

    Raises:
        TrimError: if the file is damaged.
    """
    import pandas as pd

    table, header = read_table(path, SCHEMA)
    steps = table.drop_columns(["text", "draft"]).to_pandas()
    costs = {name: ModelCost(**values) for name, values in header["models"].items()}
    totals = _totals(steps, costs)
    problems = steps["problem"].unique().tolist()
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


def _totals(steps: pd.DataFrame, costs: dict[str, ModelCost]) -> pd.DataFrame:
    import pandas as pd

    strong, drafted = steps["writer"] == "strong", steps["draft_tokens"] > 0
    paid = {role: steps["role"] == role for role in ("weak", "strong", "prm")}
    rated = steps["read_tokens"] > 0
    columns = pd.DataFrame(
        {
            "setting": steps["setting"],
            "problem": steps["problem"],
            "correct": steps["correct"],
            "strong_tokens": steps["tokens"].where(strong, 0) + steps["verdict_tokens"].where(paid["strong"], 0),
            "weak_tokens_kept": steps["tokens"].where(~strong, 0),
            "weak_tokens_discarded": steps["draft_tokens"] - steps["tokens"].where(~strong, 0),
            "strong_calls": strong.astype(int),
            "weak_calls": drafted.astype(int),
            "prm_tokens": steps["read_tokens"].where(paid["prm"], 0),
            "prm_calls": (paid["prm"] & rated).astype(int),
            "weak_read": steps["read_tokens"].where(paid["weak"], 0),
            "weak_verdicts": steps["verdict_tokens"].where(paid["weak"], 0),
            "weak_ratings": (paid["weak"] & rated).astype(int),
            "strong_read": steps["read_tokens"].where(paid["strong"], 0),
            "strong_verdicts": steps["verdict_tokens"].where(paid["strong"], 0),
            "strong_ratings": (paid["strong"] & rated).astype(int),
            "steps": (steps["decision"] != "discard").astype(int),
        }
    )
    total = columns.groupby(["setting", "problem"], sort=False).agg(
        {name: "max" if name == "correct" else "sum" for name in columns.columns[2:]}
    )
    weak, strong = costs["weak"], costs["strong"]
    written = {
        "weak": total["weak_tokens_kept"] + total["weak_tokens_discarded"] + total["weak_verdicts"],
        "strong": total["strong_tokens"],
    }
    read = {"weak": total["weak_read"], "strong": total["strong_read"], "prm": total["prm_tokens"]}
    total["verification_tokens"] = sum(read.values()) + total["weak_verdicts"] + total["strong_verdicts"]
    total["all_tokens"] = sum(written.values()) + sum(read.values())
    used = {role: tokens + written.get(role, 0) for role, tokens in read.items()}
    total["flops"] = sum(2.0 * costs[role].parameters * tokens for role, tokens in used.items())
    total["flops_without_prm"] = total["flops"] - 2.0 * costs["prm"].parameters * used["prm"]
    total["money"] = sum(costs[role].price / 1e6 * tokens for role, tokens in used.items())
    # A language model that rates a step reads it at one go, with the call.
    total["latency"] = (
        weak.latency_per_call * (total["weak_calls"] + total["weak_ratings"])
        + weak.latency_per_token * written["weak"]
        + strong.latency_per_call * (total["strong_calls"] + total["strong_ratings"])
        + strong.latency_per_token * written["strong"]
        + costs["prm"].latency_per_call * total["prm_calls"]
        + costs["prm"].latency_per_token * read["prm"]
    )
    return total
