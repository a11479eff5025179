"""Snakemake's own messages, and below them on a terminal what runs now, with the last line of its log.

Chosen by `logger: trim` in a profile.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from logging import ERROR, LogRecord
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from trim.errors import printable

_TAIL = 400


@dataclass
class _Job:
    title: str
    log: Path | None
    started: float = field(default_factory=time.monotonic)

    def status(self) -> str:
        """The last line that the job logged."""
        try:
            with open(self.log or "", "rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - _TAIL))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return printable(lines[-1]) if lines else ""


class LogHandler(LogHandlerBase):
    """Prints what Snakemake prints, and keeps a table of the running jobs below it."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self._console = Console(
            file=sys.stdout if self.common_settings.stdout else sys.stderr,
            no_color=self.common_settings.nocolor or None,
            highlight=False,
        )
        self._jobs: dict[int, _Job] = {}
        self._done, self._total = 0, 0
        self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=2, transient=True)

    def emit(self, record: LogRecord) -> None:
        """Print a record, and follow the jobs that it tells of."""
        self._follow(record)
        message = self.format(record)
        if message and message != "None":
            shown = Text(printable(message, len(message)), "red" if record.levelno >= ERROR else "")
            self._console.print(shown, soft_wrap=True)

    def close(self) -> None:
        """Take the table away."""
        self._live.stop()
        super().close()

    def _follow(self, record: LogRecord) -> None:
        event, known = getattr(record, "event", None), vars(record)
        if event == LogEvent.JOB_INFO and not self.common_settings.dryrun:
            title = " ".join([known["rule_name"], *map(str, dict(known["wildcards"] or {}).values())])
            self._jobs[known["jobid"]] = _Job(title, Path(known["log"][0]) if known["log"] else None)
            if self._console.is_terminal:
                self._live.start()
        elif event == LogEvent.PROGRESS:
            self._done, self._total = known["done"], known["total"]
        elif event == LogEvent.JOB_FINISHED:
            self._jobs.pop(known["job_id"], None)
        elif event == LogEvent.JOB_ERROR:
            self._jobs.pop(known["jobid"], None)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for _ in range(3):
            table.add_column(no_wrap=True)
        if self._total:
            bar = ProgressBar(self._total, self._done, width=8)
            table.add_row("all rules", bar, f"{self._done}/{self._total} jobs")
        for job in list(self._jobs.values()):
            seconds = int(time.monotonic() - job.started)
            table.add_row(Text(job.title, "bold"), f"{seconds // 60}:{seconds % 60:02}", Text(job.status(), "cyan"))
        return table
