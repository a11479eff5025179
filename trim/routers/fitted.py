"""Fitted parameters of a router: a file of numbers and a file of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trim.errors import TrimError
from trim.files import read_arrays, read_sealed, write_arrays, write_sealed

FORMAT = 1  # raise it when any router fits other values, or gives them another meaning


def pack(fitted: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Fitted parameters as values for JSON and arrays.

    A mapping that holds an array becomes the arrays GROUP.NAME, its numbers arrays without axes; `unpack` undoes it.
    """
    numbers, arrays = {}, {}
    for name, value in fitted.items():
        if isinstance(value, np.ndarray):
            arrays[name] = value
        elif isinstance(value, Mapping) and any(isinstance(part, np.ndarray) for part in value.values()):
            arrays |= {f"{name}.{key}": np.asarray(part) for key, part in value.items()}
        else:
            numbers[name] = value
    return numbers, arrays


def unpack(numbers: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The fitted parameters of `pack`'s results."""
    fitted = dict(numbers)
    for name, array in arrays.items():
        group, dot, key = name.partition(".")
        if dot:
            fitted.setdefault(group, {})[key] = array
        else:
            fitted[name] = array
    return fitted


def write_fitted(folder: Path, router: str, benchmark: str, fitted: Mapping[str, Any]) -> None:
    """Write ROUTER.json and ROUTER.safetensors.

    Args:
        folder: the folder to write into.
        router: the router's name.
        benchmark: the benchmark that it was fitted on.
        fitted: the result of its `fit`: values for JSON, arrays, and groups of arrays.
    """
    numbers, arrays = pack(fitted)
    write_arrays(folder / f"{router}.safetensors", arrays)
    head = {"format": FORMAT, "benchmark": benchmark, "router": router}
    write_sealed(folder / f"{router}.json", head | {"fitted": numbers})


def read_numbers(folder: Path, router: str) -> dict[str, Any]:
    """The fitted numbers of a router.

    Raises:
        TrimError: if the file is missing, damaged, of another router or of another format.
    """
    path = folder / f"{router}.json"
    if not path.exists():
        raise TrimError(f"{path}: No such file or directory; `snakemake --cores all` fits {router}")
    found = read_sealed(path)
    if found.get("router") != router or not isinstance(found.get("fitted"), dict):
        raise TrimError(f"{path}: {router} was not fitted there; delete it and run Snakemake again")
    if found.get("format") != FORMAT:
        raise TrimError(f"{path}: fitted by another version of trim; delete it and run Snakemake again")
    return found["fitted"]


def read_fitted(folder: Path, router: str) -> dict[str, Any]:
    """The fitted parameters of a router, as its `fit` returned them.

    Raises:
        TrimError: if a file is missing, damaged, of another router or of another format.
    """
    return unpack(read_numbers(folder, router), read_arrays(folder / f"{router}.safetensors")[0])
