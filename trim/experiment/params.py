"""params.yaml as a typed model: every key is checked before any work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from trim.evaluation.bootstrap import MeasureSettings
from trim.experiment.sections import Ceiling, Granularity, Robustness, Simulation, Transfer
from trim.models.settings import Models, RewardModel, Sampling
from trim.problems.catalogue import PUBLISHED
from trim.problems.problem import PARTS
from trim.reward_models.hyperparameters import TrainedRewardModel
from trim.routers import Router, registry
from trim.routers.base import Group, Need
from trim.section import Name, OneOf, PathText, Section, Seed, Share, Title, shown
from trim.steps import INSTRUCTION, PLAIN, ChatFormat, Ends

_PROCESSBENCH = "processbench/"
_MOST = 1_000_000  # problems of a split
REWARD_MODEL = "results/reward_models/{name}"  # the folder of one that is trained
EVIDENCE = "results/evidence/{name}.json"  # how scores of a reward model are fused with log-probabilities


class Sizes(Section):
    """Problems per split.

    Attributes:
        train, validation, test: number of problems in the split; of a published benchmark or a file, at most so many.
    """

    train: int = Field(0, ge=0, le=_MOST)
    validation: int = Field(ge=0, le=_MOST)
    test: int = Field(ge=1, le=_MOST)


class Benchmark(Section):
    """Where the problems of a benchmark come from: a generated family, the hub or a local file.

    Attributes:
        title: the benchmark's name in tables and figures.
        family: the family of generated problems.
        seed: seed of generated problems.
        hub: name of a published benchmark; see `trim.problems.catalogue`.
        path: a local file: JSON lines, a JSON array, Parquet, CSV or TSV, packed by gzip or not.
        sizes: problems per split; needed for generated ones, chosen by a hash of the question from others.
        tolerance: relative error within which a numeric answer is right.
    """

    title: Title = ""
    family: Literal["standard", "long", "hard", "renamed"] | None = None
    hub: Annotated[str, OneOf(PUBLISHED)] | None = None
    seed: Seed = 0
    sizes: Sizes | None = None
    path: PathText | None = None
    tolerance: Share = 0.0

    @model_validator(mode="after")
    def _one_source(self) -> Benchmark:
        if sum(source is not None for source in (self.family, self.hub, self.path)) != 1:
            raise ValueError("give one of family (with sizes), hub and path")
        if self.family and not self.sizes:
            raise ValueError("sizes is missing")
        return self


class Generation(Section):
    """The step loop.

    Attributes:
        seed: seed of all sampling; each seed gives an independent set of solutions.
        sample: number of the set of solutions; each gives an independent one under the same seed.
        max_steps: most steps of a solution.
        instruction: the instruction in the user turn.
        template: the user turn, with {question} and {instruction} in it.
        opening: beginning of the assistant's turn before the first step.
        reopening: beginning of the assistant's turn before later steps.
        ends: event that ends a solution before `max_steps`: the model stops (stop), or only an answer box (box).
        answer: where the answer is: in a box (box); or in a box, after "answer is", or the last number (number).
        sampling: the sampling of a step.
    """

    seed: Seed = 10
    sample: int = Field(0, ge=0, lt=2**31)
    max_steps: int = Field(30, ge=1, le=1000)
    instruction: str = INSTRUCTION
    template: str = PLAIN.template
    opening: str = ""
    reopening: str = ""
    ends: Ends = "stop"
    answer: Literal["box", "number"] = "box"
    sampling: Sampling = Sampling()

    @field_validator("template")
    @classmethod
    def _asks_the_question(cls, template: str) -> str:
        if "{question}" not in template:
            raise ValueError(f"{shown(template)} asks nothing; it must contain {{question}}")
        return template

    @property
    def chat(self) -> ChatFormat:
        """The prompt format of a solution."""
        return ChatFormat(self.instruction, self.template, self.opening, self.reopening)

    @model_validator(mode="after")
    def _paragraphs(self) -> Generation:
        if self.sampling.step != "paragraph":
            raise ValueError("sampling.step: paragraph; `granularity` compares others")
        return self


class Evaluation(Section):
    """The measurements.

    Attributes:
        cost: the unit of the curves and budgets.
        cache: input tokens that a call pays for: all (none), those that its model has not seen yet (prefix), or those
            billed by a server (billed).
        budgets: shares of always-strong's cost at which accuracy is reported.
        levels: shares of the accuracy gap whose cost is reported.
        bootstrap: number of resamples of problems and training seeds, paired between routers.
        confidence: share of the resamples within an interval.
        seed: seed of the resampling.
        baselines: the routers that the others are compared with.
    """

    cost: Literal[
        "strong_tokens", "strong_passes", "all_tokens", "flops", "flops_without_prm", "money", "latency",
        "latency_decoding", "latency_reading",
    ] = "strong_tokens"  # fmt: skip
    cache: Literal["none", "prefix", "billed"] = "prefix"
    budgets: tuple[Share, ...] = (0.1, 0.15, 0.2, 0.25, 0.3)
    levels: tuple[Share, ...] = (0.5, 0.8, 0.95)
    bootstrap: int = Field(1000, ge=10, le=10**6)
    confidence: float = Field(0.95, gt=0, lt=1)
    seed: Seed = 0
    baselines: tuple[Name, ...] = ("random",)

    @model_validator(mode="after")
    def _columns_of_their_own(self) -> Evaluation:
        for key, columns in (
            ("budgets", [f"{100 * budget:g}" for budget in self.budgets]),
            ("levels", [f"{round(100 * level)}" for level in self.levels]),
        ):
            if twice := [column for column, count in Counter(columns).items() if count > 1]:
                raise ValueError(f"{key}: two of them are {twice[0]} % in tables; leave one out")
        return self

    @property
    def headline_budget(self) -> float:
        """The budget in the middle of the list, used for headlines."""
        return self.budgets[len(self.budgets) // 2]


class Calibration(Section):
    """The POMDP's calibration, on the train split.

    Attributes:
        labels: source of a solution's first error: the problems' own step checkers (steps), or the paper's threshold
            rule on the scores (rule).
        solutions: labelled solutions for the score densities: a file in ProcessBench's form, or a part of
            ProcessBench by name, such as processbench/math.
        threshold: the threshold rule calls a step wrong below this score.
        classes: number of latent classes of difficulty.
    """

    labels: Literal["steps", "rule"] = "steps"
    solutions: PathText | None = None
    threshold: Share = 0.35
    classes: int = Field(2, ge=2, le=3)

    @field_validator("solutions")
    @classmethod
    def _known_part(cls, solutions: str | None) -> str | None:
        part = (solutions or "").removeprefix(_PROCESSBENCH)
        if solutions and solutions.startswith(_PROCESSBENCH) and part not in PARTS:
            raise ValueError(f"{shown(part)} is no part of ProcessBench; it has: {', '.join(PARTS)}")
        return solutions

    @property
    def part(self) -> str | None:
        """The solutions' part of ProcessBench, None if they are from elsewhere."""
        found = (self.solutions or "").startswith(_PROCESSBENCH)
        return str(self.solutions).removeprefix(_PROCESSBENCH) if found else None


class RouterKeys(Section):
    """Keys that every router's section may have beside its own parameters.

    Attributes:
        type: name of the router's file in `trim/routers/`; by default the section's own name.
        title: the router's name in tables and figures.
        fit_on: the one benchmark that the router is fitted on, for use on all; by default it is fitted on each.
        only: the benchmarks that the router is run on; by default all.
        group: the group of routers in which it is shown.
        reward_model: the reward model of the section `reward_models` that scores for it; by default `models.prm`.
        evidence: source of its scores: the reward model alone (prm), or also the weak model's log-probability of
            each step, which is free (weak, prm), fused into one probability fitted on the first benchmark's train
            split. Routers with a parameter of this name get the two separately.
    """

    type: Name | None = None
    title: Title | None = None
    fit_on: Name | None = None
    only: tuple[Name, ...] | None = None
    group: Group | None = None
    reward_model: Name | None = None
    evidence: tuple[Literal["weak", "prm"], ...] = ("prm",)

    @model_validator(mode="before")
    @classmethod
    def _says_something(cls, data: Any) -> Any:
        for key, value in data.items() if isinstance(data, Mapping) else ():
            if value is None or (isinstance(value, str) and not value.strip()):
                raise ValueError(f"{key}: empty; give it a value, or leave the key out")
        return data


class Params(Section):
    """A whole experiment.

    Attributes:
        benchmarks: the benchmarks by name, in the order of the tables.
        shards: rollouts of one model on one benchmark are spread over this many jobs.
        models: the weak model, the strong model and the reward model.
        generation: the step loop.
        calibration: the POMDP's calibration.
        reward_models: reward models trained on the experiment's own solutions, by name.
        trees: benchmarks whose solution trees are expanded in full, for training and for upper bounds.
        routers: each router's section; see `RouterKeys` for the common keys.
        evaluation: the measurements.
        studies: the studies to make, by name; by default all that the experiment allows.
        simulation, robustness, ceiling, transfer, granularity: sections of the studies.
        replay: forbids the use of models: every draw must exist already.
    """

    benchmarks: dict[Name, Benchmark] = Field(min_length=1)
    shards: int = Field(1, ge=1, le=10_000)
    models: Models
    generation: Generation = Generation()
    calibration: Calibration = Calibration()
    reward_models: dict[Name, TrainedRewardModel] = Field(default_factory=dict)
    trees: tuple[Name, ...] = ()
    routers: dict[Name, dict[str, Any]] = Field(min_length=1)
    evaluation: Evaluation = Evaluation()
    studies: tuple[Name, ...] | None = None
    simulation: Simulation = Simulation()
    robustness: Robustness = Robustness()
    ceiling: Ceiling = Ceiling()
    transfer: Transfer = Transfer()
    granularity: Granularity = Granularity()
    replay: bool = False

    def router(self, name: str, fitted: Mapping[str, Any] | None = None) -> Router:
        """The router of that name, with its parameters."""
        router_type = self.router_type(name)
        shared = RouterKeys.model_fields.keys() - router_type.Params.model_fields.keys()
        own = {key: value for key, value in self.routers[name].items() if key not in shared}
        return router_type(router_type.Params(**own), fitted)

    def router_type(self, name: str) -> type[Router]:
        """The class of the router of that name."""
        return registry()[self.routers[name].get("type", name)]

    def trains_on(self, reward_model: str) -> str:
        """The benchmark that a reward model learns from."""
        return self.reward_models[reward_model].fit_on or next(iter(self.benchmarks))

    def reward_model(self, name: str) -> RewardModel:
        """A trained reward model, at the prices of the model that it starts from."""
        start, prm = getattr(self.models, self.reward_models[name].start), self.models.prm
        prices = {key: getattr(start, key) for key in ("price_in", "price_cached", "latency_per_read")}
        own = {"path": REWARD_MODEL.format(name=name), "backend": "transformers", "revision": None, "weights": None}
        return prm.model_copy(update=prices | own | {"dtype": start.dtype, "server": None})

    def as_run(self, router: str) -> Params:
        """The experiment with the reward model and the fusion that score for a router."""
        own, fused = self.routers[router].get("reward_model"), self.fused(router)
        if own is None and fused is None:
            return self
        prm = self.models.prm if own is None else self.reward_model(own)
        prm = prm.model_copy(update={"evidence": fused and EVIDENCE.format(name=fused)})
        return self.model_copy(update={"models": self.models.model_copy(update={"prm": prm})})

    def fused(self, router: str) -> str | None:
        """The reward model whose scores are fused with log-probabilities for a router, "prm" for `models.prm`."""
        section = self.routers[router]
        if "evidence" in self.router_type(router).Params.model_fields or "weak" not in section.get("evidence", ()):
            return None
        return str(section.get("reward_model") or "prm")

    def needing(self, what: Need) -> list[str]:
        """The routers whose fitting has this need; see `Router.needs`."""
        return [name for name in self.routers if what in self.router_type(name).needs]

    def calibrated(self) -> list[str]:
        """The benchmarks on which a POMDP is calibrated: those on which a planning router is fitted."""
        planning = set(self.needing("pomdp"))
        return [b for b in self.benchmarks if planning.intersection(self.fitted_on(b))]

    def routers_on(self, benchmark: str) -> list[str]:
        """The routers that are run on a benchmark: all but those whose `only` leaves it out."""
        return [name for name, own in self.routers.items() if benchmark in own.get("only", self.benchmarks)]

    def episodes(self, benchmark: str) -> list[str]:
        """The episodes of every router on a benchmark, below the results."""
        return [f"episodes/{benchmark}/{router}.parquet" for router in self.routers_on(benchmark)]

    def fitted_on(self, benchmark: str) -> list[str]:
        """The routers that are fitted on a benchmark, for use there or elsewhere."""
        return [
            name
            for name in self.routers
            if self.router_type(name).needs_fitting
            and any(self.source(name, b) == benchmark for b in self.benchmarks if name in self.routers_on(b))
        ]

    def encoders(self) -> dict[str, str]:
        """Encoders on the hub that routers embed questions with: revision by name."""
        embeddings = [getattr(self.router(name).params, "embedding", None) for name in self.routers]
        return {e.path: e.revision for e in embeddings if e and e.path and e.revision}

    def group(self, name: str) -> str:
        """The group in which the router of that name is shown."""
        return str(self.routers[name].get("group", self.router_type(name).group))

    def source(self, name: str, benchmark: str) -> str:
        """The benchmark on which a router is fitted for use on `benchmark`."""
        return str(self.routers[name].get("fit_on") or benchmark)

    def title(self, name: str) -> str:
        """The router of that name, in tables and figures; with its name where another has the same title."""
        return _apart({n: str(own.get("title") or self.router_type(n).title) for n, own in self.routers.items()})[name]

    def benchmark_title(self, name: str) -> str:
        """The benchmark of that name, in tables and figures; with its name where another has the same title."""
        return _apart({n: own.title or n for n, own in self.benchmarks.items()})[name]


def _apart(titles: Mapping[str, str]) -> dict[str, str]:
    """Unique titles, since tables are read by them: a shared one is followed by the name."""
    counts = Counter(titles.values())
    return {name: title if counts[title] == 1 else f"{title} ({name})" for name, title in titles.items()}


def measure_settings(params: Params, cost: str | None = None) -> MeasureSettings:
    """The measures' settings of an experiment; `cost` replaces its unit."""
    settings = params.evaluation
    return MeasureSettings(
        cost or settings.cost,
        settings.cache,
        settings.budgets,
        settings.levels,
        settings.bootstrap,
        settings.confidence,
        settings.seed,
    )
