"""The embedded models beside the published calibration: what the twin shares with the real thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from trim.config import Params
from trim.draws import Node
from trim.episodes import Episode
from trim.evaluation.published import published_points
from trim.evaluation.summary import interval, resamples
from trim.pomdp.calibration import STATES, Solution, density, observations
from trim.pomdp.model import published
from trim.problems import read_problems
from trim.problems.checks import first_error
from trim.progress import Tracker
from trim.routers.always import AlwaysStrong, AlwaysWeak
from trim.stages.evaluate import protocol
from trim.tables import write_text
from trim.workspace import Workspace

RIGHT, AFTER, ERROR = 0, 1, 2  # hidden states of the POMDP, in the order of `STATES`
Steps = dict[str, np.ndarray]


def make_twin(
    params: Params,
    benchmark: str,
    problems: Path,
    layers: Sequence[Path],
    out: Path,
    draws_out: Path | None,
    journal: Path,
    tracker: Tracker,
) -> None:
    """Write a row per figure (value, low, high) of a benchmark's test problems; the new draws are kept.

    The weak model's own log-probabilities are read from the draws where a router used them.
    """
    workspace = Workspace.over(params, layers, journal, tracker)
    test, found = read_problems(problems, "test"), {}
    for role, kind in (("weak", AlwaysWeak), ("strong", AlwaysStrong)):
        found[role] = workspace.run(test, list(kind(None).policies().values()))
    steps, scored = _steps(workspace, found["weak"])
    weights = resamples(len(test), protocol(params))
    rows = _figures(found, steps, weights, params.evaluation.confidence) + _densities(scored)
    write_text(out, pd.DataFrame(rows, columns=["figure", "value", "low", "high"]).to_csv(index=False))
    if draws_out:
        workspace.draws.export(draws_out)


def published_figures() -> dict[str, float]:
    """The same figures, as far as they follow from what was released with the paper (`math_train`, MATH-500)."""
    model = published()
    masses = dict(zip(STATES, model.observation.sum(axis=1), strict=True))
    centres = (np.arange(masses["S0"].size) + 0.5) / masses["S0"].size
    reached = np.concatenate([[1.0], np.cumprod(1 - model.hazard[0])[:-1]])
    ends, counts = model.hazard[0] * reached, np.arange(1, model.hazard.shape[1] + 1)
    mean = float(ends @ counts)
    solved = published_points()["accuracy"]
    return {
        "p_weak": float(model.p_weak[0]),
        "p_strong": float(model.p_strong[0]),
        "solved, weak": float(solved.iloc[0]),
        "solved, strong": float(solved.iloc[-1]),
        "steps, mean": mean,
        "steps, sd": float(np.sqrt(ends @ counts**2 - mean**2)),
        "AUC of the PRM, S0 against S2": _auc(masses["S0"], masses["S2"]),
        "AUC of the PRM, S0 against S1": _auc(masses["S0"], masses["S1"]),
        **{f"mean score, {state}": float(mass @ centres) for state, mass in masses.items()},
    }


def _auc(right: np.ndarray, wrong: np.ndarray) -> float:
    """Probability that a draw of one histogram lies above one of another; ties count half."""
    right, wrong = right / right.sum(), wrong / wrong.sum()
    below = np.concatenate([[0.0], np.cumsum(wrong)[:-1]])
    return float(right @ (below + wrong / 2))


def _steps(workspace: Workspace, episodes: Sequence[Episode]) -> tuple[Steps, list[Solution]]:
    """Every weak step: its problem's index, state, PRM score and log-probability; and the scored solutions."""
    nodes = [episode.node for episode in episodes]
    read = workspace.scorer.score(nodes, [len(e.steps) for e in episodes])
    prefixes = [_at(node, count) for node in nodes for count in range(1, len(node.prefix.steps) + 1)]
    logs = [s.score for s in workspace.weak.likelihoods(prefixes)]
    solutions = [
        Solution(np.array([s.score for s in row]), first_error(e.problem, [step.text for step in e.steps]))
        for row, e in zip(read, episodes, strict=True)
    ]
    points, states = observations(solutions)
    problem = np.repeat(np.arange(len(episodes)), [len(e.steps) for e in episodes])
    return {"problem": problem, "state": states, "score": points[:, 1], "log": np.array(logs)}, solutions


def _at(node: Node, steps: int) -> Node:
    """The node after the first steps of a solution."""
    found = Node.root(node.prefix.question, node.prefix.joint)
    for step in node.prefix.steps[:steps]:
        found = found.child(step)
    return found


def _figures(
    found: Mapping[str, Sequence[Episode]], steps: Steps, weights: np.ndarray, confidence: float
) -> list[tuple[str, float, float, float]]:
    """Figures with intervals over resampled problems."""
    outcomes = {}
    for role, episodes in found.items():
        errors = [first_error(e.problem, [step.text for step in e.steps]) for e in episodes]
        right = np.array([len(e.steps) if error < 0 else error for e, error in zip(episodes, errors, strict=True)])
        outcomes[role] = right, right + (np.array(errors) >= 0), np.array([e.correct for e in episodes])
    lengths = np.array([len(e.steps) for e in found["weak"]], dtype=float)

    def auc(name: str, wrong: int) -> Callable[[np.ndarray], float]:
        chosen = np.isin(steps["state"], [RIGHT, wrong])
        values, right = steps[name][chosen], steps["state"][chosen] == RIGHT
        problem = steps["problem"][chosen]
        return lambda weight: float(roc_auc_score(right, values, sample_weight=weight[problem]))

    def mean(state: int) -> Callable[[np.ndarray], float]:
        chosen = steps["state"] == state
        values, problem = steps["score"][chosen], steps["problem"][chosen]
        return lambda weight: float(np.average(values, weights=weight[problem]))

    measures: dict[str, Callable[[np.ndarray], float]] = {}
    for role, (right, reached, correct) in outcomes.items():
        measures[f"p_{role}"] = _share(right, reached)
        measures[f"solved, {role}"] = _share(correct, np.ones(len(correct)))
    measures |= {
        "steps, mean": lambda w: float(w @ lengths),
        "steps, sd": lambda w: float(np.sqrt(w @ lengths**2 - (w @ lengths) ** 2)),
        "AUC of the PRM, S0 against S2": auc("score", ERROR),
        "AUC of the PRM, S0 against S1": auc("score", AFTER),
        "AUC of the weak log-probability, S0 against S2": auc("log", ERROR),
        **{f"mean score, {name}": mean(state) for state, name in enumerate(STATES)},
    }
    rows, even = [], np.full(weights.shape[1], 1 / weights.shape[1])
    with threadpool_limits(1, "blas"):
        for name, measure in measures.items():
            samples = np.array([measure(w) for w in weights])
            rows.append((name, measure(even), *interval(samples, confidence)))
    return rows


def _share(part: np.ndarray, whole: np.ndarray) -> Callable[[np.ndarray], float]:
    """A ratio of two sums over weighted problems."""
    return lambda weight: float((weight @ part) / (weight @ whole))


def _densities(solutions: Sequence[Solution]) -> list[tuple[str, float, float, float]]:
    """Total variation between the score's density in each state and the published one, both by the same estimate."""
    points, states = observations(solutions)
    known, rows = published().observation.sum(axis=1), []
    for state, name in enumerate(STATES):
        apart = np.abs(density(points[states == state]).sum(axis=0) - known[state]).sum() / 2
        rows.append((f"total variation of the score, {name}", float(apart), np.nan, np.nan))
    return rows
