"""Calibration: the POMDP of a benchmark, from both models' solutions of its train split."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trim.answers import first_error
from trim.config import Params
from trim.draws import Node
from trim.episodes import Episode
from trim.errors import TrimError
from trim.pomdp.calibration import Solution, calibrate, guess_error
from trim.problems import read_problems
from trim.progress import Tracker
from trim.routers.always import AlwaysStrong, AlwaysWeak
from trim.workspace import Workspace

KINDS = ("single", "rule", "classes")


def make_calibration(
    params: Params,
    benchmark: str,
    problems: Path,
    layers: Sequence[Path],
    out: Path,
    draws_out: Path,
    journal: Path,
    tracker: Tracker,
) -> None:
    """Write three models of a benchmark into the folder `out`.

    `single` is the paper's, from labelled steps where there are labels; `rule` the same from
    the threshold rule alone; `classes` has latent difficulty classes.
    """
    workspace = Workspace(params, layers, journal, tracker)
    chosen = read_problems(problems, "train")
    policies = [policy for kind in (AlwaysWeak, AlwaysStrong) for policy in kind(None).policies().values()]
    episodes = workspace.run(chosen, policies)
    scores = workspace.scorer.score([e.node for e in episodes], [len(e.steps) for e in episodes])
    workspace.draws.export(draws_out)
    setting, found = params.calibration, {}
    for labels in ("steps", "rule"):
        rule = labels == "rule" or setting.labels == "rule"
        found[labels] = [
            _solution(episode, [s.score for s in read], rule, setting.threshold)
            for episode, read in zip(episodes, scores, strict=True)
        ]
    tokens = float(np.mean([step.tokens for e in episodes if e.policy == 0 for step in e.steps]))
    steps, half = params.generation.max_steps, len(chosen)
    labelled = _read_labelled(setting.solutions, workspace) if setting.solutions else []
    for kind in KINDS:
        weak, strong = (found["rule" if kind == "rule" else "steps"][i : i + half] for i in (0, half))
        model = calibrate(
            weak,
            strong,
            tokens,
            steps,
            classes=setting.classes if kind == "classes" else 1,
            labelled=None if kind == "rule" else labelled or None,
        )
        model.save(out / f"{kind}.json")


def _solution(episode: Episode, scores: list[float], rule: bool, threshold: float) -> Solution:
    texts = [step.text for step in episode.steps]
    if rule or not episode.problem.reference:
        error = guess_error(scores, episode.correct, threshold)
    else:
        error = first_error(episode.problem, texts)
    return Solution(np.array(scores), error)


def _read_labelled(path: Path, workspace: Workspace) -> list[Solution]:
    """Solutions with labels in ProcessBench's form (problem, steps, label), scored here.

    Raises:
        TrimError: if a line has not that form; it names file and line.
    """
    nodes, labels = [], []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TrimError(f"{path}: {error}") from error
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            node = Node.root(record["problem"])
            for step in record["steps"]:
                node = node.child(step)
            label = int(record["label"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TrimError(f"{path}:{number}: not problem, steps and label ({error!r})") from error
        if not -1 <= label < len(record["steps"]) or not record["steps"]:
            raise TrimError(f"{path}:{number}: label {label} is not -1…{len(record['steps']) - 1}")
        nodes.append(node)
        labels.append(label)
    scores = workspace.scorer.score(nodes, [len(node.prefix.steps) for node in nodes])
    return [Solution(np.array([s.score for s in read]), label) for read, label in zip(scores, labels, strict=True)]
