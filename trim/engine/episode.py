"""An episode: one problem solved by one policy, step by step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from trim.engine.policy import Observation, Policy
from trim.engine.scorers import Verification
from trim.engine.store import Node
from trim.ledger.caches import Caches
from trim.ledger.calls import Call, Rater, Role
from trim.models.base import Draft, StepScore
from trim.problems import Problem

Missing = Literal["strong", "prm", "budget"]


@dataclass(frozen=True, slots=True)
class Step:
    """An accepted step.

    Attributes:
        writer: the writer of the accepted text.
        text: the step.
        tokens: its length in its writer's tokens.
        draft: the rejected weak draft, None if none was rejected.
        draft_tokens: length of the weak draft, accepted or rejected; 1 if it was only begun, 0 if there is none.
        scores: scores of the weak draft, by rater.
        rater: the last rater that was asked, None if the draft was judged without one.
        glimpse: entropy of its first token, NaN if not computed.
        calls: the calls of models that it took.
        without: the resource that was unavailable, if the step was made without it: a model, or the budget for the
            strong model.
    """

    writer: Role
    text: str
    tokens: int
    draft: str | None
    draft_tokens: int
    scores: Mapping[Rater, float] = field(default_factory=dict)
    rater: Rater | None = None
    glimpse: float = math.nan
    calls: tuple[Call, ...] = ()
    without: Missing | None = None

    @property
    def score(self) -> float:
        """Score of the weak draft by its last rater, NaN if there is none."""
        return self.scores.get(self.rater, math.nan) if self.rater else math.nan

    @property
    def strong_tokens(self) -> int:
        """Tokens that the strong model wrote: the step, and its verdict on a draft."""
        return int(sum(call.written for call in self.calls if call.role == "strong"))


@dataclass(slots=True)
class Episode:
    """One problem solved by one policy.

    Attributes:
        problem: the problem.
        policy: index of the policy in the call of `trim.engine.loop.run`.
        root: the beginning of the problem's tree.
        node: the node of the solution so far.
        question: tokens of each model's prompt before the first step; without them costs are those of the solution.
        steps: the solution so far.
        scores: score of each accepted step, NaN where it was not scored (yet).
        ratings: verdicts on the whole weak solution, if it was verified.
        discarded: the steps of that solution, if it was discarded.
        correct: True if the final answer is right.
        caches: the text that each model knows.
    """

    problem: Problem
    policy: int
    root: Node
    node: Node
    question: dict[Role, int] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    ratings: tuple[float, ...] = ()
    discarded: list[Step] = field(default_factory=list)
    correct: bool = False
    caches: Caches = field(init=False)

    def __post_init__(self) -> None:
        self.caches = Caches(self.question)

    @property
    def calls(self) -> list[Call]:
        """The calls of all its steps, in their order."""
        return [call for step in (*self.discarded, *self.steps) for call in step.calls]


@dataclass(eq=False, slots=True)
class Turn:
    """One step of an episode in progress.

    Attributes:
        episode: the episode.
        policy: the policy.
        draft: the weak draft, None if the strong model writes at once.
        glimpse: entropy of the draft's first token, None if not computed.
        scores: scores of the draft so far, by rater.
        rewrite: the strong model's step, None before there is one.
        verification: result on the whole solution that ends with it, if it was verified.
        calls: the calls of models so far.
        judged_only: True if the draft was given, and only a verdict is requested.
        rejected: True if the policy hands the step over, if only a verdict is requested; `reason` in one line.
        without: see `Step.without`.
    """

    episode: Episode
    policy: Policy
    draft: Draft | None = None
    glimpse: StepScore | None = None
    scores: dict[Rater, float] = field(default_factory=dict)
    rewrite: Draft | None = None
    verification: Verification | None = None
    calls: list[Call] = field(default_factory=list)
    judged_only: bool = False
    rejected: bool = False
    reason: str = ""
    without: Missing | None = None

    @property
    def rater(self) -> Rater | None:
        """The last rater that has scored the draft."""
        asked = [rater for rater in (self.policy.rater, self.policy.second) if rater and rater in self.scores]
        return asked[-1] if asked else None

    @property
    def drafted(self) -> Node:
        """The solution with the draft."""
        assert self.draft
        return self.episode.node.child(self.draft.text)

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
            scores=self.scores,
            rater=self.rater,
            glimpse=self.glimpse.score if self.glimpse else math.nan,
            calls=tuple(self.calls),
            without=self.without,
        )


def observe(turns: Sequence[Turn]) -> Observation:
    """The observation passed to a policy, for turns at the same step, all with a draft or all without."""
    episodes, policy = [turn.episode for turn in turns], turns[0].policy
    drafted, steps = turns[0].draft is not None, len(episodes[0].steps)

    def table(kind: type, past: str, now: Sequence[Any], key: Rater | None = None) -> np.ndarray:
        """An attribute of the steps, or its value for a rater, and that of the draft, shape (n, t or t + 1)."""
        rows = [[getattr(step, past) for step in episode.steps] for episode in episodes]
        if past == "scores":
            rows = [[scores.get(key, math.nan) for scores in row] for row in rows]
        values = [[*row, value] if drafted else row for row, value in zip(rows, now, strict=True)]
        return np.array(values, dtype=kind).reshape(len(turns), steps + drafted)

    def rated(rater: Rater | None) -> np.ndarray:
        if rater is None:
            return np.full((len(turns), steps + drafted), math.nan)
        return table(float, "scores", [turn.scores.get(rater, math.nan) for turn in turns], rater)

    drafts, lengths = rated(policy.rater), [turn.draft.tokens if turn.draft else 0 for turn in turns]
    accepted = np.array([episode.scores for episode in episodes], dtype=float).reshape(len(turns), steps)
    return Observation(
        problems=[episode.problem for episode in episodes],
        steps=[(turn.drafted if drafted else turn.episode.node).prefix.steps for turn in turns],
        nodes=[episode.node.path[-1] for episode in episodes],
        scores=np.concatenate([accepted, drafts[:, steps:]], axis=1),
        tokens=table(int, "tokens", lengths),
        glimpses=np.array([turn.glimpse.score if turn.glimpse else math.nan for turn in turns]),
        drafts=drafts,
        logprobs=rated("weak" if policy.logprobs else None),
        seconds=rated(policy.second),
        draft_tokens=table(int, "draft_tokens", lengths),
        strong=np.array([[s.writer == "strong" for s in e.steps] for e in episodes], dtype=bool).reshape(
            len(turns), steps
        ),
        ratings=np.array([turn.verification.values if turn.verification else () for turn in turns], dtype=float),
    )
