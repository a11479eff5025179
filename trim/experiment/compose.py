"""Experiments as overlays: files that name groups of settings, composed by Hydra into one params.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from trim.errors import TrimError, first_line


def compose_experiment(folder: Path, name: str, base: Path) -> dict[str, Any]:
    """An experiment as one mapping, as params.yaml would hold it; it is not checked.

    Args:
        folder: holds NAME.yaml and the groups that its `defaults` name, such as models/qwen25.yaml.
        name: the experiment's name.
        base: the experiment that an overlay without `defaults` is laid over.

    Raises:
        TrimError: if there is no such experiment, or it cannot be composed.
    """
    path = folder / f"{name}.yaml"
    known = sorted(found.stem for found in folder.glob("*.yaml"))
    if name not in known:
        raise TrimError(f"{name}: no experiment of {folder}; it has: {', '.join(known) or 'none'}")
    try:
        overlay = OmegaConf.load(path)
        if "defaults" in overlay:
            with initialize_config_dir(str(folder.resolve()), version_base=None):
                found: Any = compose(name)
        else:
            found = OmegaConf.merge(OmegaConf.load(base), overlay)
        plain: Any = OmegaConf.to_container(found, resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise TrimError(f"{path}: {first_line(error)}") from error
    return plain
