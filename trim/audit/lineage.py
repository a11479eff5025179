"""Snakemake's and DVC's records of a run."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from trim.audit.check import Check
from trim.errors import TrimError
from trim.stages.environment import find
from trim.stages.manifest import result_files

_SHOWN = 3  # files of a list


def lineage(root: Path, params: Path) -> Iterator[Check]:
    """Compare Snakemake's and DVC's records of the results with the current parameters, code and inputs.

    Args:
        root: the project's folder.
        params: the run's parameters, for Snakemake.

    Raises:
        TrimError: if one of the tools fails.
    """
    yield from _snakemake(root, params)
    yield from _dvc(root)


def _snakemake(root: Path, params: Path) -> Iterator[Check]:
    over = ("--configfile", str(params.absolute()))
    listed = _said(root, "snakemake", "--summary", "--quiet", "all", *over, "--", "all")
    rows = [line.split("\t") for line in listed.splitlines() if "\t" in line]
    if not rows:
        return
    files = [dict(zip(rows[0], row, strict=False)) for row in rows[1:]]
    stale = [file for file in files if file["plan"] != "no update" or file["status"] != "ok"]
    missing = [file for file in files if file["date"] in ("-", "")]
    counts = Counter(file["rule"] for file in files if file not in missing)
    for rule, count in sorted(counts.items()):
        own = [file for file in stale if file["rule"] == rule]
        detail = f"{own[0]['output_file']}: {own[0]['status']}; {own[0]['plan']}" if own else ""
        yield Check("lineage", f"Snakemake, {rule}: {count} files", "fail" if own else "pass", detail)
    for file in missing:
        yield Check("lineage", f"Snakemake, {file['rule']}", "fail", f"{file['output_file']} is missing")
    outputs = {PurePosixPath(file["output_file"]) for file in files}
    extra = [name for name in result_files(root / "results") if not outputs & _above(PurePosixPath("results", name))]
    if extra:
        more = f" and {len(extra) - _SHOWN} more" if len(extra) > _SHOWN else ""
        detail = f"{', '.join(extra[:_SHOWN])}{more}: no outputs of `snakemake all` with the run's parameters"
        yield Check("lineage", "Snakemake, other files", "not recorded", detail)


def _above(path: PurePosixPath) -> set[PurePosixPath]:
    return {path, *path.parents}


def _dvc(root: Path) -> Iterator[Check]:
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
    """The output of a tool that is beside this Python or on PATH."""
    try:
        done = subprocess.run(
            [find(command[0]) or command[0], *command[1:]], cwd=root, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise TrimError(
            f"{command[0]}: {error.strerror}; install it, or leave the lineage out with --no-lineage"
        ) from error
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise TrimError(f"{' '.join(command)}: {last[0] if last else 'failed'}; --no-lineage leaves the lineage out")
    return done.stdout
