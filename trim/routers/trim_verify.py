"""TRIM-Verify: reading a draft is an action, paid for only where it may change the decision. Beyond the paper."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from trim.engine.actions import Action, Phase
from trim.engine.policy import Observation, Policy
from trim.reading import ActionName, Evidence
from trim.routers.base import Trial
from trim.routers.priced import PricedRouter

if TYPE_CHECKING:
    from trim.reading.gains import Gains


class _Verifying(Policy):
    second = "strong"

    def __init__(self, gains: Gains, price: float, actions: Sequence[ActionName], evidence: Sequence[Evidence]) -> None:
        self._gains, self._price, self._actions, self._evidence = gains, price, actions, evidence
        self.rater, self.logprobs = "prm" if "prm" in evidence else None, "weak" in evidence

    def decide(self, phase: Phase, observation: Observation) -> np.ndarray:
        from trim.reading.observations import observe_decisions

        before, draft, opinion = observe_decisions(observation, self._evidence)
        if phase == Phase.START:
            delegated = self._gains.delegate(before, self._price, self._actions)
            return np.where(delegated, Action.DELEGATE, Action.DRAFT)
        if phase == Phase.DRAFTED:
            return self._gains.action(draft, self._price, self._actions)
        return np.where(self._gains("rewrite_verified", opinion, self._price) > 0, Action.REWRITE, Action.ACCEPT)


class TrimVerify(PricedRouter):
    """One policy with the price of always-strong's spending as an input; a right solution is worth 1.

    Before a draft it may delegate: the strong model writes without one. By its evidence, a draft is accepted, read by
    the strong model first, or rewritten. The policy is fitted to the whole cost of these actions, reading included, on
    whole solution trees of the train split. A second policy, which never reads, is fitted beside it, and replaces it at
    the prices at which its return on the validation split is higher. There fitting also finds the price that spends
    each budget of strong tokens.
    """

    name = "trim_verify"
    title = "TRIM-Verify"

    class Params(PricedRouter.Params):
        """The currency, the evidence and the allowed actions.

        Attributes:
            evidence: observation of every draft: the weak model's own log-probability (weak), which is free, the
                reward model's score (prm), which is paid for, or both.
            actions: the actions at a step; without "accept" every draft is read or rewritten.
        """

        evidence: Annotated[tuple[Evidence, ...], Field(min_length=1)] = ("prm",)
        actions: tuple[ActionName, ...] = ("delegate", "accept", "verify", "rewrite")

    def prepare(self, trial: Trial) -> dict[str, Any]:
        """The regressions, the set of actions of each price, and its return on validation."""
        from trim.reading.gains import fit_sets
        from trim.reading.situations import Situations

        params, trees = self.params, {split: trial.tree(split) for split in ("train", "validation")}
        for tree in trees.values():
            tree.expand()
        train, validation = (Situations(tree, trial.costs, params.currency, params.evidence) for tree in trees.values())
        prices = self.sweep().rising()
        gains, chosen, returns = fit_sets(train, validation, prices, params.actions)
        return {
            "gains": {name: fitted.texts for name, fitted in gains.items()},
            "chosen": dict(zip(map(str, prices), chosen, strict=True)),
            "validation": dict(zip(map(str, prices), returns.tolist(), strict=True)),
        }

    def policy(self, value: float) -> Policy:
        """The policy at a price; between two prices of the sweep, its actions are those of the nearest."""
        from trim.reading.gains import action_sets

        chosen = {float(price): name for price, name in self.fitted["chosen"].items()}
        name = chosen[min(chosen, key=lambda price: abs(np.log(price / value)))]
        return _Verifying(self._gains[name], value, action_sets(self.params.actions)[name], self.params.evidence)

    @cached_property
    def _gains(self) -> dict[str, Gains]:
        from trim.reading.gains import Gains

        return {name: Gains(texts) for name, texts in self.fitted["gains"].items()}
