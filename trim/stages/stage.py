"""The form of a stage: a function from files to files that declares its own command."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from inspect import getdoc
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

_DETAILS = re.compile(r"\n\n(?:Note|Raises):\n")


class Input(NamedTuple):
    """Metadata of a parameter: how the command line offers it.

    Attributes:
        help: its help text.
        positional: True for an argument, False for an option.
        minimum: the least allowed number.
        place: order among required options: files to read (0), files to write (1), the journal (2).
    """

    help: str | None = None
    positional: bool = False
    minimum: int | None = None
    place: int = 0


Output = partial(Input, place=1)
Split = Literal["train", "validation", "test"]
Benchmark = Annotated[str, Input("A benchmark of the experiment.")]
DrawsOut = Annotated[Path, Output("File for the draws made on the way.")]
Fitted = Annotated[Path | None, Input("Folder of fitted parameters, with a folder for each benchmark.")]
Labelled = Annotated[Path | None, Input("A file of labelled solutions in ProcessBench's form.")]
Out = Annotated[Path, Output("File to write.")]
Results = Annotated[Path, Input("Folder of the results.")]
Shard = Annotated[int, Input("Number of the shard, from 0.", minimum=0)]
DEFAULT_RESULTS = Path("results")


class Stage(NamedTuple):
    """A command that Snakemake runs.

    The command's options follow the order of the function's parameters: required ones first. `params` is read from the
    experiment's file, and `job` is replaced by the options of a `trim.stages.job.Job`.

    Attributes:
        name: the command, after its group if it has one, such as "prm train".
        make: the function. Its docstring is the help text, its result the lines to print.
        order: place in `trim --help`.
        progress: title of the progress display of a job; may contain inputs, such as "{router}, {benchmark}".
        out: help text of a job's `--out`.
        reads_draws: True if a job takes tables of existing draws.
        checked: the inputs that must be names of the experiment.
    """

    name: str
    make: Callable[..., str | Iterable[str]]
    order: int = 0
    progress: str = ""
    out: str = "File to write."
    reads_draws: bool = True
    checked: tuple[str, ...] = ("benchmark", "router")

    @property
    def help(self) -> str:
        """The docstring of the function, without its sections `Note` and `Raises`."""
        return _DETAILS.split(getdoc(self.make) or "")[0]
