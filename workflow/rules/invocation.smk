# How Snakemake was called, as far as its documentation offers no way to ask: the only use of its internals.
import sys
from pathlib import Path
from types import SimpleNamespace


def invocation():
    """Of this process: whether it schedules jobs (or runs one), its configuration files, and whether hooks run."""
    return SimpleNamespace(
        schedules=workflow.is_main_process,
        config_files=[Path(path) for path in workflow.configfiles],
        hooks="--no-hooks"
        not in sys.argv,  # settings are not known while rules are read
    )


# The experiment that comes with these rules.
SHIPPED = str(
    Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1]
    / "params.yaml"
)
