"""Studies beside the main comparison: running their models, measuring them, showing them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trim.cli.options import STUDIES
from trim.cli.stages import add
from trim.errors import TrimError
from trim.stages.job import Job
from trim.stages.stage import DEFAULT_RESULTS, Fitted, Input, Labelled, Results, Stage

if TYPE_CHECKING:
    from trim.experiment.params import Params
    from trim.studies.study import Study

studies = typer.Typer()
Name = Annotated[str, Input("A study: the name of its file in trim/studies/.", positional=True)]
Place = Annotated[str, Input("The benchmark to run or measure on.")]


def _study(name: str, params: Params) -> Study:
    from trim.studies import studies_of

    known = studies_of(params)
    if name not in known:
        raise TrimError(f"study {name}: not in this experiment; it has: {', '.join(known)}")
    return known[name]


def show_study(params: Params, name: Name, results: Results = DEFAULT_RESULTS) -> list[str]:
    """Write a study's table and figure: results/tables/NAME.{md,csv,tex} and results/figures/NAME.{svg,png}.

    Example: trim study calibration
    """
    return list(map(str, _study(name, params).show(params, results)))


def measure_study(params: Params, name: Name, benchmark: Place, results: Results = DEFAULT_RESULTS) -> list[str]:
    """Compute a study's numbers on one benchmark from existing files: results/studies/NAME/*.csv.

    Example: trim measure-study interventions --benchmark standard
    """
    study = _study(name, params)
    known = study.measurement.benchmarks(params) if study.measurement else []
    if benchmark not in known:
        raise TrimError(f"--benchmark {benchmark}: {name} is not measured there; allowed: {', '.join(known) or 'none'}")
    return list(map(str, study.measure(params, benchmark, results)))


def run_study(
    name: Name,
    benchmark: Place,
    job: Job,
    case: Annotated[str, Input("A case of the study, such as noise-1 of robustness.")] = "",
    draws_out: Annotated[Path | None, Input("File for the draws made on the way, to keep them.")] = None,
    fitted: Fitted = None,
    solutions: Labelled = None,
) -> str:
    """Run the models and routers that a study needs beyond the main comparison, on one benchmark.

    Example: trim run-study robustness --benchmark standard --case noise-1 ...
    """
    from trim.studies.study import Job as StudyJob

    study = _study(name, job.params)
    if study.run is None or case not in study.cases(job.params):
        known = ", ".join(study.cases(job.params)) if study.run else "nothing to run"
        raise TrimError(f"--case {case}: {name} has no such case in {job.source}; it has: {known}")
    runner = job.runner()
    study.run(StudyJob(job.params, benchmark, case, runner, job.problems, job.out, fitted, solutions))
    if draws_out:
        runner.draws.export(draws_out)
    return str(job.out)


for _command in (
    Stage("study", show_study),
    Stage("measure-study", measure_study, checked=()),
    Stage("run-study", run_study, progress="{name} {case} {benchmark}", out="The file or folder to write."),
):
    add(studies, _command, STUDIES)
