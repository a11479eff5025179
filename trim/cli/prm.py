"""Training reward models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trim.cli.options import DEFAULT_PARAMS, Journal, Layers, Out, ParamsFile, Problems, load_params
from trim.errors import TrimError
from trim.progress import display

prm = typer.Typer(no_args_is_help=True, help="Train reward models on the experiment's own solutions.")


@prm.command()
def train(
    name: Annotated[str, typer.Argument(help="A reward model of the section `reward_models`.")],
    problems: Problems,
    out: Annotated[Path, typer.Option(help="Folder to write the model into.")],
    journal: Journal,
    layers: Layers = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Train a reward model on the solutions and trees of the train split, and write it into OUT.

    Snakemake trains those that routers use: `snakemake --cores all results/reward_models/NAME/model.safetensors`.

    Example: trim prm train small --problems results/problems/standard.parquet --out results/reward_models/small ...
    """
    from trim.stages.reward_model import make_reward_model

    found = load_params(params)
    _known(name, list(found.reward_models), params)
    with display(f"reward model, {name}") as tracker:
        figures = make_reward_model(found, name, problems, layers or [], out, journal, tracker)
    print(f"{out}: " + ", ".join(f"{key} {value:.4g}" for key, value in figures.items()))


@prm.command()
def fuse(
    name: Annotated[
        str, typer.Argument(help="A reward model of the section `reward_models`, or prm for `models.prm`.")
    ],
    problems: Problems,
    out: Out,
    journal: Journal,
    layers: Layers = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Fuse a reward model's score and the weak model's log-probability into one probability of a right step: OUT.

    Snakemake does it for routers with `evidence: [weak, prm]`.

    Example: trim prm fuse prm --problems results/problems/standard.parquet --out results/evidence/prm.json ...
    """
    from trim.stages.reward_model import make_evidence

    found = load_params(params)
    _known(name, ["prm", *found.reward_models], params)
    with display(f"evidence, {name}") as tracker:
        count = make_evidence(found, name, problems, layers or [], out, journal, tracker)
    print(f"{out}: fitted to {count} steps")


def _known(name: str, names: list[str], params: Path) -> None:
    if name not in names:
        raise TrimError(f"{params}: no reward model {name} in it; it has: {', '.join(names) or 'none'}")
