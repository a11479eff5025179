"""The files of deploy/ name what there is."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from typer.testing import CliRunner

from trim.cli import app
from trim.serve.metrics import Metrics
from trim.serve.server import Options

DEPLOY = ROOT / "deploy"


def test_the_dashboard_shows_metrics_that_there_are():
    known = {line.split(" ")[2] for line in Metrics().text().decode().splitlines() if line.startswith("# TYPE")}
    known |= {f"{name}{end}" for name in known for end in ("_bucket", "_sum", "_count")}
    text = (DEPLOY / "grafana.json").read_text()
    named = set(re.findall(r"\btrim_\w+", text))
    assert len(json.loads(text)["panels"]) > 5
    assert named
    assert named <= known


def test_containers_run_without_root_and_without_rights():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    (base,) = (line.split()[1] for line in lines if line.startswith("FROM "))
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", base)
    (user,) = (line.split()[1] for line in lines if line.startswith("USER "))
    assert int(user.split(":")[0]) > 0
    assert lines.index(f"USER {user}") > max(i for i, line in enumerate(lines) if line.startswith(("RUN ", "COPY ")))

    deployment, _ = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == int(user.split(":")[0])
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["image"] == f"trim:{tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['version']}"
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} == set(container["resources"]["requests"]) == set(container["resources"]["limits"])
    writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"/trim/results", "/tmp"}

    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    assert all("no-new-privileges:true" in service["security_opt"] for service in services.values())
    assert all(not service.get("privileged") for service in services.values())
    trim = services["trim"]
    assert (trim["read_only"], trim["cap_drop"], trim["tmpfs"]) == (True, ["ALL"], ["/tmp"])
    assert trim["pids_limit"] > 0 and trim["mem_limit"]
    assert all(port.startswith("127.0.0.1:") for port in trim["ports"])


def test_the_unit_gives_up_rights():
    text = (DEPLOY / "trim.service").read_text()
    settings = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] not in "#[")
    for name in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "ProtectKernelTunables"):
        assert settings[name] == "true"
    assert settings["User"] not in ("", "root")
    assert (settings["ProtectSystem"], settings["CapabilityBoundingSet"]) == ("strict", "")
    # All that it writes lies below what is open for writing.
    store = Path(settings["WorkingDirectory"]) / Options().store
    assert store.is_relative_to(settings["ReadWritePaths"])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_rates_the_unit_as_safe():
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", DEPLOY / "trim.service"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "xposure level" not in done.stdout:
        pytest.skip("its version rates no files")
    assert float(re.search(r"exposure level for trim.service: ([\d.]+)", done.stdout)[1]) <= 2


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
