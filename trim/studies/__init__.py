"""Studies beside the main comparison: each file of this package with a `STUDY` is one."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from trim.errors import TrimError
from trim.experiment.params import Params
from trim.studies.base import Study


@cache
def registry() -> dict[str, Study]:
    """All studies by name, those that are read at the top of the page first."""
    modules = [import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    known = [module.STUDY for module in modules if hasattr(module, "STUDY")]
    return {study.name: study for study in sorted(known, key=lambda study: (not study.prose, study.name))}


def studies_of(params: Params) -> dict[str, Study]:
    """The studies that an experiment makes, by name.

    Raises:
        TrimError: if it asks for one that there is not.
    """
    for name in params.studies or ():
        if name not in registry():
            raise TrimError(f"studies: {name!r} found, allowed: {', '.join(sorted(registry()))}")
    return {name: study for name, study in registry().items() if study.made(params)}
