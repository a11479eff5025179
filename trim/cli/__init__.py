"""The command line: one command a stage. `snakemake` calls them in order."""

from __future__ import annotations

import gc
import sys

import typer

from trim.cli.audit import audits
from trim.cli.pomdp import pomdp
from trim.cli.pretrain import pretrain
from trim.cli.reports import reports
from trim.cli.solve import solve
from trim.cli.stages import stages
from trim.cli.studies import studies
from trim.errors import TrimError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Route multi-step reasoning one step at a time: a weak model writes, a reward model scores, "
    "a strong model rewrites the critical steps.\n\nThe whole pipeline: [bold]snakemake --cores all[/bold]. "
    "The commands below are its stages.",
)
app.command()(solve)
app.add_typer(stages)
app.add_typer(studies)
app.add_typer(reports)
app.add_typer(audits)
app.add_typer(pomdp, name="pomdp")
app.add_typer(pretrain, name="pretrain")


def main() -> None:
    """Run the command line; a user's mistake is one line and exit status 2."""
    # Millions of live steps, no cycles: looking for garbage often takes a fifth of a replay's time.
    gc.set_threshold(200_000, 20, 100)
    try:
        app()
    except TrimError as error:
        print(f"trim: {error}", file=sys.stderr)
        sys.exit(2)
