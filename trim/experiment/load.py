"""Reading params.yaml: every mistake is reported before any work, in one line that names the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trim.errors import TrimError
from trim.experiment.params import Params, RouterKeys
from trim.experiment.soundness import fault
from trim.experiment.strict_yaml import read_yaml
from trim.routers import registry
from trim.section import explain, shown


def load(path: Path, benchmark: str | None = None, router: str | None = None) -> Params:
    """Read and check an experiment; it must contain the named benchmark and router.

    Raises:
        TrimError: one line with the file, the key, the value found and the values allowed.
    """
    params = check(read_yaml(path), str(path))
    for name, known in ((benchmark, params.benchmarks), (router, params.routers)):
        if name is not None and name not in known:
            raise TrimError(f"{path}: {shown(name)} is not in it; it has: {', '.join(known)}")
    return params


def check(raw: Any, source: str = "params.yaml") -> Params:
    """Check an experiment that was already read; see `load`."""
    above: tuple[str, ...] = ()
    try:
        params = Params.model_validate(raw)
        for name, section in params.routers.items():
            above = ("routers", name)
            named = RouterKeys.model_validate({k: v for k, v in section.items() if k in RouterKeys.model_fields}).type
            if (named or name) not in registry():
                key = f"routers.{name}.type" if named else f"routers.{name}"
                raise TrimError(f"{source}: {key}: unknown router; allowed: {', '.join(sorted(registry()))}")
            params.router(name)
    except ValidationError as error:
        raise TrimError(f"{source}: {explain(error, above)}") from error
    if found := fault(params):
        raise TrimError(f"{source}: {found}")
    return params
