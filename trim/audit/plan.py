"""Estimated needs of an experiment: tokens, hours, disk and money, from the published step statistics.

Every number but those of the rollouts is an upper bound: draws that routers share are counted for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trim.experiment.params import Params
from trim.ledger.caches import Caches
from trim.ledger.calls import ROLES, Call, Role, columns
from trim.ledger.units import totals
from trim.models.cost import ModelCost
from trim.models.load import weights
from trim.models.settings import Model
from trim.problems.catalogue import PUBLISHED
from trim.routers.base import SweepRouter

# Means of the released TRIM-Thr run on MATH-500 (released with its reference code,
# repository Vansh28Kapoor/TRIM, commit 5ec6323): always-weak, always-strong, and over the thresholds between.
WEAK_TOKENS, STRONG_TOKENS, STEPS = 400.9, 494.8, 8
ROUTED_WEAK, ROUTED_STRONG, ROUTED_CALLS = 483.6, 163.5, 2
ENDS = ("always_weak", "always_strong")
_PROMPT = 150  # tokens of a question with its template
_BYTES = 12  # a token on disk: its text in a layer and in a journal
_EPOCHS = 10  # of a training, if the experiment sets none
_READING = 4  # times the share of a GPU's operations that writing reaches


@dataclass(frozen=True)
class Work:
    """The work of one phase: ROLE_calls, ROLE_read, ROLE_cached and ROLE_written, in tokens, by name."""

    phase: str
    tokens: dict[str, float]

    def of(self, role: str, *what: str) -> float:
        """Tokens that one model reads, finds cached or writes."""
        return sum(self.tokens[f"{role}_{name}"] for name in what)


@dataclass(frozen=True)
class Need:
    """The total needs of an experiment.

    Attributes:
        work: the work of each phase.
        hours: hours of one GPU, by model.
        gpus: GPUs of its largest job.
        disk: bytes.
        money: money by served model.
    """

    work: list[Work]
    hours: Mapping[Role, float]
    gpus: int
    disk: float
    money: Mapping[Role, float]


def make_plan(params: Params, flops: float, use: float) -> Need:
    """Estimate the needs of an experiment.

    Args:
        params: the experiment.
        flops: FLOPs of one GPU a second.
        use: share of them that generation reaches; reading reaches four times this share.

    Raises:
        TrimError: if a model's size is neither given nor known from its files.
    """
    models: dict[Role, Model] = {role: getattr(params.models, role) for role in ROLES}
    work = [Work(phase, tokens) for phase, tokens in _phases(params, models)]
    hours, money, disk = {}, {}, 0.0
    for role, model in models.items():
        read, cached, written = (sum(w.of(role, what) for w in work) for what in ("read", "cached", "written"))
        cost = ModelCost.of(model, weights(model))
        if model.server is None:
            reading = cost.flops(read) / min(1.0, _READING * use)
            hours[role] = (reading + cost.flops(written) / use) / flops / 3600
            disk += weights(model) * (2 if model.dtype == "bfloat16" else 4)
        else:
            money[role] = cost.money(read, cached, written)
        disk += written * _BYTES
    return Need(work, hours, params.models.gpus(*models), disk, money)


def _typical(writes: Sequence[bool], tokens: float, weak: float | None, scored: bool) -> list[Call]:
    """The calls of a typical solution.

    Args:
        writes: for each step, True if the strong model writes it.
        tokens: all tokens that the strong model writes.
        weak: all tokens that the weak model writes, None if it writes nothing.
        scored: True if every draft is scored.
    """
    caches, calls, unscored = Caches(dict.fromkeys(ROLES, _PROMPT)), list[Call](), 0.0
    drafted, rewritten = (weak or 0) / len(writes), tokens / max(1, sum(writes))
    for strong in writes:
        calls += [caches.draft(drafted)] if weak else []
        calls += [caches.score(drafted, unscored)] if scored else []
        calls += [caches.rewrite(rewritten, drafted=bool(weak))] if strong else []
        caches.accept("strong" if strong else "weak", rewritten if strong else drafted, repeats=False)
        unscored = rewritten if strong else 0.0
    return calls


def _tokens(calls: Sequence[Call], models: Mapping[Role, Model]) -> dict[str, float]:
    """Tokens of each model for one solution."""
    table, of = columns(calls), np.zeros(len(calls), dtype=np.int64)
    amounts: dict[str, float] = {}
    for role, model in models.items():
        # Behind a server, and where vLLM scores, a cache between two calls is not assumed.
        known = model.server is None and not (role == "prm" and model.backend == "vllm")
        total = totals(table, of, 1, "prefix" if known else "none")
        amounts |= {name: float(values[0]) for name, values in total.items() if name.startswith(f"{role}_")}
    return amounts


def _phases(params: Params, models: Mapping[Role, Model]) -> Iterable[tuple[str, dict[str, float]]]:
    none, every = [False] * STEPS, [True] * STEPS
    some = [step % (STEPS // ROUTED_CALLS) == 1 for step in range(STEPS)]
    alone = _tokens(_typical(none, 0, WEAK_TOKENS, scored=True), models)
    strong = _tokens(_typical(every, STRONG_TOKENS, None, scored=False), models)
    routed = _tokens(_typical(some, ROUTED_STRONG, ROUTED_WEAK, scored=True), models)
    sizes = {name: _sizes(params, name) for name in params.benchmarks}
    whole = sum(map(sum, sizes.values()))
    yield "rollouts and scores", {name: whole * (alone[name] + strong[name]) for name in alone}
    train = sum(sizes[name][0] for name in params.calibrated())
    scored = dict.fromkeys(alone, 0.0) | {"prm_calls": train, "prm_read": train * (_PROMPT + STRONG_TOKENS)}
    yield "calibration", scored
    for name in params.routers:
        router_type = params.router_type(name)
        fitted = {params.source(name, b) for b in params.benchmarks} if router_type.needs_fitting else set()
        points = _points(params, name)
        if router_type.group in ("query", "cascade"):
            continue
        if "train_logprobs" in router_type.needs:
            # Whole trees: with large models, paths hardly ever meet again.
            solved = sum(sizes[b][0] for b in fitted) * 2**STEPS / STEPS
        elif "train_trees" in router_type.needs:
            section = params.routers[name].get("training") or {}
            solved = sum(sizes[b][0] for b in fitted) * points * section.get("epochs", _EPOCHS)
        else:
            solved = sum(sizes[b][1] for b in fitted) * points
        if solved:
            yield f"fit {name}", {what: solved * amount for what, amount in routed.items()}
    tested = sum(size[2] for size in sizes.values())
    # Routers of whole problems find their solutions among the rollouts.
    stepwise = [n for n in params.routers if n not in ENDS and params.router_type(n).group not in ("query", "cascade")]
    points = tested * sum(_points(params, name) for name in stepwise)
    yield "test draws", {what: points * amount for what, amount in routed.items()}


def _points(params: Params, name: str) -> int:
    """Number of a router's operating points: its listed settings for each seed, and one for each fitted budget."""
    router = params.router(name)
    listed = router.sweep().values if isinstance(router, SweepRouter) else getattr(router.params, "costs", "-")
    budgets = len(params.evaluation.budgets) if router.needs_fitting else 0
    return len(listed) * len(getattr(router.params, "seeds", "-")) + budgets


def _sizes(params: Params, name: str) -> tuple[int, int, int]:
    """Problems of each split; 0 for a local file, whose sizes are unknown before it is read."""
    source = params.benchmarks[name]
    if source.hub:
        known = PUBLISHED[source.hub].sizes
        limits = (source.sizes.train, source.sizes.validation, source.sizes.test) if source.sizes else known
        return tuple(map(min, known, limits))  # type: ignore[return-value]
    return (source.sizes.train, source.sizes.validation, source.sizes.test) if source.sizes else (0, 0, 0)
