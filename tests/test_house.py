"""Where things live: imports run one way, registries are files, and rules depend on what they use."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from trim.cli import app
from trim.errors import TrimError
from trim.experiment.compose import compose_experiment
from trim.experiment.load import check
from trim.provenance import sources
from trim.studies import names, registry, studies_of


def packages(module: str) -> set[str]:
    """The packages of trim that a module's behaviour depends on."""
    return {path.relative_to(ROOT / "trim").parts[0] for path in sources(module)}


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("trim.stages.problems", {"engine", "rl", "pomdp", "routers", "evaluation", "report"}),
        ("trim.stages.rollouts", {"rl", "pomdp", "evaluation", "report", "studies"}),
        ("trim.stages.fit", {"rl", "evaluation", "report", "studies"}),
        ("trim.stages.evaluate", {"engine", "rl", "pomdp", "routers", "report"}),
        ("trim.report.figures", {"engine", "rl"}),
    ],
)
def test_a_stage_depends_on_what_it_uses(module, without):
    assert not packages(module) & without


def rules() -> dict[str, set[Path]]:
    """The files that each rule's behaviour depends on, by the modules that it names."""
    text = "".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
    found = {}
    for name, body in re.findall(r"^rule (\w+):\n(.*?)(?=^rule |\Z)", text, re.MULTILINE | re.DOTALL):
        modules = re.findall(r"(?:code|run_params)\(\s*\"(trim[\w.]+)\"", body)
        found[name] = {path for module in modules for path in sources(module)}
    return found


# Rules whose behaviour an edit of each file can change, and rules that it must leave alone.
EDITS = {
    "rl/ppo.py": ({"train"}, {"problems", "rollouts", "scores", "calibrate", "fit", "trees"}),
    "pomdp/planner.py": (set(), {"problems", "rollouts", "scores", "calibrate", "train", "trees"}),
    "engine/rounds.py": (
        {"rollouts", "trees", "fit", "episodes"},
        {"problems", "evaluate", "figures", "tables"},
    ),
    "engine/loop.py": ({"rollouts", "fit", "episodes"}, {"problems", "evaluate", "figures", "tables"}),
    "evaluation/measures.py": ({"evaluate"}, {"problems", "rollouts", "fit", "train", "episodes", "draws"}),
    "report/figures.py": ({"figures"}, {"problems", "rollouts", "fit", "train", "episodes", "evaluate"}),
    "page/page.py": ({"page"}, {"problems", "episodes", "evaluate", "figures"}),
    "routers/rsd.py": (set(), {"problems", "rollouts", "fit", "train", "draws", "evaluate"}),
    "models/backends/transformers.py": (set(), {"problems", "evaluate", "figures", "tables", "page"}),
    "experiment/sections.py": (set(), {"problems", "rollouts", "episodes", "evaluate", "figures", "page"}),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_reruns_what_it_can_change_and_nothing_else(name):
    known, path, (again, never) = rules(), ROOT / "trim" / name, EDITS[name]
    assert again | never <= set(known)
    changed = {rule for rule, files in known.items() if path in files}
    assert again <= changed
    assert not changed & never


def test_imports_run_one_way():
    tool = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([tool, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_studies_are_the_files():
    assert names() == sorted(path.stem for path in (ROOT / "trim/studies").glob("[a-z]*.py") if path.stem != "study")
    for name, study in registry().items():
        assert study.name == name
        assert study.title and study.text and study.caption


def test_an_experiment_makes_the_studies_that_it_names(raw):
    named = check(raw | {"studies": ["units", "twin"]})
    assert set(studies_of(named)) == {"units", "twin"}
    with pytest.raises(TrimError, match=r"studies: 'nope' found, allowed: .*units"):
        studies_of(check(raw | {"studies": ["nope"]}))


def test_an_unknown_experiment_is_named():
    with pytest.raises(TrimError, match=r"nope: no experiment of .*; it has: .*math500"):
        compose_experiment(ROOT / "workflow/experiments", "nope", ROOT / "params.yaml")


def test_no_key_of_the_experiment_is_in_two_files():
    """The overlay adds routers and sections to params.yaml and repeats none but what it changes."""
    import yaml

    base = yaml.safe_load((ROOT / "params.yaml").read_text())
    full = yaml.safe_load((ROOT / "workflow/experiments/full.yaml").read_text())
    assert not set(base["routers"]) & set(full["routers"])
    assert set(base) & set(full) == {"routers", "studies"}


def test_every_stage_is_a_command():
    from typer.main import get_command

    from trim import stages

    known = [stage.name for stage in stages.registry()]
    assert len(set(known)) == len(known)
    for name in known:
        command = get_command(app)
        for part in name.split():
            command = command.commands[part]
        assert command.help


def test_the_command_line_loads_no_large_package():
    large = {"numpy", "pandas", "pyarrow", "pydantic", "scipy", "sklearn", "torch", "transformers"}
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, trim.cli; print(*sys.modules)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert not large & set(loaded)


def test_help_shows_peoples_commands_first():
    from typer.testing import CliRunner

    text = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80", "TERM": "dumb"}).output
    places = [text.index(f" {name} ") for name in ("solve", "show", "audit", "rollouts", "measure-study")]
    assert places == sorted(places)


def test_the_page_of_parameters_is_that_of_the_code():
    import runpy

    assert (ROOT / "config/README.md").read_text() == runpy.run_path(str(ROOT / "docs/parameters.py"))["page"]()
