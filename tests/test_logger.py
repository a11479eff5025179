"""What a person sees of a run: a line for each finished job, errors whole, and no lists of a hundred files."""

from logging import INFO, WARNING, LogRecord
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_trim import LogHandler


def record(message: str = "", level: int = INFO, **known) -> LogRecord:
    made = LogRecord("snakemake", level, "", 0, message, (), None)
    vars(made).update(known)
    return made


@pytest.fixture
def handler():
    def make(**settings):
        known = dict.fromkeys(("verbose", "printshellcmds", "debug_dag", "dryrun", "quiet"), False)
        return LogHandler(SimpleNamespace(**(known | {"stdout": True, "nocolor": True} | settings)), None)

    return make


def job(number: int, rule: str, **wildcards) -> LogRecord:
    files = ", ".join(f"results/{i}.parquet" for i in range(100))
    message = f"rule {rule}:\n    input: {files}\n    reason: Missing output files: {files}; Params have changed"
    known = {"event": LogEvent.JOB_INFO, "rule_name": rule, "jobid": number, "wildcards": wildcards, "log": []}
    return record(message, **known)


def finished(number: int) -> LogRecord:
    return record(f"Finished jobid: {number}", event=LogEvent.JOB_FINISHED, job_id=number)


def test_a_run_is_a_line_for_each_job(handler, capsys):
    shown = handler()
    stats = {"fit": 2, "all": 1, "total": 3}
    for made in (
        record("Building DAG of jobs..."),
        record("Job stats: ...", event=LogEvent.RUN_INFO, stats=stats),
        job(1, "fit", benchmark="standard", router="\x1b[31mrsd"),
        record("Select jobs to execute..."),
        finished(1),
        record("something is odd", WARNING),
        job(2, "fit", benchmark="hard", router="rsd"),
        finished(2),
        record("Job stats: ...", event=LogEvent.RUN_INFO, stats=stats),
    ):
        shown.emit(made)
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "Job stats: ..."
    assert [line.split() for line in lines] == [
        ["1/3", "0:00", "fit", "standard", "\\x1b[31mrsd"],
        ["something", "is", "odd"],
        ["2/3", "0:00", "fit", "hard", "rsd"],
    ]


def test_a_dry_run_shows_the_first_files_of_a_list_and_every_reason(handler, capsys):
    handler(dryrun=True).emit(job(1, "fit"))
    rule, inputs, reasons = capsys.readouterr().out.splitlines()
    assert rule == "rule fit:"
    assert inputs.endswith("results/2.parquet, and 97 more")
    assert reasons.endswith("results/2.parquet, and 97 more; Params have changed")


def test_everything_is_shown_on_request(handler, capsys):
    shown = handler(verbose=True)
    shown.emit(record("Select jobs to execute..."))
    assert capsys.readouterr().out == "Select jobs to execute...\n"
