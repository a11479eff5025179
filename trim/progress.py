"""Progress of long work: a live display on a terminal, occasional lines in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LOG_EVERY = 2.0  # seconds


@contextmanager
def display(title: str, total: int | None = None) -> Iterator[Tracker]:
    """Show the running task, its progress, tokens per second and the time left."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        yield Tracker(progress, title, total)


class Tracker:
    """Counts work for the display."""

    def __init__(self, progress: Progress, title: str, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=total, detail="")
        self._tokens = self._scored = 0
        self._logged = -_LOG_EVERY
        self._first: tuple[float, int] | None = None

    @classmethod
    def silent(cls) -> Self:
        """A tracker that shows nothing."""
        return cls(Progress(console=Console(quiet=True), disable=True), "", None)

    def advanced(self, done: int, total: int) -> None:
        """Report the finished problems (or updates) and their total."""
        self._progress.update(self._task, completed=done, total=total)
        self._first = self._first or (time.monotonic(), done)
        self._log()

    def batch(self, what: str, count: int, tokens: int) -> None:
        """Report a batch that was generated or scored."""
        self._tokens += tokens
        self._scored += count if what == "scored" else 0
        elapsed = self._progress.tasks[0].elapsed or 0
        rate = self._tokens / elapsed if elapsed else 0
        scored = f", {self._scored:,} scores" if self._scored else ""
        self._progress.update(self._task, detail=f"{rate:,.0f} tokens/s{scored}")
        self._log()

    def _log(self) -> None:
        if not self._progress.disable or time.monotonic() - self._logged < _LOG_EVERY:
            return
        self._logged, task = time.monotonic(), self._progress.tasks[0]
        parts = [f"{task.completed:,.0f}/{task.total:,.0f}" if task.total else "", task.fields["detail"]]
        started, before = self._first or (0.0, 0)
        if task.total and task.completed > before:
            rate = (task.completed - before) / (time.monotonic() - started)
            parts.append(f"{timedelta(seconds=round((task.total - task.completed) / rate))} left")
        self._progress.console.print(", ".join(filter(None, parts)), soft_wrap=True, highlight=False)
