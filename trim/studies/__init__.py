"""Studies beside the main comparison: each file of this package except `base` is one, and ends with its `STUDY`."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from trim.errors import TrimError
from trim.experiment.params import Params
from trim.studies.study import Study

if TYPE_CHECKING:
    from trim.report.tables import Column


def names() -> list[str]:
    """Names of all studies: the names of their files."""
    return sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name != "study")


def check_names(params: Params) -> None:
    """Check that an experiment asks only for existing studies.

    Raises:
        TrimError: if a study is unknown; the message names it.
    """
    known = names()
    for name in params.studies or ():
        if name not in known:
            raise TrimError(f"studies: {name!r} found, allowed: {', '.join(known)}")


@cache
def registry() -> dict[str, Study]:
    """Studies by name; those at the top of the page (`prose`) come first."""
    known = [import_module(f"{__name__}.{name}").STUDY for name in names()]
    return {study.name: study for study in sorted(known, key=lambda study: (not study.prose, study.name))}


def studies_of(params: Params) -> dict[str, Study]:
    """The studies that an experiment makes, by name.

    Raises:
        TrimError: if it asks for an unknown study.
    """
    check_names(params)
    return {name: study for name, study in registry().items() if study.made(params)}


def main_columns(params: Params) -> dict[str, Column]:
    """The columns that the studies of an experiment add to the main table, by heading."""
    return {heading: column for study in studies_of(params).values() for heading, column in study.columns.items()}
