from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

from trim import verifiers
from trim.errors import TrimError
from trim.experiment.layout import Layout
from trim.experiment.load import check
from trim.experiment.strict_yaml import read_yaml
from trim.files import write_text
from trim.problems import SPLITS
from trim.provenance import digest_of
from trim.rl.hyperparameters import CEILINGS
from trim.stages.checkout import take_over
from trim.stages.environment import use_own_commands
from trim.studies import studies_of


report: "../report/workflow.rst"


# A run's parameters are written once it holds the lock, and its jobs, on this machine or another, read that copy
# alone: what is edited or only looked at meanwhile changes nothing of it.
PARAMS = "results/params.yaml"
CALL = invocation()
if not CALL.schedules and Path(PARAMS).is_file():
    config.clear()
    config.update(yaml.safe_load(Path(PARAMS).read_text(encoding="utf-8")))
elif not CALL.schedules:
    write_text(Path(PARAMS), yaml.safe_dump(config, sort_keys=False))
elif not CALL.hooks:
    raise WorkflowError(
        "--no-hooks leaves out what fixes a run's parameters; run without it"
    )

try:
    use_own_commands()
    if CALL.schedules:
        take_over(Path.cwd())
    # Snakemake's own reading of YAML passes over what has two meanings.
    for path in CALL.config_files:
        read_yaml(path)
    EXPERIMENT = check(config)
    STUDIES = studies_of(EXPERIMENT)
    TEST_TREES = any(study.test_trees for study in STUDIES.values())
    LAYOUT = Layout(EXPERIMENT, SPLITS if TEST_TREES else ("train", "validation"))
except TrimError as error:
    raise WorkflowError(str(error)) from None


onstart:
    write_text(Path(PARAMS), yaml.safe_dump(config, sort_keys=False))


# Of all trainings; a replay has none.
CURVES = (
    []
    if EXPERIMENT.replay
    else ["results/training/curves.csv", "results/training/metrics.json"]
)
BENCHMARKS = list(EXPERIMENT.benchmarks)
SECTIONS = LAYOUT.sections


wildcard_constraints:
    benchmark="|".join(BENCHMARKS),
    router="|".join(EXPERIMENT.routers),
    study="|".join(STUDIES) or "-",
    split="|".join(SPLITS),
    model="weak|strong",
    role="weak|strong|prm|encoders",
    reward_model="|".join(EXPERIMENT.reward_models) or "-",
    scorer="|".join(["prm", *EXPERIMENT.reward_models]),
    shard=r"\d+",
    step="|".join(EXPERIMENT.granularity.names()) or "-",
    distortion="|".join(EXPERIMENT.robustness.distortions()) or "-",


if LAYOUT.keys:

    # So that jobs elsewhere get them, and that a missing one stops everything before any work.
    envvars:
        *LAYOUT.keys,


def code(*modules, data=()):
    """A digest of the source that the modules' behaviour depends on: it is known by its content, wherever it lies."""
    return digest_of(*modules, data=data)


def model_code(*modules):
    """The same of modules that run models, with the backends that do."""
    return code(*modules, *LAYOUT.backends())


def run_params(*modules):
    """The parameters that all rules with models share: the code, the models, and how these write."""
    return {
        "code": model_code(*modules),
        "identities": LAYOUT.identities,
        "generation": SECTIONS["generation"],
    }


def router_code(*routers):
    return code(*{EXPERIMENT.router_type(name).__module__ for name in routers})


# Of a model that is trained, in Hugging Face's format.
MODEL_FILES = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "model.safetensors",
]

# Draws that only a study needs are made with it; with replay they are given.
STUDY_DRAWS = "results/studies/draws/{benchmark}/"


def study_draws(name):
    return {} if EXPERIMENT.replay else {"draws": f"{STUDY_DRAWS}{name}.parquet"}


def draws_out(w, output):
    return [] if EXPERIMENT.replay else [f"--draws-out={output.draws}"]


def known_draws(w, name):
    path = f"{STUDY_DRAWS}{name}.parquet".format(benchmark=w.benchmark)
    return [path] if EXPERIMENT.replay else []


def study_inputs(name):
    """What a study's table and figure are drawn from."""
    study = STUDIES[name]
    return [
        f"results/{path}"
        for path in [*study.measured(EXPERIMENT), *study.inputs(EXPERIMENT)]
    ]
