"""Answers for clients, whole or in chunks, with a report on their steps and costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trim.engine.episode import Episode, Step
from trim.ledger.calls import ROLES, Call, Role, columns
from trim.ledger.units import in_units, totals
from trim.models.cost import ModelCost
from trim.serve.points import Point

KINDS = ("calls", "read", "cached", "written")


@dataclass(frozen=True)
class Head:
    """The common part of all chunks of an answer.

    Attributes:
        id: the answer's id.
        created: seconds since 1970.
        point: the operating point.
    """

    id: str
    created: int
    point: Point

    def chunk(self, choices: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
        """One chunk of a stream."""
        return self._body("chat.completion.chunk", choices) | more

    def whole(self, choices: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
        """A whole answer."""
        return self._body("chat.completion", choices) | more

    def _body(self, kind: str, choices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        head = {"id": self.id, "object": kind, "created": self.created, "model": self.point.id}
        return head | {"choices": list(choices), "system_fingerprint": None}


def delta(index: int, content: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    """A choice of a chunk."""
    return {"index": index, "delta": dict(content), "logprobs": None, "finish_reason": finish}


def message(index: int, text: str, finish: str | None) -> dict[str, Any]:
    """A choice of a whole answer."""
    content = {"role": "assistant", "content": text, "refusal": None}
    return {"index": index, "message": content, "logprobs": None, "finish_reason": finish}


def told_step(index: int, choice: int, step: Step, drafts: bool) -> dict[str, Any]:
    """The report on a step: `score` is the weak draft's, accepted or discarded.

    Args:
        index: number of the step, from 0.
        choice: number of the answer that it belongs to.
        step: the step.
        drafts: include the text of the discarded draft.
    """
    found: dict[str, Any] = {
        "index": index,
        "choice": choice,
        "writer": step.writer,
        "tokens": step.tokens,
        "score": None if math.isnan(step.score) else step.score,
        "rater": step.rater,
        "draft_thrown_away": step.draft is not None,
        "draft_tokens": step.draft_tokens,
        "without": step.without,
    }
    return found | ({"draft": step.draft} if drafts else {})


@dataclass(frozen=True)
class Bill:
    """The cost of an answer.

    Attributes:
        tokens: calls, and tokens read, found in the cache, and written, by role.
        money: at the prices of the experiment.
        strong: tokens that the strong model wrote.
        whole: tokens that always-strong would have written, if its answer is as long.
        whole_money: the money for that.
        prompt: tokens of the strong model's prompt.
        thrown_away: tokens of discarded drafts and solutions.
        kept_drafts: tokens of the accepted drafts.
    """

    tokens: Mapping[Role, Mapping[str, int]]
    money: float
    strong: int
    whole: int
    whole_money: float
    prompt: int
    thrown_away: int
    kept_drafts: int

    def told(self) -> dict[str, Any]:
        """The bill as JSON; the saving over always-strong is an estimate."""
        share = self.strong / self.whole if self.whole else 0.0
        return {
            "tokens": self.tokens,
            "money": self.money,
            "thrown_away_tokens": self.thrown_away,
            "strong_tokens": self.strong,
            "strong_share": share,
            "always_strong": {"tokens": self.whole, "money": self.whole_money},
            "estimated_saving": {"strong_tokens": 1 - share, "money": self.whole_money - self.money},
        }


def bill(episode: Episode, models: Mapping[str, ModelCost]) -> Bill:
    """The cost of an episode, finished or not, at the models' prices."""
    steps = [*episode.discarded, *episode.steps]
    whole, strong = sum(s.tokens for s in episode.steps), sum(s.strong_tokens for s in steps)
    thrown_away = sum(s.draft_tokens for s in steps if s.writer == "strong") + sum(s.tokens for s in episode.discarded)
    kept = sum(s.tokens for s in episode.steps if s.writer == "weak")
    tokens, (money,) = spent([episode.calls], models)
    prompt = episode.question.get("strong", 0)
    alone = float(models["strong"].money(prompt, 0, whole))
    return Bill(tokens, money, strong, whole, alone, prompt, thrown_away, kept)


def spent(
    calls: Sequence[Sequence[Call]], models: Mapping[str, ModelCost]
) -> tuple[dict[Role, dict[str, int]], list[float]]:
    """Tokens of all calls by role and kind, and the money of each of n lists of calls; by the bill where there is one.

    Args:
        calls: n lists.
        models: prices of each model.
    """
    of = np.repeat(np.arange(len(calls)), [len(some) for some in calls])
    total = totals(columns(call for some in calls for call in some), of, len(calls), "billed")
    tokens = {role: {kind: int(total[f"{role}_{kind}"].sum()) for kind in KINDS} for role in ROLES}
    return tokens, in_units(total, models)["money"].tolist()


def usage(bills: Sequence[Bill]) -> dict[str, Any]:
    """Usage in OpenAI's form: all written tokens count, with discarded drafts in the details."""
    prompt = bills[0].prompt if bills else 0
    thrown_away = sum(b.thrown_away for b in bills)
    written = sum(b.whole for b in bills) + thrown_away
    details = {
        "accepted_prediction_tokens": sum(b.kept_drafts for b in bills),
        "rejected_prediction_tokens": thrown_away,
        "reasoning_tokens": 0,
        "audio_tokens": 0,
    }
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "completion_tokens_details": details,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    }
