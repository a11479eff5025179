"""Hybrid inference on the user's questions, with any router of an experiment.

Without a params.yaml it uses the embedded experiment, which comes with the package and its fitted parameters.

Example:
    from trim.solve import Solver
    solver = Solver.load(router="trim_budget", setting="budget=0.2")
    print(solver(["Start with 60, add 90, multiply by 41, add 4, subtract 8."])[0].answer)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trim.answers import boxed
from trim.engine.episode import Episode, Step
from trim.engine.policy import Policy
from trim.engine.store import Draws
from trim.errors import TrimError
from trim.experiment.choosing import guaranteed_setting, validation_path
from trim.experiment.fitting import fitted_policies
from trim.experiment.load import load
from trim.experiment.params import Params
from trim.experiment.runner import Runner
from trim.models.files import EMBEDDED
from trim.problems import Problem
from trim.problems.generated import is_chain
from trim.progress import Tracker
from trim.section import shown
from trim.setting import Setting

# The embedded experiment of this version's run, and its fitted parameters.
SHIPPED = Path(__file__).parent / "experiment" / "shipped"
_USUAL = "budget=0.2"


@dataclass(frozen=True)
class Solution:
    """One solved question.

    Attributes:
        question: the question.
        steps: the solution; each step has its writer, score and discarded draft.
        discarded: the steps of a whole weak solution that was discarded before it.
    """

    question: str
    steps: tuple[Step, ...]
    discarded: tuple[Step, ...] = ()

    @property
    def answer(self) -> str | None:
        """The boxed answer of the last step, None if there is none."""
        return boxed(self.steps[-1].text)

    @property
    def weak_tokens(self) -> int:
        """Tokens of the weak model, with discarded drafts."""
        return sum(step.draft_tokens for step in (*self.discarded, *self.steps))

    @property
    def strong_tokens(self) -> int:
        """Tokens of the strong model."""
        return sum(step.strong_tokens for step in (*self.discarded, *self.steps))

    @property
    def always_strong_tokens(self) -> int:
        """Estimated tokens of always-strong, if its solution is as long as this one."""
        return sum(step.tokens for step in self.steps)

    @property
    def saving(self) -> float:
        """Saved share of always-strong's tokens, by that estimate."""
        whole = self.always_strong_tokens
        return 1 - self.strong_tokens / whole if whole else 0.0


class Solver:
    """Solves questions under one policy.

    Args:
        params: the experiment: its models and sampling.
        policy: the policy.
        tracker: shows progress, if any.
    """

    def __init__(self, params: Params, policy: Policy, tracker: Tracker | None = None) -> None:
        self._runner, self._policy = Runner(params, Draws(), tracker or Tracker.silent()), policy

    @classmethod
    def load(
        cls,
        path: Path | None = None,
        router: str = "trim_budget",
        setting: str | None = None,
        benchmark: str | None = None,
        results: Path = Path("results"),
    ) -> Solver:
        """A solver from an experiment and its fitted parameters.

        Args:
            path: the experiment's file; by default params.yaml where there is one, else the embedded experiment.
            router: name of one of its routers.
            setting: one of the router's operating points, or the beginning of its name; guarantee=0.95 is the cheapest
                that reaches 95 % of always-strong's accuracy with a probability of 95 % (`trim choose`). By default
                budget=0.2, or the only one of a router that has one.
            benchmark: the benchmark that the router was fitted on; by default the experiment's first one.
            results: folder of the experiment's results. If nothing is fitted there, and the experiment has the
                models and the router of the embedded one, the embedded fit is used.

        Raises:
            TrimError: if there is no such router, setting, benchmark or fit.
        """
        params = load(path or here(), benchmark, router)
        if params.router_type(router).needs_reference:
            raise TrimError(f"{router}: compares steps with a reference solution, which a question does not have")
        benchmark = benchmark or next(iter(params.benchmarks))
        folder = fitted_folder(params, router, benchmark, results)
        policies = fitted_policies(params, router, benchmark, folder)
        if setting is None:
            setting = str(next(iter(policies))) if len(policies) == 1 else _USUAL
        path = validation_path(folder, params.source(router, benchmark))
        named = Setting.read(setting)
        wanted = named and guaranteed_setting(path, router, named)
        for known, policy in policies.items():
            if wanted in (known, known.unseeded):
                return cls(params.as_run(router), policy)
        raise TrimError(f"{router}: no setting {setting!r}; it has: {', '.join(map(str, policies))}")

    def __call__(self, questions: Sequence[str], watch: Callable[[Episode], None] | None = None) -> list[Solution]:
        """Solve questions, all together.

        Args:
            questions: the questions.
            watch: called with an episode after each of its steps.

        Raises:
            TrimError: if the models cannot solve this kind of question.
        """
        for question in questions:
            check_question(self._runner.params, question)
        problems = [Problem(str(i), question, "", "test") for i, question in enumerate(questions)]
        episodes = self._runner.run(problems, [self._policy], watch)
        return [Solution(e.problem.question, tuple(e.steps), tuple(e.discarded)) for e in episodes]


def here() -> Path:
    """The experiment of the current folder, or the embedded one if there is none."""
    own = Path("params.yaml")
    return own if own.is_file() else SHIPPED / "params.yaml"


def check_question(params: Params, question: str, turns_before: bool = False) -> None:
    """Refuse a question that the models cannot solve.

    Args:
        params: the experiment.
        question: the question.
        turns_before: True if a system prompt or other turns come before it.

    Raises:
        TrimError: if a model is embedded, and was not made for this kind of question.
    """
    roles = (params.models.weak, params.models.strong, params.models.prm)
    if not any(model.path.startswith(EMBEDDED) for model in roles):
        return
    if turns_before:
        raise TrimError(
            "the embedded models were made for single questions; leave out the system prompt and earlier turns, "
            "or name other models in params.yaml"
        )
    if not is_chain(question):
        raise TrimError(
            f"{shown(question)}: the embedded models only solve chains of 3 to 20 operations, such as "
            "'Start with 60, add 90, multiply by 41, add 4, subtract 8.'; name other models in params.yaml"
        )


def fitted_folder(params: Params, router: str, benchmark: str, results: Path) -> Path:
    """The folder of fitted parameters: the results', or the package's if there are none and the experiments match."""
    own, source = results / "routers", params.source(router, benchmark)
    if (own / source).is_dir() or not params.router_type(router).needs_fitting:
        return own
    mine, theirs = (
        (p.models, p.generation, p.routers.get(router), p.benchmarks.get(source))
        for p in (params, load(SHIPPED / "params.yaml"))
    )
    shipped = SHIPPED / "routers"
    return shipped if mine == theirs and (shipped / source).is_dir() else own
