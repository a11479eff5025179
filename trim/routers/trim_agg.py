"""TRIM-Agg: policies trained by PPO on five features of the current step (paper, TRIM-Agg)."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, field_validator

from trim.engine.actions import Action, Phase
from trim.engine.policy import Observation, Policy
from trim.errors import TrimError
from trim.reading import Evidence
from trim.rl.features import condition, decision_features, surprise
from trim.rl.hyperparameters import Hyperparameters
from trim.routers.base import Params as BaseParams
from trim.routers.base import Router, Trial
from trim.section import Seed
from trim.setting import Setting

if TYPE_CHECKING:
    from trim.rl.networks import ActorCritic
    from trim.rl.training import Task

Costs = Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]

_log = logging.getLogger(__name__)


class Network(Policy):
    """One trained policy at one cost of a strong token; hands over the steps with a probability above 1/2."""

    def __init__(self, model: ActorCritic, cost: float, max_steps: int) -> None:
        self._model, self._cost, self._max_steps = model, cost, max_steps
        self.logprobs = model.informed

    def decide(self, phase: Phase, observation: Observation) -> np.ndarray:
        """See `Policy.decide`."""
        if phase != Phase.DRAFTED:
            return super().decide(phase, observation)
        return np.where(self._logits(observation) > 0, Action.REWRITE, Action.ACCEPT)

    def explain(self, observation: Observation) -> str:
        """See `Policy.explain`."""
        rewrite = 1 / (1 + np.exp(-self._logits(observation)[0]))
        return (
            f"{super().explain(observation)}: rewritten with probability {rewrite:.3f} at a price of {self._cost:.3g}"
        )

    def _logits(self, observation: Observation) -> np.ndarray:
        import torch

        others = [surprise(observation.logprobs)] if self._model.informed else []
        if self._model.recurrent:
            first = np.zeros((len(observation), 1), dtype=bool)
            others += [observation.before, np.concatenate([first, observation.strong], axis=1)]
        if self._model.conditioned:
            others += [np.full(observation.drafts.shape, condition(np.array(self._cost)))]
        features = torch.from_numpy(decision_features(observation, self._max_steps, *others))
        with torch.no_grad():
            return self._model.last(features.transpose(0, 1)[:, None])[0].numpy()


class TrimAgg(Router):
    """One policy per cost of a strong token and seed; a right solution is worth 1.

    Fitting trains them all at once on the train split, and keeps each one's best epoch on the
    validation split.
    """

    name = "trim_agg"
    title = "TRIM-Agg"
    needs_fitting = True
    needs = frozenset({"train_trees"})
    recurrent: ClassVar[bool] = False

    class Params(BaseParams):
        """The policies' objective, observations and training.

        Attributes:
            costs: costs of a strong token, where a right solution is worth 1; one operating point each, or policy.
            seeds: one policy each.
            evidence: observation of every draft: the reward model's score (prm), or also the weak model's own
                log-probability (weak, prm), which is free, as another feature.
            training: hyper-parameters.
        """

        costs: Costs
        seeds: tuple[Seed, ...] = (0, 1, 2)
        evidence: tuple[Evidence, ...] = ("prm",)
        training: Hyperparameters = Hyperparameters()

        @field_validator("evidence")
        @classmethod
        def _is_scored(cls, evidence: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
            if "prm" not in evidence:
                raise ValueError("prm is missing, which the features are made from")
            return evidence

    def task(self) -> Task:
        """The training task."""
        from trim.rl.training import Task

        given = self.params
        return Task(
            tuple(sorted(given.costs)), given.seeds, given.training, self.recurrent, informed="weak" in given.evidence
        )

    def fit(self, trial: Trial, budgets: Sequence[float]) -> dict[str, Any]:
        """The task, each policy's result on validation, and the parameters of the networks."""
        from trim.rl.training import always_strong, train

        task, validation = self.task(), trial.tree("validation")
        found = train(task, trial.tree("train"), validation, trial.checkpoint, trial.log)
        fraction = found.tokens / always_strong(validation).mean()
        reached = {"return": found.value, "accuracy": found.accuracy, "strong_fraction": fraction}
        for (cost, seed), shares in zip(task.members, fraction.reshape(len(task.members), -1), strict=True):
            if np.ptp(shares) == 0 and shares[0] in (0, 1):
                what = "every step" if shares[0] else "no step"
                _log.warning("%s, cost %s, seed %d: the best policy hands over %s", self.name, cost, seed, what)
        numbers = {"max_steps": validation.max_steps, "validation": {k: v.tolist() for k, v in reached.items()}}
        return task.describe() | numbers | {"network": found.parameters}

    def policies(self) -> dict[Setting, Policy]:
        """One setting per cost and seed, most expensive tokens first.

        Raises:
            TrimError: if the networks have other features, or were trained otherwise.
        """
        return {
            Setting("cost", cost, seed): Network(model, cost, self.fitted["max_steps"])
            for cost, seed, model in reversed(self.networks())
            if cost is not None
        }

    def networks(self) -> list[tuple[float | None, int, ActorCritic]]:
        """Cost (None for any), seed and network of each trained policy.

        Raises:
            TrimError: if the networks have other features, or were trained otherwise.
        """
        import torch

        from trim.rl.networks import ActorCritic

        task = self.task()
        for key, value in json.loads(json.dumps(task.describe())).items():
            if self.fitted.get(key) != value:
                raise TrimError(f"{self.name}: {key} {self.fitted.get(key)} found, this is {value}; fit again")
        arrays, made = self.fitted["network"], []
        for index, (cost, seed) in enumerate(task.members):
            model = ActorCritic(1, task.settings.hidden, task.recurrent, task.conditioned, task.informed).eval()
            model.load_state_dict({name: torch.from_numpy(a[index : index + 1]) for name, a in arrays.items()})
            made.append((cost, seed, model))
        return made
