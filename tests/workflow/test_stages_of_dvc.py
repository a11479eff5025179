"""dvc.yaml follows from the rules: a stage depends on the code, the files and the parameters that its rules read."""

import re
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from trim import studies, verifiers
from trim.experiment.params import Params
from trim.provenance import sources
from trim.routers import registry

DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())
# The rules of each stage: a file of workflow/rules, or some rules of one.
RULES = {
    "problems": ["problems"],
    "models": ["models"],
    "rollouts": ["rollouts"],
    "scores": ["scores"],
    "trees": ["routers:trees,logprobs", "reward_models"],
    "calibration": ["calibration"],
    "routers": ["routers:fit,train,curves,test_inputs,draws"],
    "operating_points": ["routers:operating_points"],
    "episodes": ["evaluation:episodes"],
    "evaluation": ["evaluation:evaluate"],
    "studies": ["studies"],
    "report": ["report"],
}
# Sections that every experiment has; DVC refuses a key that is missing.
GIVEN = ("benchmarks", "models", "generation", "calibration", "routers", "evaluation")
BACKENDS = [f"trim.models.backends.{path.stem}" for path in (ROOT / "trim/models/backends").glob("[!_]*.py")]


def blocks(stage: str) -> list[str]:
    """The texts of a stage's rules."""
    found = []
    for spec in RULES[stage]:
        name, _, only = spec.partition(":")
        text = (ROOT / f"workflow/rules/{name}.smk").read_text()
        for block in re.split(r"(?m)^(?=\s*rule\b)", text):
            rule = re.match(r"\s*rule (\w*)", block)
            if not only or (rule and rule[1] in only.split(",")):
                found.append(block)
    return found


def modules(stage: str) -> set[str]:
    """The modules whose code a stage's rules name."""
    found = set()
    for block in blocks(stage):
        for function, pattern, name in re.findall(r"(\w*code|run_params)\(\s*(f?)\"([^\"]+)\"", block):
            found |= {f"trim.studies.{study}" for study in studies.names()} if pattern else {name}
            found |= set(BACKENDS) if function != "code" else set()
        found |= set(verifiers.modules()) if "verifiers.modules()" in block else set()
        if "router_code" in block:
            found |= {router.__module__ for router in registry().values()}
    return found


def listed(stage: str, key: str) -> list[str]:
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in DVC["stages"][stage].get(key, [])]


def under(path: Path, folder: str) -> bool:
    return path.is_relative_to(ROOT / folder)


def test_every_stage_is_compared():
    assert set(RULES) == set(DVC["stages"])


@pytest.mark.parametrize("stage", RULES)
def test_a_stage_depends_on_the_code_of_its_rules_and_on_no_other(stage):
    files = sources(*modules(stage))
    code = [name for name in listed(stage, "deps") if name.startswith("trim")]
    assert [str(file) for file in files if not any(under(file, name) for name in code)] == []
    assert [name for name in code if not any(under(file, name) for file in files)] == []
    rules = {f"workflow/rules/{spec.partition(':')[0]}.smk" for spec in RULES[stage]}
    assert {"workflow/Snakefile", "workflow/rules/common.smk", *rules} <= set(listed(stage, "deps"))


@pytest.mark.parametrize("stage", RULES)
def test_a_stage_depends_on_the_parameters_that_its_rules_read(stage):
    text = "".join(blocks(stage))
    read = {
        key for keys in re.findall(r'SECTIONS((?:\["\w+"\])+)', text) for key in [".".join(re.findall(r"\w+", keys))]
    }
    read |= {"generation", "models"} if "run_params(" in text else set()
    read |= set(Params.model_fields) if "LAYOUT.reported" in text else set()
    if "params.yaml" not in listed(stage, "params"):
        known = listed(stage, "params")
        assert {key.partition(".")[0] for key in known} <= set(GIVEN)
        assert {key for key in read if not any(key == name or key.startswith(f"{name}.") for name in known)} == set()


def test_no_stage_reads_what_a_later_one_writes_and_every_result_is_of_one_stage():
    seen = []
    for stage in DVC["stages"]:
        results = [name for name in listed(stage, "deps") if name.startswith("results")]
        assert set(results) <= set(seen), stage
        seen += listed(stage, "outs") + listed(stage, "metrics")
    assert len(seen) == len(set(seen))


def test_it_names_no_benchmark_or_router():
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    stages = [stage | {"deps": []} for stage in DVC["stages"].values()]
    text = yaml.safe_dump([stages, DVC["metrics"], DVC["plots"]])
    assert not [name for name in (*params["benchmarks"], *params["routers"]) if re.search(rf"\b{name}\b", text)]
