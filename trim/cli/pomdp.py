"""The POMDP on its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from trim.pomdp.model import StepModel

pomdp = typer.Typer(no_args_is_help=True, help="Plan in a calibrated POMDP, and export it to other solvers.")
Calibration = Annotated[
    Path | None,
    typer.Option(help="A file made by `trim calibrate`; by default the released calibration."),
]
ScoresOnly = Annotated[bool, typer.Option("--scores-only", help="Observe the draft's score only, not pairs.")]


def _calibration(path: Path | None, scores_only: bool) -> StepModel:
    from trim.evaluation.published import published_model
    from trim.pomdp.model import StepModel

    model = StepModel.load(path) if path else published_model()
    return model.on_scores() if scores_only else model


@pomdp.command("plan")
def pomdp_plan(
    cost: Annotated[list[float], typer.Option(min=0, help="Reward lost by a strong token; repeat for more.")],
    calibration: Calibration = None,
    scores_only: ScoresOnly = False,
    resolution: Annotated[int | None, typer.Option(min=1, help="Intervals of the grid along each edge.")] = None,
) -> None:
    """Plan, and print the certificate: bounds on a problem's value, and their largest gap anywhere.

    Example: trim pomdp plan --cost 0.15 --cost 0.5
    """
    from trim.pomdp.planner import plan
    from trim.report.tables import rich_certificate

    model = _calibration(calibration, scores_only)
    Console().print(rich_certificate(plan(model, cost, resolution), model))


@pomdp.command("export")
def pomdp_export(
    out: Annotated[Path, typer.Option(help="The .pomdp file to write.")],
    cost: Annotated[float, typer.Option(min=0, help="Reward lost by a strong token; a right solution is worth 100.")],
    calibration: Calibration = None,
    scores_only: ScoresOnly = False,
    policy: Annotated[Path | None, typer.Option(help="Also write our plan there, as .alpha vectors.")] = None,
    discount: Annotated[float, typer.Option(min=0, max=1, help="Most solvers need one below 1.")] = 0.99999,
) -> None:
    """Write the model in Cassandra's .pomdp format, for SARSOP, pomdp-solve and others.

    Example: trim pomdp export --calibration results/calibration/standard/single.json --cost 2 --out standard.pomdp
    """
    from trim.pomdp.cassandra import AlphaPolicy, export_model
    from trim.pomdp.planner import plan

    model = _calibration(calibration, scores_only)
    export_model(model, cost, out, discount)
    print(out)
    if policy:
        AlphaPolicy.of_plan(plan(model, [cost]), 0, model).write(policy)
        print(policy)
