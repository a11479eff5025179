"""The ladder of verifiers: each file of this package but `base` has rungs, its `VERIFIERS` by name."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from trim.verifiers.verifier import READERS, Verifier


def modules() -> list[str]:
    """The modules that hold the rungs."""
    return [f"{__name__}.{file.name}" for file in pkgutil.iter_modules(__path__) if file.name != "verifier"]


@cache
def registry() -> dict[str, Verifier]:
    """Every rung by name, those that are free first, those that the strong model reads last."""
    known: dict[str, Verifier] = {}
    for module in modules():
        known |= import_module(module).VERIFIERS
    return dict(sorted(known.items(), key=lambda rung: (READERS.index(rung[1].reader), rung[0])))
