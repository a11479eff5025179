"""Choosing an operating point with a guarantee."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from trim.cli.options import FittedOn, OwnParams, Results
from trim.errors import TrimError
from trim.stages.stage import DEFAULT_RESULTS
from trim.terminal import cell


def choose(
    accuracy: Annotated[
        float | None, typer.Option(min=0.01, max=0.999, help="Reach at least this share of always-strong's accuracy.")
    ] = None,
    spend: Annotated[
        float | None, typer.Option(min=0.001, max=1, help="Spend at most this share of always-strong's tokens.")
    ] = None,
    risk: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Largest probability that the promise is broken.")
    ] = 0.05,
    router: Annotated[
        list[str] | None, typer.Option(help="A router to choose among; repeat for more. By default all.")
    ] = None,
    benchmark: FittedOn = None,
    results: Results = DEFAULT_RESULTS,
    params: OwnParams = None,
) -> None:
    """Choose the cheapest setting that keeps a promise, from the measurements on the validation problems.

    The promise holds with probability 1 - RISK over the draw of those problems, for problems of the same kind. Exit
    status 1 if no setting is certified. The risk is shared out among the routers to choose among, so `--router NAME`
    alone may find a cheaper setting; `trim solve --setting guarantee=0.95` uses that one.

    Example: trim choose --accuracy 0.95 --risk 0.05 --router trim_budget
    """
    from trim.experiment.choosing import guarantee, read_validation, validation_path, without
    from trim.experiment.load import load
    from trim.solve import fitted_folder, here

    if (accuracy is None) == (spend is None):
        raise TrimError("give either --accuracy or --spend, such as --accuracy 0.95")
    found = load(params or here())
    place = benchmark or next(iter(found.benchmarks))
    if place not in found.benchmarks:
        raise TrimError(f"--benchmark {place}: allowed: {', '.join(found.benchmarks)}")
    fitted = [name for name in found.routers_on(place) if found.router_type(name).needs_fitting]
    folder = fitted_folder(found, fitted[0], place, results) if fitted else results / "routers"
    level = accuracy if accuracy is not None else spend
    assert level is not None
    measured = read_validation(validation_path(folder, place))
    routers = [name for name in found.routers_on(place) if not found.router_type(name).is_reference]
    known = [name for name in routers if name in measured.outcomes]
    for name in router or ():
        if name not in known:
            raise TrimError(f"--router {name}: not measured in this experiment; allowed: {', '.join(known)}")
    rows = guarantee(measured, "accuracy" if accuracy is not None else "spend", level, router or known, risk)
    table = Table("router", "setting", "accuracy / always-strong's", "strong tokens / always-strong's")
    for row in rows:
        if row.setting is not None:
            table.add_row(cell(row.router), cell(str(row.setting)), f"{row.accuracy:.3f}", f"{row.spent:.3f}")
    console = Console()
    if table.row_count:
        console.print(table)
    for row in rows:
        if row.setting is None:
            console.print(cell(f"{row.router}: {without(row)}"))
    if not table.row_count:
        raise typer.Exit(1)
