"""TRIM-Agg: policies trained by PPO on five features of the present step (paper, TRIM-Agg)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from trim.errors import TrimError
from trim.rl.settings import FEATURES, Hyperparameters, stack_features
from trim.routers.base import Decisions, Policy, Router, Trial
from trim.routers.base import Params as BaseParams


class _Network(Policy):
    """One member of a trained ensemble; hands a step over where that is likelier than not."""

    def __init__(self, parameters: dict[str, np.ndarray], hidden: int, recurrent: bool, max_steps: int) -> None:
        import torch

        from trim.rl.networks import ActorCritic

        self._max_steps = max_steps
        self._model = ActorCritic(1, len(FEATURES), hidden, recurrent).eval()
        self._model.load_state_dict({name: torch.from_numpy(array) for name, array in parameters.items()})

    def regenerate(self, seen: Decisions) -> np.ndarray:
        import torch

        before, length = seen.before, seen.scores.shape[1]
        position = np.broadcast_to(np.arange(length) / self._max_steps, before.shape)
        least, product = np.minimum.accumulate(before, axis=1), before.cumprod(axis=1)
        features = torch.from_numpy(stack_features(least, product, seen.drafts, seen.draft_tokens, position))
        with torch.no_grad():
            logits, _ = self._model(features.transpose(0, 1)[:, None])
        return (logits[-1, 0] > 0).numpy()


class TrimAgg(Router):
    """One policy per cost of a strong token and seed; a right solution is worth 1.

    Fitting trains all of them at once on the train split, and keeps each as it was after its
    best epoch on the validation split.
    """

    name = "trim_agg"
    title = "TRIM-Agg"
    fits = True
    trained = True
    recurrent: ClassVar[bool] = False

    class Params(BaseParams):
        """What the policies are trained for, and how."""

        costs: tuple[Annotated[float, Field(ge=0)], ...] = Field(min_length=1)
        seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
        training: Hyperparameters = Hyperparameters()

    def fit(self, trial: Trial, budgets: Sequence[float]) -> dict[str, Any]:
        """The members, with their return on validation, and the parameters of their networks."""
        from trim.rl.ppo import Member, train

        members = [Member(cost, seed) for cost in sorted(self.params.costs) for seed in self.params.seeds]
        tree = trial.tree("train")
        found, value = train(members, tree, trial.tree("validation"), self.params.training, self.recurrent)
        listed = [{"cost": m.cost, "seed": m.seed, "return": float(v)} for m, v in zip(members, value, strict=True)]
        arrays = {f"network.{name}": array for name, array in found.items()}
        return {"features": list(FEATURES), "max_steps": tree.max_steps, "members": listed} | arrays

    def policies(self) -> dict[str, Policy]:
        """One setting per cost and seed, dearest tokens first.

        Raises:
            TrimError: if the networks were trained on other features.
        """
        if self.fitted["features"] != list(FEATURES):
            found = self.fitted["features"]
            raise TrimError(f"{self.name}: fitted on {found}, this version has {list(FEATURES)}; fit again")
        arrays = {n.removeprefix("network."): a for n, a in self.fitted.items() if n.startswith("network.")}
        made: dict[str, Policy] = {}
        for index, member in reversed(list(enumerate(self.fitted["members"]))):
            own = {name: array[index : index + 1] for name, array in arrays.items()}
            made[f"cost={member['cost']:g} seed={member['seed']}"] = _Network(
                own, self.params.training.hidden, self.recurrent, self.fitted["max_steps"]
            )
        return made
