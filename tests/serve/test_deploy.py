"""The files of deploy/ name what there is."""

import json
import re

import yaml
from conftest import ROOT
from typer.testing import CliRunner

from trim.cli import app
from trim.serve.metrics import Metrics

DEPLOY = ROOT / "deploy"


def test_the_dashboard_shows_metrics_that_there_are():
    known = {line.split(" ")[2] for line in Metrics().text().decode().splitlines() if line.startswith("# TYPE")}
    known |= {f"{name}{end}" for name in known for end in ("_bucket", "_sum", "_count")}
    text = (DEPLOY / "grafana.json").read_text()
    named = set(re.findall(r"\btrim_\w+", text))
    assert len(json.loads(text)["panels"]) > 5
    assert named
    assert named <= known


def test_commands_have_the_options_that_they_are_given():
    options = set(re.findall(r"--[a-z-]+", CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200"}).output))
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    deployment, service = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    unit = re.search(r"ExecStart=(.*)", (DEPLOY / "trim.service").read_text())[1].split()
    for command in (compose["trim"]["command"], container["command"], unit):
        given = {word for word in command if word.startswith("--")}
        assert given
        assert given <= options
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    served = (ROOT / "workflow/experiments/models/served.yaml").read_text()
    assert set(re.findall(r"http://(\w+):8000", served)) == set(compose) - {"trim"}
