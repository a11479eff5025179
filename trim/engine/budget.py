"""Budgets over a stream of requests: what was spent, how the next request is steered, and where spending stops.

The unit is what always-strong would have written for the same answers, told by the length of what stands. A request
is told a budget that is the more generous the less was spent before it, so that the average over the stream comes
to the one that is wanted (integral control; the horizon is in requests). Beside that the strong model is cut off where
the credit is used up, whatever a policy wants.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trim.engine.episode import Episode
from trim.engine.policy import Decisions, Policy

HORIZON = 50.0  # requests in which a deviation is made up for
BURST = 20.0  # requests whose budget may be spent ahead
_USUAL = 80.0  # tokens of an answer, before any was made


@dataclass
class Account:
    """What a stream of requests, or those of one key, has spent.

    Attributes:
        name: the account's name.
        budget: share of always-strong's tokens that may be spent on average, None for no limit.
        cap: most money, None for no limit.
        strong: tokens that the strong model wrote.
        whole: tokens that always-strong would have written.
        money: money spent.
        answers: number of answers.
        pending: strong tokens that are being written, as far as can be told.
    """

    name: str
    budget: float | None = None
    cap: float | None = None
    strong: float = 0.0
    whole: float = 0.0
    money: float = 0.0
    answers: int = 0
    pending: dict[int, float] = field(default_factory=dict)

    @property
    def usual(self) -> float:
        """Tokens of an answer of always-strong, on average."""
        return self.whole / self.answers if self.answers else _USUAL

    @property
    def share(self) -> float:
        """Share of always-strong's tokens that was spent."""
        return self.strong / self.whole if self.whole else 0.0

    @property
    def credit(self) -> float:
        """Strong tokens that may still be spent at this moment, those of the burst included."""
        if self.budget is None:
            return np.inf
        ahead = self.budget * (self.whole + BURST * self.usual)
        return ahead - self.strong - sum(self.pending.values())

    @property
    def told(self) -> float:
        """The budget that the next request is told, in [0, 1]."""
        assert self.budget is not None
        saved = self.budget * self.whole - self.strong
        return float(np.clip(self.budget + saved / (HORIZON * self.usual), 0, 1))

    @property
    def exhausted(self) -> bool:
        """Whether all the money is spent."""
        return self.cap is not None and self.money >= self.cap

    def spend(self, episode: Episode) -> None:
        """An episode has one more step."""
        step = episode.steps[-1]
        self.strong += step.strong_tokens
        self.whole += step.tokens
        if len(episode.steps) == 1:
            self.answers += not episode.discarded
            self.whole -= sum(thrown_away.tokens for thrown_away in episode.discarded)


class Capped(Policy):
    """A policy whose strong steps an account must have the credit for; one episode's.

    Args:
        policy: who decides otherwise.
        account: who pays.

    Attributes:
        stopped: whether the strong model was wanted for the present step and the credit did not allow it.
    """

    def __init__(self, policy: Policy, account: Account) -> None:
        self._policy, self._account, self.stopped = policy, account, False
        self.rater, self.second, self.verifier = policy.rater, policy.second, policy.verifier
        self.samples, self.seed = policy.samples, policy.seed
        self.glimpses, self.logprobs, self.retries = policy.glimpses, policy.logprobs, policy.retries

    def delegate(self, seen: Decisions) -> np.ndarray:
        """See `Policy.delegate`."""
        self.stopped = False
        return self._allowed(self._policy.delegate(seen), seen)

    def retry(self, seen: Decisions) -> np.ndarray:
        """See `Policy.retry`; the weak model is always allowed to."""
        return self._policy.retry(seen)

    def consult(self, seen: Decisions) -> np.ndarray:
        """See `Policy.consult`; an opinion of the strong model is a token."""
        return self._allowed(self._policy.consult(seen), seen, 1.0)

    def regenerate(self, seen: Decisions) -> np.ndarray:
        """See `Policy.regenerate`."""
        return self._allowed(self._policy.regenerate(seen), seen)

    def restart(self, seen: Decisions, ratings: np.ndarray) -> np.ndarray:
        """See `Policy.restart`; a solution that is written again takes as many tokens as it has."""
        return self._allowed(self._policy.restart(seen, ratings), seen, float(seen.tokens.sum()))

    def explain(self, seen: Decisions) -> str:
        """See `Policy.explain`."""
        return self._policy.explain(seen)

    def settle(self) -> None:
        """The step that was allowed is written, or given up."""
        self._account.pending.pop(id(self), None)

    def _allowed(self, wanted: np.ndarray, seen: Decisions, needed: float | None = None) -> np.ndarray:
        if not wanted.any():
            return wanted
        if needed is None:
            needed = float(seen.tokens.mean()) if seen.tokens.size else self._account.usual / 8
        if self._account.credit < needed:
            self.stopped = True
            return np.zeros_like(wanted)
        self._account.pending[id(self)] = needed
        return wanted
