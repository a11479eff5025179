"""The store of draws: every generated step and every score, once, under the hash of its cause.

A draw is a function of the model and its revision, the sampling parameters, the seed, the
sample index and the text before it. So all routers share one tree of possible solutions per
problem, a stopped run resumes, and a finished one replays without a model.

On disk there are read-only Parquet layers, one per upstream rule, and a journal, an SQLite
database that takes each batch as it is made. A finished rule exports what it used, and no
layer below holds, as a new layer.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from trim.errors import TrimError
from trim.models.base import Draft, LanguageModel, Prefix, RewardModel, StepScore, Stop, Usage
from trim.section import shown
from trim.steps import SEPARATOR
from trim.tables import read_table, write_table

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
Report = Callable[[str, int, int], None]


def digest(*parts: bytes) -> bytes:
    """16 bytes that name `parts`, boundaries included."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(len(part).to_bytes(8, "little") + part)
    return state.digest()


class Node:
    """A place in a problem's tree of solutions; episodes that stand at the same place share it.

    Attributes:
        prefix: the question and the steps so far.
        path: the hash of the root and of each step's node.
    """

    __slots__ = ("_children", "path", "prefix")

    def __init__(self, prefix: Prefix, path: tuple[bytes, ...]) -> None:
        self.prefix, self.path = prefix, path
        self._children: dict[str, Node] = {}

    @classmethod
    def root(cls, question: str, joint: str = SEPARATOR) -> Node:
        """The node before the first step; see `trim.models.base.Sampling.joint`."""
        named = [question.encode()] if joint == SEPARATOR else [question.encode(), joint.encode()]
        return cls(Prefix(question, joint=joint), (digest(*named),))

    @classmethod
    def asking(cls, text: str, sample: int = 0) -> Node:
        """The node of a request that is no problem: the text alone is asked, once for each sample."""
        return cls(Prefix(text, (), ""), (digest(b"ask", str(sample).encode(), text.encode()),))

    def child(self, step: str) -> Node:
        """The node after one more step."""
        if step not in self._children:
            prefix = self.prefix._replace(steps=(*self.prefix.steps, step))
            self._children[step] = Node(prefix, (*self.path, digest(self.path[-1], step.encode())))
        return self._children[step]


class Draw(NamedTuple):
    """One stored value: a draft has text and stop, a score has score, a prompt's length neither.

    What a server billed for the call stands with it.
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
        """What was billed, None where nothing was."""
        if self.billed_read is None or self.billed_cached is None or self.billed_written is None:
            return None
        return Usage(self.billed_read, self.billed_cached, self.billed_written)


def _drawn(draft: Draft) -> Draw:
    return Draw(draft.tokens, draft.text, draft.stop, None, *(draft.usage or ()))


def _scored(keys: Sequence[bytes], scores: Sequence[StepScore]) -> list[tuple[bytes, Draw]]:
    return [(key, Draw(s.tokens, None, None, s.score, *(s.usage or ()))) for key, s in zip(keys, scores, strict=True)]


def _absent(what: str, identity: bytes, prefix: Prefix) -> TrimError:
    """A draw that a replay needs and does not have."""
    after = f"after step {len(prefix.steps)}, {shown(prefix.steps[-1])}" if prefix.steps else "at the start"
    return TrimError(
        f"no {what} by {identity.decode().split('/{')[0]} for the problem {shown(prefix.question)} {after}: "
        "pull the draws that are missing, or run without replay"
    )


def _draft(draw: Draw | None) -> Draft:
    assert draw and draw.text is not None and draw.stop is not None
    return Draft(draw.text, draw.tokens, draw.stop, draw.usage)


def _score(draw: Draw | None) -> StepScore:
    assert draw and draw.score is not None
    return StepScore(draw.score, draw.tokens, usage=draw.usage)


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
    """An SQLite database that survives the process: one transaction a batch."""

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
                if crc != self._crc(key, draws[key]):
                    raise self._damaged("checksum")
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise self._damaged(error) from error
        return draws

    def append(self, draws: Iterable[tuple[bytes, Draw]]) -> None:
        with self.connection:
            self.connection.executemany(
                f"INSERT INTO draws VALUES ({', '.join('?' * (len(SCHEMA) + 1))})",
                [(key, *draw, self._crc(key, draw)) for key, draw in draws],
            )

    @staticmethod
    def _crc(key: bytes, draw: Draw) -> int:
        return zlib.crc32(key + repr(tuple(draw)).encode())

    def _damaged(self, reason: object) -> TrimError:
        return TrimError(f"{self.path}: damaged ({reason}); delete it and run again")


class Draws:
    """All draws that a rule can read, and those it adds.

    Args:
        layers: files made by `export`; read only, shared by any number of processes.
        journal: where new draws are kept as they are made; None keeps them in memory only.

    Attributes:
        folder: of the journal.

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
        """Keep new draws, at once and for good; what is kept already stays as it is."""
        new = [(key, draw) for key, draw in draws if key not in self._fresh]
        if self._journal:
            self._journal.append(new)
        self._fresh.update(new)
        self._used.update(key for key, _ in draws)

    def export(self, path: Path) -> int:
        """Write a layer of the draws that were used and are in no layer below; returns their number."""
        keys = sorted(self._used)
        draws = [self._fresh[key] for key in keys]
        columns = [keys, *([getattr(draw, name) for draw in draws] for name in SCHEMA.names[1:])]
        arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
        write_table(path, pa.Table.from_arrays(arrays, schema=SCHEMA))
        return len(keys)


def _batches(lengths: Sequence[int], rows: int) -> Iterable[list[int]]:
    """Indices in batches of at most `rows`, sorted by length so that padding is small."""
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    return (order[start : start + rows] for start in range(0, len(order), rows))


def _prompts(
    draws: Draws, identity: bytes, model: Callable[[], LanguageModel | RewardModel] | None, nodes: Sequence[Node]
) -> list[int]:
    """Tokens of the prompt at each root, which are kept as draws are."""
    keys = [digest(b"prompt", identity, node.path[-1]) for node in nodes]
    known = dict(zip(keys, draws.get(keys), strict=True))
    missing = {key: node.prefix for key, node in zip(keys, nodes, strict=True) if known[key] is None}
    if missing:
        if model is None:
            raise _absent("prompt", identity, next(iter(missing.values())))
        made = list(zip(missing, map(Draw, model().prompt_tokens(list(missing.values()))), strict=True))
        draws.put(made)
        known.update(made)
    return [draw.tokens for draw in map(known.__getitem__, keys) if draw]


class Writer:
    """A language model behind the store: what was drawn before is read, the rest is generated.

    Args:
        identity: everything but the text that decides a draw (model id, sampling, seed, sample).
        model: called with no arguments when something has to be generated; None forbids that.
        draws: the store.
        batch_size: steps generated between two writes to the journal.
        report: told what was done, how many steps and how many tokens.
    """

    def __init__(
        self,
        identity: str,
        model: Callable[[], LanguageModel] | None,
        draws: Draws,
        batch_size: int,
        report: Report | None = None,
    ) -> None:
        self.identity, self._model, self._draws = identity.encode(), model, draws
        self.batch_size, self._report = batch_size, report

    def next_steps(self, nodes: Sequence[Node]) -> list[Draft]:
        """The next step at each node; equal nodes are drawn once."""
        keys = {node: digest(b"draft", self.identity, node.path[-1]) for node in dict.fromkeys(nodes)}

        def size(prefix: Prefix) -> int:
            return sum(map(len, prefix.steps)) + len(prefix.question)

        def make(model: LanguageModel, prefixes: list[Prefix], batch: list[bytes]) -> list[Draw]:
            def keep(index: int, draft: Draft) -> None:
                self._draws.put([(batch[index], _drawn(draft))])

            return [_drawn(draft) for draft in model.next_steps(prefixes, batch, keep)]

        unique = {key: node.prefix for node, key in keys.items()}
        known = self._all(unique, size, make, "step", "generated")
        found = {node: _draft(known[key]) for node, key in keys.items()}
        return [found[node] for node in nodes]

    def prompt_tokens(self, roots: Sequence[Node]) -> list[int]:
        """Tokens of each prompt before its first step; see `LanguageModel.prompt_tokens`."""
        return _prompts(self._draws, self.identity, self._model, roots)

    def likelihoods(self, nodes: Sequence[Node]) -> list[StepScore]:
        """Mean log-probability of the step that each node ends with; see `LanguageModel.likelihoods`."""
        keys = [digest(b"likelihood", self.identity, node.path[-1]) for node in nodes]

        def size(prefix: Prefix) -> int:
            return sum(map(len, prefix.steps))

        def make(model: LanguageModel, prefixes: list[Prefix], batch: list[bytes]) -> list[Draw]:
            def keep(index: int, scores: list[StepScore]) -> None:
                self._draws.put(_scored([batch[index]], scores))

            return [draw for _, draw in _scored(batch, model.likelihoods(prefixes, keep))]

        unique = {key: node.prefix for key, node in zip(keys, nodes, strict=True)}
        known = self._all(unique, size, make, "log-probability", "scored")
        return [_score(known[key]) for key in keys]

    def _all(
        self,
        prefixes: Mapping[bytes, Prefix],
        size: Callable[[Prefix], int],
        make: Callable[[LanguageModel, list[Prefix], list[bytes]], list[Draw]],
        what: str,
        done: str,
    ) -> dict[bytes, Draw | None]:
        """The draw of each key: what is stored is read, the rest is made in batches of alike sizes and stored.

        Args:
            prefixes: by key.
            size: of a prefix.
            make: the draws of a batch, by the model, from prefixes and keys.
            what: a draw is, for the one that is missing where there is no model.
            done: with them, for the report; tokens are told of what is generated.
        """
        known = dict(zip(prefixes, self._draws.get(list(prefixes)), strict=True))
        missing = [key for key, draw in known.items() if draw is None]
        for rows in _batches([size(prefixes[key]) for key in missing], self.batch_size):
            batch = [missing[i] for i in rows]
            if self._model is None:
                raise _absent(what, self.identity, prefixes[batch[0]])
            draws = make(self._model(), [prefixes[key] for key in batch], batch)
            made = list(zip(batch, draws, strict=True))
            self._draws.put(made)
            known.update(made)
            if self._report:
                self._report(done, len(made), sum(draw.tokens for draw in draws) if done == "generated" else 0)
        return known


class Scorer:
    """A reward model behind the store; see `Writer`.

    Attributes:
        rereads: it reads whole solutions, so that every step that stands is scored too.
        reading: everything that decides a score as it is read.
    """

    rereads: ClassVar[bool] = True

    def __init__(
        self,
        identity: str,
        model: Callable[[], RewardModel] | None,
        draws: Draws,
        batch_size: int,
        report: Report | None = None,
    ) -> None:
        self.identity, self._model, self._draws = identity.encode(), model, draws
        self.batch_size, self._report = batch_size, report
        self.reading = self.identity

    def score(self, nodes: Sequence[Node], last: Sequence[int]) -> list[list[StepScore]]:
        """Scores of the last `last[i]` steps of each solution, in order; equal requests are read once."""
        places = list(zip(nodes, last, strict=True))
        unique = list(dict.fromkeys(places))
        scores = dict(zip(unique, self._read(unique), strict=True))
        return [scores[place] for place in places]

    def prompt_tokens(self, roots: Sequence[Node]) -> list[int]:
        """Tokens of each prompt before its first step; see `RewardModel.prompt_tokens`."""
        return _prompts(self._draws, self.identity, self._model, roots)

    def _read(self, places: Sequence[tuple[Node, int]]) -> list[list[StepScore]]:
        wanted = [
            [digest(b"score", self.identity, step) for step in node.path[len(node.path) - n :]] for node, n in places
        ]
        flat = list(dict.fromkeys(key for keys in wanted for key in keys))
        known = dict(zip(flat, self._draws.get(flat), strict=True))
        unread: dict[bytes, tuple[Node, list[bytes]]] = {}
        for (node, _), keys in zip(places, wanted, strict=True):
            if any(known[key] is None for key in keys) and len(keys) > len(unread.get(keys[-1], (node, []))[1]):
                unread[keys[-1]] = node, keys
        requests = list(unread.values())
        for rows in _batches([sum(map(len, node.prefix.steps)) for node, _ in requests], self.batch_size):
            batch = [requests[i] for i in rows]
            if self._model is None:
                raise _absent("score", self.identity, batch[0][0].prefix)

            def keep(index: int, scores: list[StepScore], batch: list[tuple[Node, list[bytes]]] = batch) -> None:
                self._draws.put(_scored(batch[index][1], scores))

            read = self._model().score([node.prefix for node, _ in batch], [len(keys) for _, keys in batch], keep)
            made = dict(pair for (_, keys), scores in zip(batch, read, strict=True) for pair in _scored(keys, scores))
            self._draws.put(list(made.items()))
            known.update(made)
            if self._report:
                self._report("scored", len(made), 0)
        return [[_score(known[key]) for key in keys] for keys in wanted]
