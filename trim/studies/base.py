"""What a study is: a question asked of the results beside the main comparison, with a table and a figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from trim.experiment.params import Params
from trim.files import write_text
from trim.report.tables import Column

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from trim.experiment.runner import Runner


@dataclass(frozen=True)
class Job:
    """What a study that runs models is given.

    Attributes:
        params: the experiment.
        benchmark: name of the benchmark that the study runs on.
        case: which of the study's cases to run, "" where it has only one.
        runner: the models of the experiment, behind the draws that were made before.
        problems: the table of the benchmark's problems.
        out: the file or folder to write.
        fitted: folder of what was fitted, BENCHMARK/ each, where the study needs it.
        labelled: solutions in ProcessBench's form, for the calibration, where there are any.
    """

    params: Params
    benchmark: str
    case: str
    runner: Runner
    problems: Path
    out: Path
    fitted: Path | None = None
    labelled: Path | None = None


@dataclass(frozen=True)
class Measurement:
    """How a study's numbers follow from files that were made before, without a model.

    Attributes:
        benchmarks: the benchmarks that it is measured on.
        inputs: the files that it reads for one of them, below the results.
        make: the tables of one of them, from the results: one for each of `parts`.
        parts: names of the tables; each becomes results/studies/STUDY/BENCHMARK.PART.csv, and "" BENCHMARK.csv.
    """

    benchmarks: Callable[[Params], list[str]]
    inputs: Callable[[Params, str], list[str]]
    make: Callable[[Params, str, Path], Mapping[str, pd.DataFrame]]
    parts: tuple[str, ...] = ("",)


def measured_path(study: str, benchmark: str, part: str = "") -> str:
    """A table of a study's own numbers on one benchmark, below the results."""
    return f"studies/{study}/{benchmark}{'.' if part else ''}{part}.csv"


def read_measured(results: Path, study: str, benchmarks: Iterable[str], part: str = "") -> pd.DataFrame:
    """A study's own numbers on some benchmarks.

    Raises:
        TrimError: if a table is missing or damaged.
    """
    import pandas as pd

    from trim.report.tables import read_csv

    tables = [read_csv(results / measured_path(study, benchmark, part)) for benchmark in benchmarks]
    return pd.concat(tables, ignore_index=True)


@dataclass(frozen=True)
class Study:
    """One study: a file of this package that ends with its `STUDY`.

    Attributes:
        name: the name of its file, and of its table and figure in the results.
        title: heading of its table on the page.
        text: how to read the table.
        caption: what the figure shows.
        wanted: whether an experiment has what it needs.
        table: the table, from the results.
        figure: the figure, from the results.
        inputs: the files that table and figure are drawn from, below the results, but for those that it measures.
        measurement: how its numbers are measured, if they are not those of the evaluation.
        run: runs models for it, if it needs more than the episodes.
        cases: what `run` is called for on each benchmark: the names of its cases.
        columns: columns that it adds to the main table, by heading: the cell of each router, from the results and the
            name of a benchmark.
        test_trees: whether it needs solution trees of the test problems too.
        prose: whether its table is read, not scanned, and so comes first on the page.
    """

    name: str
    title: str
    text: str
    caption: str
    wanted: Callable[[Params], bool]
    table: Callable[[Path, Params], pd.DataFrame]
    figure: Callable[[Path, Params], Figure]
    inputs: Callable[[Params], list[str]] = lambda params: []
    measurement: Measurement | None = None
    run: Callable[[Job], None] | None = None
    cases: Callable[[Params], list[str]] = lambda params: [""]
    columns: Mapping[str, Column] = field(default_factory=dict)
    test_trees: bool = False
    prose: bool = False

    def made(self, params: Params) -> bool:
        """Whether an experiment makes it: it asks for it, or for all, and has what it needs."""
        return (params.studies is None or self.name in params.studies) and self.wanted(params)

    def show(self, params: Params, results: Path) -> list[Path]:
        """Write the table and draw the figure into the results; returns the paths.

        Raises:
            TrimError: if what they are drawn from is missing or damaged.
        """
        from trim.report.figures import draw
        from trim.report.tables import write

        drawn = draw(results, self.name, lambda: self.figure(results, params))
        return write(results, self.name, self.table(results, params)) + drawn

    def measured(self, params: Params) -> list[str]:
        """The files that its measurement writes, below the results."""
        if self.measurement is None:
            return []
        return [path for name in self.measurement.benchmarks(params) for path in self.measured_on(name)]

    def measured_on(self, benchmark: str) -> list[str]:
        """The files that its measurement writes for one benchmark, below the results."""
        parts = self.measurement.parts if self.measurement else ()
        return [measured_path(self.name, benchmark, part) for part in parts]

    def measure(self, params: Params, benchmark: str, results: Path) -> list[Path]:
        """Write what is measured on one benchmark into the results; returns the paths.

        Raises:
            TrimError: if a file that it reads is missing or damaged.
        """
        assert self.measurement
        tables, paths = self.measurement.make(params, benchmark, results), []
        for part, path in zip(self.measurement.parts, self.measured_on(benchmark), strict=True):
            write_text(results / path, tables[part].to_csv(index=False, float_format="%.6g"))
            paths.append(results / path)
        return paths
