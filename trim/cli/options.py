"""Options that several commands share."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from trim.experiment.params import Params


class Role(str, Enum):
    """A language model's role."""

    weak = "weak"
    strong = "strong"

    @property
    def role(self) -> Literal["weak", "strong"]:
        """Its name."""
        return "weak" if self is Role.weak else "strong"


ParamsFile = Annotated[Path, typer.Option("--params", help="The experiment's file.")]
RunParams = Annotated[
    Path | None,
    typer.Option("--params", help="The experiment's file; by default the run's, in the results."),
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
Out = Annotated[Path, typer.Option(help="File to write.")]
Results = Annotated[Path, typer.Option(help="Folder of the results.")]
# Panels of `trim --help`, below the commands for people.
PIPELINE = "Stages of the pipeline, which Snakemake runs"
STUDIES = "Studies, which Snakemake runs"
DEFAULT_PARAMS = Path("params.yaml")


def load_run(path: Path | None, results: Path) -> Params:
    """The parameters of the run that made the results, or of the file at `path`."""
    return load_params(path or results / "params.yaml")


def load_params(path: Path, benchmark: str | None = None, router: str | None = None) -> Params:
    """See `trim.experiment.load.load`, imported only when needed."""
    from trim.experiment.load import load

    return load(path, benchmark, router)
