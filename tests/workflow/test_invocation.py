"""What the rules ask of Snakemake's internals, of the version that is installed."""

import json
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

RULES = f"""
import json
include: "{ROOT}/workflow/rules/invocation.smk"
configfile: SHIPPED
CALL = invocation()
with open("calls.jsonl", "a") as calls:
    print(json.dumps([CALL.schedules, list(map(str, CALL.config_files)), CALL.hooks, SHIPPED]), file=calls)
rule all:
    output: "done"
    run: open("done", "w").close()
"""


@pytest.mark.parametrize("hooks", [True, False])
def test_how_snakemake_was_called(tmp_path, hooks):
    (tmp_path / "Snakefile").write_text(RULES)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *(() if hooks else ("--no-hooks",))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    scheduler, job = map(json.loads, (tmp_path / "calls.jsonl").read_text().splitlines())
    assert scheduler == [True, [str(ROOT / "params.yaml")], hooks, str(ROOT / "params.yaml")]
    assert not job[0]


def test_a_run_without_hooks_is_refused_before_any_job(tmp_path):
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "1", "--no-hooks"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "--no-hooks leaves out what fixes a run's parameters" in done.stderr
    assert not (tmp_path / "results").exists()


def test_it_is_a_module_of_another_workflow_as_snakedeploy_writes_it(tmp_path):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "Snakefile").write_text(f"""
configfile: "config/config.yaml"
module trim:
    snakefile: "{ROOT}/workflow/Snakefile"
    config: config
use rule * from trim
""")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", "--quiet", "rules", "--", "all"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "episodes" in done.stdout and "manifest" in done.stdout
