"""Budgets over a stream of requests: the spending, the next request's budget, and the limit.

The unit is always-strong's tokens for the same answers, estimated by the length of the accepted steps. A request gets a
larger budget the less was spent before it, so that the average over the stream approaches the target (integral
control; the horizon is in requests). In addition, the strong model is refused when the credit is used up, whatever the
policy.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trim.engine.actions import USUAL, Action, Phase
from trim.engine.episode import Episode
from trim.engine.policy import Observation, Policy

HORIZON = 50.0  # requests over which a deviation is compensated
BURST = 20.0  # requests whose budget may be spent in advance
_USUAL = 80.0  # tokens of an answer, until there is one


@dataclass
class Account:
    """The spending of a stream of requests, or of one key's requests.

    Attributes:
        name: the account's name.
        budget: share of always-strong's tokens that may be spent on average, None for no limit.
        cap: maximum of money, None for no limit.
        strong: tokens that the strong model wrote.
        whole: tokens that always-strong would have written.
        money: money spent.
        answers: number of answers.
        pending: estimated strong tokens in progress.
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
        """Mean tokens of an answer of always-strong."""
        return self.whole / self.answers if self.answers else _USUAL

    @property
    def share(self) -> float:
        """Share of always-strong's tokens that was spent."""
        return self.strong / self.whole if self.whole else 0.0

    @property
    def credit(self) -> float:
        """Strong tokens that may be spent now, those of the burst included."""
        if self.budget is None:
            return np.inf
        ahead = self.budget * (self.whole + BURST * self.usual)
        return ahead - self.strong - sum(self.pending.values())

    @property
    def told(self) -> float:
        """The budget of the next request, in [0, 1]."""
        assert self.budget is not None
        saved = self.budget * self.whole - self.strong
        return float(np.clip(self.budget + saved / (HORIZON * self.usual), 0, 1))

    @property
    def exhausted(self) -> bool:
        """True if all the money is spent."""
        return self.cap is not None and self.money >= self.cap

    def spend(self, episode: Episode) -> None:
        """Record an episode's new step."""
        step = episode.steps[-1]
        self.strong += step.strong_tokens
        self.whole += step.tokens
        if len(episode.steps) == 1:
            self.answers += not episode.discarded
            self.whole -= sum(thrown_away.tokens for thrown_away in episode.discarded)


class Capped(Policy):
    """A policy for one episode whose strong steps need an account's credit.

    Args:
        policy: the policy to limit.
        account: the account that pays.

    Attributes:
        stopped: True if the current step was meant for the strong model, and the credit did not allow it.
    """

    def __init__(self, policy: Policy, account: Account) -> None:
        vars(self).update({name: getattr(policy, name) for name in Policy.__annotations__})
        self._policy, self._account, self.stopped = policy, account, False

    def decide(self, phase: Phase, observation: Observation) -> np.ndarray:
        """See `Policy.decide`; without credit for the strong model the weak one goes on."""
        if phase == Phase.START:
            self.stopped = False
        wanted = self._policy.decide(phase, observation)
        (action,) = wanted.tolist()
        if action == USUAL[phase]:
            return wanted
        needed = self._needed(action, observation)
        if self._account.credit < needed:
            self.stopped = True
            return np.full_like(wanted, USUAL[phase])
        self._account.pending[id(self)] = needed
        return wanted

    def explain(self, observation: Observation) -> str:
        """See `Policy.explain`."""
        return self._policy.explain(observation)

    def settle(self) -> None:
        """Release the reservation of the allowed step, written or abandoned."""
        self._account.pending.pop(id(self), None)

    def _needed(self, action: int, observation: Observation) -> float:
        """Tokens that the strong model will probably write: a verdict is one, a solution as long as the weak one's."""
        if action == Action.READ:
            return 1.0
        if action == Action.RESTART:
            return float(observation.tokens.sum())
        return float(observation.tokens.mean()) if observation.tokens.size else self._account.usual / 8
