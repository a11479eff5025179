"""Calibration: the POMDP of a benchmark, from both models' solutions of its train split."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trim.engine.episode import Episode
from trim.engine.store import Node
from trim.errors import TrimError
from trim.experiment.runner import Runner
from trim.pomdp.calibration import Solution, agreement, calibrate, guess_error
from trim.pomdp.model import StepModel
from trim.problems import read_problems
from trim.problems.checks import first_error
from trim.problems.jsonl import plain
from trim.problems.records import records
from trim.routers.always import AlwaysStrong, AlwaysWeak


class Calibrations(NamedTuple):
    """Models of a benchmark by name, and the threshold rule's error by language model."""

    models: dict[str, StepModel]
    rule: dict[str, dict[str, float]]


def calibrations(runner: Runner, table: Path, labelled: Path | None = None) -> Calibrations:
    """Calibrate on both models' solutions of the train split; see `trim.stages.calibrate`.

    Args:
        runner: the runner of the experiment.
        table: the table of the problems.
        labelled: solutions in ProcessBench's form, for the score densities; those of test problems are left out.

    Raises:
        TrimError: if there are too few solutions of a kind; see `trim.pomdp.calibration.calibrate`.
    """
    setting, steps = runner.params.calibration, runner.params.generation.max_steps
    policies = [policy for end in (AlwaysWeak, AlwaysStrong) for policy in end(None).policies().values()]
    problems = read_problems(table, "train")
    episodes = runner.run(problems, policies)
    read = runner.scorer.score([e.node for e in episodes], [len(e.steps) for e in episodes])
    scores = [np.array([step.score for step in row]) for row in read]
    guessed = [Solution(s, guess_error(s, e.correct, setting.threshold)) for s, e in zip(scores, episodes, strict=True)]
    known = guessed
    if setting.labels == "steps":
        known = [_labelled(e, s) if e.problem.reference else g for e, s, g in zip(episodes, scores, guessed)]
    tokens = float(np.mean([step.tokens for e in episodes if e.policy == 0 for step in e.steps]))
    tested = {plain(problem.question) for problem in read_problems(table, "test")}
    densities = _read_labelled(labelled, runner, tested) if labelled else None
    half = len(problems)
    models = {
        "single": calibrate(known[:half], known[half:], tokens, steps, labelled=densities),
        "rule": calibrate(guessed[:half], guessed[half:], tokens, steps),
        "classes": calibrate(known[:half], known[half:], tokens, steps, setting.classes, densities),
    }
    return Calibrations(
        models,
        {"weak": agreement(known[:half], guessed[:half]), "strong": agreement(known[half:], guessed[half:])},
    )


def _labelled(episode: Episode, scores: np.ndarray) -> Solution:
    return Solution(scores, first_error(episode.problem, [step.text for step in episode.steps]))


def _read_labelled(path: Path, runner: Runner, tested: Set[str] = frozenset()) -> list[Solution]:
    """Solutions with labels in ProcessBench's form (problem, steps, label), scored here; without tested questions.

    Raises:
        TrimError: if a line is malformed; it names file and line.
    """
    nodes, labels = [], []
    for number, record in records(path):
        try:
            question, steps, label = record["problem"], record["steps"], record["label"]
            whole = isinstance(question, str) and isinstance(steps, list) and all(isinstance(s, str) for s in steps)
        except (KeyError, TypeError, IndexError):
            whole = False
        if not whole or type(label) is not int:
            raise TrimError(f"{path}:{number}: not problem, steps and label")
        if not steps or not -1 <= label < len(steps):
            raise TrimError(f"{path}:{number}: label {label} is not -1…{len(steps) - 1}")
        node = Node.root(question)
        for step in steps:
            node = node.child(step)
        if plain(question) not in tested:
            nodes.append(node)
            labels.append(label)
    scores = runner.scorer.score(nodes, [len(node.prefix.steps) for node in nodes])
    return [Solution(np.array([s.score for s in row]), label) for row, label in zip(scores, labels, strict=True)]
