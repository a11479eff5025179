"""Constraints on an experiment beyond the type of each value, checked before any work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from trim.errors import TrimError
from trim.experiment.params import Params
from trim.pomdp.model import LEAST

_ENDS = ("always_weak", "always_strong")


def fault(params: Params) -> str | None:
    """The first fault that would stop a run or spoil its numbers, in one line; None if there is none."""
    return next(_faults(params), None)


def _faults(params: Params) -> Iterator[str]:
    yield from _models(params)
    yield from _ends(params)
    yield from _names(params)
    yield from _trees(params)
    yield from _reward_models(params)
    yield from _splits(params, known_sizes(params))
    yield from _references(params, [name for name, source in params.benchmarks.items() if source.hub])


def _models(params: Params) -> Iterator[str]:
    for role in type(params.models).model_fields:
        model = getattr(params.models, role)
        if params.evaluation.cost == "flops" and model.server and model.weights is None:
            yield f"models.{role}.weights: missing; evaluation.cost: flops needs it"


def _ends(params: Params) -> Iterator[str]:
    for name in _ENDS:
        if name not in params.routers:
            yield f"routers.{name}: missing; both ends of the scale are needed"
        elif changed := set(params.routers[name]) - {"title", "group"}:
            yield f"routers.{name}.{min(changed)}: an end of the scale has no such key; leave it out"
    if set(params.routers) == set(_ENDS):
        yield "routers: only the two ends of the scale, so nothing is compared; add one, such as random: {}"


def _names(params: Params) -> Iterator[str]:
    """Names that refer to nothing."""
    routers, benchmarks = list(params.routers), list(params.benchmarks)
    named = [
        ("evaluation.baselines", params.evaluation.baselines, routers),
        ("robustness.routers", params.robustness.routers, routers),
        ("robustness.benchmarks", params.robustness.benchmarks, benchmarks),
        ("trees", params.trees, benchmarks),
        ("granularity.benchmarks", params.granularity.benchmarks, benchmarks),
        ("transfer.routers", params.transfer.routers, [name for name in routers if _moves(params, name)]),
    ]
    for name, trained in params.reward_models.items():
        named.append((f"reward_models.{name}.fit_on", tuple(filter(None, [trained.fit_on])), benchmarks))
    for name, section in params.routers.items():
        scorer = tuple(filter(None, [section.get("reward_model")]))
        named.append((f"routers.{name}.reward_model", scorer, list(params.reward_models)))
        named.append((f"routers.{name}.fit_on", tuple(filter(None, [section.get("fit_on")])), benchmarks))
        named.append((f"routers.{name}.only", tuple(section.get("only") or ()), benchmarks))
    for key, names, allowed in named:
        for name in names:
            if name not in allowed:
                yield f"{key}: {name!r} found, allowed: {', '.join(allowed) or 'none, the section is empty'}"
    for study, routers_of in (("robustness", params.robustness.routers), ("transfer", params.transfer.routers)):
        for benchmark in params.robustness.benchmarks if study == "robustness" else benchmarks:
            for name in routers_of:
                if name not in params.routers_on(benchmark):
                    yield f"{study}.routers: {name} is not run on {benchmark}; leave it out, or its `only`"


def _trees(params: Params) -> Iterator[str]:
    """Routers fitted on whole solution trees where none are expanded (an expansion takes many models' steps)."""
    for name in params.needing("train_logprobs"):
        for benchmark in params.benchmarks:
            source = params.source(name, benchmark)
            if name in params.routers_on(benchmark) and source not in params.trees:
                yield f"routers.{name}: fitted on {source}, whose trees are not expanded; list {source} in `trees`"


def _reward_models(params: Params) -> Iterator[str]:
    """Reward models that cannot be trained, and evidence without a reward model."""
    for name, trained in params.reward_models.items():
        benchmark = params.trains_on(name)
        if trained.labels in ("success", "agreement") and benchmark not in params.trees:
            yield f"reward_models.{name}.labels: {trained.labels} needs solution trees; list {benchmark} in `trees`"
        if getattr(params.models, trained.start).server:
            yield f"reward_models.{name}.start: {trained.start} is behind a server; name a model with local weights"
    for name, section in params.routers.items():
        takes = "evidence" in params.router_type(name).Params.model_fields
        if not takes and "prm" not in section.get("evidence", ("prm",)):
            yield f"routers.{name}.evidence: weak alone is the router `uncertainty`; add prm"


def _moves(params: Params, name: str) -> bool:
    """True if a router is fitted on every benchmark, so that it can be run as fitted on another."""
    tied = any(params.routers[name].get(key) for key in ("fit_on", "only", "reward_model"))
    return params.router_type(name).needs_fitting and not tied


def known_sizes(params: Params) -> dict[str, dict[str, int]]:
    """Problems per split, of the benchmarks whose sizes are known without reading a file."""
    from trim.problems.catalogue import PUBLISHED

    split_sizes = {}
    for name, source in params.benchmarks.items():
        if source.family and source.sizes:
            split_sizes[name] = source.sizes.model_dump()
        elif source.hub:
            sizes = dict(zip(("train", "validation", "test"), PUBLISHED[source.hub].sizes, strict=True))
            limits = source.sizes.model_dump() if source.sizes else sizes
            split_sizes[name] = {split: min(count, limits[split]) for split, count in sizes.items()}
    return split_sizes


def _splits(params: Params, sizes: dict[str, dict[str, int]]) -> Iterator[str]:
    """Routers whose benchmark has no problems to fit them on."""
    for name in params.routers:
        router_type = params.router_type(name)
        if not router_type.needs_fitting:
            continue
        needed = ["validation"] + (["train"] if router_type.needs else [])
        for source in dict.fromkeys(
            params.source(name, benchmark) for benchmark in params.benchmarks if name in params.routers_on(benchmark)
        ):
            for split in needed:
                if source in sizes and not sizes[source].get(split, 0):
                    yield (
                        f"routers.{name}: fitted on {source}, which has no {split} problems; "
                        "name another benchmark in its fit_on, or raise the benchmark's sizes"
                    )
            train = sizes[source].get("train", 0) if source in sizes else LEAST
            if "pomdp" in router_type.needs and train < LEAST:
                yield (
                    f"routers.{name}: its POMDP is calibrated on the train problems of {source}, at least {LEAST}, and "
                    f"there are {train}; add some, name another benchmark in its fit_on, or leave the router out"
                )


def _references(params: Params, without: Iterable[str]) -> Iterator[str]:
    """Routers that compare steps with reference solutions, on benchmarks `without` these."""
    for benchmark in without:
        for name in params.routers_on(benchmark):
            if params.router_type(name).needs_reference:
                yield (
                    f"routers.{name}: compares steps with reference solutions, which {benchmark} does not have; "
                    "leave it out, or list other benchmarks in its `only`"
                )


def check_surroundings(params: Params) -> list[str]:
    """Check the files and the machine; returns remarks that stop nothing.

    Raises:
        TrimError: for a missing or unsuitable file, and for too few GPUs.
    """
    from trim.problems.jsonl import read_jsonl

    sizes, without = known_sizes(params), []
    for name, source in params.benchmarks.items():
        if source.path:
            if not Path(source.path).exists():
                raise TrimError(f"benchmarks.{name}.path: {source.path}: no such file; give the file of the problems")
            problems = read_jsonl(Path(source.path))
            splits = [problem.split for problem in problems]
            sizes[name] = {split: splits.count(split) for split in set(splits)}
            if not sizes[name].get("test"):
                raise TrimError(f"benchmarks.{name}.path: {source.path} holds no test problems")
            if not all(problem.reference for problem in problems):
                without.append(name)
    if mistake := next(chain(_splits(params, sizes), _references(params, without)), None):
        raise TrimError(mistake)
    if (
        params.calibration.solutions
        and not params.calibration.part
        and not Path(params.calibration.solutions).is_file()
    ):
        raise TrimError(f"calibration.solutions: {params.calibration.solutions}: No such file or directory")
    return [*_folders(params), *_gpus(params)]


def _folders(params: Params) -> Iterator[str]:
    from trim.models.files import check_kind, folder, on_hub
    from trim.models.load import name

    for role in type(params.models).model_fields:
        model = getattr(params.models, role)
        if on_hub(model):
            yield f"models.{role}: {model.path} is read from the hub's cache; `trim download` fills it"
            continue
        try:
            name(model)
            if not model.server:
                check_kind(folder(model), scores=role == "prm")
        except TrimError as error:
            raise TrimError(f"models.{role}.path: {error}") from error


def _gpus(params: Params) -> Iterator[str]:
    needed = params.models.gpus(*type(params.models).model_fields)
    if not needed or params.replay:
        return
    import torch

    there = torch.cuda.device_count()
    if 0 < there < needed:
        raise TrimError(f"models.*.engine: {needed} GPUs are requested, and this machine has {there}; change devices")
    if not there:
        yield f"{needed} GPUs are requested; this machine has none, so jobs must run on one that has"
