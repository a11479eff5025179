"""Questions of one's own, on the embedded models."""

import json
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from typer.testing import CliRunner

from trim.cli import app
from trim.errors import TrimError
from trim.experiment.fitting import fitted_policies
from trim.experiment.load import load
from trim.problems.generated import FAMILIES, generate, is_chain
from trim.routers.automix import _Cascade
from trim.solve import SHIPPED, Solver

QUESTION = "Start with 60, add 90, multiply by 41, add 4, subtract 8."


def invoke(*arguments, **options):
    return CliRunner().invoke(app, ["solve", *arguments, "--params", str(ROOT / "params.yaml")], **options)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_generated_question_is_in_the_domain(family):
    assert all(is_chain(problem.question) for problem in generate(family, {"test": 200}, 5))


@pytest.mark.parametrize(
    "question", ["", "What is 2 + 2?", "Start with 5.", QUESTION[:-1], QUESTION + "\n", "Start with 0, add 1."]
)
def test_other_questions_are_not(question):
    assert not is_chain(question)


def test_three_lines_of_python():
    solver = Solver.load(ROOT / "params.yaml", router="always_strong", setting="-")
    seen = []
    (solution,) = solver([QUESTION], seen.append)
    assert len(seen) == len(solution.steps)
    assert solution.answer == "46"
    assert solution.strong_tokens == solution.always_strong_tokens
    assert solution.saving == 0


def test_in_an_empty_folder_every_shipped_router_answers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = load(SHIPPED / "params.yaml")
    for router in shipped.fitted_on("standard"):
        settings = fitted_policies(shipped, router, "standard", SHIPPED / "routers")
        assert len(settings) > 1
    (solution,) = Solver.load()([QUESTION])
    assert solution.answer.isdigit()
    assert list(tmp_path.iterdir()) == []


def test_the_shipped_experiment_is_the_default_one(params):
    own, shipped = load(ROOT / "params.yaml"), load(SHIPPED / "params.yaml")
    assert (own.models, own.generation, own.routers) == (shipped.models, shipped.generation, shipped.routers)


def test_a_projects_own_experiment_and_results_take_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = yaml.safe_load((ROOT / "params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump(given, sort_keys=False))
    assert Solver.load(router="trim_thr", setting="tau=0.5")
    Path("params.yaml").write_text(
        yaml.safe_dump(given | {"generation": given["generation"] | {"seed": 11}}, sort_keys=False)
    )
    with pytest.raises(
        TrimError,
        match=r"results/routers/standard/trim_thr\.json: No such file.*; `snakemake --cores all` fits trim_thr",
    ):
        Solver.load(router="trim_thr", setting="tau=0.5")
    Path("params.yaml").write_text(yaml.safe_dump(given, sort_keys=False))
    Path("results/routers/standard").mkdir(parents=True)
    with pytest.raises(TrimError, match=r"results/routers/standard/trim_thr\.json: No such file"):
        Solver.load(router="trim_thr", setting="tau=0.5")


def test_a_cascade_shows_what_it_throws_away():
    solver = Solver(load(ROOT / "params.yaml"), _Cascade("prm", 1, "min", lambda confidence: confidence <= 1))
    seen = []
    (solution,) = solver([QUESTION], lambda episode: seen.append(episode.steps[-1].writer))
    assert seen == ["weak"] * len(solution.discarded) + ["strong"] * len(solution.steps)
    assert solution.weak_tokens == sum(step.tokens for step in solution.discarded) > 0
    assert solution.answer == "46"


def test_a_router_without_a_setting_takes_the_usual_or_its_only_one():
    assert Solver.load(router="always_strong") and Solver.load(router="trim_thr")
    with pytest.raises(TrimError, match=r"random: no setting 'budget=0\.2'; it has: p="):
        Solver.load(ROOT / "params.yaml", router="random")
    with pytest.raises(TrimError, match="oracle: compares steps with a reference solution"):
        Solver.load(ROOT / "params.yaml", router="oracle")


def test_what_cannot_be_used_is_named():
    with pytest.raises(TrimError, match=r"'nobody' is not in it; it has: .*trim_thr"):
        Solver.load(ROOT / "params.yaml", router="nobody")
    with pytest.raises(TrimError, match=r"random: no setting 'p=9'; it has: p=0\.05"):
        Solver.load(ROOT / "params.yaml", router="random", setting="p=9")
    solver = Solver.load(ROOT / "params.yaml", router="always_weak", setting="-")
    with pytest.raises(TrimError, match="'Who are you\\?': the embedded models only solve chains"):
        solver(["Who are you?"])


def test_steps_are_shown_with_writer_and_score_and_thrown_away_drafts_on_request():
    shown = invoke(QUESTION, "--router", "random", "--setting", "p=0.5", "--drafts")
    assert shown.exit_code == 0
    assert "  strong " in shown.output
    assert shown.output.count("  draft ") == shown.output.count("  strong ")
    assert "of always-strong's" in shown.output.splitlines()[-1]
    plain = invoke(QUESTION, "--router", "random", "--setting", "p=0.5")
    assert "  draft " not in plain.output


def test_programs_get_one_object_a_question():
    text = f"{QUESTION}\n\n{QUESTION}\n"
    done = invoke("-", "--router", "random", "--setting", "p=0.5", "--json", input=text)
    first, second = map(json.loads, done.output.splitlines())
    assert first == second
    assert first["question"] == QUESTION
    assert {step["writer"] for step in first["steps"]} <= {"weak", "strong"}
    assert first["strong_tokens"] == sum(s["tokens"] for s in first["steps"] if s["writer"] == "strong")
