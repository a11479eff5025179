"""Reward models trained on the train split's solutions, and fusions of their scores with log-probabilities."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from trim.errors import TrimError
from trim.stages.job import Job
from trim.stages.stage import Input, Stage


def make_reward_model(
    job: Job,
    name: Annotated[str, Input("A reward model of the section `reward_models`.", positional=True)],
) -> str:
    """Train a reward model on the solutions and trees of the train split, and write it into OUT.

    Snakemake trains those that routers use: `snakemake --cores all results/reward_models/NAME/model.safetensors`.

    Example: trim prm train small --problems results/problems/standard.parquet --out results/reward_models/small ...

    Note:
        It learns from whole solution trees if the experiment expands them, else from the weak model's solutions. Its
        results on the held-out problems are in training.json too.
    """
    import numpy as np

    from trim.experiment.trees import open_tree
    from trim.files import write_json
    from trim.models.files import folder
    from trim.problems import read_problems
    from trim.reward_models.examples import examples
    from trim.reward_models.training import fit

    params = job.params
    _check(job, name, params.reward_models)
    settings, generation = params.reward_models[name], params.generation
    runner = job.runner()
    tree = open_tree(runner, read_problems(job.problems, "train"))
    if params.trains_on(name) in params.trees:
        tree.expand()
    else:
        tree.weak_way()
    chosen = examples(tree, settings.labels, settings.solutions, np.random.default_rng(settings.seed))
    start, chat = getattr(params.models, settings.start), params.models.prm.chat(generation.instruction)
    trained = fit(folder(start), start.dtype, settings, chat, chosen, job.tracker.advanced)
    trained.save(job.out)
    write_json(job.out / "training.json", settings.model_dump(mode="json") | trained.figures)
    return f"{job.out}: " + ", ".join(f"{key} {value:.4g}" for key, value in trained.figures.items())


def make_evidence(
    job: Job,
    name: Annotated[
        str, Input("A reward model of the section `reward_models`, or prm for `models.prm`.", positional=True)
    ],
) -> str:
    """Fuse a reward model's score and the weak model's log-probability into one probability of a right step: OUT.

    Snakemake does it for routers with `evidence: [weak, prm]`.

    Example: trim prm fuse prm --problems results/problems/standard.parquet --out results/evidence/prm.json ...

    Note:
        It is fitted on the weak model's solutions of the train split. By the problems' own step checkers, a step is
        right if all up to it are, and steps after the first error are left out; without references, it is right if its
        solution is.
    """
    import numpy as np

    from trim.experiment.trees import open_tree
    from trim.models.fusion import Fusion
    from trim.pomdp.model import S0, S1
    from trim.problems import read_problems
    from trim.rl.tree import ACCEPT

    _check(job, name, ["prm", *job.params.reward_models])
    runner = job.runner()
    if name != "prm":
        runner = runner.with_reward_model(job.params.reward_model(name))
    tree = open_tree(runner, read_problems(job.problems, "train"))
    points = tree.weak_way()
    problem = tree.problem[points]
    right, known = tree.weak_outcomes()[problem], np.ones(len(points), dtype=bool)
    checked = np.array([bool(p.reference) for p in tree.problems])[problem]
    states = tree.states(points[checked], np.full(checked.sum(), ACCEPT))
    right[checked], known[checked] = states == S0, states != S1
    Fusion.fit(tree.score[points[known]], tree.logprobs("weak", points[known]), right[known]).save(job.out)
    return f"{job.out}: fitted to {known.sum()} steps"


def _check(job: Job, name: str, names: Collection[str]) -> None:
    if name not in names:
        raise TrimError(f"{job.source}: no reward model {name} in it; it has: {', '.join(names) or 'none'}")


STAGES = [
    Stage(
        "prm train",
        make_reward_model,
        order=18,
        progress="reward model, {name}",
        out="Folder to write the model into.",
    ),
    Stage("prm fuse", make_evidence, order=19, progress="evidence, {name}"),
]
