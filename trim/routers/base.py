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
from trim.setting import BUDGET, Setting

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
            Values for JSON, arrays, and groups of arrays by name (mappings) that the constructor takes as `fitted`;
            see `trim.routers.fitted`. `budgets`, if there, holds the parameter chosen for each budget.
        """
        return {}

    @classmethod
    def foresee(cls, weak: Sequence[Episode], strong: Sequence[Episode]) -> dict[str, Any]:
        """A bound's knowledge, from both models' solutions of the problems that it is run on; used as `fitted`."""
        return {}

    @abstractmethod
    def policies(self) -> dict[Setting, Policy]:
        """The operating points by setting, in order of rising cost."""

    def at_budget(self) -> Callable[[float], Policy] | None:
        """A function from any budget (a share of always-strong's tokens) to its policy; None if there is none."""
        return None


@dataclass(frozen=True)
class Sweep:
    """The values of the parameter that a router sweeps.

    Attributes:
        parameter: its name in the settings.
        values: one operating point each, in any order.
        descending: True if a greater value spends less.
        ends: more values to try when a value is fitted for a budget, such as those of always-weak and always-strong.
        logarithmic: True if values are interpolated by their logarithms.
    """

    parameter: str
    values: Sequence[float]
    descending: bool = False
    ends: Sequence[float] = ()
    logarithmic: bool = False

    def rising(self, more: Sequence[float] = ()) -> list[float]:
        """The values and `more`, each once, in order of rising cost."""
        return sorted({*self.values, *more}, reverse=self.descending)

    def settings(self, fitted: Mapping[str, Any]) -> dict[Setting, float]:
        """The parameter by setting: the values in order of rising cost, then those fitted for the budgets."""
        budgets = {Setting(BUDGET, float(budget)): value for budget, value in fitted.get("budgets", {}).items()}
        return {Setting(self.parameter, value): value for value in self.rising()} | budgets

    def at_budgets(self, trial: Trial, tried: Mapping[float, Policy], budgets: Sequence[float]) -> dict[str, float]:
        """The value that spends each budget on the validation split, interpolated between those tried.

        Args:
            trial: runs the policies.
            tried: policies by value, in order of rising cost.
            budgets: shares of always-strong's tokens.
        """
        outcomes = trial({str(i): policy for i, policy in enumerate(tried.values())})
        spent = [outcomes[str(i)].strong_fraction for i in range(len(tried))]
        return {f"{budget:g}": self.spending(budget, spent, list(tried)) for budget in sorted(budgets)}

    def spending(self, budget: float, spent: Sequence[float], values: Sequence[float]) -> float:
        """The value that spends a budget, interpolated between values that spend these shares, in rising order."""
        highest = np.maximum.accumulate(spent)
        if self.logarithmic:
            return float(np.exp(np.interp(budget, highest, np.log(values))))
        return float(np.interp(budget, highest, values))


class SweepRouter(Router):
    """A router with one policy for each value of a parameter: it is its sweep and its policy.

    With `needs_fitting` it also finds, for each budget, the value that spends it on the validation split.
    """

    @abstractmethod
    def sweep(self) -> Sweep:
        """The parameter and its values."""

    @abstractmethod
    def policy(self, value: float) -> Policy:
        """The policy at a value of the parameter; `self.fitted` holds the result of `prepare`."""

    def prepare(self, trial: Trial) -> dict[str, Any]:
        """Fit all that the policies need beside the value; see `fit` for the result."""
        return {}

    def fit(self, trial: Trial, budgets: Sequence[float]) -> dict[str, Any]:
        """The result of `prepare`, and the parameter's value for each budget; call it once, as it keeps the result."""
        self.fitted, sweep = self.prepare(trial), self.sweep()
        tried = {value: self.policy(value) for value in sweep.rising(sweep.ends)}
        return self.fitted | {"budgets": sweep.at_budgets(trial, tried, budgets)}

    def policies(self) -> dict[Setting, Policy]:
        """One setting per value, and one per fitted budget."""
        return {setting: self.policy(value) for setting, value in self.sweep().settings(self.fitted).items()}


def coins(kind: bytes, seed: int | None, nodes: Sequence[bytes]) -> np.ndarray:
    """A number in [0, 1) for each node, shape (n,); equal in all settings, so that higher rates select supersets."""
    return uniforms(seeds([digest(kind, str(seed).encode(), node) for node in nodes]), 0)


def threshold(values: np.ndarray, share: float) -> float:
    """The threshold with this share of the values, shape (n,), below it: none at 0, all at 1."""
    return -np.inf if share <= 0 else np.inf if share >= 1 else float(np.quantile(values, share))


def aggregated(scores: np.ndarray, how: Aggregate) -> np.ndarray:
    """Aggregate of the scores so far, shape (n, m) -> (n,)."""
    if how == "last":
        return scores[:, -1]
    if how == "mean":
        return scores.mean(axis=1)
    return scores.min(axis=1) if how == "min" else scores.prod(axis=1)
