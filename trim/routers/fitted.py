"""Fitted parameters of a router: a file of numbers and a file of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trim.errors import TrimError
from trim.files import read_arrays, read_sealed, write_arrays, write_sealed


def write_fitted(folder: Path, router: str, benchmark: str, fitted: Mapping[str, Any]) -> None:
    """Write ROUTER.json and ROUTER.safetensors.

    Args:
        folder: the folder to write into.
        router: the router's name.
        benchmark: the benchmark that it was fitted on.
        fitted: the result of its `fit`: values for JSON, and arrays.
    """
    arrays = {name: value for name, value in fitted.items() if isinstance(value, np.ndarray)}
    numbers = {name: value for name, value in fitted.items() if name not in arrays}
    write_arrays(folder / f"{router}.safetensors", arrays)
    write_sealed(folder / f"{router}.json", {"benchmark": benchmark, "router": router, "fitted": numbers})


def read_numbers(folder: Path, router: str) -> dict[str, Any]:
    """The fitted numbers of a router.

    Raises:
        TrimError: if the file is missing, damaged, or of another router.
    """
    path = folder / f"{router}.json"
    if not path.exists():
        raise TrimError(f"{path}: No such file or directory; `snakemake --cores all` fits {router}")
    found = read_sealed(path)
    if not isinstance(found, dict) or found.get("router") != router or not isinstance(found.get("fitted"), dict):
        raise TrimError(f"{path}: {router} was not fitted there; delete it and run Snakemake again")
    return found["fitted"]


def read_fitted(folder: Path, router: str) -> dict[str, Any]:
    """The fitted numbers and arrays of a router.

    Raises:
        TrimError: if a file is missing, damaged, or of another router.
    """
    return read_numbers(folder, router) | read_arrays(folder / f"{router}.safetensors")[0]
