"""Curves of a training, live, for `dvc exp show` and `dvc plots`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dvclive import Live

from trim.progress import Tracker
from trim.rl.training import Log


@contextmanager
def curves(folder: Path, tracker: Tracker) -> Iterator[Log]:
    """A log that writes plots/metrics/NAME.tsv and metrics.json into the folder, and shows how far it is."""
    with Live(str(folder), save_dvc_exp=False, dvcyaml=None) as live:

        def log(done: int, of: int, figures: Mapping[str, float]) -> None:
            for name, value in figures.items():
                live.log_metric(name, value)
            live.next_step()
            tracker.advanced(done, of)

        yield log
