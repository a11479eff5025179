"""Operating points, which clients choose by the name of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from trim.engine.policy import Policy
from trim.errors import TrimError
from trim.experiment.choosing import validation_path
from trim.experiment.fitting import fitted_router
from trim.experiment.params import Params
from trim.files import read_sealed
from trim.serve.errors import ApiError
from trim.setting import BUDGET, Setting, first_seed
from trim.solve import fitted_folder

DEFAULT = "auto"  # the operator's choice
_SHARES = frozenset(k / 1000 for k in range(1001))  # budgets for which a policy is made


@dataclass(frozen=True)
class Point:
    """One operating point of a router.

    Attributes:
        router: the router's name in the experiment.
        setting: its setting there, of any seed.
        policy: its policy.
        parameter: the parameter that clients name by its value alone.
        reached: its results on the validation problems, None if not measured.
        at_budget: the router's policies for any budget, None if it has none between its settings.
    """

    router: str
    setting: Setting
    policy: Policy
    parameter: str
    reached: Mapping[str, float] | None = None
    at_budget: Callable[[float], Policy] | None = None

    @property
    def id(self) -> str:
        """The name for clients, such as trim-thr@0.35."""
        name = self.router.replace("_", "-")
        return f"{name}@{self.setting.brief(self.parameter)}" if self.setting.parameter else name

    @property
    def description(self) -> str:
        """One line."""
        what = self.router if not self.setting.parameter else f"{self.router} at {self.setting}"
        if not self.reached:
            return what
        accuracy, share = self.reached["accuracy"], self.reached["strong_fraction"]
        return f"{what}: {accuracy:.1%} of the validation problems solved with {share:.1%} of always-strong's tokens"


class Points:
    """The fitted operating points.

    Args:
        points: the points.
        default: the id of `auto`.
        named: resolves a setting such as guarantee=0.95 to another; see `trim.experiment.choosing`.

    Raises:
        TrimError: if there is no point with that id.
    """

    def __init__(
        self,
        points: Mapping[str, Point],
        default: str,
        named: Callable[[str, Setting], Setting] = lambda router, setting: setting,
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

    def _at(self, router: str, setting: Setting) -> Point | None:
        """The point of a setting; that of a budget between the fitted ones, if a router accepts any, is made once.

        Such a budget has at most three decimals, which limits the number of points.
        """
        first, budget = next((p for p in self if p.router == router), None), setting.value
        known = (router, setting) in self._setting
        if not known and first and first.at_budget and setting.parameter == BUDGET and budget in _SHARES:
            point = replace(first, setting=setting, policy=first.at_budget(budget), reached=None)
            self._setting[router, setting] = point
        return self._setting.get((router, setting))

    def find(self, model: str) -> Point:
        """The point of a name: an id of the list, or ROUTER@SETTING with a setting as in `trim solve`.

        Raises:
            ApiError: if there is none; the message lists the points.
        """
        if model == DEFAULT:
            return self.default
        if model in self._points:
            return self._points[model]
        name, _, text = model.partition("@")
        router = name.replace("-", "_")
        setting = Setting.read(text, next((p.parameter for p in self if p.router == router), ""))
        try:
            point = setting and self._at(router, self._named(router, setting).unseeded)
        except TrimError as error:
            raise ApiError(404, str(error), "model_not_found", "model") from error
        if point:
            return point
        known = [DEFAULT, *(p.id for p in self if p.router == router)] if text else [DEFAULT, *self._points]
        if len(known) == 1:
            known += self._points
        raise ApiError(404, f"model: no {model[:100]!r}; there are {', '.join(known)}", "model_not_found", "model")


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
        parameter = BUDGET if at_budget else next(iter(policies)).parameter
        first = first_seed(policies)
        for setting, policy in policies.items():
            if setting.seed == first:
                measured_as = reached.get(str(setting))
                point = Point(router, setting.unseeded, policy, parameter, measured_as, at_budget)
                found[point.id] = point
    return found


def _reached(folder: Path, source: str, router: str) -> dict[str, dict[str, float]]:
    """Results of each setting of a router on the validation problems, if measured."""
    path = validation_path(folder, source)
    return read_sealed(path).get(router, {}) if path.is_file() else {}
