"""The command line: commands for people, and one command per stage, which Snakemake calls in order."""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import sqlite3
import sys
import traceback
from pathlib import Path

import typer

from trim.cli.audit import audits
from trim.cli.choose import choose
from trim.cli.options import PIPELINE
from trim.cli.pomdp import pomdp
from trim.cli.reports import reports
from trim.cli.serve import serve
from trim.cli.solve import solve
from trim.cli.stages import prm, stages
from trim.cli.studies import studies
from trim.errors import TrimError, printable

_CURES = {
    errno.ENOSPC: "the disk is full; make room (finished work is kept)",
    errno.EROFS: "the file system is read-only; run where you may write",
    errno.EACCES: "permission denied; run where you may write",
    errno.ENOENT: "make it with Snakemake, or name another",
}

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Route multi-step reasoning one step at a time: a weak model writes, a reward model scores, "
    "a strong model rewrites the critical steps.\n\nThe whole pipeline: [bold]snakemake --cores all[/bold].",
)
app.command()(solve)
app.command()(serve)
app.command()(choose)
for part in (stages, studies, reports, audits):
    app.add_typer(part)
app.add_typer(pomdp, name="pomdp")
app.add_typer(prm, name="prm", rich_help_panel=PIPELINE)


def main() -> None:
    """Run the command line; a user's mistake gives one line and exit status 2, a bug of ours one line and status 1."""
    # Millions of live steps, no cycles: frequent garbage collection takes a fifth of a replay's time.
    gc.set_threshold(200_000, 20, 100)
    logging.basicConfig(format="trim: %(message)s", level=logging.WARNING)
    try:
        app()
    except Exception as error:  # the last resort: tracebacks are shown on request
        if os.environ.get("TRIM_TRACEBACK"):
            raise
        line, status = _explained(error)
        # If nothing can be written, the exit status remains.
        with contextlib.suppress(OSError, AttributeError):
            print(f"trim: {printable(' '.join(line.split()))}", file=sys.stderr)
        sys.exit(status)


def _explained(error: Exception) -> tuple[str, int]:
    """One line about the error, and the exit status."""
    if isinstance(error, TrimError):
        return str(error), 2
    if isinstance(error, BrokenPipeError):
        return "the reader of the output is gone", 2
    if isinstance(error, OSError) and error.strerror:
        cure = _CURES.get(error.errno or 0, "TRIM_TRACEBACK=1 shows where")
        return f"{error.filename or 'a file'}: {error.strerror}; {cure}", 2
    if isinstance(error, sqlite3.OperationalError):
        return f"a database of results/.journal: {error}; is the disk full or read-only?", 2
    if isinstance(error, MemoryError):
        return "not enough memory; a smaller batch_size of the models needs less", 2
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    return f"unexpected {type(error).__name__} in {where}: {str(error)[:300]}; TRIM_TRACEBACK=1 shows the rest", 1
