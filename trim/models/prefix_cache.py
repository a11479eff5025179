"""Prefix caching: for a text with a known beginning only new tokens are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from transformers import Cache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from trim.models.base import Prefix

AnyText = TypeVar("AnyText", bound="Text")


@dataclass
class Text:
    """A text to be read by a model.

    Attributes:
        prefix: its source.
        ids: its tokens.
        slots: slots of its first tokens in the cache.
        column: first column of the other tokens in their batch.
    """

    prefix: Prefix
    ids: np.ndarray
    slots: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    column: int = 0

    @property
    def unread(self) -> int:
        """Tokens that are not in the cache."""
        return len(self.ids) - len(self.slots)


class Batch(NamedTuple):
    """Inputs of a model for n texts, aligned on the right.

    Attributes:
        tokens: unread tokens, shape (n, unread).
        positions: their places in the texts, same shape.
        seen: False where a row is padded, shape (n, read + unread).
        cache: keys and values of the tokens read before.
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    seen: torch.Tensor
    cache: Cache


class _RoomyLayer(DynamicLayer):
    """Keys and values with room for the next tokens; otherwise each new token copies all before it."""

    _ROOM = 32
    _held: list[torch.Tensor]
    is_initialized: bool

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append new keys and values; shape (n, heads, tokens, width) each."""
        cached, fresh = self.get_seq_length(), key_states.shape[-2]
        if not self.is_initialized or cached + fresh > self._held[0].shape[-2]:
            self._held = [self._with_room(old, new) for old, new in zip(self._parts(), (key_states, value_states))]
            self.is_initialized = True
        for held, new in zip(self._held, (key_states, value_states), strict=True):
            held[..., cached : cached + fresh, :] = new
        self.keys, self.values = (held[..., : cached + fresh, :] for held in self._held)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Only keep the `indices` in the batch dimension."""
        self._held = [held[indices] for held in self._held]
        self.keys, self.values = (held[..., : self.get_seq_length(), :] for held in self._held)

    def _parts(self) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        return (self.keys, self.values) if self.is_initialized else (None, None)

    def _with_room(self, old: torch.Tensor | None, new: torch.Tensor) -> torch.Tensor:
        cached = 0 if old is None else old.shape[-2]
        held = new.new_empty(*new.shape[:-2], cached + new.shape[-2] + self._ROOM, new.shape[-1])
        if old is not None:
            held[..., :cached, :] = old
        return held


class PrefixCache:
    """Keys and values of the tokens that a model has read.

    One pool has a slot per token, and a text is a list of slots, so that texts with a common
    beginning share its slots, as in vLLM's paged attention (Kwon et al., 2023). A full pool is
    emptied.

    Args:
        model: the model of the keys and values.
        size: bytes of the pool.
    """

    def __init__(self, model: PreTrainedModel, size: int = 2**28) -> None:
        config = model.config
        self._device = model.device
        heads = config.num_key_value_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._slots = size // (2 * config.num_hidden_layers * heads * width * model.dtype.itemsize)
        self._pool = [
            [torch.empty(self._slots, heads, width, dtype=model.dtype, device=model.device) for _ in range(2)]
            for _ in range(config.num_hidden_layers)
        ]
        for pair in self._pool:
            for pool in pair:
                pool[0] = 0  # read where a row is padded
        self._texts: dict[Prefix, tuple[np.ndarray, np.ndarray]] = {}
        self._used, self._full = 1, False

    def claim(self) -> None:
        """Allocate the pool's memory now instead of as it fills; its content stays."""
        for pair in self._pool if self._used == 1 else ():
            for pool in pair:
                pool.zero_()

    def find(self, texts: Sequence[Text]) -> None:
        """Set the slots of each text's longest known beginning, at least one token short of it."""
        if self._full:
            self._texts.clear()
            self._used, self._full = 1, False
        for text in texts:
            steps = text.prefix.steps
            for length in range(len(steps), -1, -1):
                entry = self._texts.get(text.prefix._replace(steps=steps[:length]))
                if entry:
                    common = min(len(entry[0]), len(text.ids) - 1)
                    differs = entry[0][:common] != text.ids[:common]
                    text.slots = entry[1][: differs.argmax() if differs.any() else common]
                    break

    def load(self, texts: Sequence[Text]) -> Batch:
        """The batch of the unread tokens of `texts`."""
        read, unread = max(len(t.slots) for t in texts), max(t.unread for t in texts)
        shape = len(texts), read + unread
        slots, tokens, positions = (np.zeros(shape, dtype=np.int64) for _ in range(3))
        seen = np.zeros(shape, dtype=bool)
        for row, text in enumerate(texts):
            cached, text.column = len(text.slots), read + unread - text.unread
            slots[row, read - cached : read] = text.slots
            tokens[row, text.column :] = text.ids[cached:]
            positions[row, text.column :] = np.arange(cached, len(text.ids))
            seen[row, read - cached : read] = seen[row, text.column :] = True
        index = self._tensor(slots[:, :read])
        cache = Cache(layers=[_RoomyLayer() for _ in self._pool])
        if read:
            for layer, pair in zip(cache.layers, self._pool, strict=True):
                layer.update(*(pool[index].transpose(1, 2) for pool in pair))
        return Batch(
            self._tensor(tokens[:, read:]),
            self._tensor(positions[:, read:]),
            self._tensor(seen),
            cache,
        )

    def save(self, cache: Cache, rows: Sequence[int], texts: Sequence[Text]) -> list[np.ndarray]:
        """Store the unread tokens of `texts`, which are rows of a batch and may have grown.

        Returns:
            the new slots of each text; the earlier ones if the pool is full.
        """
        sizes = [text.unread for text in texts]
        start, stop = self._used, self._used + sum(sizes)
        if stop > self._slots:
            self._full = True
            return [text.slots for text in texts]
        self._used = stop
        at_row = self._tensor(np.repeat(rows, sizes))
        at_column = self._tensor(np.concatenate([np.arange(t.column, t.column + t.unread) for t in texts]))
        for layer, pair in zip(cache.layers, self._pool, strict=True):
            for states, pool in zip((layer.keys, layer.values), pair, strict=True):
                pool[start:stop] = states[at_row, :, at_column]
        fresh = np.split(np.arange(start, stop, dtype=np.int32), np.cumsum(sizes)[:-1])
        slots = [np.concatenate([text.slots, new]) for text, new in zip(texts, fresh, strict=True)]
        self._texts.update((text.prefix, (text.ids, of_text)) for text, of_text in zip(texts, slots, strict=True))
        return slots

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)


def alike(texts: Sequence[AnyText], short: int = 32) -> list[list[AnyText]]:
    """Texts in two groups: continuations of known ones, and mostly unread ones, which would delay the former."""
    groups = [t for t in texts if t.unread <= short], [t for t in texts if t.unread > short]
    return [group for group in groups if group]
