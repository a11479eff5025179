"""What servers have cost, and what requests under way may cost: a cap holds over processes and crashes."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
import time
from pathlib import Path

from trim.errors import TrimError

FILE = "spending.sqlite"
_OLD = 86_400.0  # seconds, after which a request of another machine is no longer under way


class Ledger:
    """Money spent on one model, and reserved for requests under way, by any process.

    Args:
        folder: where it is written down; None keeps it in memory.
        model: its name.
        cap: most that may be spent, None for no limit.

    Raises:
        TrimError: if what is written there is damaged.
    """

    def __init__(self, folder: Path | None, model: str, cap: float | None) -> None:
        self._model, self._cap, self._lock = model, cap, threading.Lock()
        self._path = folder / FILE if folder else ":memory:"
        try:
            if folder:
                folder.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self._path, timeout=60, isolation_level=None, check_same_thread=False)
            self._connection.execute("CREATE TABLE IF NOT EXISTS spent (model TEXT, amount REAL)")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS reserved "
                "(id INTEGER PRIMARY KEY, model TEXT, amount REAL, host TEXT, process INTEGER, since REAL)"
            )
        except (sqlite3.DatabaseError, OSError) as error:
            raise TrimError(f"{self._path}: cannot be used ({error}); the spending so far is written there") from error

    @property
    def spent(self) -> float:
        """All that was spent so far, also by other processes."""
        return self._sum("spent")

    def reserve(self, most: float) -> int | None:
        """Set aside the most that a request can cost; None if it has to wait for others under way.

        Returns:
            a number for `settle`.

        Raises:
            TrimError: if the cap forbids the request whatever the open ones will have cost.
        """
        with self._lock, _Transaction(self._connection):
            if self._cap is not None and self.spent + self._sum("reserved") + most > self._cap:
                self._bury()
            spent, reserved = self.spent, self._sum("reserved")
            if self._cap is None or spent + reserved + most <= self._cap:
                row = (self._model, most, socket.gethostname(), os.getpid(), time.time())
                query = "INSERT INTO reserved (model, amount, host, process, since) VALUES (?, ?, ?, ?, ?)"
                return self._connection.execute(query, row).lastrowid
        if reserved and spent + most <= self._cap:
            return None
        raise TrimError(
            f"{self._model}: {spent:.4f} spent, and one more request may pass the cap of {self._cap:g}; "
            "raise server.cap to go on (what was made is kept)"
        )

    def settle(self, reserved: int, amount: float) -> None:
        """Write down what a request cost in place of what `reserve` set aside for it."""
        with self._lock, _Transaction(self._connection):
            self._connection.execute("DELETE FROM reserved WHERE id = ?", (reserved,))
            if amount:
                self._connection.execute("INSERT INTO spent VALUES (?, ?)", (self._model, amount))

    def _sum(self, table: str) -> float:
        query = f"SELECT coalesce(sum(amount), 0) FROM {table} WHERE model = ?"
        return float(self._connection.execute(query, (self._model,)).fetchone()[0])

    def _bury(self) -> None:
        """Count what processes that died had reserved as spent: it may have been billed."""
        rows = self._connection.execute(
            "SELECT id, amount, host, process, since FROM reserved WHERE model = ?", (self._model,)
        ).fetchall()
        for number, amount, host, process, since in rows:
            here = host == socket.gethostname()
            if (here and not Path(f"/proc/{process}").exists()) or time.time() - since > _OLD:
                self._connection.execute("DELETE FROM reserved WHERE id = ?", (number,))
                self._connection.execute("INSERT INTO spent VALUES (?, ?)", (self._model, amount))


class _Transaction:
    """One at a time over all processes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._connection.execute("ROLLBACK" if kind else "COMMIT")
