"""Checks of a finished run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from trim.cli.options import DEFAULT_PARAMS, ParamsFile, Results, RunParams, load_params, load_run
from trim.progress import display
from trim.stages.stage import DEFAULT_RESULTS
from trim.terminal import cell

if TYPE_CHECKING:
    from trim.audit.check import Check
    from trim.experiment.params import Params

audits = typer.Typer()
_NOTHING = 5e-4  # accuracy
STYLES = {"pass": "green", "fail": "bold red", "not recorded": "yellow"}


@audits.command()
def audit(
    reference: Annotated[
        Path | None,
        typer.Option("--against", help="Reference numbers, with the columns of results/measures.csv."),
    ] = None,
    selection: Annotated[
        bool,
        typer.Option(
            "--selection",
            help="Show instead the gain from choosing on the test problems, and the smallest difference they can show.",
        ),
    ] = False,
    lineage: Annotated[bool, typer.Option(help="Check the records of Snakemake and DVC.")] = True,
    results: Results = DEFAULT_RESULTS,
    params: RunParams = None,
) -> None:
    """Recompute every result that needs no model, and check that none was changed and where each came from.

    Exit status 1 if anything fails. With --selection: the choices behind the numbers at the middle budget.

    Example: trim audit --against workflow/reference/embedded.csv
    """
    from trim.audit.lineage import lineage as recorded
    from trim.audit.recompute import against, recomputed
    from trim.audit.retraced import retraced
    from trim.audit.sealed import unchanged

    found = load_run(params, results)
    if selection:
        _show_selection(found, results)
        return
    kinds: list[Iterator[Check]] = [unchanged(results), retraced(found, results), recomputed(found, results)]
    kinds += [recorded(results.parent, params or results / "params.yaml")] if lineage else []
    kinds += [against(reference, results)] if reference else []
    checks = []
    with display("audit") as tracker:
        for check in chain.from_iterable(kinds):
            checks.append(check)
            tracker.advanced(len(checks), len(checks))
    table = Table("check", Column("of", overflow="fold"), "result", Column("detail", overflow="fold"))
    figures = [check for check in checks if check.kind == "reference"]
    shown = [check for check in checks if check.kind != "reference" or check.outcome == "fail"]
    for check in shown:
        table.add_row(check.kind, cell(check.what), cell(check.outcome, STYLES[check.outcome]), cell(check.detail))
    console = Console()
    console.print(table)
    if figures:
        inside = sum(check.outcome == "pass" for check in figures)
        console.print(cell(f"{inside} of {len(figures)} figures lie in the intervals of {reference}"))
    failed = sum(check.outcome == "fail" for check in checks)
    console.print(
        f"{len(checks) - failed} of {len(checks)} checks passed" if failed else f"all {len(checks)} checks passed"
    )
    if failed:
        raise typer.Exit(1)


def _show_selection(params: Params, results: Path) -> None:
    from trim.audit.selection import choices

    table, nothing = Table("benchmark", "what", "of", "chosen", "on test", "gain", Column("", overflow="fold")), 0
    for choice in choices(params, results):
        if abs(choice.gain) < _NOTHING:
            nothing += 1
            continue
        accuracies = ["" if math.isnan(choice.chosen) else f"{v:.3f}" for v in (choice.chosen, choice.on_test)]
        cells = (choice.benchmark, choice.what, choice.of, *accuracies, f"{choice.gain:.3f}", choice.note)
        table.add_row(*map(cell, cells))
    console = Console()
    console.print(table)
    console.print(f"{nothing} more choices would have gained nothing; differences are those shown 4 times out of 5")


@audits.command()
def diff(
    one: Annotated[Path, typer.Argument(help="Results folder of a run.")],
    other: Annotated[Path, typer.Argument(help="Results folder of another run, on the same problems.")],
    measure: Annotated[list[str] | None, typer.Option(help="A measure, such as apgr; repeat for more.")] = None,
    changed: Annotated[bool, typer.Option(help="Show only rows whose interval excludes 0.")] = False,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Compare two runs' routers: the second minus the first, with paired intervals.

    Example: trim diff results ../other/results --measure apgr
    """
    from trim.audit.compare import difference
    from trim.report.tables import format_interval, headline_measure

    found = load_params(params)
    rows = difference(one, other, found, measure or [headline_measure(found), "apgr"])
    columns = ("benchmark", "router", "measure", str(one), str(other), "difference")
    table = Table(*(Column(cell(name)) for name in columns))
    for row in rows.itertuples():
        apart = row.low > 0 or row.high < 0
        if apart or not changed:
            cells = (
                f"{row.one:.3f}",
                f"{row.other:.3f}",
                format_interval(row.difference, row.low, row.high, reached=row.reached),
            )
            table.add_row(*map(cell, (row.benchmark, row.router, row.measure, *cells)), style="bold" if apart else "")
    Console().print(table)
