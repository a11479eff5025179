"""What fitting found: a file of numbers and a file of arrays for each type of router."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trim.errors import TrimError
from trim.files import read_arrays, read_sealed, write_arrays, write_sealed


def write_fitted(folder: Path, router_type: str, benchmark: str, fitted: Mapping[str, Mapping[str, Any]]) -> None:
    """Write TYPE.json and TYPE.safetensors.

    Args:
        folder: where to.
        router_type: the routers' type.
        benchmark: that they were fitted on.
        fitted: by router, what its `fit` returned: values for JSON, and arrays.
    """
    arrays = {
        f"{router}/{name}": value
        for router, values in fitted.items()
        for name, value in values.items()
        if isinstance(value, np.ndarray)
    }
    numbers = {
        router: {name: value for name, value in values.items() if not isinstance(value, np.ndarray)}
        for router, values in fitted.items()
    }
    write_arrays(folder / f"{router_type}.safetensors", arrays)
    write_sealed(folder / f"{router_type}.json", {"benchmark": benchmark, "fitted": numbers})


def read_numbers(folder: Path, router_type: str, router: str) -> dict[str, Any]:
    """The numbers that were fitted for a router.

    Raises:
        TrimError: if the file is missing, damaged, or does not hold the router.
    """
    path = folder / f"{router_type}.json"
    try:
        return read_sealed(path)["fitted"][router]
    except (KeyError, TypeError) as error:
        raise TrimError(f"{path}: {router} was not fitted there; delete it and run Snakemake again") from error


def read_fitted(folder: Path, router_type: str, router: str) -> dict[str, Any]:
    """Numbers and arrays that were fitted for a router.

    Raises:
        TrimError: if a file is missing, damaged, or does not hold the router.
    """
    arrays, _ = read_arrays(folder / f"{router_type}.safetensors")
    own = {name.partition("/")[2]: array for name, array in arrays.items() if name.startswith(f"{router}/")}
    return read_numbers(folder, router_type, router) | own
