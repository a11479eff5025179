"""Calls of models: written down when they are made, and the only ground of every cost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa

from trim.models.base import Usage

Role = Literal["weak", "strong", "prm"]
# Writing: a draft, its first token alone (glimpse), a rewrite. Rating: a reward model's score, the log-probability of a
# draft that another model reads, and a language model's answer to a question about the text (verdict).
Kind = Literal["draft", "glimpse", "rewrite", "score", "read", "verdict"]
ROLES: tuple[Role, ...] = get_args(Role)
# Raters are reward models or language models; the weak model's log-probabilities come with its drafts, without a call.
Rater = Literal["prm", "weak", "strong", "grade", "self"]
PAYERS: dict[str, Role] = {"prm": "prm", "strong": "strong", "grade": "strong", "self": "weak"}


class Call(NamedTuple):
    """A call of a model, or several with the same prompt.

    Attributes:
        role: the model.
        kind: see `Kind`.
        calls: number of calls; 0 if the model goes on where its last call ended.
        prompt: tokens of their prompts.
        fresh: tokens of the prompt that the model has neither read nor written before.
        written: tokens.
        usage: a server's bill.
    """

    role: Role
    kind: Kind
    calls: int
    prompt: float
    fresh: float
    written: float
    usage: Usage | None = None


_AMOUNTS = ("calls", "prompt", "fresh", "written")
# A call in a table; `billed` and `billed_cached` are the tokens that a server says it read, and found in its cache.
COLUMNS = pa.struct(
    [
        ("role", pa.string()),
        ("kind", pa.string()),
        *((name, pa.int32()) for name in (*_AMOUNTS, "billed", "billed_cached")),
    ]
)


def columns(calls: Iterable[Call]) -> dict[str, np.ndarray]:
    """Calls as arrays named as in `COLUMNS`; NaN where there is no bill."""
    rows = list(calls)
    bills = [(call.usage.read, call.usage.cached) if call.usage else (np.nan, np.nan) for call in rows]
    return {
        "role": np.array([call.role for call in rows], dtype=object),
        "kind": np.array([call.kind for call in rows], dtype=object),
        **{name: np.array([getattr(call, name) for call in rows]) for name in _AMOUNTS},
        **dict(zip(("billed", "billed_cached"), np.array(bills, dtype=float).reshape(-1, 2).T, strict=True)),
    }
