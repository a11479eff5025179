"""Options that several commands share."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from trim.experiment.params import Params


class Split(str, Enum):
    """A split of a benchmark."""

    train = "train"
    validation = "validation"
    test = "test"


class Role(str, Enum):
    """A language model's role."""

    weak = "weak"
    strong = "strong"


ParamsFile = Annotated[Path, typer.Option("--params", help="The experiment's file.")]
RunParams = Annotated[
    Path | None,
    typer.Option("--params", help="The experiment's file; by default that of the run, in the results."),
]
OwnParams = Annotated[
    Path | None,
    typer.Option(
        "--params",
        help="The experiment's file; by default params.yaml where there is one, else the embedded experiment.",
    ),
]
FittedOn = Annotated[
    str | None, typer.Option("--benchmark", help="Use the fits of this benchmark; by default the first.")
]
Benchmark = Annotated[str, typer.Option(help="A benchmark of the experiment.")]
Problems = Annotated[Path, typer.Option(help="Table made by `trim problems`.")]
Layers = Annotated[list[Path] | None, typer.Argument(help="Tables of draws that were made before.")]
Journal = Annotated[Path, typer.Option(help="Database that keeps every batch as it is made.")]
Fitted = Annotated[Path | None, typer.Option(help="Folder of what was fitted, with a folder for each benchmark.")]
Labelled = Annotated[Path | None, typer.Option(help="A file of labelled solutions in ProcessBench's form.")]
Out = Annotated[Path, typer.Option(help="File to write.")]
Shard = Annotated[int, typer.Option(min=0, help="Number of the shard, from 0.")]
Results = Annotated[Path, typer.Option(help="Folder of the results.")]
# Panels of `trim --help`; what people call by hand stands above them.
PIPELINE = "Stages of the pipeline, which Snakemake runs"
STUDIES = "Studies, which Snakemake runs"
DEFAULT_PARAMS = Path("params.yaml")
DEFAULT_RESULTS = Path("results")


def load_run(path: Path | None, results: Path) -> Params:
    """The parameters of the run that made the results, or of a file that is named in their place."""
    return load_params(path or results / "params.yaml")


def load_params(path: Path, benchmark: str | None = None, router: str | None = None) -> Params:
    """See `trim.experiment.load.load`, which is imported only when it is needed."""
    from trim.experiment.load import load

    return load(path, benchmark, router)
