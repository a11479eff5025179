"""Routers: one file each, found by name."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from trim.routers.base import Router

__all__ = ["Router", "registry"]


@cache
def registry() -> dict[str, type[Router]]:
    """Every router in this package by its name."""
    found: dict[str, type[Router]] = {}
    for module in pkgutil.iter_modules(__path__):
        for value in vars(importlib.import_module(f"{__name__}.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, Router) and hasattr(value, "name"):
                found[value.name] = value
    return found
