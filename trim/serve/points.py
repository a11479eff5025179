"""Operating points, which clients choose by the name of a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from trim.engine.policy import Policy
from trim.errors import TrimError
from trim.experiment.choosing import validation_path
from trim.experiment.fitting import fitted_router
from trim.experiment.params import Params
from trim.files import read_sealed
from trim.serve.errors import ApiError
from trim.solve import fitted_folder

DEFAULT = "auto"  # the operator's choice


@dataclass(frozen=True)
class Point:
    """One operating point of a router.

    Attributes:
        id: its name for clients, such as trim-thr@0.35.
        router: the router's name in the experiment.
        setting: the setting's name there.
        policy: its policy.
        reached: its results on the validation problems, None if not measured.
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
    """The fitted operating points.

    Args:
        points: the points.
        default: the id of `auto`.
        named: resolves a name such as guarantee=0.95 to a setting; see `trim.experiment.choosing`.

    Raises:
        TrimError: if there is no point with that id.
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
        """The points, in the experiment's order."""
        return iter(self._points.values())

    def _between(self, router: str, setting: str) -> Point | None:
        """The point of a budget between the fitted ones, if a router accepts any; made once."""
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
        """The point of a name: an id of the list, or ROUTER@SETTING with a setting as in `trim solve`.

        Raises:
            ApiError: if there is none; the message lists the points.
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
    """A share with at most three decimals, which limits their number; None if the text is not one."""
    found = re.fullmatch(r"(?:budget=)?(0(?:\.\d{1,3})?|1(?:\.0{1,3})?)", text)
    return float(found[1]) if found else None


def operating_points(params: Params, benchmark: str, results: Path, served: Params) -> dict[str, Point]:
    """The points of every fitted router of an experiment, by id; for routers with several seeds, the first's.

    One reward model is loaded: routers with another one's scores, or with its scores fused differently, are left out.

    An id is ROUTER@VALUE for a value of the router's own parameter, or of the budget if it accepts any budget, and
    ROUTER@SETTING for any other.

    Args:
        params: the experiment.
        benchmark: the benchmark on which they are fitted.
        results: folder of the results.
        served: the experiment with the loaded reward model; see `Params.as_run`.

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
    """Results of each setting of a router on the validation problems, if measured."""
    path = validation_path(folder, source)
    return read_sealed(path).get(router, {}) if path.is_file() else {}
