"""Reward models of one's own, trained on the train split's solutions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trim.experiment.params import Params
from trim.experiment.runner import Runner
from trim.experiment.trees import open_tree
from trim.files import write_json
from trim.models.files import folder
from trim.problems import read_problems
from trim.progress import Tracker
from trim.reward_models.examples import examples
from trim.reward_models.training import fit


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

    It learns from whole solution trees where the experiment expands them, else from the weak model's solutions.

    Returns:
        What it reaches on the problems that were held out, which training.json in the folder says too.
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
