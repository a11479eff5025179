"""What an experiment needs before anything starts: tokens, hours, disk and money, from the published step statistics.

Every figure is an upper bound but for the rollouts, since routers share draws that are counted here
for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from trim.config import Params
from trim.models.load import weights
from trim.problems.catalogue import SIZES

# Means of the released TRIM-Thr run on MATH-500 (released with its reference code,
# repository Vansh28Kapoor/TRIM, commit 5ec6323): always-weak, always-strong, and over the thresholds between.
WEAK_TOKENS, STRONG_TOKENS, STEPS = 400.9, 494.8, 8.0
ROUTED_WEAK, ROUTED_STRONG = 483.6, 163.5
ENDS = ("always_weak", "always_strong")
_PROMPT = 150  # tokens of a question with its template
_BYTES = 12  # a token on disk: its text in a layer and in a journal
_EPOCHS = 10  # of a training, where the experiment does not say


@dataclass(frozen=True)
class Work:
    """Tokens of one phase: written by the weak and the strong model, read by the reward model."""

    phase: str
    weak: float = 0.0
    strong: float = 0.0
    prm: float = 0.0


@dataclass(frozen=True)
class Need:
    """What an experiment needs in all.

    Attributes:
        work: by phase.
        hours: of one GPU, by model.
        gpus: that its largest job takes.
        disk: bytes.
        money: by model, of tokens that are paid for.
    """

    work: list[Work]
    hours: dict[str, float]
    gpus: int
    disk: float
    money: dict[str, float]


def make_plan(params: Params, flops: float, use: float) -> Need:
    """Estimate what an experiment needs.

    Args:
        params: the experiment.
        flops: of one GPU, a second.
        use: share of them that generation reaches; reading reaches four times as much.

    Raises:
        TrimError: if the size of a model is neither given nor known from its files.
    """
    work = [Work(*phase) for phase in _phases(params)]
    models = {role: getattr(params.models, role) for role in ("weak", "strong", "prm")}
    hours, money, disk = {}, {}, 0.0
    for role, model in models.items():
        tokens = sum(getattr(phase, role) for phase in work)
        speed = flops * min(1.0, use * (4 if role == "prm" else 1))
        if model.server is None:
            hours[role] = 2 * weights(model) * tokens / speed / 3600
            disk += weights(model) * (2 if model.dtype == "bfloat16" else 4)
        else:
            read = tokens * (1 if role == "prm" else (_PROMPT + WEAK_TOKENS / 2) * STEPS / STRONG_TOKENS)
            written = 0.0 if role == "prm" else tokens
            money[role] = (read * model.server.price_in + written * model.price) / 1e6
        disk += tokens * _BYTES if role != "prm" else 0.0
    return Need(work, hours, params.models.gpus(*models), disk, money)


def _phases(params: Params) -> Iterable[tuple[str, float, float, float]]:
    sizes = {name: _sizes(params, name) for name in params.benchmarks}
    whole = sum(map(sum, sizes.values()))
    # The reward model reads a solution once with its rollout, and its beginning again at each decision.
    read = _PROMPT + WEAK_TOKENS
    yield "rollouts and scores", whole * WEAK_TOKENS, whole * STRONG_TOKENS, whole * read
    train = sum(sizes[name][0] for name in params.calibrated())
    yield "calibration", 0, 0, train * (_PROMPT + STRONG_TOKENS)
    for name in params.routers:
        kind = params.kind(name)
        fitted = {params.source(name, b) for b in params.benchmarks} if kind.fits else set()
        points = _points(params, name)
        if kind.group in ("query", "cascade"):
            continue
        if kind.trained:
            section = params.routers[name].get("training") or {}
            solved = sum(sizes[b][0] for b in fitted) * points * section.get("epochs", _EPOCHS)
        else:
            solved = sum(sizes[b][1] for b in fitted) * points
        if solved:
            yield f"fit {name}", *_routed(solved)
    tested = sum(size[2] for size in sizes.values())
    # What chooses one model for a whole problem finds its solutions among the rollouts.
    stepwise = [n for n in params.routers if n not in ENDS and params.kind(n).group not in ("query", "cascade")]
    yield "test draws", *_routed(tested * sum(_points(params, name) for name in stepwise))


def _routed(solutions: float) -> tuple[float, float, float]:
    return solutions * ROUTED_WEAK, solutions * ROUTED_STRONG, solutions * (_PROMPT + ROUTED_WEAK + ROUTED_STRONG)


def _points(params: Params, name: str) -> int:
    """Operating points of a router: its listed settings, for each seed, and one for each budget that is fitted."""
    own = params.router(name).params.model_dump()
    listed = max(
        (len(own[k]) for k in ("thresholds", "costs", "probabilities", "shares", "knobs") if own.get(k)), default=1
    )
    budgets = len(params.evaluation.budgets) if params.kind(name).fits else 0
    return listed * len(own.get("seeds", (0,))) + budgets


def _sizes(params: Params, name: str) -> tuple[int, int, int]:
    """Problems of each split; of a local file, whose number is not known before it is read, none."""
    source = params.benchmarks[name]
    if source.hub:
        known = SIZES[source.hub]
        limits = (source.sizes.train, source.sizes.validation, source.sizes.test) if source.sizes else known
        return tuple(map(min, known, limits))  # type: ignore[return-value]
    return (source.sizes.train, source.sizes.validation, source.sizes.test) if source.sizes else (0, 0, 0)
