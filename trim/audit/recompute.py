"""Audit: every table, figure and page recomputed from the episodes, and numbers compared with a reference."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from trim.audit.check import Check
from trim.errors import TrimError
from trim.experiment.params import Params
from trim.files import read_text
from trim.page.page import write_page
from trim.problems import read_problems
from trim.report.figures import draw_figures
from trim.report.tables import read_csv, write_tables
from trim.stages.evaluate import make_evaluation
from trim.stages.problems import make_problems
from trim.studies import main_columns, studies_of

GIVEN = ("problems", "episodes", "routers", "validation", "calibration")
_EXACT = 1e-5  # relative: tables are written with six digits
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def recomputed(params: Params, results: Path) -> Iterator[Check]:
    """Recompute every table, figure and page from the episodes and the fits, and compare each with the run's.

    Raises:
        TrimError: if an episodes table is missing or damaged.
    """
    with TemporaryDirectory() as folder, _named_where_they_lie(Path(folder), results):
        again = Path(folder)
        yield from _problems(params, results, again / "problems.parquet")
        for name in GIVEN:
            if (results / name).exists():
                (again / name).symlink_to((results / name).resolve())
        yield from _compared(results, again, _evaluation(params, again))
        studies = studies_of(params)
        measured = {path for study in studies.values() for path in study.measured(params)}
        for path in sorted((results / "studies").glob("*/*")):
            target = again / path.relative_to(results)
            if str(path.relative_to(results)) not in measured:  # results of models are given, as episodes are
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(path.resolve())
        for study in studies.values():
            for benchmark in study.measurement.benchmarks(params) if study.measurement else ():
                yield from _compared(results, again, study.measure(params, benchmark, again))
        tables = write_tables(again, params, main_columns(params))
        yield from _compared(results, again, tables + draw_figures(again, params))
        for study in studies.values():
            yield from _compared(results, again, study.show(params, again))
        yield from _compared(results, again, [write_page(again, params)])


@contextmanager
def _named_where_they_lie(again: Path, results: Path) -> Iterator[None]:
    """Name a damaged file by its own path, not by that of a link to it."""
    try:
        yield
    except TrimError as error:
        raise TrimError(str(error).replace(str(again), str(results))) from error


def _problems(params: Params, results: Path, made: Path) -> Iterator[Check]:
    """Compare problems with freshly generated or read ones; downloaded ones are given."""
    for benchmark, source in params.benchmarks.items():
        name = f"problems/{benchmark}.parquet"
        if source.hub:
            continue
        try:
            make_problems(params, benchmark, made)
        except TrimError as error:
            yield Check("again", name, "not recorded", str(error))
            continue
        same = read_problems(made) == read_problems(results / name)
        yield Check("again", name, "pass" if same else "fail", "" if same else "its problems are not the source's")


def _evaluation(params: Params, again: Path) -> list[Path]:
    make_evaluation(params, [again / path for b in params.benchmarks for path in params.episodes(b)], again)
    return [*sorted(again.glob("*.csv")), again / "metrics.json"]


def _compared(results: Path, again: Path, paths: list[Path]) -> Iterator[Check]:
    """Compare files: CSV by its values, other text by its words and numbers, pictures by their bytes."""
    for path in paths:
        name = path.relative_to(again)
        try:
            if not (results / name).is_file():
                detail = "missing, or no file"
            elif path.suffix == ".csv":
                detail = _apart(read_csv(results / name), read_csv(path))
            elif path.suffix == ".png":
                detail = "" if (results / name).read_bytes() == path.read_bytes() else "its content is different"
            else:
                detail = _texts_apart(read_text(results / name), read_text(path))
        except TrimError as error:
            detail = str(error)
        yield Check("again", str(name), "fail" if detail else "pass", detail)


def _texts_apart(found: str, again: str) -> str:
    """The first number in which two texts differ; empty if they do not."""
    if found == again:
        return ""
    if _NUMBER.split(found) != _NUMBER.split(again):
        return "its text is different"
    one, other = (np.array(_NUMBER.findall(text), dtype=float) for text in (found, again))
    same = np.isclose(one, other, rtol=_EXACT, atol=1e-9)
    first = int(np.argmin(same))
    return "" if same.all() else f"{one[first]:g} found, {other[first]:g} made again"


def _apart(found: pd.DataFrame, again: pd.DataFrame) -> str:
    """Where two tables differ first; empty if they do not."""
    if list(found.columns) != list(again.columns) or len(found) != len(again):
        return f"{found.shape} rows and columns found, {again.shape} made again"
    for column in found:
        one, other = found[column], again[column]
        if pd.api.types.is_numeric_dtype(one) and pd.api.types.is_numeric_dtype(other):
            same = np.isclose(one.astype(float), other.astype(float), rtol=_EXACT, atol=1e-9, equal_nan=True)
        else:
            same = (one.fillna("") == other.fillna("")).to_numpy()
        if not same.all():
            row = int(np.argmin(same))
            return f"line {row + 2}, {column}: {one.iloc[row]} found, {other.iloc[row]} made again"
    return ""


def against(reference: Path, results: Path) -> Iterator[Check]:
    """Check that every number of a reference's table is within the reference's interval.

    A number that the reference reached in only some of its resamples has no interval, and may have any value or none
    elsewhere.

    Args:
        reference: columns benchmark, router, measure, value, low, high, and perhaps reached; as measures.csv.
        results: the folder of the run's results.

    Raises:
        TrimError: if a table is missing or malformed.
    """
    keys = ["benchmark", "router", "measure"]
    expected, found = read_csv(reference), read_csv(results / "measures.csv")
    if not {*keys, "value", "low", "high"} <= set(expected.columns):
        raise TrimError(f"{reference}: not a reference; it needs the columns of results/measures.csv")
    known = found.set_index(keys)["value"]
    for row in expected.itertuples():
        what = f"{row.benchmark}, {row.router}, {row.measure}"
        if (row.benchmark, row.router, row.measure) not in known.index:
            yield Check("reference", what, "fail", "not measured in this run")
            continue
        value = float(known[(row.benchmark, row.router, row.measure)])
        same = np.isnan(value) if np.isnan(row.value) else value == row.value or row.low <= value <= row.high
        if not same and 0 < getattr(row, "reached", 0) < 1:
            yield Check("reference", what, "not recorded", f"reached in {row.reached:.1%} of the reference's resamples")
            continue
        detail = "" if same else f"{value:.4f} found, {row.value:.4f} [{row.low:.4f}, {row.high:.4f}] in {reference}"
        yield Check("reference", what, "pass" if same else "fail", detail)
