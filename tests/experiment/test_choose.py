"""Guaranteed settings by name: `trim choose`, `guarantee=` names of `trim solve` and of the server."""

import numpy as np
import pytest
from typer.testing import CliRunner

from trim.cli import app
from trim.errors import TrimError
from trim.experiment.choosing import guarantee, guaranteed_setting, read_validation
from trim.files import write_arrays, write_sealed
from trim.setting import Setting
from trim.solve import SHIPPED, Solver

STANDARD = SHIPPED / "validation/standard.json"


def measured(folder, accuracies, shares, n, router="trim_thr", seeds=("",)):
    """A router whose settings rise in accuracy and spending."""
    rng = np.random.default_rng(0)
    hard, tokens = rng.random(n), rng.integers(40, 80, n)
    names = [f"tau={a:g}{seed}" for a in accuracies for seed in seeds] + ["budget=0.2"]
    rows = [(a, s) for a, s in zip(accuracies, shares, strict=True) for _ in seeds] + [(1.0, 0.0)]
    write_sealed(folder / "m.json", {router: {name: {} for name in names}})
    arrays = {
        "always_strong.correct": hard[None] < 0.8,
        "always_strong.tokens": tokens[None],
        f"{router}.correct": np.stack([hard < a for a, _ in rows]),
        f"{router}.tokens": np.stack([tokens * s for _, s in rows]),
    }
    write_arrays(folder / "m.safetensors", {name: a.astype(np.int32) for name, a in arrays.items()})


def test_the_cheapest_setting_that_keeps_the_promise_is_chosen(tmp_path):
    measured(tmp_path, [0.5, 0.78, 0.8], [0.1, 0.3, 1.0], 3000)
    (row,) = guarantee(read_validation(tmp_path / "m.json"), "accuracy", 0.95, ["trim_thr"])
    assert (row.router, row.setting, round(row.spent, 1)) == ("trim_thr", Setting("tau", 0.78), 0.3)
    (row,) = guarantee(read_validation(tmp_path / "m.json"), "spend", 0.5, ["trim_thr"])
    assert row.setting == Setting("tau", 0.78)
    assert guaranteed_setting(tmp_path / "m.json", "trim_thr", Setting("guarantee", 0.95)) == Setting("tau", 0.78)
    assert guaranteed_setting(tmp_path / "m.json", "trim_thr", Setting("tau", 0.5)) == Setting("tau", 0.5)


def test_a_router_without_such_a_setting_says_how_many_problems_would_tell(tmp_path):
    measured(tmp_path, [0.5, 0.8], [0.1, 0.3], 60)
    (row,) = guarantee(read_validation(tmp_path / "m.json"), "accuracy", 0.95, ["trim_thr"])
    assert row.setting is None and 60 < row.needed < 3000
    with pytest.raises(TrimError, match=f"about {row.needed:,} validation problems would be needed"):
        guaranteed_setting(tmp_path / "m.json", "trim_thr", Setting("guarantee", 0.95))
    measured(tmp_path, [0.5], [0.1], 60)
    with pytest.raises(TrimError, match="none keeps it on validation"):
        guaranteed_setting(tmp_path / "m.json", "trim_thr", Setting("guarantee", 0.95))


@pytest.mark.parametrize("name", ["guarantee=2", "guarantee=nan"])
def test_a_promise_that_is_no_share_is_refused(tmp_path, name):
    with pytest.raises(TrimError, match=r"such as guarantee=0\.95"):
        guaranteed_setting(tmp_path / "m.json", "trim_thr", Setting.parse(name))


def test_settings_that_were_fitted_for_a_budget_and_other_seeds_are_left_out(tmp_path):
    measured(tmp_path, [0.79, 0.8], [0.3, 1.0], 3000, seeds=(" seed=2", " seed=0"))
    (row,) = guarantee(read_validation(tmp_path / "m.json"), "accuracy", 0.9, ["trim_thr"])
    assert row.setting == Setting("tau", 0.79, seed=0)


def test_the_command_and_the_solver_agree():
    run = CliRunner().invoke(app, ["choose", "--accuracy", "0.9", "--router", "trim_thr", "--results", str(SHIPPED)])
    (row,) = guarantee(read_validation(STANDARD), "accuracy", 0.9, routers=["trim_thr"])
    assert run.exit_code == 0 and str(row.setting) in run.output
    solver = Solver.load(SHIPPED / "params.yaml", "trim_thr", "guarantee=0.9", results=SHIPPED)
    assert Setting("tau", solver._policy.threshold) == row.setting


def test_one_promise_is_needed():
    for options in ([], ["--accuracy", "0.9", "--spend", "0.2"]):
        run = CliRunner().invoke(app, ["choose", *options])
        assert isinstance(run.exception, TrimError) and "either --accuracy or --spend" in str(run.exception)
