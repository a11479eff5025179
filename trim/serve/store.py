"""A server's store: draws, which are looked up one by one, finished answers, and each key's spending.

A rule loads all its draws, since it reads them all; a server runs for months, and its memory does not grow.
"""

from __future__ import annotations

import json
import logging
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from trim.engine.store import SCHEMA, Draw
from trim.errors import TrimError

_AT_ONCE = 500  # keys of one query
_PRUNED = 1000  # answers between two checks of the limit
_NAMES = ", ".join(SCHEMA.names)
# Milliseconds to wait for another process with the file; 0 after that was too short, until a write succeeds.
_WAIT = 1000
_log = logging.getLogger(__name__)


class ServerStore:
    """An SQLite database that stores each batch as it is made; see `trim.engine.store.DrawStore`.

    A full disk, or a file damaged while the server runs, costs work but no answer: draws that cannot be read are made
    again, and those that cannot be written are not kept.

    Args:
        path: the file, which only its owner may read; None keeps everything in memory, under the same limit.
        keep: maximum of stored draws; the oldest are dropped.

    Raises:
        TrimError: if the file is damaged, or cannot be written.
    """

    def __init__(self, path: Path | None, keep: int) -> None:
        self.folder = path.parent if path else None
        self._path, self._keep, self._lock = path, keep, threading.Lock()
        self._failing = False
        try:
            if path:
                _make_private(path)
            self._connection = sqlite3.connect(path or ":memory:", check_same_thread=False)
            self._connection.text_factory = lambda text: text.decode(errors="replace")  # a checksum detects it
            with self._connection as database:
                database.execute(f"PRAGMA busy_timeout = {_WAIT}")
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = NORMAL")
                columns = "tokens INTEGER, text TEXT, stop TEXT, score REAL"
                billed = "billed_read INTEGER, billed_cached INTEGER, billed_written INTEGER"
                database.execute(
                    f"CREATE TABLE IF NOT EXISTS draws (number INTEGER PRIMARY KEY, key BLOB UNIQUE, {columns}, "
                    f"{billed}, crc INTEGER)"
                )
                database.execute(
                    "CREATE TABLE IF NOT EXISTS answers (id TEXT PRIMARY KEY, owner TEXT, made REAL, content TEXT)"
                )
                database.execute("CREATE INDEX IF NOT EXISTS by_time ON answers (made)")
                database.execute(
                    "CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, strong REAL, whole REAL, money REAL, "
                    "answers INTEGER)"
                )
        except (sqlite3.DatabaseError, OSError) as error:
            raise self._damaged(error) from error

    def get(self, keys: Sequence[bytes]) -> list[Draw | None]:
        """See `DrawStore.get`; a damaged draw counts as missing, and is dropped."""
        found: dict[bytes, Draw] = {}
        damaged = list[tuple[bytes]]()
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(part))
            for key, *values, crc in self._read(f"SELECT {_NAMES}, crc FROM draws WHERE key IN ({marks})", part):
                found[key] = Draw(*values)
                if found[key].crc(key) != crc:
                    damaged.append((key,))
                    del found[key]
        if damaged:
            _log.warning("%s: %d damaged draws, which are made again", self._path, len(damaged))
            self._write(lambda database: database.executemany("DELETE FROM draws WHERE key = ?", damaged))
        return [found.get(key) for key in keys]

    def put(self, draws: Sequence[tuple[bytes, Draw]]) -> None:
        """See `DrawStore.put`."""
        marks = ", ".join("?" * (len(SCHEMA) + 1))
        query = f"INSERT OR IGNORE INTO draws ({_NAMES}, crc) VALUES ({marks})"
        rows = [(key, *draw, draw.crc(key)) for key, draw in draws]
        self._write(lambda database: database.executemany(query, rows))

    def keep_answer(self, name: str, owner: str, content: Mapping[str, Any]) -> None:
        """Store a finished answer; the oldest answers and draws are dropped if there are too many."""
        row = (name, owner, time.time(), json.dumps(content))

        def keep(database: sqlite3.Connection) -> None:
            number = database.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", row).lastrowid or 0
            if number % _PRUNED == 0:
                self._prune(database)

        self._write(keep)

    def answer(self, name: str, owner: str) -> dict[str, Any] | None:
        """A stored answer of an owner, None if there is none, or it is damaged."""
        rows = self._read("SELECT content FROM answers WHERE id = ? AND owner = ?", (name, owner))
        try:
            return json.loads(rows[0][0]) if rows else None
        except (ValueError, TypeError):
            _log.warning("%s: the answer %s is damaged", self._path, name)
            return None

    def spent(self, account: str) -> tuple[float, float, float, int]:
        """Strong tokens, tokens of always-strong, money, and answers, of an account.

        Raises:
            TrimError: if they are damaged.
        """
        rows = self._read("SELECT strong, whole, money, answers FROM accounts WHERE name = ?", (account,))
        if self._failing or not all(map(_are_amounts, rows)):
            raise self._damaged(f"the spending of the account {account} is no number")
        return rows[0] if rows else (0.0, 0.0, 0.0, 0)

    def spend(self, account: str, strong: float, whole: float, money: float, answers: int) -> bool:
        """Record more spending; returns True if it was written."""

        def spend(database: sqlite3.Connection) -> None:
            database.execute("INSERT OR IGNORE INTO accounts VALUES (?, 0, 0, 0, 0)", (account,))
            query = "SELECT strong, whole, money, answers FROM accounts WHERE name = ?"
            if not _are_amounts(database.execute(query, (account,)).fetchone()):
                raise sqlite3.DataError(f"the spending of the account {account} is no number")
            database.execute(
                "UPDATE accounts SET strong = strong + ?, whole = whole + ?, money = money + ?, "
                "answers = answers + ? WHERE name = ?",
                (strong, whole, money, answers, account),
            )

        return self._write(spend)

    def works(self) -> bool:
        """True if the last use succeeded; after a failure, a small write is tried."""
        if self._failing:
            self._write(lambda database: database.execute("PRAGMA user_version = 1"))
        return not self._failing

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _read(self, query: str, values: Sequence[Any]) -> list[Any]:
        """The rows of a query; none if they cannot be read."""
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                self._failed(error)
                return []

    def _write(self, work: Callable[[sqlite3.Connection], object]) -> bool:
        """Run a transaction; returns True if it succeeded."""
        with self._lock:
            try:
                with self._connection as database:
                    work(database)
            except sqlite3.Error as error:
                self._failed(error)
                return False
            if self._failing:
                self._failing = False
                self._connection.execute(f"PRAGMA busy_timeout = {_WAIT}")
            return True

    def _failed(self, error: sqlite3.Error) -> None:
        if not self._failing:
            _log.warning("%s: %s; until that is fixed, nothing is stored in it", self._path, error)
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA busy_timeout = 0")
        self._failing = True

    def _prune(self, database: sqlite3.Connection) -> None:
        database.execute("DELETE FROM draws WHERE number <= (SELECT max(number) FROM draws) - ?", (self._keep,))
        database.execute(
            "DELETE FROM answers WHERE made < (SELECT made FROM answers ORDER BY made DESC LIMIT 1 OFFSET ?)",
            (max(1, self._keep // 20),),
        )

    def _damaged(self, reason: object) -> TrimError:
        return TrimError(f"{self._path}: cannot be used ({reason}); delete it, or name another with --store")


def _are_amounts(row: Sequence[Any]) -> bool:
    return all(isinstance(amount, int | float) and 0 <= amount < math.inf for amount in row)


def _make_private(path: Path) -> None:
    """Create a missing database; only its owner may read it and SQLite's files beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
        if file.exists():
            file.chmod(0o600)
