"""The operating points that clients choose among by the name of a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from trim.engine.policy import Policy
from trim.errors import TrimError
from trim.experiment.fitting import fitted_router
from trim.experiment.guarantee import validation_path
from trim.experiment.params import Params
from trim.files import read_sealed
from trim.serve.errors import ApiError
from trim.solve import fitted_folder

DEFAULT = "auto"  # the model that the operator chose


@dataclass(frozen=True)
class Point:
    """One operating point of a router.

    Attributes:
        id: the name that clients call it by, such as trim-thr@0.35.
        router: the router's name in the experiment.
        setting: the setting's name there.
        policy: decides.
        reached: what it reached on the validation problems, None if that was not measured.
        at_budget: the router's policies for any budget, None if it has none between its settings.
    """

    id: str
    router: str
    setting: str
    policy: Policy
    reached: Mapping[str, float] | None = None
    at_budget: Callable[[float], Policy] | None = None

    @property
    def description(self) -> str:
        """One line."""
        what = self.router if self.setting == "-" else f"{self.router} at {self.setting}"
        if not self.reached:
            return what
        accuracy, share = self.reached["accuracy"], self.reached["strong_fraction"]
        return f"{what}: {accuracy:.1%} of the validation problems solved with {share:.1%} of always-strong's tokens"


class Points:
    """All operating points that are fitted.

    Args:
        points: the points.
        default: the id of the one that `auto` is.
        named: the setting that a name such as guarantee=0.95 stands for; see `trim.experiment.guarantee`.

    Raises:
        TrimError: if there is no point of that id.
    """

    def __init__(
        self,
        points: Mapping[str, Point],
        default: str,
        named: Callable[[str, str], str] = lambda router, setting: setting,
    ) -> None:
        self._named = named
        self._points, self._setting = dict(points), {(p.router, p.setting): p for p in points.values()}
        try:
            self.default = self.find(default)
        except ApiError as error:
            raise TrimError(error.message) from error

    def __iter__(self) -> Iterator[Point]:
        """All points, in the experiment's order."""
        return iter(self._points.values())

    def _between(self, router: str, setting: str) -> Point | None:
        """The point of a budget between the fitted ones, where a router takes any; made once."""
        at_budget = next((p.at_budget for p in self if p.router == router and p.at_budget), None)
        budget = _share(setting)
        if at_budget is None or budget is None:
            return None
        named = f"budget={budget:g}"
        if (router, named) not in self._setting:
            id = f"{router.replace('_', '-')}@{budget:g}"
            self._setting[router, named] = Point(id, router, named, at_budget(budget), None, at_budget)
        return self._setting[router, named]

    def find(self, model: str) -> Point:
        """The point of a name: an id of the list, or ROUTER@SETTING with the setting as `trim solve` takes it.

        Raises:
            ApiError: if there is none; it lists those that there are.
        """
        if model == DEFAULT:
            return self.default
        if model in self._points:
            return self._points[model]
        name, _, setting = model.partition("@")
        router = name.replace("-", "_")
        try:
            setting = self._named(router, setting).split(" ")[0]
        except TrimError as error:
            raise ApiError(404, str(error), "model_not_found", "model") from error
        if (router, setting) in self._setting:
            return self._setting[router, setting]
        between = self._between(router, setting)
        if between:
            return between
        known = [DEFAULT, *(p.id for p in self if p.router == router)] if setting else [DEFAULT, *self._points]
        if len(known) == 1:
            known += self._points
        raise ApiError(404, f"model: no {model[:100]!r}; there are {', '.join(known)}", "model_not_found", "model")


def _share(text: str) -> float | None:
    """A share with up to three digits after the point, so that there are not too many of them; None if it is none."""
    found = re.fullmatch(r"(?:budget=)?(0(?:\.\d{1,3})?|1(?:\.0{1,3})?)", text)
    return float(found[1]) if found else None


def operating_points(params: Params, benchmark: str, results: Path, served: Params) -> dict[str, Point]:
    """The points of every router of an experiment that is fitted, by id; of routers with several seeds, the first's.

    One reward model is loaded: routers that read another one's scores, or the same together with other evidence, are
    left out.

    An id is ROUTER@VALUE for a value of the router's own parameter, or of the budget where it takes any budget, and
    ROUTER@SETTING for any other.

    Args:
        params: the experiment.
        benchmark: the benchmark that they are fitted on.
        results: folder of the results.
        served: the experiment with the reward model that is loaded; see `Params.as_run`.

    Raises:
        TrimError: if a file of the fits is damaged.
    """
    found: dict[str, Point] = {}
    routers = [r for r in params.routers_on(benchmark) if params.router_type(r).needs_fitting]
    measured = fitted_folder(params, routers[0], benchmark, results) if routers else results / "routers"
    for router in params.routers_on(benchmark):
        if params.router_type(router).hindsight or params.router_type(router).needs_reference:
            continue
        folder = fitted_folder(params, router, benchmark, results)
        fit = folder / params.source(router, benchmark) / f"{router}.json"
        if params.router_type(router).needs_fitting and not fit.is_file():
            continue
        fitted = fitted_router(params, router, benchmark, folder)
        policies, at_budget = fitted.policies(), fitted.at_budget()
        scored = any("prm" in (policy.rater, policy.second, policy.verifier) for policy in policies.values())
        if scored and params.as_run(router).models.prm != served.models.prm:
            continue
        reached = _reached(measured, params.source(router, benchmark), router)
        own = "budget" if at_budget else next(iter(policies)).partition("=")[0]
        seeds = [policy.seed for policy in policies.values() if policy.seed is not None]
        first = {n: p for n, p in policies.items() if p.seed is None or p.seed == min(seeds)}
        for name, policy in first.items():
            setting = name.split(" ")[0]
            at = "" if setting == "-" else f"@{setting.removeprefix(f'{own}=')}"
            point = Point(router.replace("_", "-") + at, router, setting, policy, reached.get(name), at_budget)
            found[point.id] = point
    return found


def _reached(folder: Path, source: str, router: str) -> dict[str, dict[str, float]]:
    """What each setting of a router reached on the validation problems, where it was measured."""
    path = validation_path(folder, source)
    return read_sealed(path).get(router, {}) if path.is_file() else {}
