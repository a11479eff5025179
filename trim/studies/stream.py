"""The controller of `trim serve`: a budget over a stream of requests that grow harder and then easier."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trim.engine.budget import Account, Capped
from trim.engine.episode import Episode
from trim.engine.policy import Policy
from trim.engine.store import Node
from trim.errors import TrimError
from trim.experiment.fitting import fitted_router
from trim.experiment.params import Params
from trim.experiment.runner import Runner
from trim.files import write_text
from trim.problems import Problem, read_problems
from trim.report.figures import COLOURS, MARKERS, legend, panels
from trim.report.tables import read_csv, titles
from trim.routers.always import STRONG
from trim.studies.study import Job, Study

ROUTER = "trim_budget"
_SEEDS, _AT_ONCE, _WINDOW = (0, 1), 16, 100
_OVER = 1.1  # a window is overspent if it spends more than this many times the budget
_GRID = np.arange(0, 0.8, 0.02)  # budgets of the fixed prices, to find the best one in hindsight
_WIDTH = 0.15  # standard deviation of the difficulties requested at one time, as ranks in [0, 1]
FIXED, STEERED = "fitted price", "steered"


def _stream_of(difficulty: np.ndarray, seed: int) -> np.ndarray:
    """Indices of the problems of a stream, twice as many as there are problems; the difficulty rises, then falls.

    Args:
        difficulty: difficulty of each of n problems, shape (n,).
        seed: seed of the stream.

    Returns:
        Indices, shape (2n,).
    """
    rng, count = np.random.default_rng(seed), len(difficulty)
    ranks = (difficulty + rng.random(count)).argsort().argsort() / max(1, count - 1)
    centres = 1 - np.abs(np.linspace(-1, 1, 2 * count))
    weights = np.exp(-(((ranks - centres[:, None]) / _WIDTH) ** 2) / 2)
    return np.array([rng.choice(count, p=row / row.sum()) for row in weights])


class _Outcomes:
    """Strong tokens and correctness of each problem, shape (problems, policies)."""

    def __init__(self, episodes: Sequence[Episode], problems: Sequence[Problem], policies: int) -> None:
        row = {problem.id: index for index, problem in enumerate(problems)}
        self.strong = np.zeros((len(problems), policies))
        self.right = np.zeros((len(problems), policies), dtype=bool)
        for episode in episodes:
            place = row[episode.problem.id], episode.policy
            self.strong[place] = sum(step.strong_tokens for step in episode.steps)
            self.right[place] = episode.correct


def _run(job: Job) -> None:
    """Send streams through the server's account and policies; writes a row per stream, budget and controller."""
    params, runner = job.params, job.runner
    problems = read_problems(job.problems, "test")
    at_budget = fitted_router(params, ROUTER, job.benchmark, job.fitted).at_budget()
    if at_budget is None:
        raise TrimError(f"{ROUTER}: it takes no budget between its settings")
    grid = runner.run(problems, [STRONG, *map(at_budget, _GRID.tolist())])
    known = _Outcomes(grid, problems, 1 + len(_GRID))
    rows = []
    for seed in _SEEDS:
        asked = _stream_of(known.strong[:, 0], seed)
        unit = known.strong[asked, 0]
        for budget in params.evaluation.budgets[::2]:
            column = 1 + np.abs(_GRID - budget).argmin()
            made = {FIXED: (known.strong[asked, column], known.right[asked, column])}
            episodes = _stream(runner, [problems[i] for i in asked], Account(STEERED, budget), at_budget)
            strong = np.array([sum(step.strong_tokens for step in e.steps) for e in episodes])
            made[STEERED] = strong, _solved(runner, episodes)
            best = _best_fixed(known, asked, budget)
            for name, (strong, solved) in made.items():
                rows.append(
                    {
                        "seed": seed, "budget": budget, "controller": name, "share": strong.sum() / unit.sum(),
                        "overspent": _overspent(strong, unit, budget), "accuracy": solved.mean(), "best_fixed": best,
                    }
                )  # fmt: skip
    write_text(job.out, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g"))


def _solved(runner: Runner, episodes: Sequence[Episode]) -> np.ndarray:
    return np.array(runner.judge.right([e.problem for e in episodes], [e.node.prefix.text for e in episodes]))


def _stream(
    runner: Runner,
    problems: Sequence[Problem],
    account: Account,
    at_budget: Callable[[float], Policy],
) -> list[Episode]:
    """Solve problems in the order of the requests, several at once, on one account."""
    waiting, episodes = deque(problems), list[Episode]()
    policies: dict[int, Capped] = {}

    def watch(episode: Episode) -> None:
        policies[id(episode)].settle()
        account.spend(episode)

    rounds = runner.rounds(watch)
    while waiting or len(rounds):
        while waiting and len(rounds) < _AT_ONCE:
            problem = waiting.popleft()
            root = Node.root(problem.question)
            episodes.append(Episode(problem, 0, root, root))
            policy = policies[id(episodes[-1])] = Capped(at_budget(account.told), account)
            rounds.join(episodes[-1:], [policy])
        rounds.advance()
    return episodes


def _best_fixed(known: _Outcomes, asked: np.ndarray, budget: float) -> float:
    """Accuracy of the best single price, in hindsight, that keeps the budget on a stream."""
    share = known.strong[asked, 1:].sum(axis=0) / known.strong[asked, 0].sum()
    accuracy = known.right[asked, 1:].mean(axis=0)
    return float(accuracy[share <= budget].max(initial=0.0))


def _overspent(strong: np.ndarray, unit: np.ndarray, budget: float) -> float:
    """Share of the windows of `_WINDOW` consecutive requests that are overspent."""
    kernel = np.ones(min(_WINDOW, len(strong)))
    shares = np.convolve(strong, kernel, "valid") / np.convolve(unit, kernel, "valid")
    return float(np.mean(shares > _OVER * budget))


def _table(results: Path, params: Params) -> pd.DataFrame:
    """Means over the streams: share spent, windows overspent, accuracy, and the best single price's accuracy."""
    benchmarks, _ = titles(params)
    rows = []
    for name, title in benchmarks.items():
        found = read_csv(results / f"studies/stream/{name}.csv")
        for (budget, controller), group in found.groupby(["budget", "controller"]):
            means = group.mean(numeric_only=True)
            rows.append(
                {
                    "benchmark": title,
                    "budget": f"{budget:g}",
                    "controller": controller,
                    "share spent": f"{means['share']:.3f}",
                    "windows overspent": f"{means['overspent']:.3f}",
                    "accuracy": f"{means['accuracy']:.3f}",
                    "best price in hindsight": f"{means['best_fixed']:.3f}",
                    "regret": f"{means['best_fixed'] - means['accuracy']:+.3f}",
                }
            )
    return pd.DataFrame(rows)


def _figure(results: Path, params: Params) -> Figure:
    """Share spent over the budget, a panel per benchmark."""
    picture, axes_of = panels(titles(params)[0], height=2.6)
    for name, axes in axes_of.items():
        found = read_csv(results / f"studies/stream/{name}.csv").groupby(["controller", "budget"])["share"].mean()
        for controller, colour, marker in zip((FIXED, STEERED), COLOURS, MARKERS):
            shares = found[controller]
            axes.plot(shares.index, shares, color=colour, marker=marker, label=controller)
        axes.axline((0, 0), slope=1, color="#7F7F7F", linestyle=":", label="as wanted")
        axes.set_xlabel("budget")
        axes.set_ylabel("share spent")
    return legend(picture)


STUDY = Study(
    name="stream",
    title="A budget over a stream",
    text=(
        "Streams of requests, two for each test problem, that grow longer and then shorter. Fitted price: the price "
        "that spends the budget on validation. Steered: TRIM-Budget's budget is adjusted to the spending so far, and "
        f"spending stops when the credit ends. Overspent: windows of {_WINDOW} requests that take over {_OVER:g} times "
        "the budget. Regret: accuracy of the best single price in hindsight that keeps the budget, minus the accuracy "
        "reached."
    ),
    caption="Share of always-strong's tokens that a stream spends, over its budget.",
    wanted=lambda params: ROUTER in params.routers and bool(params.trees),
    table=_table,
    figure=_figure,
    inputs=lambda params: [f"studies/stream/{name}.csv" for name in params.benchmarks],
    run=_run,
)
