"""The whole cost of episodes: tokens that every call of every model reads, finds in a cache, and writes.

Two models share no cache. Under the regime `none` every call reads its whole prompt, as with a stateless server;
under `prefix` each model keeps its own cache, so that it reads each token of a problem at most once, and none
that it wrote itself: a rewrite in the words of a draft is known to the weak model, which wrote that, and to the
reward model, if it read it. `billed` is a server's reported usage, and `prefix` for the calls of local models.
Consecutive steps of one model, with no other call between them, are one call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from trim.models.cost import ModelCost

Columns = Mapping[str, Any]  # an episodes table: a data frame, or an array for each column
Regime = Literal["none", "prefix", "billed"]
# Tokens that the strong model writes (the paper's unit); tokens that it reads or writes; tokens that any model reads or
# # writes; operations, with and without the reward model's; money; seconds in all, and of writing and of reading alone.
UNITS = (
    "strong_tokens", "strong_passes", "all_tokens", "flops", "flops_without_prm", "money", "latency",
    "latency_decoding", "latency_reading",
)  # fmt: skip
WRITTEN = ("strong_tokens", "latency_decoding")  # units of written tokens only
REGIMES: tuple[Regime, ...] = ("none", "prefix", "billed")
ROLES = ("weak", "strong", "prm")
# The model that pays for a rating: the reward model, or the language model whose log-probabilities, grades or verdicts
# # it uses. The weak model's log-probabilities are free with its drafts.
PAYERS = {"prm": "prm", "strong": "strong", "grade": "strong", "self": "weak"}


@dataclass(frozen=True)
class Calls:
    """Calls of one kind; an array each, with an entry per row of an episodes table.

    Attributes:
        role: the model that is called.
        kind: writing a draft (draft) or a rewrite (rewrite); or rating a step (rating; by the first of two raters:
            first).
        count: calls.
        prompt: tokens of their prompts, summed over the calls.
        fresh: those of them that the model has neither read nor written before.
        written: tokens.
    """

    role: str
    kind: str
    count: np.ndarray
    prompt: np.ndarray
    fresh: np.ndarray
    written: np.ndarray

    def read(self, steps: Columns, regime: Regime) -> tuple[np.ndarray, np.ndarray]:
        """Prompt tokens that are read, and those found in the cache."""
        read = np.where(self.count > 0, self.prompt if regime == "none" else self.fresh, 0)
        cached = np.where(self.count > 0, self.prompt, 0) - read
        if regime != "billed":
            return read, cached
        billed, kept = (np.asarray(steps[f"{self.kind}_{name}"], float) for name in ("billed", "cached"))
        reported = (self.count > 0) & np.isfinite(billed)
        return np.where(reported, billed - kept, read), np.where(reported, kept, cached)


class _Context:
    """The text before each row of an episodes table, and the part of it in each model's cache."""

    def __init__(self, steps: Columns) -> None:
        self.by_weak = np.asarray(steps["writer"] == "weak")
        thrown_away = np.asarray(steps["decision"] == "discard")
        self.tokens = np.asarray(steps["tokens"])
        self.repeats_draft = ~self.by_weak & np.asarray(steps["repeats_draft"], dtype=bool)
        starts = np.asarray(steps["step"] == 0)
        self._attempt = np.cumsum(starts)  # a discarded solution is one attempt, its successor another
        self._first_row = np.flatnonzero(starts)
        self.episode = np.cumsum(starts & ~np.concatenate([[False], thrown_away[:-1]]))

    def goes_on(self, ours: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """True for a row written in the same call as the row before it, of the same attempt.

        Args:
            ours: rows that a model writes.
            asked: rows after which another call is made.
        """
        last = np.concatenate([[False], (ours & ~asked)[:-1]])
        last[self._first_row] = False
        return ours & last

    def before(self, values: np.ndarray) -> np.ndarray:
        """Sum of the values in the rows of the same attempt before each row."""
        total = np.cumsum(values) - values
        return total - total[self._first_row][self._attempt - 1]

    def since_last(self, values: np.ndarray, event: np.ndarray) -> np.ndarray:
        """In the rows of an event: sum of the values since the row of the attempt's previous event; 0 elsewhere."""
        rows = np.flatnonzero(event)
        now, attempt = self.before(values)[rows], self._attempt[rows]
        found = np.zeros(len(values), dtype=np.int64)
        found[rows] = now - np.where(np.diff(attempt, prepend=0) == 0, np.concatenate([[0], now[:-1]]), 0)
        return found

    def first(self, event: np.ndarray) -> np.ndarray:
        """True for the row of the first event of its episode."""
        rows = np.flatnonzero(event)
        found = np.zeros(len(event), dtype=bool)
        found[rows[np.diff(self.episode[rows], prepend=0) > 0]] = True
        return found


def count_calls(steps: Columns, prompts: Mapping[str, np.ndarray]) -> list[Calls]:
    """Calls behind the rows of an episodes table.

    Args:
        steps: the rows, in the table's order; texts are not needed.
        prompts: tokens of each model's prompt before the first step, an entry per row.

    Beside the table's columns there is one of bools, repeats_draft: the text repeats the draft that it replaced.
    """
    context = _Context(steps)
    rated = np.asarray(steps["read_tokens"] + steps["reread_tokens"]) > 0
    regenerated = np.asarray(steps["decision"] == "regenerate")
    settings, of = np.unique(np.asarray(steps["setting"]), return_inverse=True)
    judged = (np.bincount(of, regenerated, len(settings)) > 0)[of]
    by = {rater: rated & np.asarray(steps["rater"] == rater) for rater in PAYERS}
    return [
        _drafts(context, steps, prompts["weak"], rated | judged),
        *_strong(context, steps, prompts["strong"], by["strong"]),
        *_scores(context, steps, prompts["prm"], by["prm"]),
        *(_asked(steps, rater, by[rater]) for rater in ("grade", "self")),
    ]


def _drafts(context: _Context, steps: Columns, prompt: np.ndarray, asked: np.ndarray) -> Calls:
    """Calls of the weak model: it reads the steps so far, new to it only where the strong model wrote.

    It continues in one call where no draft of a setting is judged, as when it solves whole problems.
    """
    written = np.asarray(steps["draft_tokens"])
    called = written > 0
    own_words = context.by_weak | context.repeats_draft
    fresh = context.since_last(np.where(own_words, 0, context.tokens), called)
    fresh += np.where(context.first(called), prompt, 0)
    begun = called & ~context.goes_on(called & context.by_weak, asked)
    return Calls("weak", "draft", begun.astype(int), prompt + context.before(context.tokens), fresh, written)


def _strong(context: _Context, steps: Columns, prompt: np.ndarray, rated: np.ndarray) -> list[Calls]:
    """Calls of the strong model: it rewrites steps and, in one scheme, rates drafts; both fill its cache."""
    rewritten = ~context.by_weak
    fresh = context.since_last(np.where(context.by_weak & ~rated, context.tokens, 0), rated | rewritten)
    fresh += np.where(context.first(rated | rewritten), prompt, 0)
    whole, draft = prompt + context.before(context.tokens), np.asarray(steps["draft_tokens"])
    verdict = np.where(rated, steps["verdict_tokens"], 0)
    drafted = draft > 0
    begun = rewritten & ~(context.goes_on(rewritten, np.zeros(len(rated), dtype=bool)) & ~drafted)
    return [
        Calls("strong", "rating", rated.astype(int), whole + draft, fresh + draft, verdict),
        Calls(
            "strong", "rewrite", begun.astype(int), whole, np.where(rated, 0, fresh),
            np.where(rewritten, steps["tokens"], 0),
        ),
    ]  # fmt: skip


def _scores(context: _Context, steps: Columns, prompt: np.ndarray, last: np.ndarray) -> list[Calls]:
    """Calls of the raters: the reward model reads the draft and the steps without a score; a second rater may follow.

    A step that repeats a draft is in its cache.
    """
    first = np.asarray(steps["first_rater"] == "prm")
    called = first | last
    draft, standing = (
        np.where(first, steps[f"first_{name}"], np.where(last, steps[f"{name}_tokens"], 0))
        for name in ("read", "reread")
    )
    known = context.before(standing + np.where(context.by_weak, draft, 0))
    repeated = np.where(context.repeats_draft, draft, 0)
    fresh = draft + standing - context.since_last(repeated, called) + np.where(context.first(called), prompt, 0)
    whole, nothing = prompt + known + standing + draft, np.zeros_like(draft)
    return [
        Calls("prm", kind, asked.astype(int), whole, fresh, nothing)
        for kind, asked in (("first", first), ("rating", last))
    ]


def _asked(steps: Columns, rater: str, called: np.ndarray) -> Calls:
    """Calls of a language model that rates its own text; several tries share their prompt."""
    count, asked = np.where(called, steps["rating_calls"], 0), np.where(called, steps["read_tokens"], 0)
    return Calls(PAYERS[rater], "rating", count, count * asked, asked, np.where(called, steps["verdict_tokens"], 0))


def totals(steps: Columns, calls: Sequence[Calls], regime: Regime) -> dict[str, np.ndarray]:
    """Calls and tokens of every model, an entry per row: ROLE_calls, ROLE_read, ROLE_cached and ROLE_written."""
    rows = len(calls[0].count)
    found = {f"{role}_{what}": np.zeros(rows) for role in ROLES for what in ("calls", "read", "cached", "written")}
    for call in calls:
        read, cached = call.read(steps, regime)
        parts = {"calls": call.count, "read": read, "cached": cached, "written": call.written}
        for what, amount in parts.items():
            found[f"{call.role}_{what}"] += amount
    return found


def in_units(total: Mapping[str, np.ndarray], models: Mapping[str, ModelCost]) -> dict[str, np.ndarray]:
    """Every unit of `UNITS` but the strong tokens, from totals named as by `totals`."""
    flops, money, decoding, reading, waiting = (dict[str, np.ndarray]() for _ in range(5))
    for role, model in models.items():
        calls, read, cached, written = (total[f"{role}_{name}"] for name in ("calls", "read", "cached", "written"))
        flops[role] = model.flops(read + written)
        money[role] = model.money(read, cached, written)
        decoding[role] = model.latency_per_token * written
        reading[role] = model.latency_per_read * read
        waiting[role] = model.latency_per_call * calls
    return {
        "strong_passes": total["strong_read"] + total["strong_written"],
        "all_tokens": sum(total[f"{role}_{what}"] for role in ROLES for what in ("read", "written")),
        "flops": sum(flops.values()),
        "flops_without_prm": flops["weak"] + flops["strong"],
        "money": sum(money.values()),
        "latency": sum(decoding.values()) + sum(reading.values()) + sum(waiting.values()),
        "latency_decoding": sum(decoding.values()),
        "latency_reading": sum(reading.values()),
    }
