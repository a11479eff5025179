"""A copy of the workflow in a folder of its own, and commands run in it as a user would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from conftest import ROOT

FILES = ("Snakefile", "snakemake_logger_plugin_trim", "tools", "workflow", "dvc.yaml", ".dvcignore")
BIN = str(Path(sys.executable).parent)


def environment(folder: Path) -> dict[str, str]:
    # The package is looked up in the folder, so that an edit there is seen as an edit.
    return os.environ | {
        "PATH": BIN + os.pathsep + os.environ["PATH"],
        "PYTHONPATH": str(folder),
        "DVC_NO_ANALYTICS": "1",
        "HF_HUB_OFFLINE": "1",
        "COLUMNS": "400",
    }


def run(folder: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess:
    if command[0] == "snakemake":  # which else waits for a timespan of the profile before it ends
        command = ("snakemake", "--max-jobs-per-timespan", "100/1s", *command[1:])
    done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True)
    if check and done.returncode:
        logs = sorted(folder.glob(".snakemake/log/*.log"))
        said = logs[-1].read_text()[-4000:] if command[0] == "snakemake" and logs else ""
        raise AssertionError(f"{command}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}\n{said}")
    return done


def make_project(folder: Path, params: dict) -> Path:
    for name in FILES:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    (folder / "profiles").symlink_to("workflow/profiles")
    shutil.copytree(ROOT / "trim", folder / "trim", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    shutil.copy(ROOT / ".gitignore", folder / ".gitignore")
    (folder / "results").mkdir()
    shutil.copy(ROOT / "results" / ".gitignore", folder / "results" / ".gitignore")
    return folder


def shrink(raw: dict) -> dict:
    """The shipped experiment at smoke size."""
    small = yaml.safe_load(yaml.safe_dump(raw))
    source = {"title": "Standard", "family": "standard", "seed": 0}
    small["benchmarks"] = {
        "standard": source | {"sizes": {"train": 160, "validation": 12, "test": 16}},
        "renamed": source
        | {"title": "Renamed", "family": "renamed"}
        | {"sizes": {"train": 30, "validation": 6, "test": 8}},
    }
    small["routers"]["random"]["probabilities"] = [0.2, 0.6]
    small["routers"]["trim_thr"]["thresholds"] = [0, 0.5, 0.9, 1]
    small["models"]["strong"]["batch_size"] = 2  # many batches, so that a kill falls between two
    costs = [1, 4]
    small["routers"]["trim_pomdp"]["costs"] = costs
    kept = (
        "always_weak", "always_strong", "random", "oracle", "oracle_query", "trim_thr", "trim_pomdp", "pomdp_paper",
        "trim_agg", "trim_budget", "trim_verify", "verify_flops", "verify_always", "glimprouter",
        "steer", "verify_distilled_flops", "thr_small", "thr_both", "pomdp_both", "pomdp_verify",
        "routellm", "automix", "specreason", "takeover",
    )  # fmt: skip
    small["routers"] = {name: small["routers"][name] for name in kept}
    small["routers"]["pomdp_paper"]["costs"] = costs
    for name in ("routellm", "automix", "specreason"):
        small["routers"][name]["shares"] = [0.3, 0.6]
    small["routers"]["takeover"]["thresholds"] = [0.5, 0.9]
    small["granularity"] |= {"steps": [8], "thresholds": [0.5, 0.9]}
    small["transfer"] = {"routers": ["trim_thr", "routellm"]}
    trained = {"fit_on": "standard", "seeds": [0, 1], "training": {"epochs": 1}}
    small["routers"]["trim_agg"] = {"costs": [0.01]} | trained
    small["routers"]["trim_budget"] = {"costs": [0.005, 0.02], "repeats": 2, "evidence": ["weak", "prm"]} | trained
    small["routers"]["verify_distilled_flops"]["reward_model"] = "small"
    for name, own in small["routers"].items():
        if name not in ("always_weak", "always_strong", "trim_thr", "routellm"):
            own["only"] = ["standard"]
    small["routers"]["pomdp_both"]["costs"] = costs
    for name in ("thr_small", "thr_both"):
        small["routers"][name]["thresholds"] = [0.5, 0.9]
    small["reward_models"] = {
        "small": {"start": "weak", "tune": "lora", "heads": 2, "noise": 0.5, "updates": 3, "solutions": 60}
    }
    for name in ("trim_verify", "verify_flops", "verify_always", "verify_distilled_flops", "pomdp_verify"):
        small["routers"][name]["prices"] = [0.2, 0.8]
    small["ceiling"] = {"costs": [0.01]}
    small["simulation"] = {"solutions": 100, "costs": [0.2, 0.5]}
    robust = {"noise": [1], "temperature": [], "random": [], "routers": ["trim_thr", "trim_pomdp", "thr_small"]}
    small["robustness"] |= robust
    small["evaluation"]["bootstrap"] = 20
    return small
