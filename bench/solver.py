"""Our planner against the field's: exports the published calibration, and compares policies by simulation.

    python bench/solver.py                                  # our plan, through the standard formats and back
    python bench/solver.py --solver "pomdpsol --timeout 60" # APPL's SARSOP, if it is installed
    python bench/solver.py --policy sarsop.policy           # a policy that was computed elsewhere

A solver is called as `SOLVER MODEL --output POLICY`. Every policy decides for the same simulated
problems; the planner's bounds say what none can exceed.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from trim.evaluation.published import published_model
from trim.pomdp.cassandra import AlphaPolicy, export_model
from trim.pomdp.planner import plan
from trim.pomdp.policy import Decide, planned
from trim.pomdp.simulate import simulate


def main() -> None:
    """Compare, and print a row per policy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cost", type=float, default=0.5, help="reward lost by a strong token")
    parser.add_argument("--solver", help="command of a solver that reads .pomdp")
    parser.add_argument("--policy", type=Path, help="policy file, .alpha or APPL's XML")
    parser.add_argument("--problems", type=int, default=20_000)
    options = parser.parse_args()
    model = published_model()
    start = time.perf_counter()
    ours = plan(model, [options.cost])
    spent = time.perf_counter() - start
    policies: dict[str, tuple[Decide, float]] = {"ours": (planned(ours, 0, model), spent)}
    with tempfile.TemporaryDirectory() as folder:
        exported, policy = Path(folder) / "model.pomdp", options.policy
        export_model(model, options.cost, exported)
        back = Path(folder) / "ours.alpha"
        AlphaPolicy.of_plan(ours, 0, model).write(back)
        policies["ours, as .alpha and back"] = AlphaPolicy.read(back, model).decide(model), np.nan
        if options.solver:
            policy = Path(folder) / "solver.policy"
            start = time.perf_counter()
            subprocess.run([*shlex.split(options.solver), str(exported), "--output", str(policy)], check=True)
            spent = time.perf_counter() - start
        if policy:
            name = options.solver or str(policy)
            policies[name] = AlphaPolicy.read(policy, model).decide(model), spent if options.solver else np.nan
        low, high = ours.start[0]
        table = Table(title=f"cost {options.cost:g}: the best policy is worth {low:.3f} to {high:.3f}")
        for column in ("policy", "seconds to plan", "reward", "accuracy", "calls / steps"):
            table.add_column(column)
        for name, (decide, seconds) in policies.items():
            done = simulate(model, decide, options.problems, 0)
            reward = model.reward * done.correct - options.cost * model.tokens * done.calls
            error = 1.96 * reward.std() / len(reward) ** 0.5
            table.add_row(
                name,
                "" if np.isnan(seconds) else f"{seconds:.2f}",
                f"{reward.mean():.3f} ± {error:.3f}",
                f"{done.correct.mean():.4f}",
                f"{done.calls.sum() / done.steps.sum():.4f}",
            )
    Console(file=sys.stdout).print(table)


if __name__ == "__main__":
    main()
