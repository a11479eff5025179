"""Questions and solutions as vectors, for routers that decide from the question alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
from pydantic import Field, model_validator

from trim.section import PathText, Section

_NUMBER = re.compile(r"\d+")
_BATCH = 64


class Embedding(Section):
    """The embedding of texts.

    Attributes:
        size: number of buckets of the hashed n-grams.
        path: an encoder in place of n-grams: its folder, or with `revision` its name on the hub.
        revision: commit of the encoder on the hub.
    """

    size: int = Field(256, ge=16)
    path: PathText | None = None
    revision: str | None = Field(None, pattern=r"^[0-9A-Za-z._/-]{1,100}$")

    @model_validator(mode="after")
    def _revision_of_a_path(self) -> Embedding:
        if self.revision and not self.path:
            raise ValueError("revision without path")
        return self


class Embedder(Protocol):
    """Embeds texts."""

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """One vector each, shape (n, d)."""
        ...


@cache
def embedder(embedding: Embedding) -> Embedder:
    """The embedder of a section, made once per process.

    Raises:
        TrimError: if an encoder was not downloaded.
    """
    return Encoder(embedding.path, embedding.revision) if embedding.path else NGrams(embedding.size)


class NGrams:
    """Counts of hashed n-grams of words (numbers of equal length are alike), and features of the whole text."""

    def __init__(self, size: int) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer

        self._vectoriser = HashingVectorizer(
            n_features=size, ngram_range=(1, 3), norm=None, token_pattern=r"[\w#]+|[^\w\s]", lowercase=True
        )

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """See `Embedder`."""
        shapes = [_NUMBER.sub(lambda number: "#" * min(len(number[0]), 3), text) for text in texts]
        counts = self._vectoriser.transform(shapes).toarray()
        return np.hstack([np.sign(counts) * np.log1p(np.abs(counts)), [_features(text) for text in texts]])


def _features(text: str) -> list[float]:
    numbers = _NUMBER.findall(text)
    return [
        np.log1p(len(text)),
        np.log1p(len(text.split())),
        np.log1p(len(numbers)),
        np.log1p(sum(len(number) > 1 for number in numbers)),
        np.log1p(sum(map(len, numbers))) - np.log1p(len(numbers)),
        np.log1p(text.count(",") + text.count(".")),
    ]


class Encoder:
    """Mean of an encoder's last hidden states (sentence-transformers' usual pooling).

    Args:
        path: a folder, or with a revision a name on the hub.
        revision: commit.

    Raises:
        TrimError: if it was not downloaded.
    """

    def __init__(self, path: str, revision: str | None) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        from trim.errors import TrimError, first_line
        from trim.models.hub import cached
        from trim.models.weights import load_whole

        folder = cached(path, revision) if revision else Path(path)
        try:
            self._model = load_whole(AutoModel, folder, torch.float32, "encoder")
        except TrimError as error:
            raise TrimError(f"embedding.path: {error}") from error
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:
            raise TrimError(f"embedding.path: {path}: not a readable encoder ({first_line(error)})") from error

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """See `Embedder`."""
        import torch

        vectors = []
        with torch.inference_mode():
            for start in range(0, len(texts), _BATCH):
                batch = list(texts[start : start + _BATCH])
                inputs = self._tokenizer(batch, padding=True, truncation=True, return_tensors="pt")
                hidden, mask = self._model(**inputs).last_hidden_state, inputs["attention_mask"][..., None]
                vectors.append(((hidden * mask).sum(1) / mask.sum(1)).float().numpy())
        return np.concatenate(vectors)
