"""The stages of the pipeline: each file of this package holds its `STAGES`, except the few that stages share."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trim.stages.stage import Stage

_SHARED = ("stage", "job", "checkout", "environment")


def registry() -> list[Stage]:
    """The stages, in the order of `trim --help`."""
    names = [file.name for file in pkgutil.iter_modules(__path__) if file.name not in _SHARED]
    stages = [stage for name in names for stage in import_module(f"{__name__}.{name}").STAGES]
    return sorted(stages, key=lambda stage: stage.order)
