"""The ceiling: the best that any router could reach on the test problems, and each router's distance to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from trim.config import Params
from trim.evaluation.records import read_results
from trim.evaluation.summary import budgets, differences, studies, summary
from trim.problems import read_problems
from trim.progress import Tracker
from trim.rl.ceiling import Clairvoyant, Fitted
from trim.rl.settings import CEILINGS
from trim.rl.tree import Tree
from trim.routers.base import Policy
from trim.stages.episodes import write_run
from trim.stages.evaluate import protocol
from trim.stages.trees import open_tree
from trim.tables import write_text
from trim.workspace import Workspace


def make_ceiling(
    params: Params,
    benchmark: str,
    problems: Path,
    layers: Sequence[Path],
    out: Path,
    journal: Path,
    tracker: Tracker,
) -> None:
    """Run the best routers on the test problems; writes NAME.parquet for each of `CEILINGS` into the folder `out`."""
    workspace = Workspace.over(params, layers, journal, tracker)
    trees: dict[str, Tree] = {}
    for split in ("train", "validation", "test"):
        trees[split] = open_tree(workspace, read_problems(problems, split))
        trees[split].expand()
    train, validation, test = trees.values()
    costs = sorted(params.ceiling.costs, reverse=True)
    # What a clairvoyant router rescues costs far less than what one has to guess.
    dear = np.geomspace(1, costs[-1], 2 * len(costs))
    policies: dict[str, list[tuple[float, Policy]]] = {
        "features": [(cost, Fitted(train, validation, cost)) for cost in costs],
        "hindsight": [(cost, Fitted(test, test, cost)) for cost in costs],
        "clairvoyant": [(cost, Clairvoyant(test, cost)) for cost in dear],
    }
    for name, made in policies.items():
        settings = {f"cost={cost:.4g}": policy for cost, policy in made}
        path = out / f"{name}.parquet"
        write_run(workspace, benchmark, "test", name, test.problems, settings, path, CEILINGS[name])


def make_ceiling_table(params: Params, benchmark: str, results: Path, points: Path, distances: Path) -> None:
    """Write the ceilings' operating points, and every router's measures and their distance to each ceiling."""
    folder = results / "studies" / "ceiling" / benchmark
    runs = results / "episodes" / benchmark
    routers = [read_results(runs / f"{name}.parquet") for name in params.routers_on(benchmark)]
    (study,) = studies([*routers, *(read_results(folder / f"{name}.parquet") for name in CEILINGS)], protocol(params))
    rows = summary(study)
    write_text(points, rows[rows["router"].isin(list(CEILINGS))].to_csv(index=False, float_format="%.6g"))
    found = [budgets(study).assign(baseline=""), *(differences(study, name) for name in CEILINGS)]
    columns = ["benchmark", "router", "baseline", "measure", "value", "low", "high", "spread"]
    write_text(distances, pd.concat(found)[columns].to_csv(index=False, float_format="%.6g"))
