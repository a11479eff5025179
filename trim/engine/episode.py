"""An episode: one problem solved by one policy, step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from trim.engine.policy import Decisions, Policy, Rater
from trim.engine.scorers import Rating, Verification
from trim.engine.store import Node
from trim.models.base import Draft, StepScore, Usage, add_usages
from trim.problems import Problem

Missing = Literal["strong", "prm", "budget"]


@dataclass(frozen=True, slots=True)
class Step:
    """An accepted step, and its cost.

    Attributes:
        writer: "weak" or "strong": the writer of the accepted text.
        text: the step.
        tokens: its length in its writer's tokens.
        draft: the rejected weak draft, None if none was rejected.
        draft_tokens: length of the weak draft, accepted or rejected; 1 if it was only begun, 0 if there is none.
        glimpse: entropy of its first token, NaN if not computed.
        logprob: mean log-probability of the draft under the weak model, NaN if not computed.
        score: score of the weak draft, NaN if it was not scored.
        rater: the rater of `score`; the second one, if it was asked.
        first: score by the first rater, if a second one was asked; else NaN.
        first_rating: cost of that score, if there is one.
        read: tokens of the draft, or of the question about it, read for the score.
        reread: tokens of earlier steps without a score, which a reward model reads with the draft.
        verdict_tokens: tokens written for the score.
        rating_calls: number of calls for the score.
        draft_usage, rating_usage, rewrite_usage: servers' bills for the calls.
        without: the resource that was unavailable, if the step was made without it: a model, or the budget for the
            strong model.
    """

    writer: str
    text: str
    tokens: int
    draft: str | None
    draft_tokens: int
    score: float
    glimpse: float = math.nan
    logprob: float = math.nan
    rater: Rater | None = None
    first: float = math.nan
    first_rating: Rating | None = None
    read: int = 0
    reread: int = 0
    verdict_tokens: int = 0
    rating_calls: int = 0
    draft_usage: Usage | None = None
    rating_usage: Usage | None = None
    rewrite_usage: Usage | None = None
    without: Missing | None = None

    def read_by(self, rater: Rater) -> bool:
        """True if a rater scored the draft, first or second."""
        return rater == self.rater or bool(self.first_rating and rater == self.first_rating.rater)

    @property
    def strong_tokens(self) -> int:
        """Tokens that the strong model wrote: the step, and a verdict on its draft."""
        verdict = self.verdict_tokens if self.rater in ("strong", "grade") else 0
        return verdict + (self.tokens if self.writer == "strong" else 0)


@dataclass(slots=True)
class Episode:
    """One problem solved by one policy.

    Attributes:
        problem: the problem.
        policy: index of the policy in the call of `trim.engine.loop.run`.
        root: the beginning of the problem's tree.
        node: the node of the solution so far.
        steps: the solution so far.
        scores: score of each accepted step, NaN where it was not scored (yet).
        ratings: verdicts on the whole weak solution, if it was verified.
        discarded: the steps of that solution, if it was discarded.
        correct: True if the final answer is right.
    """

    problem: Problem
    policy: int
    root: Node
    node: Node
    steps: list[Step] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    ratings: tuple[float, ...] = ()
    discarded: list[Step] = field(default_factory=list)
    correct: bool = False


@dataclass(eq=False, slots=True)
class Turn:
    """One step of an episode in progress.

    Attributes:
        episode: the episode.
        policy: the policy.
        draft: the weak draft, None if the strong model writes at once.
        glimpse: entropy of the draft's first token, None if not computed.
        logprob: mean log-probability of the draft under the weak model, NaN if not computed.
        score: score of the draft, NaN if it was not scored.
        second: score of the draft by the second rater, NaN if it was not asked.
        rating: the last rater, and its cost.
        first_rating: the first rater and its cost, if a second one was asked.
        rewrite: the strong model's step, None before there is one.
        verification: result on the whole solution that ends with it, if it was verified.
        judged_only: True if the draft was given, and only a verdict is requested.
        rejected: True if the policy hands the step over.
        reason: the reason, in one line, if only a verdict is requested.
        without: see `Step.without`.
    """

    episode: Episode
    policy: Policy
    draft: Draft | None = None
    glimpse: StepScore | None = None
    logprob: float = math.nan
    score: float = math.nan
    second: float = math.nan
    rating: Rating | None = None
    first_rating: Rating | None = None
    rewrite: Draft | None = None
    verification: Verification | None = None
    judged_only: bool = False
    rejected: bool = False
    reason: str = ""
    without: Missing | None = None

    @property
    def consulted(self) -> bool:
        """True if the second rater has scored the draft."""
        return not math.isnan(self.second)

    @property
    def rater(self) -> Rater | None:
        """The last rater of the draft."""
        return self.policy.second if self.consulted else self.policy.rater

    def step(self) -> Step:
        """The step at the end of the turn."""
        draft, accepted = self.draft, self.rewrite or self.draft
        assert accepted
        return Step(
            writer="strong" if self.rewrite else "weak",
            text=accepted.text,
            tokens=accepted.tokens,
            draft=draft.text if draft and self.rewrite else None,
            draft_tokens=draft.tokens if draft else int(self.glimpse is not None),
            glimpse=self.glimpse.score if self.glimpse else math.nan,
            logprob=self.logprob,
            score=self.second if self.consulted else self.score,
            first=self.score if self.consulted else math.nan,
            first_rating=self.first_rating,
            draft_usage=add_usages([begun.usage for begun in (self.glimpse, draft) if begun]),
            rewrite_usage=self.rewrite.usage if self.rewrite else None,
            without=self.without,
            **(self.rating._asdict() if self.rating else {}),
        )


def decisions(turns: Sequence[Turn]) -> Decisions:
    """The observation passed to a policy, for turns at the same step, all with a draft or all without."""
    episodes = [turn.episode for turn in turns]
    drafted = turns[0].draft is not None
    shape = len(turns), len(episodes[0].steps) + drafted
    lengths = [[turn.draft.tokens] if turn.draft else [] for turn in turns]

    def table(rows: Sequence[list[Any]], last: Sequence[list[Any]], dtype: type) -> np.ndarray:
        return np.array([row + end for row, end in zip(rows, last, strict=True)], dtype=dtype).reshape(shape)

    scores = [[turn.score] * drafted for turn in turns]
    seconds = [[turn.second] * drafted for turn in turns]
    second = turns[0].policy.second
    return Decisions(
        problems=[e.problem for e in episodes],
        steps=[(e.node.child(t.draft.text) if t.draft else e.node).prefix.steps for e, t in zip(episodes, turns)],
        nodes=[e.node.path[-1] for e in episodes],
        scores=table([e.scores for e in episodes], scores, float),
        tokens=table([[s.tokens for s in e.steps] for e in episodes], lengths, int),
        glimpses=np.array([turn.glimpse.score if turn.glimpse else math.nan for turn in turns]),
        drafts=table(
            [[s.first if second and s.rater == second else s.score for s in e.steps] for e in episodes], scores, float
        ),
        logprobs=table([[s.logprob for s in e.steps] for e in episodes], [[t.logprob] * drafted for t in turns], float),
        seconds=table(
            [[s.score if second and s.rater == second else math.nan for s in e.steps] for e in episodes], seconds, float
        ),
        draft_tokens=table([[s.draft_tokens for s in e.steps] for e in episodes], lengths, int),
        strong=np.array([[s.writer == "strong" for s in e.steps] for e in episodes], dtype=bool).reshape(
            len(turns), len(episodes[0].steps)
        ),
    )
