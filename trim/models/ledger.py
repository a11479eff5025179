"""What the use of servers cost, written down at once, so that a cap holds over crashes and processes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from trim.errors import TrimError

FILE = "spending.sqlite"


class Ledger:
    """Money spent on one model.

    Args:
        folder: where it is written down; None keeps it in memory.
        model: its name.
        cap: most that may be spent, None for no limit.

    Raises:
        TrimError: if what is written there is damaged.
    """

    def __init__(self, folder: Path | None, model: str, cap: float | None) -> None:
        self._model, self._cap = model, cap
        self._reserved: list[float] = []
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / FILE if folder else ":memory:"
        try:
            self._connection = sqlite3.connect(self._path, timeout=60)
            self._connection.execute("CREATE TABLE IF NOT EXISTS spent (model TEXT, amount REAL)")
        except sqlite3.DatabaseError as error:
            raise TrimError(f"{self._path}: damaged ({error}); the spending so far is lost with it") from error

    @property
    def spent(self) -> float:
        """All that was spent so far, also by other processes."""
        (total,) = self._connection.execute(
            "SELECT coalesce(sum(amount), 0) FROM spent WHERE model = ?", (self._model,)
        ).fetchone()
        return float(total)

    def reserve(self, most: float) -> bool:
        """Set aside the most that a request can cost; False if this process has to wait for others of its own first.

        Raises:
            TrimError: if the cap forbids the request whatever the open ones will have cost.
        """
        if self._cap is not None and self.spent + sum(self._reserved) + most > self._cap:
            if self._reserved:
                return False
            raise TrimError(
                f"{self._model}: {self.spent:.4f} spent, and one more request may pass the cap of {self._cap:g}; "
                "raise server.cap to go on (what was made is kept)"
            )
        self._reserved.append(most)
        return True

    def release(self, most: float) -> None:
        """End what `reserve` set aside."""
        self._reserved.remove(most)

    def pay(self, amount: float) -> None:
        """Write down what a request cost."""
        if amount:
            with self._connection:
                self._connection.execute("INSERT INTO spent VALUES (?, ?)", (self._model, amount))
