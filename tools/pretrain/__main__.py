"""The command line: `python -m tools.pretrain`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from tools.pretrain.settings import read_settings
from trim.cli.options import DEFAULT_PARAMS, ParamsFile, load_params
from trim.errors import TrimError, printable
from trim.progress import display

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Train the embedded models from scratch.")
Out = Annotated[Path, typer.Option(help="Folder to write the model into.")]
SettingsFile = Annotated[Path, typer.Option("--settings", help="The settings of the training.")]
DEFAULT_SETTINGS = Path(__file__).with_name("settings.yaml")


@app.command()
def lm(
    model: Annotated[Literal["weak", "strong"], typer.Option()],
    out: Out,
    settings: SettingsFile = DEFAULT_SETTINGS,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Train a language model.

    Example: python -m tools.pretrain lm --model weak --out results/pretrain/weak
    """
    from tools.pretrain.cards import make_language_model

    with display(f"pretrain {model}") as tracker:
        make_language_model(read_settings(settings), load_params(params), model, out, tracker)


@app.command()
def prm(
    weak: Annotated[Path, typer.Option()],
    strong: Annotated[Path, typer.Option()],
    out: Out,
    settings: SettingsFile = DEFAULT_SETTINGS,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Train the reward model on solutions that both language models sample."""
    from tools.pretrain.cards import make_reward_model

    with display("pretrain prm") as tracker:
        make_reward_model(read_settings(settings), load_params(params), weak, strong, out, tracker)


@app.command()
def cards(
    folder: Annotated[Path, typer.Argument(help="The folder that holds weak, strong and prm.")],
    settings: SettingsFile = DEFAULT_SETTINGS,
) -> None:
    """Measure the three models and write a model card into each."""
    from tools.pretrain.cards import make_cards

    for path in make_cards(read_settings(settings), folder):
        print(path)


if __name__ == "__main__":
    try:
        app(prog_name="python -m tools.pretrain")
    except TrimError as error:
        print(f"trim: {printable(str(error))}", file=sys.stderr)
        sys.exit(2)
