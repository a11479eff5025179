"""The files of a run, the files that each is made from, and the identity of its models' draws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from trim.errors import TrimError
from trim.experiment.params import EVIDENCE, REWARD_MODEL, Params
from trim.models.cost import ModelCost
from trim.models.files import EMBEDDED, on_hub, resolve, weight_files
from trim.models.load import causes, name
from trim.models.settings import backend_module
from trim.pomdp.model import CALIBRATIONS
from trim.provenance import digest_of_values

_EXPLORER = "trim_thr"
# Sections and keys that change no number of a report.
_UNREPORTED = ("shards", "replay")


class Layout:
    """Paths of a run, relative to its folder; a benchmark can be a pattern, such as "{benchmark}".

    Attributes:
        sections: the experiment as plain values, by section.
        fitted, trained: names of the routers that are fitted without networks, and of those that are trained.
        hub: the roles of the models that are downloaded from the hub.
        encoders: the record of the encoders' download, if routers embed questions with any.
        keys: the environment variables that hold keys of servers.
        identities: a digest of the settings that decide a model's draws (its files aside), by role.
        prices: a digest of the models' prices.
        labelled: the file of labelled solutions for the calibration, if there is one.
        reported: a digest of each section that reports read, by section.

    Args:
        params: the experiment.
        tree_splits: the splits whose solution trees are expanded.

    Raises:
        TrimError: if the files of a model are missing.
    """

    def __init__(self, params: Params, tree_splits: Sequence[str]) -> None:
        self.params, self.tree_splits = params, tree_splits
        self.sections: dict[str, Any] = params.model_dump(mode="json")
        types = {router: params.router_type(router) for router in params.routers}
        needing = [router for router, router_type in types.items() if router_type.needs_fitting]
        self.trained = [router for router in needing if "train_trees" in types[router].needs]
        self.fitted = [router for router in needing if router not in self.trained]
        self._models = {role: getattr(params.models, role) for role in ("weak", "strong", "prm")}
        self.hub = [role for role, model in self._models.items() if on_hub(model)]
        self.encoders = ["results/models/encoders.json"] if params.encoders() else []
        servers = [model.server for model in self._models.values()]
        self.keys = sorted({server.key for server in servers if server and server.key} if not params.replay else ())
        self._model_files = {role: self._files(role) for role in self._models}
        self.identities = {role: digest_of_values(self.source(role)) for role in self._models}
        costs = {role: asdict(ModelCost.of(model, model.weights or 0)) for role, model in self._models.items()}
        self.prices = digest_of_values(costs)
        downloaded = "results/problems/processbench.jsonl" if params.calibration.part else None
        self.labelled = [path for path in [downloaded or params.calibration.solutions] if path]
        self.reported = {key: digest_of_values(value) for key, value in self.sections.items() if key not in _UNREPORTED}

    # Models

    def model(self, role: str) -> list[str]:
        """The files that decide a model's output, or the record of their download.

        A server has none, an embedded model is identified by its digest alone, and a replay runs no model.
        """
        return self._model_files[role]

    def models(self) -> list[str]:
        """The files of all models, and the record of the encoders."""
        files = [path for role in self._models for path in self._model_files[role]]
        return files if self.params.replay else files + self.encoders

    def source(self, role: str) -> dict[str, Any]:
        """The settings that decide a model's draws, its files aside."""
        model = self._models[role]
        found = causes(model) | {"instruction": getattr(model, "instruction", None)}
        if model.path.startswith(EMBEDDED):
            try:
                found["identity"] = name(model)
            except TrimError as error:
                if not self.params.replay:  # a replay needs no model until a draw is looked up
                    raise TrimError(f"models.{role}: {error}") from None
        return found

    def backends(self) -> list[str]:
        """The modules of the backends that run the models."""
        return sorted({backend_module(model.backend) for model in self._models.values()})

    def resources(self, *roles: str) -> dict[str, int]:
        """GPUs needed by a job that runs these models (all by default), and the models by name.

        By their names a machine can limit each model to one job at a time.
        """
        used = roles or tuple(self._models)
        return {"gpu": 0 if self.params.replay else self.params.models.gpus(*used), **dict.fromkeys(used, 1)}

    def _files(self, role: str) -> list[str]:
        model = self._models[role]
        if self.params.replay or model.server or model.path.startswith(EMBEDDED):
            return []
        if role in self.hub:
            return [f"results/models/{role}.json"]
        try:
            return [str(path) for path in weight_files(resolve(model.path))]
        except TrimError as error:
            raise TrimError(f"models.{role}: {error}") from None

    # Draws

    def rollouts(self, benchmark: str, *splits: str) -> list[str]:
        """Both models' solutions of some splits."""
        files = [f"{role}.{i}.parquet" for role in ("weak", "strong") for i in range(self.params.shards)]
        return [f"results/rollouts/{benchmark}/{split}/{file}" for split in splits for file in files]

    def scores(self, benchmark: str, *splits: str) -> list[str]:
        """Scores of the weak model's solutions of some splits."""
        return [f"results/scores/{benchmark}/{s}.{i}.parquet" for s in splits for i in range(self.params.shards)]

    def alone(self, benchmark: str, *splits: str) -> list[str]:
        """Solutions and scores of some splits, by each model alone."""
        return self.rollouts(benchmark, *splits) + self.scores(benchmark, *splits)

    def trees(self, benchmark: str, *splits: str) -> list[str]:
        """The solution trees of some splits, for a benchmark that has them."""
        there = benchmark in self.params.trees
        return [f"results/trees/{benchmark}/{s}.parquet" for s in splits if there and s in self.tree_splits]

    def logprobs(self, benchmark: str, *splits: str) -> list[str]:
        """Log-probabilities of all drafts in those trees, if any router needs them."""
        if not self.params.needing("train_logprobs"):
            return []
        return [path.replace(".parquet", ".logprobs.parquet") for path in self.trees(benchmark, *splits)]

    def layers(self, benchmark: str, *splits: str) -> list[str]:
        """Draws of some splits that exist before any router is run."""
        return self.alone(benchmark, *splits) + self.trees(benchmark, *splits)

    def explored(self, benchmark: str, router: str) -> list[str]:
        """Draws of TRIM-Thr's sweep, most of which other routers need too; for every router but TRIM-Thr."""
        known = _EXPLORER in self.params.routers and _EXPLORER in self.params.fitted_on(benchmark)
        return [self.fit_draws(benchmark, _EXPLORER)] if known and router != _EXPLORER else []

    @staticmethod
    def fit_draws(benchmark: str, router: str) -> str:
        """The draws made while a router was fitted."""
        return f"results/draws/{benchmark}/fit-{router}.parquet"

    # Reward models of the experiment

    def reward_model(self, *names: str) -> list[str]:
        """The weights of reward models that are trained."""
        return [f"{REWARD_MODEL.format(name=name)}/model.safetensors" for name in names]

    def scoring(self, routers: Iterable[str]) -> list[str]:
        """The weights of the reward models that score for some routers, and the fits that fuse their scores."""
        chosen = list(routers)
        own = dict.fromkeys(filter(None, (self.params.routers[router].get("reward_model") for router in chosen)))
        fused = dict.fromkeys(filter(None, map(self.params.fused, chosen)))
        return self.reward_model(*own) + [EVIDENCE.format(name=name) for name in fused]

    def calibrates(self, router: str) -> bool:
        """True if fitting a router calibrates a POMDP: it plans, on other scores than those of `models.prm`."""
        return self.needs(router, "pomdp") and self.params.as_run(router) is not self.params

    def learns(self, router: str) -> bool:
        """True if fitting a router needs solutions of the train split."""
        return self.needs(router, "train_rollouts") or self.calibrates(router)

    # Calibrations, fits and episodes

    @staticmethod
    def calibrations(benchmark: str) -> list[str]:
        """The calibrated POMDPs of a benchmark."""
        return [f"results/calibration/{benchmark}/{variant}.json" for variant in (*CALIBRATIONS, "agreement")]

    def needs(self, router: str, what: str) -> bool:
        """True if fitting a router has this need; see `Router.needs`."""
        return what in self.params.router_type(router).needs

    def sees_logprobs(self, router: str) -> bool:
        """True if a router observes the weak model's log-probabilities of drafts, or needs them for fitting."""
        return self.needs(router, "train_logprobs") or "weak" in self.params.routers[router].get("evidence", ())

    def fits(self, benchmark: str, routers: Iterable[str] | None = None) -> list[str]:
        """Fitted parameters of the routers run on a benchmark (all by default), wherever each was fitted."""
        return [
            f"results/routers/{self.params.source(router, benchmark)}/{router}.{form}"
            for router in (self.params.routers_on(benchmark) if routers is None else routers)
            if self.params.router_type(router).needs_fitting
            for form in ("json", "safetensors")
        ]

    def trainings(self) -> list[str]:
        """Names of the trainings, BENCHMARK/ROUTER each."""
        trained = {
            (self.params.source(router, benchmark), router)
            for benchmark in self.params.benchmarks
            for router in self.params.routers_on(benchmark)
            if router in self.trained
        }
        return [f"{benchmark}/{router}" for benchmark, router in sorted(trained)]

    def every_fit(self) -> list[str]:
        """Every fit of the experiment."""
        return sorted({path for benchmark in self.params.benchmarks for path in self.fits(benchmark)})

    def episodes(self, *benchmarks: str) -> list[str]:
        """The episodes of all routers on some benchmarks, by default on all."""
        found = benchmarks or tuple(self.params.benchmarks)
        return [f"results/{path}" for benchmark in found for path in self.params.episodes(benchmark)]
