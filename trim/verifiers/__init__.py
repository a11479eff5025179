"""The ladder of verifiers: each file of this package but `base` is a rung, and ends with its `VERIFIER`."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from trim.verifiers.base import READERS, Verifier


@cache
def registry() -> dict[str, Verifier]:
    """Every rung by the name of its file, from free ones to those that the strong model reads."""
    names = [found.name for found in pkgutil.iter_modules(__path__) if found.name != "base"]
    known = {name: import_module(f"{__name__}.{name}").VERIFIER for name in names}
    return dict(sorted(known.items(), key=lambda rung: (READERS.index(rung[1].reader), rung[0])))
