"""What a server keeps: draws, which it looks up one by one, finished answers, and what each key has spent.

Draws of a rule are loaded whole, since a rule reads them all; a server runs for months, and its memory does not grow.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trim.engine.store import SCHEMA, Draw
from trim.errors import TrimError

_AT_ONCE = 500  # keys of one query
_PRUNED = 1000  # answers between two looks at the limit
_NAMES = ", ".join(SCHEMA.names)


class ServerStore:
    """An SQLite database, which takes each batch as it is made; see `trim.engine.store.DrawStore`.

    Args:
        path: the file; None keeps all in memory, of which the limit holds too.
        keep: most draws that are kept; the oldest are dropped.

    Raises:
        TrimError: if the file is damaged, or cannot be written.
    """

    def __init__(self, path: Path | None, keep: int) -> None:
        self.folder = path.parent if path else None
        self._path, self._keep, self._lock = path, keep, threading.Lock()
        try:
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch(0o600)
            self._connection = sqlite3.connect(path or ":memory:", timeout=60, check_same_thread=False)
            with self._connection as database:
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
        """See `DrawStore.get`.

        Raises:
            TrimError: if a draw is damaged.
        """
        found: dict[bytes, Draw] = {}
        with self._lock:
            for start in range(0, len(keys), _AT_ONCE):
                part = keys[start : start + _AT_ONCE]
                marks = ", ".join("?" * len(part))
                query = f"SELECT {_NAMES}, crc FROM draws WHERE key IN ({marks})"
                for key, *values, crc in self._query(query, part):
                    found[key] = Draw(*values)
                    if found[key].crc(key) != crc:
                        raise self._damaged("checksum")
        return [found.get(key) for key in keys]

    def put(self, draws: Sequence[tuple[bytes, Draw]]) -> None:
        """See `DrawStore.put`."""
        marks = ", ".join("?" * (len(SCHEMA) + 1))
        query = f"INSERT OR IGNORE INTO draws ({_NAMES}, crc) VALUES ({marks})"
        with self._lock, self._connection:
            self._connection.executemany(query, [(key, *draw, draw.crc(key)) for key, draw in draws])

    def keep_answer(self, name: str, owner: str, content: Mapping[str, Any]) -> None:
        """Keep a finished answer; the oldest answers and draws are dropped where there are too many."""
        with self._lock, self._connection:
            row = (name, owner, time.time(), json.dumps(content))
            number = self._connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", row).lastrowid or 0
            if number % _PRUNED == 0:
                self._prune()

    def answer(self, name: str, owner: str) -> dict[str, Any] | None:
        """An answer that was kept for an owner, None if there is none."""
        with self._lock:
            rows = self._query("SELECT content FROM answers WHERE id = ? AND owner = ?", (name, owner))
        return json.loads(rows[0][0]) if rows else None

    def spent(self, account: str) -> tuple[float, float, float, int]:
        """Strong tokens, tokens of always-strong, money, and answers, of an account."""
        with self._lock:
            rows = self._query("SELECT strong, whole, money, answers FROM accounts WHERE name = ?", (account,))
        return rows[0] if rows else (0.0, 0.0, 0.0, 0)

    def spend(self, account: str, strong: float, whole: float, money: float, answers: int) -> None:
        """Write down what more answers have spent."""
        with self._lock, self._connection:
            self._connection.execute("INSERT OR IGNORE INTO accounts VALUES (?, 0, 0, 0, 0)", (account,))
            self._connection.execute(
                "UPDATE accounts SET strong = strong + ?, whole = whole + ?, money = money + ?, "
                "answers = answers + ? WHERE name = ?",
                (strong, whole, money, answers, account),
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _query(self, query: str, values: Sequence[Any]) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise self._damaged(error) from error

    def _prune(self) -> None:
        self._connection.execute("DELETE FROM draws WHERE number <= (SELECT max(number) FROM draws) - ?", (self._keep,))
        self._connection.execute(
            "DELETE FROM answers WHERE made < (SELECT made FROM answers ORDER BY made DESC LIMIT 1 OFFSET ?)",
            (max(1, self._keep // 20),),
        )

    def _damaged(self, reason: object) -> TrimError:
        return TrimError(f"{self._path}: cannot be used ({reason}); delete it, or name another with --store")
