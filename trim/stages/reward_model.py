"""Reward models trained on the train split's solutions, and fusions of their scores with log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trim.experiment.params import Params
from trim.experiment.runner import Runner
from trim.experiment.trees import open_tree
from trim.files import write_json
from trim.models.files import folder
from trim.models.fusion import Fusion
from trim.pomdp.model import S0, S1
from trim.problems import read_problems
from trim.progress import Tracker
from trim.reward_models.examples import examples
from trim.reward_models.training import fit
from trim.rl.tree import ACCEPT


def make_reward_model(
    params: Params,
    name: str,
    problems: Path,
    layers: Sequence[Path],
    out: Path,
    journal: Path,
    tracker: Tracker,
) -> dict[str, float]:
    """Train a reward model of the experiment and write it into the folder `out`, in Hugging Face's format.

    It learns from whole solution trees if the experiment expands them, else from the weak model's solutions.

    Returns:
        Its results on the held-out problems, also in the folder's training.json.
    """
    settings, generation = params.reward_models[name], params.generation
    runner = Runner.open(params, layers, journal, tracker)
    tree = open_tree(runner, read_problems(problems, "train"))
    if params.trains_on(name) in params.trees:
        tree.expand()
    else:
        tree.weak_way()
    chosen = examples(tree, settings.labels, settings.solutions, np.random.default_rng(settings.seed))
    start, chat = getattr(params.models, settings.start), params.models.prm.chat(generation.instruction)
    trained = fit(folder(start), start.dtype, settings, chat, chosen, tracker.advanced)
    trained.save(out)
    write_json(out / "training.json", settings.model_dump(mode="json") | trained.figures)
    return trained.figures


def make_evidence(
    params: Params, name: str, problems: Path, layers: Sequence[Path], out: Path, journal: Path, tracker: Tracker
) -> int:
    """Fit the fusion of a reward model's scores with the weak model's log-probabilities; writes `out`.

    It is fitted on the weak model's solutions of the train split. By the problems' own step checkers, a step is right
    if all up to it are, and steps after the first error are left out; without references, it is right if its solution
    is.

    Args:
        params: the experiment.
        name: the reward model, "prm" for `models.prm`.
        problems: the table of problems.
        layers: draws made before.
        out: the file to write.
        journal: database that keeps each batch of draws.
        tracker: shows progress.

    Returns:
        The number of steps.
    """
    runner = Runner.open(params, layers, journal, tracker)
    if name != "prm":
        runner = runner.with_reward_model(params.reward_model(name))
    tree = open_tree(runner, read_problems(problems, "train"))
    points = tree.weak_way()
    problem = tree.problem[points]
    right, known = tree.weak_outcomes()[problem], np.ones(len(points), dtype=bool)
    checked = np.array([bool(p.reference) for p in tree.problems])[problem]
    states = tree.states(points[checked], np.full(checked.sum(), ACCEPT))
    right[checked], known[checked] = states == S0, states != S1
    Fusion.fit(tree.score[points[known]], tree.logprobs("weak", points[known]), right[known]).save(out)
    return int(known.sum())
