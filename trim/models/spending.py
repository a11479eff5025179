"""The ledger of servers: money spent, and reserved for requests under way. A cap holds over processes and crashes."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trim.errors import TrimError

FILE = "spending.sqlite"
_PROCESSES = Path("/proc")


class Ledger:
    """Money spent on one model, and reserved for requests under way, by any process.

    A reservation counts as spent once its process has ended, since it may have been billed, or once it is older than a
    request can be. If it is settled after all, its true cost replaces it.

    Args:
        folder: folder of the ledger; None keeps it in memory.
        model: its name.
        cap: maximum of money, None for no limit.
        longest: seconds after which a request is no longer under way.

    Raises:
        TrimError: if the ledger is damaged, now or later.
    """

    def __init__(self, folder: Path | None, model: str, cap: float | None, longest: float = 240.0) -> None:
        self._model, self._cap, self._longest, self._lock = model, cap, longest, threading.Lock()
        self._path = folder / FILE if folder else ":memory:"
        try:
            if folder:
                folder.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self._path, timeout=60, isolation_level=None, check_same_thread=False)
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error
        with self._transaction():
            self._connection.execute("CREATE TABLE IF NOT EXISTS spent (model TEXT, amount REAL)")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS reserved "
                "(id INTEGER PRIMARY KEY, model TEXT, amount REAL, host TEXT, process INTEGER, since REAL)"
            )
            # Ledgers of earlier versions lack these columns.
            columns = [row[1] for row in self._connection.execute("PRAGMA table_info(reserved)")]
            for name in ("started", "dead"):
                if name not in columns:
                    self._connection.execute(f"ALTER TABLE reserved ADD COLUMN {name} INTEGER")

    @property
    def spent(self) -> float:
        """The money spent so far, also by other processes."""
        return self._sum("spent") + self._sum("reserved WHERE dead")

    def reserve(self, most: float) -> int | None:
        """Reserve the maximal cost of a request; None if it must wait for others under way.

        Returns:
            a number for `settle`.

        Raises:
            TrimError: if the cap forbids the request, whatever the cost of the open ones.
        """
        with self._lock, self._transaction():
            if self._cap is not None and self._used() + most > self._cap:
                self._bury()
            spent, used = self.spent, self._used()
            if self._cap is None or used + most <= self._cap:
                process = os.getpid()
                row = (self._model, most, socket.gethostname(), process, time.time(), _started(process))
                query = "INSERT INTO reserved (model, amount, host, process, since, started) VALUES (?, ?, ?, ?, ?, ?)"
                return self._connection.execute(query, row).lastrowid
        if used > spent and spent + most <= self._cap:
            return None
        raise TrimError(
            f"{self._model}: {spent:.4f} spent, and one more request may pass the cap of {self._cap:g}; "
            "raise server.cap to go on (finished work is kept)"
        )

    def settle(self, reserved: int, amount: float) -> None:
        """Replace a reservation by the request's true cost."""
        with self._lock, self._transaction():
            self._connection.execute("DELETE FROM reserved WHERE id = ?", (reserved,))
            if amount:
                self._connection.execute("INSERT INTO spent VALUES (?, ?)", (self._model, amount))

    def _used(self) -> float:
        return self._sum("spent") + self._sum("reserved")

    def _sum(self, rows: str) -> float:
        table, _, condition = rows.partition(" WHERE ")
        query = f"SELECT coalesce(sum(amount), 0) FROM {table} WHERE model = ? AND {condition or 1}"
        return float(self._connection.execute(query, (self._model,)).fetchone()[0])

    def _bury(self) -> None:
        """Mark the reservations of requests that are no longer under way."""
        rows = self._connection.execute(
            "SELECT id, host, process, since, started FROM reserved WHERE model = ? AND dead IS NULL", (self._model,)
        ).fetchall()
        for number, host, process, since, started in rows:
            ended = host == socket.gethostname() and not _runs(process, started)
            if ended or abs(time.time() - since) > self._longest:
                self._connection.execute("UPDATE reserved SET dead = 1 WHERE id = ?", (number,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """A transaction, one at a time over all processes."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> TrimError:
        return TrimError(f"{self._path}: cannot be used ({error}); the spending so far is written there")


def _runs(process: int, started: int | None) -> bool:
    """True if a process of this host made a reservation; process ids are reused, so its start is compared.

    Earlier versions did not record the start.
    """
    now = _started(process)
    if started is None:
        return now is not None and process != os.getpid()
    return now == started


def _started(process: int) -> int | None:
    """The time since boot at which a process of this host was started, in ticks; None if it has ended.

    0 if the system does not report it: its reservations count as spent when they are too old.
    """
    if not _PROCESSES.is_dir():
        return 0
    try:
        state, *fields = (_PROCESSES / str(process) / "stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else int(fields[18])
