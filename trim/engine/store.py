"""The store of draws: every generated step and every score, stored once under the hash of its cause.

A draw is a function of the model and its revision, the sampling parameters, the seed, the
sample index and the text before it. So all routers share one tree of possible solutions per
problem, a stopped run resumes, and a finished one replays without a model.

On disk there are read-only Parquet layers, one per upstream rule, and a journal, an SQLite
database that takes each batch as it is made. A finished rule exports the draws that it used,
if no layer below has them, as a new layer.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from trim.errors import TrimError
from trim.files import read_table, write_table
from trim.models.base import Prefix, Stop, Usage
from trim.rng import digest
from trim.steps import SEPARATOR

SCHEMA = pa.schema(
    [
        ("key", pa.binary(16)),
        ("tokens", pa.int32()),
        ("text", pa.string()),
        ("stop", pa.string()),
        ("score", pa.float64()),
        ("billed_read", pa.int32()),
        ("billed_cached", pa.int32()),
        ("billed_written", pa.int32()),
    ]
)


class DrawStore(Protocol):
    """A store of draws; `Draws` is one.

    Attributes:
        folder: folder for related records, such as spending; None if there is none.
    """

    folder: Path | None

    def get(self, keys: Sequence[bytes]) -> list[Draw | None]:
        """The draw of each key, None where it was never made."""
        ...

    def put(self, draws: Sequence[tuple[bytes, Draw]]) -> None:
        """Store new draws."""
        ...


class Node:
    """A place in a problem's tree of solutions; episodes at the same place share it.

    Attributes:
        prefix: the question and the steps so far.
        path: the hash of the root and of each step's node.
    """

    __slots__ = ("_children", "path", "prefix")

    def __init__(self, prefix: Prefix, path: tuple[bytes, ...]) -> None:
        self.prefix, self.path = prefix, path
        self._children: dict[str, Node] = {}

    @classmethod
    def root(cls, question: str, separator: str = SEPARATOR) -> Node:
        """The node before the first step; see `trim.models.settings.Sampling.separator`."""
        return cls.of(Prefix(question, separator=separator))

    @classmethod
    def of(cls, prefix: Prefix, sample: str = "") -> Node:
        """The node of a prefix without steps; each sample has its own tree."""
        named = [prefix.question.encode()]
        asked = [prefix.before, prefix.temperature, prefix.top_p, sample]
        special = any(part not in ((), None, "") for part in asked)
        named += [prefix.separator.encode()] if special or prefix.separator != SEPARATOR else []
        named += [json.dumps(asked).encode()] if special else []
        return cls(prefix, (digest(*named),))

    @classmethod
    def asking(cls, text: str, sample: int = 0, before: tuple[tuple[str, str], ...] = ()) -> Node:
        """The node of a request that is no problem: the text is sent once for each sample."""
        named = [b"ask", str(sample).encode(), text.encode(), *([json.dumps(before).encode()] if before else [])]
        return cls(Prefix(text, (), "", before=before), (digest(*named),))

    def at(self, steps: int) -> Node:
        """The ancestor of this node after `steps` steps; it shares no children with it."""
        if steps == len(self.path) - 1:
            return self
        return Node(self.prefix._replace(steps=self.prefix.steps[:steps]), self.path[: steps + 1])

    def child(self, step: str) -> Node:
        """The node after one more step."""
        if step not in self._children:
            prefix = self.prefix._replace(steps=(*self.prefix.steps, step))
            self._children[step] = Node(prefix, (*self.path, digest(self.path[-1], step.encode())))
        return self._children[step]


class Draw(NamedTuple):
    """One stored value: a draft has text and stop, a score has score, a prompt's length has neither.

    A server's bill for the call is stored with it.
    """

    tokens: int
    text: str | None = None
    stop: Stop | None = None
    score: float | None = None
    billed_read: int | None = None
    billed_cached: int | None = None
    billed_written: int | None = None

    @property
    def usage(self) -> Usage | None:
        """The bill, None if there is none."""
        if self.billed_read is None or self.billed_cached is None or self.billed_written is None:
            return None
        return Usage(self.billed_read, self.billed_cached, self.billed_written)

    def crc(self, key: bytes) -> int:
        """A checksum of the draw and its key."""
        return zlib.crc32(key + repr(tuple(self)).encode())


class _Layer:
    """A read-only file of draws, sorted by key."""

    def __init__(self, path: Path) -> None:
        self.table, _ = read_table(path, SCHEMA)
        keys = np.frombuffer(self.table["key"].combine_chunks().buffers()[1] or b"", dtype="S16")
        self.keys = keys[: self.table.num_rows]
        if np.any(self.keys[1:] <= self.keys[:-1]):
            raise TrimError(f"{path}: keys out of order; restore it, or delete it and run Snakemake again")

    def rows(self, keys: np.ndarray) -> np.ndarray:
        """The row of each key, -1 where absent."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        rows = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[rows] == keys, rows, -1)

    def take(self, rows: np.ndarray) -> list[Draw]:
        columns = self.table.select(SCHEMA.names[1:]).take(pa.array(rows)).to_pydict()
        return list(map(Draw, *columns.values()))


class _Journal:
    """An SQLite database that survives the process: one transaction per batch."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.connection = sqlite3.connect(path, timeout=60)
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute("PRAGMA synchronous = NORMAL")
            self.connection.execute(
                "CREATE TABLE IF NOT EXISTS draws "
                "(key BLOB, tokens INTEGER, text TEXT, stop TEXT, score REAL, "
                "billed_read INTEGER, billed_cached INTEGER, billed_written INTEGER, crc INTEGER)"
            )
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    def load(self) -> dict[bytes, Draw]:
        draws = {}
        try:
            for key, *values, crc in self.connection.execute("SELECT * FROM draws"):
                draws[key] = Draw(*values)
                if crc != draws[key].crc(key):
                    raise self._damaged("checksum")
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise self._damaged(error) from error
        return draws

    def append(self, draws: Iterable[tuple[bytes, Draw]]) -> None:
        with self.connection:
            self.connection.executemany(
                f"INSERT INTO draws VALUES ({', '.join('?' * (len(SCHEMA) + 1))})",
                [(key, *draw, draw.crc(key)) for key, draw in draws],
            )

    def _damaged(self, reason: object) -> TrimError:
        return TrimError(f"{self.path}: damaged ({reason}); delete it and run again")


class Draws:
    """The draws that a rule can read, and those it adds.

    Args:
        layers: files made by `export`; read only, shared by any number of processes.
        journal: database that stores new draws as they are made; None keeps them in memory only.

    Attributes:
        folder: the folder of the journal.

    Raises:
        TrimError: if a file is damaged; it names the file.
    """

    def __init__(self, layers: Sequence[Path] = (), journal: Path | None = None) -> None:
        self._layers = [_Layer(path) for path in layers]
        self.folder = journal.parent if journal else None
        self._journal = _Journal(journal) if journal else None
        self._fresh = self._journal.load() if self._journal else {}
        self._used: set[bytes] = set()

    def get(self, keys: Sequence[bytes]) -> list[Draw | None]:
        """The draw of each key, None where it was never made."""
        found: list[Draw | None] = [None] * len(keys)
        missing = np.arange(len(keys))
        array = np.asarray(keys, dtype="S16")
        for layer in self._layers:
            if not len(missing):
                break
            rows = layer.rows(array[missing])
            hits = rows >= 0
            for index, draw in zip(missing[hits].tolist(), layer.take(rows[hits]), strict=True):
                found[index] = draw
            missing = missing[~hits]
        for index in missing.tolist():
            found[index] = self._fresh.get(keys[index])
            if found[index] is not None:
                self._used.add(keys[index])
        return found

    def put(self, draws: Sequence[tuple[bytes, Draw]]) -> None:
        """Store new draws at once and for good; stored ones are not replaced."""
        new = [(key, draw) for key, draw in draws if key not in self._fresh]
        if self._journal:
            self._journal.append(new)
        self._fresh.update(new)
        self._used.update(key for key, _ in draws)

    def export(self, path: Path) -> int:
        """Write a layer of the used draws that are in no layer below; returns their number."""
        keys = sorted(self._used)
        draws = [self._fresh[key] for key in keys]
        columns = [keys, *([getattr(draw, name) for draw in draws] for name in SCHEMA.names[1:])]
        arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
        write_table(path, pa.Table.from_arrays(arrays, schema=SCHEMA))
        return len(keys)
