"""The job of a stage that runs models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from trim.stages.stage import Input, Out

if TYPE_CHECKING:
    from trim.engine.store import Draws
    from trim.experiment.params import Params
    from trim.experiment.runner import Runner
    from trim.progress import Tracker


@dataclass(frozen=True)
class Job:
    """Inputs that all stages that run models share.

    Attributes:
        params: the experiment.
        tracker: shows progress.
        problems: the table of problems.
        out: the file or folder to write.
        journal: SQLite journal; an interrupted run resumes from it.
        layers: tables of existing draws.
        source: the experiment's file, for messages.
    """

    params: Params
    tracker: Tracker
    problems: Annotated[Path, Input("Table made by `trim problems`.")]
    out: Out
    journal: Annotated[Path, Input("SQLite journal; an interrupted run resumes from it.", place=2)]
    layers: Annotated[list[Path] | None, Input("Tables of existing draws.", positional=True)] = None
    source: Path = Path("params.yaml")

    def runner(self, params: Params | None = None) -> Runner[Draws]:
        """The models of the experiment, or of `params`, behind the existing draws.

        Raises:
            TrimError: if a layer or the journal is damaged or missing.
        """
        from trim.experiment.runner import Runner

        return Runner.open(params or self.params, self.layers or (), self.journal, self.tracker)
