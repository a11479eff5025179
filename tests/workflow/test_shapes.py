"""Experiments of every shape end well: evaluation, tables, figures, studies, page, manifest and lock."""

import copy
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from trim.experiment.load import check
from trim.page import page
from trim.progress import Tracker
from trim.report.figures import draw_figures
from trim.report.tables import write_tables
from trim.stages.episodes import make_episodes
from trim.stages.evaluate import make_evaluation
from trim.stages.fit import make_fit
from trim.stages.job import Job
from trim.stages.manifest import make_manifest
from trim.stages.operating_points import measure_points
from trim.stages.problems import make_problems
from trim.studies import main_columns, registry, studies_of

pytestmark = pytest.mark.slow

ENDS = ("always_weak", "always_strong")
ROUTERS = {
    "random": {"probabilities": [0.2, 0.6]},
    "trim_thr": {"thresholds": [0, 0.5, 1]},
    "specreason": {"shares": [0.5]},
}
BENCHMARK = "standard"


def shaped(raw: dict, routers: tuple[str, ...], baseline: str) -> dict:
    """The shipped experiment with two dozen problems, the ends and some more routers, and studies that run no model."""
    found = copy.deepcopy(raw)
    sizes = {"train": 1, "validation": 8, "test": 12}
    found["benchmarks"] = {BENCHMARK: {"family": "standard", "sizes": sizes}}
    found["routers"] = {name: dict(ROUTERS.get(name, {})) for name in (*ENDS, *routers)}
    found |= {"trees": [], "reward_models": {}, "robustness": {}, "transfer": {}, "granularity": {}, "ceiling": {}}
    found["studies"] = [name for name, study in registry().items() if study.run is None]
    found["evaluation"] = {"bootstrap": 20, "baselines": [baseline]}
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory, raw) -> Path:
    """Results with the problems, fits and episodes of all routers."""
    results = tmp_path_factory.mktemp("shapes")
    params = check(shaped(raw, tuple(ROUTERS), "random"))
    problems, journal = results / f"problems/{BENCHMARK}.parquet", results / ".journal/draws.sqlite"

    def job(out: str) -> Job:
        return Job(params, Tracker.silent(), problems, results / out, journal)

    make_problems(params, BENCHMARK, problems)
    for name in params.routers:
        if params.router_type(name).needs_fitting:
            make_fit(BENCHMARK, name, job(f"routers/{BENCHMARK}"), results / "x.parquet")
        make_episodes(BENCHMARK, name, job(f"episodes/{BENCHMARK}/{name}.parquet"), "test", results / "routers")
    measure_points(BENCHMARK, job(f"validation/{BENCHMARK}.json"), results / "routers")
    return results


SHAPES = {
    "nothing fitted": (("random",), "random"),
    "one router, compared with itself": (("trim_thr",), "trim_thr"),
    "no router of TRIM's": (("random", "specreason"), "random"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_sound_experiment_ends(whole, raw, tmp_path, monkeypatch, shape):
    # To draw is the longest part, and the shape does not matter to it.
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: Path(path).write_text("<svg/>"))
    monkeypatch.setattr(page, "javascript_bundle", lambda script: "")
    params = check(shaped(raw, *SHAPES[shape]))
    for folder in ("problems", "episodes", "routers", "validation"):
        (tmp_path / folder).symlink_to(whole / folder)
    make_evaluation(params, [tmp_path / path for path in params.episodes(BENCHMARK)], tmp_path)
    for study in studies_of(params).values():
        for benchmark in study.measurement.benchmarks(params) if study.measurement else ():
            study.measure(params, benchmark, tmp_path)
    write_tables(tmp_path, params, main_columns(params))
    draw_figures(tmp_path, params)
    for study in studies_of(params).values():
        study.show(params, tmp_path)
    page.write_page(tmp_path, params)
    make_manifest(tmp_path)
    main = pd.read_csv(tmp_path / "tables/main.csv")
    assert list(main["router"]) == [params.title(name) for name in params.routers if name not in ENDS]
