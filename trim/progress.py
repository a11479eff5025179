"""A progress display for long work; silent when the output is no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def display(title: str, total: int | None = None) -> Iterator[Tracker]:
    """Show what runs, what is done, tokens a second and the time left."""
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

    def advanced(self, done: int, total: int) -> None:
        """Problems (or updates) finished, of how many."""
        self._progress.update(self._task, completed=done, total=total)

    def batch(self, what: str, count: int, tokens: int) -> None:
        """A batch was generated or scored."""
        self._tokens += tokens
        self._scored += count if what == "scored" else 0
        elapsed = self._progress.tasks[self._task].elapsed or 0
        rate = self._tokens / elapsed if elapsed else 0
        self._progress.update(self._task, detail=f"{rate:,.0f} tokens/s, {self._scored:,} scores")
