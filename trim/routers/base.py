"""The interface of routers: parameters in, policies out; a policy makes a batch of decisions."""

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
    """A policy's result on the problems that a router is fitted on.

    Attributes:
        accuracy: share of problems solved.
        strong_fraction: strong tokens over always-strong's.
    """

    accuracy: float
    strong_fraction: float


class Trial(Protocol):
    """The environment of a router's fit.

    Attributes:
        problems: the problems of the validation split.
        costs: prices of the models, by role.
        checkpoint: file for the state of a training, if any.
        log: called with the updates done, their total, and numbers by name; None if there is no log.
    """

    problems: list[Problem]
    costs: dict[str, ModelCost]
    checkpoint: Path | None
    log: Callable[[int, int, dict[str, float]], None] | None

    def __call__(self, policies: Mapping[str, Policy]) -> Mapping[str, Outcome]:
        """Run policies on the validation problems."""
        ...

    def episodes(self, policy: Policy, split: str = "validation", sample: int = 0) -> list[Episode]:
        """Solve the problems of a split under one policy; the train split is only for routers that need its rollouts.

        Another sample gives an independent set of solutions.
        """
        ...

    def calibration(self, variant: str) -> StepModel:
        """The benchmark's POMDP, from its train split; only for routers that need it."""
        ...

    def tree(self, split: str) -> Tree:
        """The solution trees of a split; the train split is only for routers that need its trees."""
        ...


class Router(ABC):
    """A family of policies under one name.

    A router is one file in this package. It is found by its `name`, configured by its
    section of params.yaml, and its settings become rows of every table.

    Attributes:
        name: the router's name in params.yaml and in the outputs.
        title: the router's name in tables and figures.
        needs_fitting: True if `fit` must be called before `policies`.
        needs: inputs of `fit` beside the validation problems: the benchmark's POMDP, solutions of the train split by
            either model alone, solution trees of the train split (the fit then takes long), and the
            log-probabilities of all drafts in them.
        group: the group of routers in which it is shown.
        is_reference: True if it only marks an end of the scale or a bound.
        needs_reference: True if its policies compare steps with a problem's reference solution.
        hindsight: True for a bound that knows both models' solutions of the test problems; see `foresee`.
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
            trial: runs policies on the validation problems, and provides the POMDP.
            budgets: target shares of always-strong's tokens.

        Returns:
            Values for JSON and arrays that the constructor takes as `fitted`; `budgets`, if there,
            holds the parameter chosen for each budget, for the tables.
        """
        return {}

    @classmethod
    def foresee(cls, weak: Sequence[Episode], strong: Sequence[Episode]) -> dict[str, Any]:
        """A bound's knowledge, from both models' solutions of the problems that it is run on; used as `fitted`."""
        return {}

    @abstractmethod
    def policies(self) -> dict[str, Policy]:
        """The operating points by setting, in order of rising cost."""

    def at_budget(self) -> Callable[[float], Policy] | None:
        """A function from any budget (a share of always-strong's tokens) to its policy; None if there is none."""
        return None


def at_budgets(
    trial: Trial, values: Sequence[float], policies: Sequence[Policy], budgets: Sequence[float]
) -> dict[str, float]:
    """The parameter's value that spends each budget on the validation split, interpolated between policies.

    Args:
        trial: runs the policies.
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
    """Values of a parameter by setting: those of the sweep, sorted, and those fitted for budgets.

    Args:
        parameter: the name of the parameter in the settings.
        values: the values of the sweep.
        fitted: the fitted parameters, with or without the `budgets` of `at_budgets`.
        descending: True if a greater value spends less.
    """
    sweep = {f"{parameter}={value:g}": value for value in sorted(values, reverse=descending)}
    return sweep | {f"budget={budget}": value for budget, value in fitted.get("budgets", {}).items()}


def coins(kind: bytes, seed: int | None, nodes: Sequence[bytes]) -> np.ndarray:
    """A number in [0, 1) for each node, shape (n,); equal in all settings, so that higher rates select supersets."""
    return uniforms(seeds([digest(kind, str(seed).encode(), node) for node in nodes]), 0)


def thresholds(values: np.ndarray, shares: np.ndarray) -> list[float]:
    """Thresholds with these shares of the values below them; none at 0, all at 1.

    Args:
        values: shape (n,).
        shares: shares in [0, 1], shape (k,).
    """
    found = np.quantile(values, shares)
    return np.where(shares <= 0, -np.inf, np.where(shares >= 1, np.inf, found)).tolist()


def aggregated(scores: np.ndarray, how: Aggregate) -> np.ndarray:
    """Aggregate of the scores so far, shape (n, m) -> (n,)."""
    if how == "last":
        return scores[:, -1]
    if how == "mean":
        return scores.mean(axis=1)
    return scores.min(axis=1) if how == "min" else scores.prod(axis=1)
