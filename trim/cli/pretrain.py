"""The embedded models from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trim.cli.options import (
    DEFAULT_PARAMS,
    Out,
    ParamsFile,
    Role,
    load_params,
)
from trim.progress import display

pretrain = typer.Typer(no_args_is_help=True, help="Train the embedded models from scratch.")


@pretrain.command("lm")
def pretrain_lm(model: Annotated[Role, typer.Option()], out: Out, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Train a language model.

    Example: trim pretrain lm --model weak --out results/pretrain/weak
    """
    from trim.pretrain.cards import make_language_model

    with display(f"pretrain {model.value}") as tracker:
        make_language_model(load_params(params), model.value, out, tracker)


@pretrain.command("prm")
def pretrain_prm(
    weak: Annotated[Path, typer.Option()],
    strong: Annotated[Path, typer.Option()],
    out: Out,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Train the reward model on solutions that both language models sample."""
    from trim.pretrain.cards import make_reward_model

    with display("pretrain prm") as tracker:
        make_reward_model(load_params(params), weak, strong, out, tracker)


@pretrain.command("cards")
def pretrain_cards(
    folder: Annotated[Path, typer.Argument(help="The folder that holds weak, strong and prm.")],
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Measure the three models and write a model card into each."""
    from trim.pretrain.cards import make_cards

    for path in make_cards(load_params(params), folder):
        print(path)
