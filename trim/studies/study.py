"""Studies: questions about the results beside the main comparison, each with a table and a figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from trim.experiment.params import Params
from trim.files import write_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from trim.experiment.runner import Runner
    from trim.report.tables import Column


@dataclass(frozen=True)
class Job:
    """The inputs of a study that runs models.

    Attributes:
        params: the experiment.
        benchmark: name of the benchmark that the study runs on.
        case: the case to run, "" if the study has only one.
        runner: the models of the experiment; earlier draws are reused.
        problems: the table of the benchmark's problems.
        out: the file or folder to write.
        fitted: folder of the fitted routers, BENCHMARK/ each, if the study needs it.
        labelled: solutions in ProcessBench's format, for the calibration, if there are any.
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
    """Computation of a study's numbers from existing files, without a model.

    Attributes:
        benchmarks: the benchmarks to measure on.
        inputs: the files read for a benchmark, below the results.
        make: the tables of a benchmark, from the results: one for each of `parts`.
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
        caption: caption of the figure.
        wanted: True if an experiment has everything that the study needs.
        table: the table, from the results.
        figure: the figure, from the results.
        inputs: the files that the table and the figure are made from, below the results, except the study's own
            measurements.
        measurement: computes the study's own numbers, if those of the evaluation are not enough.
        run: runs models, if the study needs more than the episodes.
        cases: names of the study's cases; `run` is called once for each case on each benchmark.
        columns: columns that the study adds to the main table, by heading: the cell of each router, from the results
            and the name of a benchmark.
        test_trees: True if the study needs solution trees of the test problems too.
        prose: True if the table consists of sentences rather than numbers; it then comes first on the page.
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
        """True if an experiment asks for the study (by name or for all studies) and has everything that it needs."""
        return (params.studies is None or self.name in params.studies) and self.wanted(params)

    def show(self, params: Params, results: Path) -> list[Path]:
        """Write the table and draw the figure into the results; returns the paths.

        Raises:
            TrimError: if an input is missing or damaged.
        """
        from trim.report.figures import draw
        from trim.report.tables import write

        drawn = draw(results, self.name, lambda: self.figure(results, params))
        return write(results, self.name, self.table(results, params)) + drawn

    def measured(self, params: Params) -> list[str]:
        """The files that the measurement writes, below the results."""
        if self.measurement is None:
            return []
        return [path for name in self.measurement.benchmarks(params) for path in self.measured_on(name)]

    def measured_on(self, benchmark: str) -> list[str]:
        """The files that the measurement writes for one benchmark, below the results."""
        parts = self.measurement.parts if self.measurement else ()
        return [measured_path(self.name, benchmark, part) for part in parts]

    def measure(self, params: Params, benchmark: str, results: Path) -> list[Path]:
        """Measure on one benchmark and write the tables into the results; returns the paths.

        Raises:
            TrimError: if an input is missing or damaged.
        """
        assert self.measurement
        tables, paths = self.measurement.make(params, benchmark, results), []
        for part, path in zip(self.measurement.parts, self.measured_on(benchmark), strict=True):
            write_text(results / path, tables[part].to_csv(index=False, float_format="%.6g"))
            paths.append(results / path)
        return paths
