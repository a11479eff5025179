"""The progress of a run, for people; Snakemake's own log file keeps everything.

On a terminal: a line for each finished rule, and below them the running jobs, with the last line of their logs.
Elsewhere: a line for each finished job. Warnings, errors and dry runs are shown as Snakemake prints them, except long
lists of files; with --verbose or --printshellcmds everything is shown. Chosen by `logger: trim` in a profile.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from logging import ERROR, WARNING, LogRecord
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from trim.errors import printable

_TAIL = 400  # bytes at the end of a job's log that are searched for its last line
_FILES = 3  # of a list shown in one line
_LISTS = ("input: ", "output: ", "reason: ")
# Snakemake's messages during its preparation and between jobs.
_ROUTINE = (
    "Assuming ",
    "Building DAG",
    "Conda env",
    "Execute ",
    "Provided ",
    "Rules claiming",
    "Select ",
    "Singularity ",
    "Using ",
)


@dataclass
class _Job:
    rule: str
    title: str
    log: Path | None
    started: float = field(default_factory=time.monotonic)

    def status(self) -> str:
        """The last line of the job's log."""
        try:
            with open(self.log or "", "rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - _TAIL))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return printable(lines[-1]) if lines else ""


class LogHandler(LogHandlerBase):
    """Shows a run's progress; see the module's docstring."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        settings = self.common_settings
        self._console = Console(
            file=sys.stdout if settings.stdout else sys.stderr, no_color=settings.nocolor or None, highlight=False
        )
        self._everything = settings.verbose or settings.printshellcmds or settings.debug_dag
        self._jobs: dict[int, _Job] = {}
        self._planned: Counter[str] = Counter()
        self._finished: Counter[str] = Counter()
        self._began: dict[str, float] = {}
        self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=2, transient=True)

    def emit(self, record: LogRecord) -> None:
        """Follow the jobs of a record, and print its important parts."""
        event, known = getattr(record, "event", None), vars(record)
        if event == LogEvent.RUN_INFO:
            self._planned = Counter(known["stats"])
        if event == LogEvent.JOB_INFO and not self.common_settings.dryrun:
            self._start(known)
        elif event == LogEvent.JOB_FINISHED:
            self._finish(known["job_id"])
        elif event == LogEvent.JOB_ERROR:
            self._jobs.pop(known["jobid"], None)
        if self._told(record, event):
            message = self.format(record)
            if message and message != "None":
                shown = Text(printable(_shortened(message), len(message)), "red" if record.levelno >= ERROR else "")
                self._console.print(shown, soft_wrap=True)

    def close(self) -> None:
        """Remove the table."""
        self._live.stop()
        super().close()

    def _told(self, record: LogRecord, event: LogEvent | None) -> bool:
        if self._everything or self.common_settings.dryrun or record.levelno >= WARNING:
            return True
        if event == LogEvent.RUN_INFO:  # it is sent again at the end of every step of a run
            return not self._finished and not self._jobs
        return event is None and not record.getMessage().strip().startswith(_ROUTINE)

    def _start(self, known: dict) -> None:
        rule = known["rule_name"]
        title = " ".join([rule, *map(str, dict(known["wildcards"] or {}).values())])
        self._jobs[known["jobid"]] = _Job(rule, title, Path(known["log"][0]) if known["log"] else None)
        self._began.setdefault(rule, time.monotonic())
        if self._console.is_terminal:
            self._live.start()

    def _finish(self, number: int) -> None:
        job = self._jobs.pop(number, None)
        if job is None:
            return
        self._finished[job.rule] += 1
        if self._everything:  # then Snakemake's own message contains it
            return
        planned = self._planned[job.rule]
        if not self._console.is_terminal:
            place = f"{self._finished.total()}/{self._planned['total']}"
            self._console.print(f"{place:>9}  {_clock(job.started):>6}  {printable(job.title)}", soft_wrap=True)
        elif self._finished[job.rule] == planned:
            jobs = f"{planned} job{'s' * (planned > 1)}"
            self._console.print(f"[green]✓[/] {job.rule:<12} {jobs:>8}  {_clock(self._began[job.rule]):>6}")

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for _ in range(3):
            table.add_column(no_wrap=True)
        if total := self._planned["total"]:
            done = self._finished.total()
            table.add_row("all rules", ProgressBar(total, done, width=8), f"{done}/{total} jobs")
        for job in list(self._jobs.values()):
            table.add_row(Text(printable(job.title), "bold"), _clock(job.started), Text(job.status(), "cyan"))
        return table


def _clock(since: float) -> str:
    """Elapsed minutes and seconds."""
    seconds = int(time.monotonic() - since)
    return f"{seconds // 60}:{seconds % 60:02}"


def _shortened(message: str) -> str:
    """A message with the first files of each long list."""
    return "\n".join(_cut(line) if line.strip().startswith(_LISTS) else line for line in message.split("\n"))


def _cut(line: str) -> str:
    parts = []
    for part in line.split("; "):
        files = part.split(", ")
        more = len(files) - _FILES
        parts.append(", ".join(files[:_FILES]) + (f", and {more} more" if more > 0 else ""))
    return "; ".join(parts)
