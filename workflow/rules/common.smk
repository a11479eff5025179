from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

from trim.config import check
from trim.errors import TrimError
from trim.models.folder import resolve
from trim.pomdp.model import CALIBRATIONS
from trim.problems import SPLITS
from trim.provenance import sources
from trim.tables import write_text


report: "../report/workflow.rst"


try:
    EXPERIMENT = check(config)
except TrimError as error:
    raise WorkflowError(str(error)) from None

# The configuration as Snakemake sees it, so that --config and --configfile reach the commands.
PARAMS = "results/params.yaml"
resolved = yaml.safe_dump(config, sort_keys=False)
if not Path(PARAMS).is_file() or Path(PARAMS).read_text() != resolved:
    write_text(Path(PARAMS), resolved)

BENCHMARKS = list(EXPERIMENT.benchmarks)
ROUTERS = list(EXPERIMENT.routers)
KINDS = {name: EXPERIMENT.kind(name) for name in ROUTERS}
FITTED = {kind.name: kind for kind in KINDS.values() if kind.fits}
DISTORTION = config["models"]["prm"].get("distortion")
SHARDS = range(EXPERIMENT.shards)


wildcard_constraints:
    benchmark="|".join(BENCHMARKS),
    router="|".join(ROUTERS),
    study="calibration|prediction|published|robustness",
    kind="|".join(FITTED) or "-",
    split="|".join(SPLITS),
    model="weak|strong",
    shard=r"\d+",
    distortion="|".join(EXPERIMENT.robustness.distortions()) or "-",


def code(*modules):
    """Source files that the modules' behaviour depends on."""
    root = Path(workflow.basedir)
    return [
        str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
        for path in sources(*modules)
    ]


def router_code(kind):
    return code(kind.__module__)


def model(role):
    """The file that decides what a model writes."""
    return str(resolve(config["models"][role]["path"]) / "model.safetensors")


def models():
    return [model(role) for role in ("weak", "strong", "prm")]


def rollouts(split):
    return expand(
        "results/rollouts/{{benchmark}}/{split}/{model}.{shard}.parquet",
        split=split,
        model=["weak", "strong"],
        shard=SHARDS,
    )


def scores(split):
    return expand(
        "results/scores/{{benchmark}}/{split}.{shard}.parquet",
        split=split,
        shard=SHARDS,
    )


def calibrations():
    return expand(
        "results/calibration/{{benchmark}}/{kind}.json",
        kind=[*CALIBRATIONS, "agreement"],
    )


def fits(kinds):
    return expand(
        "results/routers/{{benchmark}}/{kind}.{format}",
        kind=[kind.name for kind in kinds if kind.fits],
        format=["json", "safetensors"],
    )
