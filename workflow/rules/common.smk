from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

from trim.errors import TrimError
from trim.experiment.load import check
from trim.experiment.strict_yaml import read_yaml
from trim.files import write_text
from trim.models.files import EMBEDDED, on_hub, resolve, weight_files
from trim.models.load import causes, name
from trim.pomdp.model import CALIBRATIONS
from trim.problems import SPLITS
from trim.provenance import digest_of, digest_of_values
from trim.rl.settings import CEILINGS
from trim.studies import studies_of


report: "../report/workflow.rst"


# A run's parameters are written once it holds the lock, and its jobs, on this machine or another, read that copy
# alone: what is edited or only looked at meanwhile changes nothing of it.
PARAMS = "results/params.yaml"
if not workflow.is_main_process and Path(PARAMS).is_file():
    config.clear()
    config.update(yaml.safe_load(Path(PARAMS).read_text(encoding="utf-8")))
elif not workflow.is_main_process:
    write_text(Path(PARAMS), yaml.safe_dump(config, sort_keys=False))
elif workflow.execution_settings and workflow.execution_settings.no_hooks:
    raise WorkflowError(
        "--no-hooks leaves out what fixes a run's parameters; run without it"
    )

try:
    # Snakemake's own reading of YAML passes over what has two meanings.
    for path in workflow.configfiles:
        read_yaml(Path(path))
    EXPERIMENT = check(config)
except TrimError as error:
    raise WorkflowError(str(error)) from None

PLAN = EXPERIMENT.model_dump(mode="json")


onstart:
    write_text(Path(PARAMS), yaml.safe_dump(config, sort_keys=False))


# With replay, what models made is given: nothing that would need one is made again.
REPLAY = EXPERIMENT.replay

BENCHMARKS = list(EXPERIMENT.benchmarks)
GENERATED = [name for name in BENCHMARKS if EXPERIMENT.benchmarks[name].family]
CALIBRATED = EXPERIMENT.calibrated()
ROUTERS = list(EXPERIMENT.routers)
STUDIES = studies_of(EXPERIMENT)
KINDS = {name: EXPERIMENT.router_type(name) for name in ROUTERS}
FITTED = {kind.name: kind for kind in KINDS.values() if kind.needs_fitting}
TRAINED = [name for name, kind in FITTED.items() if "train_trees" in kind.needs]
WHOLE = list(EXPERIMENT.trees)
# Bounds are computed on the test problems too.
WHOLE_SPLITS = SPLITS if "ceiling" in STUDIES else ("train", "validation")
DISTORTION = PLAN["models"]["prm"]["distortion"]
SHARDS = range(EXPERIMENT.shards)


wildcard_constraints:
    benchmark="|".join(BENCHMARKS),
    router="|".join(ROUTERS),
    study="|".join(STUDIES) or "-",
    kind="|".join(FITTED) or "-",
    split="|".join(SPLITS),
    model="weak|strong",
    role="weak|strong|prm|encoders",
    shard=r"\d+",
    step="|".join(EXPERIMENT.granularity.names()) or "-",
    distortion="|".join(EXPERIMENT.robustness.distortions()) or "-",


def code(*modules, data=()):
    """A digest of the source that the modules' behaviour depends on: it is known by its content, wherever it lies."""
    return digest_of(*modules, data=data)


def router_code(kind):
    return code(kind.__module__)


def fitted_routers(w):
    """Sections of the routers of a kind that are fitted on a benchmark."""
    return {
        name: PLAN["routers"][name]
        for name in EXPERIMENT.fitted_on(w.benchmark, w.kind)
    }


ROLES = {role: getattr(EXPERIMENT.models, role) for role in ("weak", "strong", "prm")}
FROM_HUB = [role for role, found in ROLES.items() if on_hub(found)]
ENCODERS = ["results/models/encoders.json"] if EXPERIMENT.encoders() else []
KEYS = {
    found.server.key for found in ROLES.values() if found.server and found.server.key
}
if KEYS and not REPLAY:

    # So that jobs elsewhere get them, and that a missing one stops everything before any work.
    envvars:
        *sorted(KEYS),


def model(role):
    """The files that decide what a model writes, or the record of their download.

    A server has none, and a model of the package is known by its identity alone.
    """
    if REPLAY or ROLES[role].server or ROLES[role].path.startswith(EMBEDDED):
        return []
    if role in FROM_HUB:
        return f"results/models/{role}.json"
    try:
        return [str(path) for path in weight_files(resolve(ROLES[role].path))]
    except TrimError as error:
        raise WorkflowError(f"models.{role}: {error}") from None


def models():
    files = [path for role in ROLES for path in [model(role)] if path]
    return files if REPLAY else files + ENCODERS


def settings(role):
    """What decides a model's draws beside its files."""
    found = causes(ROLES[role]) | {
        "instruction": getattr(ROLES[role], "instruction", None)
    }
    if ROLES[role].path.startswith(EMBEDDED):
        try:
            found["identity"] = name(ROLES[role])
        except TrimError as error:
            if not REPLAY:  # which asks for no model until a draw is looked up
                raise WorkflowError(f"models.{role}: {error}") from None
    return found


IDENTITIES = {role: digest_of_values(settings(role)) for role in ROLES}
# What reports read of the experiment, section by section.
REPORTED = {
    key: digest_of_values(value)
    for key, value in PLAN.items()
    if key not in ("shards", "replay", "pretrain")
}


def gpus(*roles):
    """How many GPUs a job needs that runs these models.

    Beside them it names the models as resources, so that a machine can limit each to one job at a time.
    """
    return 0 if REPLAY else EXPERIMENT.models.gpus(*roles)


EVERY_MODEL = {"gpu": gpus(*ROLES), **dict.fromkeys(ROLES, 1)}


# Labelled solutions for calibration: a file, or a part of ProcessBench, which is downloaded.
SOLUTIONS = EXPERIMENT.calibration.solutions
PART = EXPERIMENT.calibration.part
LABELLED = (
    ["results/problems/processbench.jsonl"]
    if PART
    else [SOLUTIONS] if SOLUTIONS else []
)


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


def trees(split):
    """The layer of whole trees, for a benchmark that has it."""
    return lambda w: [
        f"results/trees/{name}/{split}.parquet"
        for name in WHOLE
        if name == w.benchmark and split in WHOLE_SPLITS
    ]


def every_layer(w):
    """Everything that is known of all splits before routers are run."""
    return [
        path
        for split in SPLITS
        for path in rollouts(split) + scores(split) + trees(split)(w)
    ]


# Draws that only a study needs are made with it; with replay they are given.
STUDY_DRAWS = "results/studies/draws/{benchmark}/"


def study_draws(name):
    return {} if REPLAY else {"draws": f"{STUDY_DRAWS}{name}.parquet"}


def known_draws(w, name):
    path = f"{STUDY_DRAWS}{name}.parquet".format(benchmark=w.benchmark)
    return [path] if REPLAY else []


def test_layers(w):
    """Everything that is known of the test problems before routers are run."""
    return rollouts("test") + scores("test") + trees("test")(w)


def fit_files(routers, benchmark):
    """What was fitted for routers, where each one is fitted for a benchmark."""
    return list(
        dict.fromkeys(
            f"results/routers/{EXPERIMENT.source(name, benchmark)}/{KINDS[name].name}.{format}"
            for name in routers
            if KINDS[name].needs_fitting
            for format in ("json", "safetensors")
        )
    )


# What TRIM-Thr's sweep leads to, other routers mostly meet too.
def explored(w):
    first = "trim_thr"
    known = first in FITTED and EXPERIMENT.fitted_on(w.benchmark, first)
    return (
        [f"results/draws/{w.benchmark}/fit-{first}.parquet"]
        if known and w.kind != first
        else []
    )


ALL_FITS = sorted(
    {
        path
        for benchmark in BENCHMARKS
        for path in fit_files(EXPERIMENT.routers_on(benchmark), benchmark)
    }
)


def episodes(benchmark):
    return [f"results/{path}" for path in EXPERIMENT.episodes(benchmark)]


EPISODES = [path for benchmark in BENCHMARKS for path in episodes(benchmark)]


def study_inputs(name):
    """What a study's table and figure are drawn from."""
    study = STUDIES[name]
    return [
        f"results/{path}"
        for path in [*study.measured(EXPERIMENT), *study.inputs(EXPERIMENT)]
    ]
