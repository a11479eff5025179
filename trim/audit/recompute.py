"""Audit: every number again from the episodes, where each result came from, and how it compares with a reference."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import pandas as pd

from trim.errors import TrimError
from trim.experiment.params import Params
from trim.files import file_digest, read_sealed, read_text
from trim.report.tables import read_csv, write, write_tables
from trim.stages.evaluate import make_evaluation
from trim.stages.manifest import MANIFEST
from trim.studies import studies_of

Outcome = Literal["pass", "fail", "not recorded"]
GIVEN = ("problems", "episodes", "routers", "validation", "calibration")
_EXACT = 1e-5  # relative: tables are written with six digits


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        kind: "unchanged", "again", "lineage" or "reference".
        what: a file, stage or figure.
        outcome: see above.
        detail: what was found, where it does not pass.
    """

    kind: str
    what: str
    outcome: Outcome
    detail: str = ""


def recomputed(params: Params, results: Path) -> Iterator[Check]:
    """Make every table again, from the episodes and what was fitted, and compare it with the one that is there.

    Raises:
        TrimError: if an episodes table is missing or damaged.
    """
    with TemporaryDirectory() as folder, _named_where_they_lie(Path(folder), results):
        again = Path(folder)
        for name in GIVEN:
            if (results / name).exists():
                (again / name).symlink_to((results / name).resolve())
        yield from _compared(results, again, _evaluation(params, again))
        studies = studies_of(params)
        measured = {path for study in studies.values() for path in study.measured(params)}
        for path in sorted((results / "studies").glob("*/*")):
            target = again / path.relative_to(results)
            if str(path.relative_to(results)) not in measured:  # what models were run for is given, as episodes are
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(path.resolve())
        for study in studies.values():
            for benchmark in study.measurement.benchmarks(params) if study.measurement else ():
                yield from _compared(results, again, study.measure(params, benchmark, again))
        yield from _compared(results, again, write_tables(again, params))
        for name, study in studies.items():
            yield from _compared(results, again, write(again, name, study.table(again, params)))


@contextmanager
def _named_where_they_lie(again: Path, results: Path) -> Iterator[None]:
    """A damaged file is named by its own path, not by that of a link to it."""
    try:
        yield
    except TrimError as error:
        raise TrimError(str(error).replace(str(again), str(results))) from error


def unchanged(results: Path) -> Iterator[Check]:
    """Whether every file is still as the run left it, by results/manifest.json."""
    path = results / MANIFEST
    try:
        listed = read_sealed(path)["files"]
    except (TrimError, KeyError, TypeError) as error:
        yield Check("unchanged", MANIFEST, "fail", str(error))
        return
    changed = []
    for name, digest in listed.items():
        try:
            detail = "" if file_digest(results / name) == digest else "its content is another than when it was made"
        except OSError as error:
            detail = str(error.strerror)
        if detail:
            changed.append(Check("unchanged", name, "fail", detail))
    yield from changed
    yield Check("unchanged", f"{len(listed) - len(changed)} of {len(listed)} files", "pass" if listed else "fail")


def _evaluation(params: Params, again: Path) -> list[Path]:
    make_evaluation(params, [again / path for b in params.benchmarks for path in params.episodes(b)], again)
    return [again / f"{name}.csv" for name in ("summary", "measures", "differences", "ratios", "units")]


def _compared(results: Path, again: Path, paths: list[Path]) -> Iterator[Check]:
    """Compare files: CSV by its values, other formats of a table by their text."""
    for path in paths:
        name = path.relative_to(again)
        try:
            if path.suffix == ".csv":
                detail = _apart(read_csv(results / name), read_csv(path))
            else:
                detail = "" if read_text(results / name) == read_text(path) else "its text is another"
        except TrimError as error:
            detail = str(error)
        yield Check("again", str(name), "fail" if detail else "pass", detail)


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


def lineage(root: Path, overlays: Sequence[Path] = ()) -> Iterator[Check]:
    """What Snakemake and DVC recorded of the results: parameters, code and the hashes of inputs, against those of now.

    Args:
        root: the project's folder.
        overlays: files that the run's `--configfile` named.

    Raises:
        TrimError: if one of the tools fails.
    """
    over = ["--configfile", *(str(path.absolute()) for path in overlays)] if overlays else []
    listed = _said(root, "snakemake", "--summary", "--quiet", "all", *over, "--", "all")
    rows = [line.split("\t") for line in listed.splitlines() if "\t" in line]
    if rows:
        names = rows[0]
        files = [dict(zip(names, row, strict=False)) for row in rows[1:]]
        stale = [file for file in files if file["plan"] != "no update" or file["status"] != "ok"]
        missing = [file for file in files if file["date"] in ("-", "")]
        counts = Counter(file["rule"] for file in files if file not in missing)
        for rule, count in sorted(counts.items()):
            own = [file for file in stale if file["rule"] == rule]
            detail = f"{own[0]['output_file']}: {own[0]['status']}; {own[0]['plan']}" if own else ""
            yield Check("lineage", f"Snakemake, {rule}: {count} files", "fail" if own else "pass", detail)
        for file in missing:
            yield Check("lineage", f"Snakemake, {file['rule']}", "fail", f"{file['output_file']} is missing")
    if not (root / "dvc.lock").exists():
        yield Check("lineage", "DVC", "not recorded", "dvc.lock is missing; `dvc repro` records the run")
        return
    changed = json.loads(_said(root, "dvc", "status", "--json") or "{}")
    recorded = (root / "dvc.lock").read_text(encoding="utf-8")
    for stage in _said(root, "dvc", "stage", "list", "--name-only").split():
        if f"\n  {stage}:" not in recorded:
            yield Check("lineage", f"DVC, {stage}", "not recorded", "`dvc repro` records it")
        else:
            detail = json.dumps(changed[stage]) if stage in changed else ""
            yield Check("lineage", f"DVC, {stage}", "fail" if detail else "pass", detail)


def _said(root: Path, *command: str) -> str:
    """What one of the tools beside this Python prints."""
    tool = Path(sys.executable).parent / command[0]
    try:
        done = subprocess.run([tool, *command[1:]], cwd=root, capture_output=True, text=True, check=False)
    except OSError as error:
        raise TrimError(
            f"{command[0]}: {error.strerror}; install it, or leave the lineage out with --no-lineage"
        ) from error
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise TrimError(f"{' '.join(command)}: {last[0] if last else 'failed'}; --no-lineage leaves the lineage out")
    return done.stdout


def against(reference: Path, results: Path) -> Iterator[Check]:
    """Whether every number of a reference's table lies in the interval that the reference gives it.

    One that the reference reached in some of its resamples only has no interval, and may be any or none elsewhere.

    Args:
        reference: columns benchmark, router, measure, value, low, high, and perhaps reached; as measures.csv.
        results: the folder of the run's results.

    Raises:
        TrimError: if a table is missing or not one.
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
