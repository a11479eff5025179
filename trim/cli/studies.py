"""Studies beside the main comparison, one command a step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trim.cli.options import (
    DEFAULT_PARAMS,
    DEFAULT_RESULTS,
    Benchmark,
    Journal,
    Labelled,
    Layers,
    Out,
    ParamsFile,
    Problems,
    Results,
    load_params,
)
from trim.errors import TrimError
from trim.progress import display

studies = typer.Typer()
DrawsOut = Annotated[Path | None, typer.Option(help="Layer of the draws made on the way, if they are to be kept.")]


@studies.command()
def ceiling(
    benchmark: Benchmark,
    problems: Problems,
    out: Annotated[Path, typer.Option(help="Folder to write NAME.parquet into.")],
    journal: Journal,
    layer: Layers = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Run the best that any router could do: clairvoyant, and on TRIM-Agg's features."""
    from trim.stages.ceiling import make_ceiling

    with display(f"ceiling, {benchmark}") as tracker:
        make_ceiling(load_params(params, benchmark), benchmark, problems, layer or [], out, journal, tracker)
    print(out)


@studies.command()
def ceiling_table(
    benchmark: Benchmark,
    points: Annotated[Path, typer.Option(help="Table of the ceilings' operating points.")],
    distances: Annotated[Path, typer.Option(help="Table of measures and distances.")],
    results: Results = DEFAULT_RESULTS,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Measure what `trim ceiling` made, and each router's distance to it."""
    from trim.stages.ceiling import make_ceiling_table

    make_ceiling_table(load_params(params, benchmark), benchmark, results, points, distances)
    print(points, distances, sep="\n")


@studies.command()
def predict(
    calibrations: Annotated[Path, typer.Option(help="Folder made by `trim calibrate`.")],
    episodes: Annotated[Path, typer.Option(help="TRIM-Thr's episodes.")],
    points: Annotated[Path, typer.Option(help="Table of predicted and measured points.")],
    errors: Annotated[Path, typer.Option(help="Table of mean absolute errors.")],
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Compare the curve that a calibrated POMDP predicts for TRIM-Thr with the measured one."""
    from trim.stages.predict import make_prediction

    make_prediction(load_params(params), calibrations, episodes, points, errors)
    print(points, errors, sep="\n")


@studies.command()
def simulate(out: Out, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Simulate routers in the calibration that was released with the paper.

    Example: trim simulate --out published.csv
    """
    from trim.stages.simulate import make_simulation

    with display("simulation") as tracker:
        make_simulation(load_params(params), out, tracker.advanced)
    print(out)


@studies.command()
def robustness(
    benchmark: Benchmark,
    distortion: Annotated[str, typer.Option(help="A distortion of the experiment, such as noise-1.")],
    problems: Problems,
    out: Annotated[Path, typer.Option(help="Folder to write ROUTER.parquet into.")],
    journal: Journal,
    layer: Layers = None,
    solutions: Labelled = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Calibrate, fit and run routers on distorted scores."""
    from trim.stages.robustness import make_robustness

    found = load_params(params, benchmark)
    if distortion not in found.robustness.distortions():
        known = ", ".join(found.robustness.distortions())
        raise TrimError(f"--distortion {distortion}: not in {params}; it has: {known}")
    with display(f"{distortion}, {benchmark}") as tracker:
        make_robustness(found, benchmark, distortion, problems, layer or [], out, journal, tracker, solutions)
    print(out)


@studies.command()
def robustness_table(
    benchmark: Benchmark, out: Out, results: Results = DEFAULT_RESULTS, params: ParamsFile = DEFAULT_PARAMS
) -> None:
    """Measure what `trim robustness` made."""
    from trim.stages.robustness import make_robustness_table

    make_robustness_table(load_params(params, benchmark), benchmark, results, out)
    print(out)


@studies.command()
def interventions(
    benchmark: Benchmark,
    problems: Problems,
    episodes: Annotated[list[Path], typer.Argument(help="Files made by `trim episodes`, both ends among them.")],
    out: Out,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Tell which steps each router hands over, and which of these were wrong."""
    from trim.stages.interventions import make_interventions

    make_interventions(load_params(params, benchmark), benchmark, problems, episodes, out)
    print(out)


@studies.command()
def definition(
    benchmark: Benchmark,
    step: Annotated[str, typer.Argument(help="paragraph, sentence, or a number of tokens.")],
    problems: Problems,
    out: Annotated[Path, typer.Option(help="Folder to write ROUTER.parquet into.")],
    journal: Journal,
    draws_out: DrawsOut = None,
    layer: Layers = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Run TRIM-Thr with steps that are cut in one way."""
    from trim.stages.definitions import make_definition

    found = load_params(params, benchmark)
    if step not in found.definitions.names():
        raise TrimError(f"definition {step}: not in {params}; it has: {', '.join(found.definitions.names())}")
    with display(f"steps: {step}, {benchmark}") as tracker:
        make_definition(found, benchmark, step, problems, layer or [], out, draws_out, journal, tracker)
    print(out)


@studies.command()
def twin(
    benchmark: Benchmark,
    problems: Problems,
    out: Out,
    journal: Journal,
    draws_out: DrawsOut = None,
    layer: Layers = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Measure what the embedded models share with the published calibration, on the test problems."""
    from trim.stages.twin import make_twin

    with display(f"twin, {benchmark}") as tracker:
        make_twin(load_params(params, benchmark), benchmark, problems, layer or [], out, draws_out, journal, tracker)
    print(out)


@studies.command()
def definitions_table(
    benchmark: Benchmark, out: Out, results: Results = DEFAULT_RESULTS, params: ParamsFile = DEFAULT_PARAMS
) -> None:
    """Measure what `trim definition` made."""
    from trim.stages.definitions import make_definitions_table

    make_definitions_table(load_params(params, benchmark), benchmark, results, out)
    print(out)


@studies.command()
def transfer(
    benchmark: Benchmark,
    problems: Problems,
    fits: Annotated[Path, typer.Option(help="Folder of what `trim fit` made, BENCHMARK/ each.")],
    out: Annotated[Path, typer.Option(help="Folder to write SOURCE.ROUTER.parquet into.")],
    journal: Journal,
    draws_out: DrawsOut = None,
    layer: Layers = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Run routers on a benchmark as they were fitted on every other."""
    from trim.stages.transfer import make_transfer

    with display(f"transfer, {benchmark}") as tracker:
        found = load_params(params, benchmark)
        make_transfer(found, benchmark, problems, layer or [], fits, out, draws_out, journal, tracker)
    print(out)


@studies.command()
def transfer_table(
    benchmark: Benchmark, out: Out, results: Results = DEFAULT_RESULTS, params: ParamsFile = DEFAULT_PARAMS
) -> None:
    """Measure what `trim transfer` made."""
    from trim.stages.transfer import make_transfer_table

    make_transfer_table(load_params(params, benchmark), benchmark, results, out)
    print(out)
