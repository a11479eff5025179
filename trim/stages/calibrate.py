"""Calibration: the POMDP of a benchmark, from both models' solutions of its train split."""

from __future__ import annotations

from trim.stages.job import Job
from trim.stages.stage import Benchmark, DrawsOut, Labelled, Stage


def make_calibration(benchmark: Benchmark, job: Job, draws_out: DrawsOut, solutions: Labelled = None) -> str:
    """Calibrate the POMDP of a benchmark on its train split: single.json, rule.json, classes.json, agreement.json.

    Note:
        `single` is the paper's, from step labels where available; `rule` the same from the threshold rule alone;
        `classes` has latent difficulty classes; `agreement` is the threshold rule's error.
    """
    from trim.experiment.calibrating import calibrations
    from trim.files import write_json

    runner = job.runner()
    found = calibrations(runner, job.problems, solutions)
    for name, model in found.models.items():
        model.save(job.out / f"{name}.json")
    write_json(job.out / "agreement.json", found.rule)
    runner.draws.export(draws_out)
    return f"{job.out}: single.json, rule.json, classes.json, agreement.json"


STAGES = [
    Stage(
        "calibrate",
        make_calibration,
        order=8,
        progress="calibration, {benchmark}",
        out="Folder to write the models into.",
    )
]
