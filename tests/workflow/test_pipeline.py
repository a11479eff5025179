"""The whole chain at smoke size, through Snakemake and DVC, as a user runs it."""

import html
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import ROOT
from playwright.sync_api import sync_playwright
from project import environment, make_project, run, shrink

from trim import verifiers
from trim.audit.recompute import recomputed
from trim.audit.retraced import retraced
from trim.audit.sealed import unchanged
from trim.audit.selection import choices
from trim.evaluation.results import read_scores
from trim.evaluation.schema import STEPS
from trim.experiment.choosing import guarantee, read_validation
from trim.experiment.load import check, load
from trim.files import read_table, write_table
from trim.page.content_security import hashed
from trim.problems import read_problems, write_problems
from trim.stages.manifest import make_manifest
from trim.studies.verification import PRICES

pytestmark = pytest.mark.slow


def jobs(folder: Path, *targets: str, options: tuple[str, ...] = ()) -> set[str]:
    """Names of the rules that Snakemake would run."""
    done = run(folder, "snakemake", "-n", *options, "--", *targets)
    _, _, stats = done.stdout.partition("Job stats:")
    return set(re.findall(r"^(\w+) +\d+$", stats, re.MULTILINE)) - {"total", "all", "default"}


@pytest.fixture(scope="module")
def project(tmp_path_factory, raw):
    folder = make_project(tmp_path_factory.mktemp("project"), shrink(raw))
    run(folder, "snakemake", "--cores", "2", "--quiet", "all")
    return folder


def test_the_contract_of_the_outputs(project):
    summary = pd.read_csv(project / "results/summary.csv")
    contract = (
        "benchmark,split,router,setting,n,accuracy,accuracy_low,accuracy_high,strong_tokens,strong_fraction,"
        "weak_tokens_kept,weak_tokens_discarded,strong_calls,prm_tokens,prm_calls,steps,flops,latency,pgr"
    )
    assert ",".join(summary.columns).startswith(contract)
    assert set(summary["router"]) == set(yaml.safe_load((project / "params.yaml").read_text())["routers"])
    budgets = pd.read_csv(project / "results/measures.csv")
    assert list(budgets.columns) == ["benchmark", "router", "measure", "value", "low", "high", "spread", "reached"]
    assert set(budgets.dropna(subset=["spread"])["router"]) == {"trim_agg", "trim_budget"}
    assert {"cpt50", "cpt80", "cpt95", "apgr", "aiq", "ibc", "acc@10", "acc@30"} <= set(budgets["measure"])
    metrics = json.loads((project / "results/metrics.json").read_text())
    assert "acc@20" in metrics["standard"]["trim_thr"]
    studies = (
        "calibration", "prediction", "published", "robustness", "ceiling", "generalisation", "transfer",
        "interventions", "units", "paper", "claims", "granularity", "spent", "twin", "ladder", "verification",
        "guarantee",
    )  # fmt: skip
    for name in ("main", "budgets", "operating_points", "differences", "thresholds", *studies):
        for suffix in ("md", "csv", "tex"):
            assert (project / f"results/tables/{name}.{suffix}").stat().st_size
    for name in ("curves", "rivals", "variants", "budgets", "scores", *studies):
        assert (project / f"results/figures/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (project / f"results/figures/{name}.svg").read_bytes()[:800]


def test_trainings_leave_their_curves(project):
    for kind in ("trim_agg", "trim_budget"):
        folder = project / "results/training/standard" / kind
        metrics = json.loads((folder / "metrics.json").read_text())
        for name in ("return", "accuracy", "strong fraction", "entropy", "kl"):
            curve = pd.read_csv(folder / f"plots/metrics/{name}/mean.tsv", sep="\t")
            assert curve["step"].tolist() == list(range(3))
            assert curve["mean"].iloc[-1] == pytest.approx(metrics[name]["mean"])


def test_no_router_is_above_the_clairvoyant_one(project):
    rows = pd.read_csv(project / "results/studies/ceiling/standard.distances.csv")
    apart = rows[(rows["baseline"] == "clairvoyant") & rows["measure"].str.startswith("acc@")]
    assert set(apart["router"]) >= {"trim_thr", "trim_agg", "trim_budget", "features", "hindsight"}
    assert (apart["value"] <= 1e-9).all()


def test_what_was_chosen_and_what_it_would_have_gained_on_test(project):
    found = list(choices(check(yaml.safe_load((project / "params.yaml").read_text())), project / "results"))
    what = {choice.what for choice in found}
    assert what == {"setting", "seed", "router", "smallest difference"}
    assert all(choice.gain >= -1e-9 for choice in found)
    fitted = {choice.of for choice in found if choice.what == "setting"}
    assert {"TRIM-Thr", "TRIM-Verify", "GlimpRouter", "STEER"} <= fitted
    shown = run(project, "trim", "audit", "--selection").stdout
    assert "MATH-500 (released)" in shown and "smallest difference" in shown


def test_a_setting_is_chosen_by_its_promise(project):
    validation = read_validation(project / "results/validation/standard.json")
    (found,) = guarantee(validation, "spend", 0.9, ["trim_thr"], 0.05)
    shown = run(project, "trim", "choose", "--spend", "0.9", "--router", "trim_thr", check=False)
    assert shown.returncode == (1 if found.setting is None else 0)
    assert "trim_thr" in shown.stdout and (found.setting is None or f"{found.spent:.3f}" in shown.stdout)
    wrong = run(project, "trim", "choose", "--spend", "0.9", "--router", "nobody", check=False)
    assert wrong.returncode == 2 and "--router nobody: not measured" in wrong.stderr


def test_no_policy_that_reads_is_above_the_clairvoyant_one(project):
    bounds = pd.read_csv(project / "results/studies/verification/standard.bounds.csv")
    for _, rows in bounds.groupby("currency"):
        best = rows[rows["bound"] == "clairvoyant"]
        for price, accuracy, spent in zip(PRICES, best["accuracy"], best["spent"], strict=True):
            worth = rows["accuracy"] - price * rows["spent"]
            assert (worth <= accuracy - price * spent + 1e-4).all()
    ladder = pd.read_csv(project / "results/studies/ladder/standard.csv")
    assert set(ladder["verifier"]) == {*verifiers.registry(), "reward_models.small", "evidence.prm"}
    assert ladder["flops"].max() > 0 and (ladder[ladder["verifier"] == "mean"]["flops"] == 0).all()


def test_a_router_pays_for_the_reward_model_that_scores_for_it(project):
    def parameters(router):
        _, header = read_table(project / f"results/episodes/standard/{router}.parquet", STEPS)
        return header["models"]["prm"]["parameters"], header["models"]["weak"]["parameters"]

    plain, weak = parameters("trim_thr")
    own, _ = parameters("thr_small")
    assert weak < own < plain / 5  # the weak model's body with heads of its own
    training = json.loads((project / "results/reward_models/small/training.json").read_text())
    assert training["tune"] == "lora" and training["solutions"] + training["held_out"] == 60
    scores = [
        read_scores(project / f"results/episodes/standard/{router}.parquet") for router in ("trim_thr", "thr_small")
    ]
    assert not set(scores[0]["score_prm"]) & set(scores[1]["score_prm"])


def test_the_main_table_says_what_is_guaranteed(project):
    main = pd.read_csv(project / "results/tables/main.csv").fillna("")
    measured = pd.read_csv(project / "results/studies/guarantee/standard.csv").dropna(subset=["setting"])
    told = main[main["benchmark"] == "Standard"].get("guarantee=0.95", pd.Series(dtype=str))
    assert (told != "").sum() == len(measured)


def test_the_page_needs_nothing_else(project):
    page = (project / "results/report.html").read_text()
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r'(?:src|href)="(?!data:|#)', markup)
    assert "<script src" not in page
    (script,) = re.findall(r'<script type="module">(.*?)</script>', page, flags=re.DOTALL)
    assert f"script-src {hashed(script)};" in html.unescape(page[:2000])
    assert 'src="data:image/svg+xml' in page
    assert len(page) < 5e6


CHROMIUM = shutil.which("chromium")


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_works_in_a_browser(project, width, scheme):
    with sync_playwright() as tool:
        browser = tool.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        said, asked = [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((project / "results/report.html").as_uri())
        page.wait_for_selector("#chart svg")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        # The chart follows its choices.
        points = int(page.get_attribute("#chart", "data-points"))
        page.check("#chart-groups input[value=cascade]")
        page.wait_for_function(f"Number(document.querySelector('#chart').dataset.points) > {points}")
        page.select_option("#chart-unit", "latency")
        page.wait_for_function("document.querySelector('#chart svg').textContent.includes('latency')")
        page.select_option("#chart-benchmark", "renamed")
        page.wait_for_function(f"Number(document.querySelector('#chart').dataset.points) < {points}")
        # Episodes: another row, another problem.
        before = page.inner_text("#episode-steps")
        page.click("#episode-rows tr:nth-child(2)")
        assert page.inner_text("#episode-steps") != before
        question = page.inner_text("#episode-question")
        page.select_option("#episode-problem", index=1)
        assert page.inner_text("#episode-question") != question
        # Tables: sorting and filtering.
        table = page.locator("section", has=page.locator("#main"))
        column = table.locator("thead th", has_text="apgr")
        place = table.locator("thead th").all_inner_texts().index("apgr")
        column.click()
        texts = table.locator(f"tbody td:nth-child({place + 1})").all_inner_texts()
        cells = [float(text.split()[0]) for text in texts]
        assert cells == sorted(cells)
        rows = table.locator("tbody tr:visible").count()
        table.locator("input.filter").fill("trim-thr")
        assert 0 < table.locator("tbody tr:visible").count() < rows
        assert said == []
        plant = "document.body.append(Object.assign(document.createElement('script'), {textContent: 'planted = 1'}))"
        page.evaluate(plant)
        assert page.evaluate("typeof planted") == "undefined"
        assert "Content Security Policy" in said[0]
        assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
        browser.close()


def test_the_audit_passes_and_finds_what_was_changed(project):
    reference = project / "reference.csv"
    shutil.copy(project / "results/measures.csv", reference)
    done = run(project, "trim", "audit", "--against", "reference.csv")
    assert re.search(r"all \d+ checks passed", done.stdout)
    assert "Snakemake, episodes" in done.stdout and "Snakemake, other files" not in done.stdout
    assert "not recorded" in done.stdout  # DVC was not asked yet
    table = pd.read_csv(reference)
    table.loc[table["measure"] == "apgr", ["value", "low", "high"]] = [9, 8, 10]
    table.to_csv(reference, index=False)
    edited = (
        "summary.csv", "metrics.json", "studies/interventions/standard.csv", "tables/main.tex", "figures/curves.svg",
        "figures/units.png", "report.html",
    )  # fmt: skip
    paths = [project / "results" / name for name in edited]
    whole = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}
    for name, column in (("summary.csv", "accuracy"), ("studies/interventions/standard.csv", "caught")):
        table = pd.read_csv(project / "results" / name)
        table.loc[1, column] = 0.123
        table.to_csv(project / "results" / name, index=False)
    for path in paths:
        if path.suffix != ".csv":
            path.write_bytes(re.sub(rb"0\.\d\d|IEND", b"0.99", path.read_bytes(), count=1))
    done = run(project, "trim", "audit", "--no-lineage", "--against", "reference.csv", check=False)
    for path, (content, time_ns) in whole.items():
        path.write_bytes(content)
        os.utime(path, ns=(time_ns, time_ns))
    shown = " ".join(done.stdout.split())
    assert done.returncode == 1
    assert "line 3, accuracy: 0.123 found" in shown and "line 3, caught: 0.123 found" in shown and "apgr" in shown
    again = re.findall(r"again\W+(\S+)\W+fail", done.stdout)
    assert set(edited) <= set(again)


def test_a_lie_about_episodes_is_named_although_all_else_follows_from_it(project, tmp_path):
    shutil.copytree(project / "results", tmp_path / "results", ignore=shutil.ignore_patterns(".*"))
    results, params = tmp_path / "results", load(project / "results/params.yaml")

    def edit(router, lie):
        path = results / f"episodes/standard/{router}.parquet"
        table, header = read_table(path, STEPS)
        rows = table.to_pylist()
        rows = lie(rows, header) or rows
        write_table(path, pa.Table.from_pylist(rows, STEPS), header)

    def solved(rows, header):
        for row in rows:
            row["correct"] = True

    def other_texts(rows, header):
        for row in rows[: len(rows) // 2]:
            row["text"] = row["text"].replace("1", "2")

    def fewer_tokens(rows, header):
        rows[-1]["tokens"] -= 1

    def higher_scores(rows, header):
        next(row for row in rows if row["score_prm"] is not None)["score_prm"] += 0.01

    def fewer_fresh(rows, header):
        rows[5]["calls"][-1]["fresh"] -= 1

    def a_call_less(rows, header):
        next(row for row in rows if len(row["calls"]) > 1)["calls"].pop()

    def cheaper(rows, header):
        header["models"]["strong"]["parameters"] //= 2

    def without_the_hardest(rows, header):
        hardest = next(row["problem"] for row in rows if not row["correct"])
        return [row for row in rows if row["problem"] != hardest]

    def stopped_early(rows, header):
        return rows[:-1]

    lies = {
        "trim_budget": (solved, "correct"), "trim_thr": (other_texts, "text|draft"),
        "always_strong": (fewer_tokens, "text"), "trim_agg": (higher_scores, "score"), "random": (cheaper, "models"),
        "always_weak": (without_the_hardest, "not every problem"), "specreason": (stopped_early, "too early"),
        "thr_small": (fewer_fresh, "calls"), "pomdp_verify": (a_call_less, "calls"),
    }  # fmt: skip
    for router, (lie, _) in lies.items():
        edit(router, lie)
    problems = read_problems(results / "problems/renamed.parquet")
    write_problems(results / "problems/renamed.parquet", [replace(p, answer="7") for p in problems])
    make_manifest(results)
    assert {check.outcome for check in unchanged(results)} == {"pass"}
    failed = {check.what: check for check in retraced(params, results) if check.outcome != "pass"}
    for router, (_, detail) in lies.items():
        check = failed.pop(f"episodes/standard/{router}.parquet")
        assert check.outcome == "fail" and re.search(detail, check.detail), check
    assert {name.split("/")[1] for name in failed} == {"renamed"}
    again = {check.what: check.outcome for check in islice(recomputed(params, results), 2)}
    assert again == {"problems/standard.parquet": "pass", "problems/renamed.parquet": "fail"}


def test_an_audit_names_every_file_that_was_changed(project):
    """Of each kind one, edited, cut, or with one bit flipped."""
    results = project / "results"
    stream = random.Random(0)
    first: dict[tuple[str, str], Path] = {}
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results)
        known = path.is_file() and path.stat().st_size and not name.parts[0].startswith(".")
        if known and name.name not in ("params.yaml", "manifest.json"):
            first.setdefault((name.parts[0], path.suffix), path)
    kinds = (
        "metrics.json report.html tables figures routers calibration rollouts scores draws episodes training studies"
    )
    assert {name for name, _ in first} >= set(kinds.split())
    for path in first.values():
        name, content, times = path.relative_to(results).as_posix(), path.read_bytes(), path.stat()
        place = stream.randrange(len(content))
        flipped = content[:place] + bytes([content[place] ^ (1 << stream.randrange(8))]) + content[place + 1 :]
        for changed in (content[:place], content + b" ", flipped):
            path.write_bytes(changed)
            failed = [check.what for check in unchanged(results) if check.outcome == "fail"]
            path.write_bytes(content)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            assert failed == [name]
    path = results / "manifest.json"
    content, times = path.read_bytes(), path.stat()
    path.write_bytes(content.replace(b"a", b"b", 1))
    outcomes = {check.outcome for check in unchanged(results)}
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert outcomes == {"fail"}
    assert {check.outcome for check in unchanged(results)} == {"pass"}


def test_two_runs_are_compared_on_the_same_resamples(project):
    done = run(project, "trim", "diff", "results", "results", "--measure", "apgr")
    figures = re.findall(r"(-?\d\.\d{3}) \[(-?\d\.\d{3}), (-?\d\.\d{3})\]", done.stdout)
    assert figures
    assert {float(part) for row in figures for part in row} == {0.0}
    without = run(project, "trim", "diff", "results", "nowhere", check=False)
    assert without.returncode == 2 and without.stderr.startswith("trim: results and nowhere have no")


def test_the_summary_follows_from_the_episodes_alone(project):
    summary = pd.read_csv(project / "results/summary.csv")
    summary = summary[summary["benchmark"] == "standard"].set_index(["router", "setting"])
    strong_tokens = None
    for path in sorted((project / "results/episodes/standard").glob("*.parquet")):
        table = pq.read_table(path)
        models = json.loads(table.schema.metadata[b"models"])
        steps = table.to_pandas()
        for setting, rows in steps.groupby("setting"):
            n = rows["problem"].nunique()
            strong = rows[rows["writer"] == "strong"]
            weak = rows[(rows["writer"] == "weak") & (rows["decision"] != "discard")]
            calls = pd.DataFrame(list(rows["calls"].explode().dropna()))
            scored = calls[calls["role"] == "prm"]
            verdicts = calls["written"][(calls["role"] == "strong") & (calls["kind"] == "read")].sum()
            rejected = rows["draft_tokens"].sum() - weak["tokens"].sum()
            expected = {
                "n": n,
                "accuracy": rows.groupby("problem")["correct"].first().mean(),
                "strong_tokens": (strong["tokens"].sum() + verdicts) / n,
                "weak_tokens_kept": weak["tokens"].sum() / n,
                "weak_tokens_discarded": rejected / n,
                "strong_calls": len(strong) / n,
                "prm_tokens": scored["fresh"].sum() / n,
                "prm_calls": len(scored) / n,
                "steps": (rows["decision"] != "discard").sum() / n,
            }
            found = summary.loc[(path.stem, setting)]
            for name, value in expected.items():
                assert found[name] == pytest.approx(value, rel=1e-4), (path.stem, setting, name)
            passes = {
                "weak": found["weak_read"] + found["weak_written"],
                "strong": found["strong_passes"],
                "prm": found["prm_tokens"],
            }
            flops = sum(2 * models[role]["parameters"] * count for role, count in passes.items())
            assert found["flops"] == pytest.approx(flops, rel=1e-4)
            assert found["all_tokens"] == pytest.approx(sum(passes.values()), rel=1e-4)
            if path.stem == "always_strong":
                strong_tokens = expected["strong_tokens"]
    fraction = summary["strong_tokens"] / strong_tokens
    assert np.allclose(summary["strong_fraction"], fraction, rtol=1e-4)


def test_a_fitted_router_solves_a_question(project):
    question = "Start with 60, add 90, multiply by 41, add 4, subtract 8."
    done = run(project, "trim", "solve", question, "--json", "--setting", "budget=0.2")
    solution = json.loads(done.stdout)
    assert solution["answer"].isdigit()
    assert solution["weak_tokens"] > 0


def test_at_threshold_one_it_meets_always_strong(project):
    summary = pd.read_csv(project / "results/summary.csv")
    summary = summary[summary["benchmark"] == "standard"].set_index(["router", "setting"])
    for column in ("accuracy", "strong_tokens"):
        assert summary.loc[("trim_thr", "tau=1"), column] == summary.loc[("always_strong", "-"), column]
        assert summary.loc[("trim_thr", "tau=0"), column] == summary.loc[("always_weak", "-"), column]


def test_nothing_is_left_to_do(project):
    assert jobs(project, "all") == set()


def test_a_table_regenerates_without_a_model(project):
    table = project / "results/tables/main.md"
    before = table.read_bytes()
    table.unlink()
    assert jobs(project, "results/tables/main.md") == {"tables"}
    run(project, "snakemake", "--cores", "1", "--quiet", "all", "--", "results/tables/main.md")
    assert table.read_bytes() == before
    run(project, "snakemake", "--cores", "1", "--quiet", "all")


GIVEN = (
    "problems",
    "rollouts",
    "scores",
    "trees",
    "reward_models",
    "evidence",
    "calibration",
    "routers",
    "validation",
    "draws",
    "studies/draws",
)


def test_tables_are_made_again_from_the_draws_alone(project, tmp_path):
    """What `dvc pull` of the draws gives, and models that are not there."""
    copy = tmp_path / "replay"
    left_out = shutil.ignore_patterns("results", ".snakemake", "model.safetensors")
    shutil.copytree(project, copy, symlinks=True, ignore=left_out)
    for name in GIVEN:
        shutil.copytree(project / "results" / name, copy / "results" / name)
    assert jobs(copy, "all", options=("--config", "replay=true")).isdisjoint({"rollouts", "scores", "fit", "draws"})
    # The embedded models are known by their files, so these have to be there; nothing loads them.
    for role in ("weak", "strong", "prm"):
        name = f"trim/models/embedded/{role}/model.safetensors"
        shutil.copy(project / name, copy / name)
    (copy / "trim/models/backends/transformers.py").write_text("raise AssertionError('a model was loaded')")
    run(copy, "snakemake", "--cores", "2", "--quiet", "all", "--config", "replay=true")
    made = [*sorted((project / "results/tables").glob("*.csv")), project / "results/summary.csv"]
    for path in (path for path in made if path.stem != "ladder"):  # whose probes look into the weak model
        assert path.read_bytes() == (copy / path.relative_to(project)).read_bytes(), path
    (copy / "results/draws/standard/test.parquet").unlink()
    shutil.rmtree(copy / "results/trees")
    for split in ("train", "validation", "test"):
        run(copy, "python", "-c", EMPTY, f"results/trees/standard/{split}.parquet")
    run(copy, "python", "-c", EMPTY, "results/draws/standard/test.parquet")
    done = run(copy, "snakemake", "--cores", "1", "--config", "replay=true", "--forcerun", "episodes", check=False)
    assert done.returncode
    assert re.search(
        r"trim: no (?:step|score|log-probability) by \w+@\w+.* for the problem '.+'…? (after step \d+|at the start)",
        done.stdout + done.stderr,
    )


EVERYTHING = ("results/report.html", "results/metrics.json")

EMPTY = """
import sys
from pathlib import Path
from trim.engine.store import Draws
Draws().export(Path(sys.argv[1]))
"""


def test_an_edit_of_a_router_reruns_what_used_it(project):
    path = project / "trim/routers/random.py"
    text = path.read_text()
    path.write_text(text + "\n")
    listed = run(project, "snakemake", "-n", "--", "results/metrics.json").stdout
    path.write_text(text)
    assert "rule draws" not in listed
    assert re.findall(r"wildcards: (.*)", listed) == ["benchmark=standard, router=random"]
    assert "rule fit" not in listed
    run(project, "snakemake", "--touch", "--cores", "1", "--quiet", "all")


@pytest.mark.parametrize(("name", "rule"), [("evaluation/measures.py", "evaluate"), ("studies/units.py", "study")])
def test_an_edit_reruns_what_it_can_change_and_nothing_else(project, name, rule):
    """By Snakemake itself; tests/test_house.py looks at every package."""
    path = project / "trim" / name
    text = path.read_text()
    path.write_text(text + "\n# a remark\n")
    # What an edit makes new is no reason here: only the rules whose own code is another.
    listed = run(project, "snakemake", "-n", "--rerun-triggers", "params", "--", *EVERYTHING).stdout
    path.write_text(text)
    blocks = re.split(r"^(?:local)?rule ", listed, flags=re.MULTILINE)[1:]
    changed = {block.partition(":")[0] for block in blocks if "Params have changed" in block}
    assert rule in changed
    assert not changed & {"problems", "rollouts", "scores", "trees", "calibrate", "fit", "train", "draws", "episodes"}


def test_a_study_of_ones_own_is_one_file(project, tmp_path):
    own = (project / "trim/studies/units.py").read_text().replace('name="units"', 'name="mine"')
    path = project / "trim/studies/mine.py"
    path.write_text(own)
    try:
        run(project, "snakemake", "--cores", "1", "--quiet", "all", "--", "results/tables/mine.md")
        assert (project / "results/tables/mine.md").read_bytes() == (project / "results/tables/units.md").read_bytes()
        assert (project / "results/figures/mine.png").stat().st_size
    finally:
        for made in (path, *project.glob("results/tables/mine.*"), *project.glob("results/figures/mine.*")):
            made.unlink()


def test_a_table_is_a_function_and_its_name(project):
    edits = {
        "trim/report/tables.py": (
            '"thresholds": _thresholds,',
            '"thresholds": _thresholds,\n        "mine": _budgets,',
        ),
        "workflow/rules/report.smk": ('"thresholds"]', '"thresholds", "mine"]'),
    }
    texts = {name: (project / name).read_text() for name in edits}
    try:
        for name, (old, new) in edits.items():
            assert old in texts[name]
            (project / name).write_text(texts[name].replace(old, new))
        run(project, "snakemake", "--cores", "1", "--quiet", "all", "--", "results/tables/mine.md")
        assert (project / "results/tables/mine.md").read_bytes() == (project / "results/tables/budgets.md").read_bytes()
    finally:
        for name, text in texts.items():
            (project / name).write_text(text)
        for made in project.glob("results/tables/mine.*"):
            made.unlink()
        run(project, "snakemake", "--touch", "--cores", "1", "--quiet", "all")


def test_a_mistake_stops_before_any_work(project):
    path = project / "params.yaml"
    text = path.read_text()
    path.write_text(text.replace("trim_thr:", "trim_three:"))
    done = run(project, "snakemake", "--cores", "1", check=False)
    cli = run(project, "trim", "check", check=False)
    path.write_text(text)
    assert done.returncode
    assert "routers.trim_three: unknown router" in done.stdout + done.stderr
    assert cli.returncode == 2
    assert cli.stderr.startswith("trim: params.yaml: routers.trim_three: unknown router; allowed: ")
    assert cli.stderr.count("\n") == 1


def test_a_damaged_layer_is_named_and_repaired_by_deleting_it(project):
    layer = project / "results/draws/standard/test.parquet"
    whole = layer.read_bytes()
    layer.write_bytes(whole[: len(whole) // 2])
    done = run(project, "snakemake", "--cores", "1", "--forcerun", "episodes", check=False)
    assert done.returncode
    assert "results/draws/standard/test.parquet: cannot be read" in done.stdout + done.stderr
    layer.unlink()
    run(project, "snakemake", "--cores", "2", "--quiet", "all", "--", str(layer.relative_to(project)))
    assert layer.read_bytes() == whole
    run(project, "snakemake", "--cores", "2", "--quiet", "all", "--", "results/metrics.json")
    run(project, "snakemake", "--touch", "--cores", "1", "--quiet", "all")  # the rest follows from what is equal


def episodes(project: Path) -> dict[str, pd.DataFrame]:
    return {p.stem: pq.read_table(p).to_pandas() for p in sorted((project / "results/episodes/standard").glob("*"))}


def read_all(paths: list[Path]) -> pa.Table:
    return pa.concat_tables(map(pq.read_table, paths))


def stored(journal: Path) -> int:
    if not journal.is_file():
        return 0
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as connection:
        try:
            return connection.execute("SELECT count(*) FROM draws").fetchone()[0]
        except sqlite3.OperationalError:
            return 0


def test_killed_in_the_middle_of_a_rollout_it_goes_on_and_ends_the_same(project):
    layers = sorted((project / "results/rollouts/standard").glob("*/strong.0.parquet"))
    journal = project / "results/.journal/standard-strong-0.sqlite"
    before, metrics, drawn = episodes(project), (project / "results/metrics.json").read_text(), read_all(layers)
    for path in (*layers, journal):
        path.unlink()
    command = ["snakemake", "--cores", "1", "--quiet", "all", "--", str(layers[0].relative_to(project))]
    process = subprocess.Popen(command, cwd=project, env=environment(project), start_new_session=True)
    while stored(journal) < 10:
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = stored(journal)
    assert 10 <= kept < len(drawn)
    run(project, "snakemake", "--unlock", "--cores", "1")
    run(project, *command)
    assert stored(journal) == len(drawn)
    assert read_all(layers).equals(drawn)
    again = ("--forcerun", "draws", "episodes", "--", "results/metrics.json")
    run(project, "snakemake", "--cores", "2", "--quiet", "all", *again)
    for router, table in episodes(project).items():
        pd.testing.assert_frame_equal(table, before[router])
    assert (project / "results/metrics.json").read_text() == metrics
    run(project, "snakemake", "--touch", "--cores", "1", "--quiet", "all")  # the rest follows from what is equal


def test_a_finished_run_is_locked_and_an_experiment_keeps_it(project):
    """No `dvc repro` between: DVC removes what is not locked when an experiment starts."""
    for command in (
        ("git", "init", "-q"),
        ("git", "config", "user.email", "a@b.c"),
        ("git", "config", "user.name", "a"),
        ("dvc", "init", "-q"),
        ("git", "add", "-A"),
        ("git", "commit", "-qm", "x"),
    ):
        run(project, *command)
    run(project, "snakemake", "--cores", "2", "--quiet", "all", "--forcerun", "manifest")
    assert jobs(project, "all") == set()
    made = {p: p.stat().st_mtime_ns for p in (project / "results").rglob("*.parquet")}
    done = run(project, "dvc", "exp", "run", "-S", "evaluation.bootstrap=25", "evaluation")
    assert re.findall(r"Running stage '(\w+)'", done.stdout) == ["trees", "evaluation"]  # which read all of params.yaml
    assert {p: p.stat().st_mtime_ns for p in (project / "results").rglob("*.parquet")} == made
    run(project, "git", "checkout", "-q", "params.yaml")
    run(project, "snakemake", "--cores", "2", "--quiet", "all")


def test_dvc_only_locks_what_snakemake_made(project):
    assert "up to date" in run(project, "dvc", "repro").stdout
    assert jobs(project, "all") == set()
    metrics = json.loads(run(project, "dvc", "metrics", "show", "--json").stdout)[""]["data"]
    assert "acc@20" in json.dumps(metrics["results/metrics.json"])
    assert set(metrics["results/training/metrics.json"]["data"]["standard"]) == {"trim_agg", "trim_budget"}
    shutil.copytree(ROOT / ".dvc/plots", project / ".dvc/plots", dirs_exist_ok=True)
    plots = json.loads(run(project, "dvc", "plots", "show", "--json").stdout)
    assert not plots.get("errors") and all(plots["data"].values()) and len(plots["data"]) == 6
    params = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(params.replace("ceiling:\n", "ceiling:\n  # as before\n"))
    assert json.loads(run(project, "dvc", "status", "--json").stdout) == {}
    changed = yaml.safe_load(params) | {"ceiling": {"costs": [0.02]}}
    (project / "params.yaml").write_text(yaml.safe_dump(changed, sort_keys=False))
    assert "studies" in json.loads(run(project, "dvc", "status", "--json").stdout)
    (project / "params.yaml").write_text(params)
    router = project / "trim/routers/trim_thr.py"
    code = router.read_text()
    router.write_text(code + "# A comment.\n")
    stages = set(json.loads(run(project, "dvc", "status", "--json").stdout))
    assert "routers" in stages and not stages & {"problems", "models", "rollouts", "scores", "trees", "calibration"}
    router.write_text(code)
    remote = project.parent / "remote"
    run(project, "dvc", "remote", "add", "-d", "local", str(remote))
    run(project, "dvc", "push", "-q")
    assert remote.is_dir()


def test_an_experiment_in_a_folder_of_its_own_makes_only_what_it_changes(project):
    run(project, "git", "add", "-A")
    run(project, "git", "commit", "-qm", "run")
    done = run(project, "dvc", "exp", "run", "--temp", "-n", "own", "-S", "evaluation.bootstrap=25", "evaluation")
    made = re.findall(r"^ *\d+/\d+ +[\d:]+ +(\w+)", done.stdout + done.stderr, re.MULTILINE)
    assert made == ["evaluate", "all_evaluation"]
    (ref,) = run(project, "git", "for-each-ref", "--format=%(refname)", "refs/exps/*/*/own").stdout.split()
    stages = yaml.safe_load(run(project, "git", "show", f"{ref}:dvc.lock").stdout)["stages"]
    (read,) = [file["md5"] for file in stages["evaluation"]["deps"] if file["path"] == "results/episodes"]
    assert read == stages["episodes"]["outs"][0]["md5"]


def test_pretraining_at_smoke_size(project):
    small = yaml.safe_load((project / "tools/pretrain/settings.yaml").read_text()) | {"probe": 10}
    for role in ("weak", "strong"):
        small[role] |= {"hidden": 32, "heads": 1, "layers": 1, "intermediate": 32, "updates": 3}
    small["prm"] |= {"weak_problems": 20, "strong_problems": 10, "updates": [2, 1]}
    (project / "smoke.yaml").write_text(yaml.safe_dump(small))
    options = ("--snakefile", "tools/pretrain/Snakefile", "--config", "settings=smoke.yaml")
    run(project, "snakemake", "--cores", "2", "--quiet", "all", *options)
    for model in ("weak", "strong", "prm"):
        folder = project / "results/pretrain" / model
        assert (folder / "model.safetensors").stat().st_size
        assert "| standard |" in (folder / "README.md").read_text()
