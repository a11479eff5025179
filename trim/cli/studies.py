"""Studies beside the main comparison: running their models, measuring them, showing them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trim.cli.options import (
    DEFAULT_PARAMS,
    DEFAULT_RESULTS,
    STUDIES,
    Fitted,
    Journal,
    Labelled,
    Layers,
    ParamsFile,
    Problems,
    Results,
    load_params,
)
from trim.errors import TrimError
from trim.progress import display

if TYPE_CHECKING:
    from trim.experiment.params import Params
    from trim.studies.study import Study

studies = typer.Typer()
Name = Annotated[str, typer.Argument(help="A study: the name of its file in trim/studies/.")]
Place = Annotated[str, typer.Option(help="The benchmark to run or measure on.")]


def _study(name: str, params: Params) -> Study:
    from trim.studies import studies_of

    known = studies_of(params)
    if name not in known:
        raise TrimError(f"study {name}: not in this experiment; it has: {', '.join(known)}")
    return known[name]


@studies.command(rich_help_panel=STUDIES)
def study(name: Name, results: Results = DEFAULT_RESULTS, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Write a study's table and figure: results/tables/NAME.{md,csv,tex} and results/figures/NAME.{svg,png}.

    Example: trim study calibration
    """
    found = load_params(params)
    for path in _study(name, found).show(found, results):
        print(path)


@studies.command(rich_help_panel=STUDIES)
def measure_study(
    name: Name, benchmark: Place, results: Results = DEFAULT_RESULTS, params: ParamsFile = DEFAULT_PARAMS
) -> None:
    """Compute a study's numbers on one benchmark from existing files: results/studies/NAME/*.csv.

    Example: trim measure-study interventions --benchmark standard
    """
    found = load_params(params)
    study = _study(name, found)
    known = study.measurement.benchmarks(found) if study.measurement else []
    if benchmark not in known:
        raise TrimError(f"--benchmark {benchmark}: {name} is not measured there; allowed: {', '.join(known) or 'none'}")
    for path in study.measure(found, benchmark, results):
        print(path)


@studies.command(rich_help_panel=STUDIES)
def run_study(
    name: Name,
    benchmark: Place,
    problems: Problems,
    out: Annotated[Path, typer.Option(help="The file or folder to write.")],
    journal: Journal,
    case: Annotated[str, typer.Option(help="A case of the study, such as noise-1 of robustness.")] = "",
    draws_out: Annotated[Path | None, typer.Option(help="File for the draws made on the way, to keep them.")] = None,
    layers: Layers = None,
    fitted: Fitted = None,
    solutions: Labelled = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Run the models and routers that a study needs beyond the main comparison, on one benchmark.

    Example: trim run-study robustness --benchmark standard --case noise-1 ...
    """
    from trim.experiment.runner import Runner
    from trim.studies.study import Job

    found = load_params(params, benchmark)
    study = _study(name, found)
    if study.run is None or case not in study.cases(found):
        known = ", ".join(study.cases(found)) if study.run else "nothing to run"
        raise TrimError(f"--case {case}: {name} has no such case in {params}; it has: {known}")
    with display(" ".join([name, case, benchmark])) as tracker:
        runner = Runner.open(found, layers or [], journal, tracker)
        study.run(Job(found, benchmark, case, runner, problems, out, fitted, solutions))
        if draws_out:
            runner.draws.export(draws_out)
    print(out)
