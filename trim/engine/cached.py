"""Models behind the store of draws: stored draws are read, missing ones are made and stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

import numpy as np

from trim.engine.store import Draw, DrawStore, Node
from trim.errors import TrimError
from trim.models.base import Draft, LanguageModel, Prefix, RewardModel, StepScore
from trim.models.distortion import Distortion
from trim.models.fusion import Fusion
from trim.rng import digest
from trim.section import shown

Model = TypeVar("Model", LanguageModel, RewardModel)
Report = Callable[[str, int, int], None]


def _drawn(draft: Draft) -> Draw:
    return Draw(draft.tokens, draft.text, draft.stop, None, *(draft.usage or ()))


def _scored(keys: Sequence[bytes], scores: Sequence[StepScore]) -> list[tuple[bytes, Draw]]:
    return [
        (key, Draw(s.tokens_read, None, None, s.score, *(s.usage or ()))) for key, s in zip(keys, scores, strict=True)
    ]


def _absent(what: str, identity: bytes, prefix: Prefix) -> TrimError:
    """The error for a missing draw in a replay."""
    after = f"after step {len(prefix.steps)}, {shown(prefix.steps[-1])}" if prefix.steps else "at the start"
    return TrimError(
        f"no {what} by {identity.decode().split('/{')[0]} for the problem {shown(prefix.question)} {after}: "
        "pull the missing draws, or run without replay"
    )


def _draft(draw: Draw | None) -> Draft:
    assert draw and draw.text is not None and draw.stop is not None
    return Draft(draw.text, draw.tokens, draw.stop, draw.usage)


def _score(draw: Draw | None) -> StepScore:
    assert draw and draw.score is not None
    return StepScore(draw.score, draw.tokens, usage=draw.usage)


def _batches(lengths: Sequence[int], rows: int) -> Iterable[list[int]]:
    """Indices in batches of at most `rows`, sorted by length so that padding is small."""
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    return (order[start : start + rows] for start in range(0, len(order), rows))


class _Cached(Generic[Model]):
    """A model behind the store of draws.

    Args:
        identity: everything but the text that decides a draw (model id, sampling, seed, sample).
        model: called without arguments when a draw must be made; None forbids that.
        draws: the store.
        batch_size: steps made between two writes to the journal.
        report: called with the action, the number of steps and the number of tokens.
    """

    def __init__(
        self,
        identity: str,
        model: Callable[[], Model] | None,
        draws: DrawStore,
        batch_size: int,
        report: Report | None = None,
    ) -> None:
        self.identity, self._draws = identity.encode(), draws
        self._model: Callable[[], Model] | None = model
        self.batch_size, self._report = batch_size, report

    def load(self) -> None:
        """Load the model and let it claim its memory; models of other processes claim none."""
        if self._model:
            getattr(self._model(), "claim_memory", lambda: None)()

    @property
    def context(self) -> int | None:
        """Maximum of tokens that the model can read, None if unknown."""
        return getattr(self._model(), "context", None) if self._model else None

    def prompt_tokens(self, roots: Sequence[Node]) -> list[int]:
        """Tokens of each prompt before its first step; stored like draws."""
        keys = [digest(b"prompt", self.identity, node.path[-1]) for node in roots]
        known = dict(zip(keys, self._draws.get(keys), strict=True))
        missing = {key: node.prefix for key, node in zip(keys, roots, strict=True) if known[key] is None}
        if missing:
            if self._model is None:
                raise _absent("prompt", self.identity, next(iter(missing.values())))
            made = list(zip(missing, map(Draw, self._model().prompt_tokens(list(missing.values()))), strict=True))
            self._draws.put(made)
            known.update(made)
        return [draw.tokens for draw in map(known.__getitem__, keys) if draw]


class CachedLM(_Cached[LanguageModel]):
    """A language model behind the store: stored draws are read, the rest is generated."""

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

    def mean_logprobs(self, nodes: Sequence[Node]) -> list[StepScore]:
        """Mean log-probability of each node's last step; see `LanguageModel.mean_logprobs`."""
        return self._measured(b"likelihood", "log-probability", "mean_logprobs", nodes)

    def first_entropies(self, nodes: Sequence[Node]) -> list[StepScore]:
        """Entropy of the first token of the step after each node; see `LanguageModel.first_entropies`."""
        return self._measured(b"glimpse", "entropy", "first_entropies", nodes)

    def _measured(
        self, kind: bytes, what: str, method: Literal["mean_logprobs", "first_entropies"], nodes: Sequence[Node]
    ) -> list[StepScore]:
        """Results of one of the model's methods for each node; equal nodes are computed once."""
        keys = [digest(kind, self.identity, node.path[-1]) for node in nodes]

        def size(prefix: Prefix) -> int:
            return sum(map(len, prefix.steps))

        def make(model: LanguageModel, prefixes: list[Prefix], batch: list[bytes]) -> list[Draw]:
            def keep(index: int, scores: list[StepScore]) -> None:
                self._draws.put(_scored([batch[index]], scores))

            return [draw for _, draw in _scored(batch, getattr(model, method)(prefixes, keep))]

        unique = {key: node.prefix for key, node in zip(keys, nodes, strict=True)}
        known = self._all(unique, size, make, what, "scored")
        return [_score(known[key]) for key in keys]

    def _all(
        self,
        prefixes: Mapping[bytes, Prefix],
        size: Callable[[Prefix], int],
        make: Callable[[LanguageModel, list[Prefix], list[bytes]], list[Draw]],
        what: str,
        done: str,
    ) -> dict[bytes, Draw | None]:
        """The draw of each key: stored ones are read, the rest is made in batches of similar sizes and stored.

        Args:
            prefixes: the prefixes by key.
            size: returns the size of a prefix.
            make: makes the draws of a batch with the model, from prefixes and keys.
            what: the kind of draw, for the error about a missing one.
            done: the action, for the report; tokens are reported only for "generated".
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


class CachedPRM(_Cached[RewardModel]):
    """A reward model behind the store.

    Attributes:
        rereads: it reads whole solutions, so that every accepted step is scored too.
    """

    rereads: ClassVar[bool] = True

    @property
    def reading(self) -> bytes:
        """The identity of the scores as they are read."""
        return self.identity

    def score(self, nodes: Sequence[Node], last: Sequence[int]) -> list[list[StepScore]]:
        """Scores of the last `last[i]` steps of each solution, in order; equal requests are read once."""
        places = list(zip(nodes, last, strict=True))
        unique = list(dict.fromkeys(places))
        scores = dict(zip(unique, self._read(unique), strict=True))
        return [scores[place] for place in places]

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


class Alteration(Protocol):
    """A change of scores when they are read, the same for every router; the store keeps the true scores.

    Attributes:
        reading: its identity.
    """

    @property
    def reading(self) -> bytes: ...  # noqa: D102

    def __call__(self, scores: np.ndarray, nodes: Sequence[Node]) -> np.ndarray:
        """Altered scores of the last steps of n nodes, shape (n,)."""
        ...


@dataclass(frozen=True)
class Distorted:
    """Distorts scores."""

    distortion: Distortion

    @property
    def reading(self) -> bytes:
        """See `Alteration`."""
        return repr(self.distortion).encode()

    def __call__(self, scores: np.ndarray, nodes: Sequence[Node]) -> np.ndarray:
        """See `Alteration`."""
        return self.distortion(scores, [node.path[-1] for node in nodes])


@dataclass(frozen=True)
class Fused:
    """Fuses scores with the weak model's log-probabilities of its own steps and of steps that it has read."""

    fusion: Fusion
    weak: CachedLM

    @property
    def reading(self) -> bytes:
        """See `Alteration`."""
        return digest(self.weak.identity, *(np.asarray(value).tobytes() for value in vars(self.fusion).values()))

    def __call__(self, scores: np.ndarray, nodes: Sequence[Node]) -> np.ndarray:
        """See `Alteration`."""
        return self.fusion(scores, np.array([read.score for read in self.weak.mean_logprobs(nodes)]))


class AlteredPRM(CachedPRM):
    """A scorer whose scores are altered when they are read, by one alteration after the other."""

    def __init__(self, alterations: Sequence[Alteration], *scorer: Any) -> None:
        super().__init__(*scorer)
        self._alterations = alterations

    @property
    def reading(self) -> bytes:
        """See `CachedPRM.reading`."""
        return self.identity + b"".join(alteration.reading for alteration in self._alterations)

    def _read(self, places: Sequence[tuple[Node, int]]) -> list[list[StepScore]]:
        read = super()._read(places)
        nodes = [node.at(end) for node, count in places for end in range(len(node.path) - count, len(node.path))]
        scores = np.array([s.score for row in read for s in row])
        for alteration in self._alterations:
            scores = alteration(scores, nodes)
        altered = iter(scores.tolist())
        return [[s._replace(score=next(altered)) for s in row] for row in read]
