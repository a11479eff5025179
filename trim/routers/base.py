"""What a router is: parameters in, policies out; a policy answers for a batch of decisions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np

from trim.engine.policy import Policy
from trim.models.cost import ModelCost
from trim.problems import Problem
from trim.rng import digest, seeds, uniforms
from trim.section import Section

if TYPE_CHECKING:
    from trim.engine.episode import Episode
    from trim.pomdp.model import StepModel
    from trim.rl.tree import Tree

Need = Literal["pomdp", "train_rollouts", "train_trees", "train_logprobs"]
Group = Literal["reference", "trim", "query", "cascade", "step", "ablation"]
Aggregate = Literal["last", "min", "product", "mean"]


class Params(Section):
    """A router's section of params.yaml; unknown keys are refused."""


@dataclass(frozen=True)
class Outcome:
    """What a policy reached on the problems a router is fitted on.

    Attributes:
        accuracy: share of problems solved.
        strong_fraction: strong tokens over always-strong's.
    """

    accuracy: float
    strong_fraction: float


class Trial(Protocol):
    """What a router is fitted with.

    Attributes:
        problems: the problems of the validation split.
        costs: what the use of each model costs, by role.
        checkpoint: file that a training may keep its state in, if any.
        log: takes the number of updates done, of how many, and figures by name, if there is someone to tell.
    """

    problems: list[Problem]
    costs: dict[str, ModelCost]
    checkpoint: Path | None
    log: Callable[[int, int, dict[str, float]], None] | None

    def __call__(self, policies: Mapping[str, Policy]) -> Mapping[str, Outcome]:
        """Run policies on the validation problems."""
        ...

    def episodes(self, policy: Policy, split: str = "validation", sample: int = 0) -> list[Episode]:
        """Solve the problems of a split under one policy; of the train split only for routers that need its rollouts.

        Another sample gives an independent set of solutions.
        """
        ...

    def calibration(self, variant: str) -> StepModel:
        """The benchmark's POMDP, from its train split; only for routers that need it."""
        ...

    def tree(self, split: str) -> Tree:
        """The solution trees of a split; of the train split only for routers that need its trees."""
        ...


class Router(ABC):
    """A family of policies under one name.

    A router is one file in this package: it is found by its `name`, configured by its
    section of params.yaml, and its settings become rows of every table.

    Attributes:
        name: the router's name in params.yaml and in the outputs.
        title: the router's name in tables and figures.
        needs_fitting: whether `fit` is to be called before `policies`.
        needs: what `fit` needs beside the validation problems: the benchmark's POMDP, solutions of the train split by
            either model alone, or solution trees of the train split, in which case it takes long, and the
            log-probabilities of all drafts in them.
        group: the group of routers that it is shown with.
        is_reference: whether it only marks an end of the scale or a bound.
        needs_reference: whether its policies compare steps with a problem's reference solution.
        hindsight: whether it is a bound that knows how both models alone solve the very problems; see `foresee`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    needs_fitting: ClassVar[bool] = False
    needs: ClassVar[frozenset[Need]] = frozenset()
    group: ClassVar[Group] = "trim"
    is_reference: ClassVar[bool] = False
    needs_reference: ClassVar[bool] = False
    hindsight: ClassVar[bool] = False
    Params: ClassVar[type[Params]] = Params

    def __init__(self, params: Any, fitted: Mapping[str, Any] | None = None) -> None:
        self.params = params
        self.fitted: dict[str, Any] = dict(fitted or {})

    def fit(self, trial: Trial, budgets: Sequence[float]) -> dict[str, Any]:
        """Choose parameters on the validation split.

        Args:
            trial: runs policies on the validation problems, and has the POMDP.
            budgets: shares of always-strong's tokens to aim at.

        Returns:
            Values for JSON and arrays that the constructor takes as `fitted`; `budgets`, if there,
            holds the parameter chosen for each budget, for the tables.
        """
        return {}

    @classmethod
    def foresee(cls, weak: Sequence[Episode], strong: Sequence[Episode]) -> dict[str, Any]:
        """What a bound knows, from both models' solutions of the problems that it is run on; taken as `fitted`."""
        return {}

    @abstractmethod
    def policies(self) -> dict[str, Policy]:
        """The operating points by setting, in order of rising cost."""

    def at_budget(self) -> Callable[[float], Policy] | None:
        """Makes the policy of any budget, a share of always-strong's tokens; None if settings are all there is."""
        return None


def at_budgets(
    trial: Trial, values: Sequence[float], policies: Sequence[Policy], budgets: Sequence[float]
) -> dict[str, float]:
    """The value of a parameter that spends each budget on the validation split, interpolated between policies.

    Args:
        trial: runs them.
        values: the parameter of each policy, cheapest policy first.
        policies: see above.
        budgets: shares of always-strong's tokens.
    """
    outcomes = trial({str(i): policy for i, policy in enumerate(policies)})
    spent = np.maximum.accumulate([outcomes[str(i)].strong_fraction for i in range(len(policies))])
    return {f"{budget:g}": float(np.interp(budget, spent, values)) for budget in sorted(budgets)}


def settings(
    parameter: str, values: Sequence[float], fitted: Mapping[str, Any], descending: bool = False
) -> dict[str, float]:
    """Values of a parameter by setting: those of the sweep, sorted, and those that were fitted for budgets.

    Args:
        parameter: the name of the parameter in the settings.
        values: the values of the sweep.
        fitted: what was fitted, with or without the `budgets` of `at_budgets`.
        descending: whether a greater value spends less.
    """
    sweep = {f"{parameter}={value:g}": value for value in sorted(values, reverse=descending)}
    return sweep | {f"budget={budget}": value for budget, value in fitted.get("budgets", {}).items()}


def coins(kind: bytes, seed: int | None, nodes: Sequence[bytes]) -> np.ndarray:
    """A number in [0, 1) for each node, shape (n,); equal in all settings, so that more spending does a superset."""
    return uniforms(seeds([digest(kind, str(seed).encode(), node) for node in nodes]), 0)


def thresholds(values: np.ndarray, shares: np.ndarray) -> list[float]:
    """Thresholds that have these shares of the values below them; none at 0, all at 1.

    Args:
        values: shape (n,).
        shares: shares in [0, 1], shape (k,).
    """
    found = np.quantile(values, shares)
    return np.where(shares <= 0, -np.inf, np.where(shares >= 1, np.inf, found)).tolist()


def aggregated(scores: np.ndarray, how: Aggregate) -> np.ndarray:
    """One figure for the scores so far, shape (n, m) -> (n,)."""
    if how == "last":
        return scores[:, -1]
    if how == "mean":
        return scores.mean(axis=1)
    return scores.min(axis=1) if how == "min" else scores.prod(axis=1)
