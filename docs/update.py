"""Copy the last run into the documents: pictures, and tables between their markers."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from trim.audit.jobs import read_jobs
from trim.evaluation.published import RELEASED, published_budgets
from trim.experiment.load import load
from trim.experiment.params import measure_settings
from trim.files import write_text
from trim.report.tables import markdown

ROOT = Path(__file__).parent.parent
TRIM = ("TRIM-Thr", "TRIM-POMDP", "TRIM-Agg", "TRIM-Seq", "TRIM-Budget")
ROUTERS = ("Random", *TRIM, "Oracle")
RIVALS = (
    "Oracle, query level", "RouteLLM, similarity", "RouteLLM, factorisation", "RouteLLM, classifier", "HybridLLM",
    "Smoothie", "AutoMix, threshold", "AutoMix, POMDP", "RSD, sigmoid", "SpecReason, log-probability",
    "Weak log-probability", "Takeover", "GlimpRouter", "STEER", "TRIM-Verify",
    "TRIM-POMDP, reading",
)  # fmt: skip
SPENDING = (
    "TRIM-POMDP", "Oracle, query level", "HybridLLM", "AutoMix, threshold", "RSD, sigmoid",
    "SpecReason, log-probability", "Weak log-probability", "Takeover",
)  # fmt: skip
# Files of reference figures for `trim audit --against`, and the benchmark of those that were published.
REFERENCES = {"embedded.csv": None, "math500.csv": "math500"}


def write_reference(path: Path, benchmark: str | None) -> None:
    """Write figures to compare a run with: those of this run, or of the published one."""
    if benchmark is None:
        rows = pd.read_csv(ROOT / "results/measures.csv").drop(columns="spread")
    else:
        measure = measure_settings(load(ROOT / "params.yaml"))
        rows = pd.concat([published_budgets(measure, router).assign(router=router) for router in RELEASED])
        rows = rows.assign(benchmark=benchmark)[["benchmark", "router", *rows.columns.drop("router")]]
    write_text(path, rows.to_csv(index=False, float_format="%.6g"))


def ship() -> None:
    """Put the experiment, and what was fitted on its first benchmark, into the package, for `trim solve`."""
    params, shipped = load(ROOT / "params.yaml"), ROOT / "trim/experiment/shipped"
    shutil.rmtree(shipped, ignore_errors=True)
    first = Path("routers", next(iter(params.benchmarks)))
    (shipped / first).mkdir(parents=True)
    (shipped / "validation").mkdir()
    shutil.copy(ROOT / "params.yaml", shipped / "params.yaml")
    for form in ("json", "safetensors"):
        shutil.copyfile(ROOT / f"results/validation/{first.name}.{form}", shipped / f"validation/{first.name}.{form}")
    for router in params.fitted_on(first.name):
        for name in (f"{router}.json", f"{router}.safetensors"):
            shutil.copyfile(ROOT / "results" / first / name, shipped / first / name)


def main() -> None:
    """Update the documents, their pictures, the reference figures and the shipped experiment from results/."""
    ship()
    for name in ("curves", "rivals", "spent", "twin", "verification"):
        shutil.copy(ROOT / f"results/figures/{name}.png", ROOT / f"docs/{name}.png")
    for name, benchmark in REFERENCES.items():
        write_reference(ROOT / "workflow/reference" / name, benchmark)
    for name, blocks in DOCUMENTS.items():
        fill(ROOT / name, blocks)


def fill(path: Path, blocks: dict[str, Callable[[], pd.DataFrame]]) -> None:
    """Put tables between their markers in a document."""
    text = path.read_text(encoding="utf-8")
    for name, make in blocks.items():
        begin, end = f"<!-- {name} -->", f"<!-- end {name} -->"
        block = f"{begin}\n{markdown(make())}{end}"
        pattern = f"{re.escape(begin)}.*{re.escape(end)}"
        text, count = re.subn(pattern, lambda _, block=block: block, text, flags=re.DOTALL)
        if count != 1:
            raise SystemExit(f"{path}: {begin} … {end} is not in it once")
    path.write_text(text, encoding="utf-8")


def table(name: str) -> pd.DataFrame:
    """One of the run's tables."""
    return pd.read_csv(ROOT / "results/tables" / f"{name}.csv").astype(object).fillna("")


def _main() -> pd.DataFrame:
    """Both models alone, then TRIM's routers, on the first benchmark."""
    rows = _first(table("main"))
    ends = [
        {"router": title, "accuracy at 20 %": rows[end].iloc[0] + note}
        for end, title, note in (("weak", "weak model alone", " at 0 %"), ("strong", "strong model alone", " at 100 %"))
    ]
    rows = rows[rows["router"].isin(TRIM)].rename(columns={"acc@20": "accuracy at 20 %"})
    return pd.concat([pd.DataFrame(ends), rows])[["router", "accuracy at 20 %", "cpt80", "apgr"]].fillna("")


def _stream() -> pd.DataFrame:
    rows = pd.read_csv(ROOT / "results/tables/stream.csv", dtype=str)  # signs and digits as they are
    return _first(rows).drop(columns="benchmark")


def _generalisation() -> pd.DataFrame:
    rows = table("generalisation")
    return rows[rows["measure"] == rows["measure"].iloc[0]].drop(columns="measure")


def _ceiling() -> pd.DataFrame:
    rows = _first(table("ceiling"))
    ceilings = list(dict.fromkeys(rows["vs"]))[1:]
    own = rows[rows["router"].isin(ceilings) & (rows["vs"] == "")]
    distances = rows[rows["router"].isin(ROUTERS) & (rows["vs"] == ceilings[0])]
    return pd.concat([own, distances]).drop(columns=["benchmark", "apgr"])


def _first(rows: pd.DataFrame) -> pd.DataFrame:
    """Those of the first benchmark."""
    return rows[rows["benchmark"] == rows["benchmark"].iloc[0]]


def _pomdp() -> pd.DataFrame:
    rows = table("differences")
    rows = rows[rows["router"].str.contains("POMDP") & (rows["vs"] == "TRIM-Thr")]
    rows = _first(rows)
    return rows[["router", "acc@10", "acc@15", "acc@20", "acc@30", "apgr"]]


def _prediction() -> pd.DataFrame:
    return _first(table("prediction")).drop(columns="benchmark")


def _rivals() -> pd.DataFrame:
    rows = _first(table("main"))
    rows = rows[rows["router"].isin((*RIVALS, "TRIM-Thr"))]
    return rows[["router", "acc@20", "cpt50", "cpt80", "apgr", "ibc"]]


def _spending(*routers: str) -> pd.DataFrame:
    """What some routers spend on the first benchmark, and the most that the released runs can have spent."""
    rows = table("spent")
    chosen = (rows["benchmark"] == rows["benchmark"].iloc[0]) & rows["router"].isin(routers)
    rows = rows[chosen | rows["reading"].str.startswith("at most")]
    return rows.drop(columns=["benchmark", "latency, writing", "latency, reading"])


def _spent() -> pd.DataFrame:
    rows = _spending("TRIM-Thr", *SPENDING)
    regime = rows["reading"].iloc[0]
    return rows[rows["reading"].str.endswith(regime)].drop(columns="reading")


def _claims() -> pd.DataFrame:
    return table("claims")


def _twin() -> pd.DataFrame:
    return table("twin")


def _whole() -> pd.DataFrame:
    return _spending("TRIM-Thr", "TRIM-POMDP").drop(columns="all tokens")


def _budgets() -> pd.DataFrame:
    rows = table("thresholds")
    rows = rows[(rows["benchmark"] == rows["benchmark"].iloc[0]) & rows["router"].isin(TRIM[:2])]
    return rows.drop(columns="benchmark")


def _planning() -> pd.DataFrame:
    rows = _first(table("differences"))
    rows = rows[rows["router"].isin(["TRIM-Agg", "TRIM-Seq", "TRIM-Budget"]) & (rows["vs"] == "TRIM-POMDP")]
    return rows[["router", "vs", "acc@10", "acc@15", "acc@20", "acc@30"]]


def _go_on() -> pd.DataFrame:
    rows = _first(table("budgets"))
    return rows[rows["router"].isin(["TRIM-Thr", "Takeover"])][["router", "acc@10", "acc@20", "acc@30"]]


def _definitions() -> pd.DataFrame:
    return table("granularity").drop(columns="benchmark")[
        ["a step is", "steps of a solution", "strong", "acc@20", "apgr"]
    ]


# Where each rule's outputs lie below results/.
PLACES = {
    "problems": "problems", "rollouts": "rollouts", "scores": "scores", "trees": "trees", "calibrate": "calibration",
    "fit": "routers", "train": "training", "draws": "draws", "episodes": "episodes", "study": "studies",
}  # fmt: skip


def _phases() -> pd.DataFrame:
    """What each rule of the last run took, as Snakemake measured it, and the disk that its results take."""
    rows = []
    for rule, measured in read_jobs(ROOT / "benchmarks").groupby("rule"):
        place = ROOT / "results" / PLACES.get(str(rule), "-")
        disk = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
        rows.append(
            {
                "rule": rule,
                "jobs": len(measured),
                "CPU, s": round(measured["cpu_time"].sum()),
                "longest job, s": f"{measured['s'].max():.0f}",
                "memory of a job, MB": f"{measured['max_rss'].max():.0f}",
                "disk, MB": f"{disk / 1e6:.1f}" if disk else "",
            }
        )
    found = pd.DataFrame(rows).sort_values("CPU, s", ascending=False)
    total = {"rule": "all", "jobs": found["jobs"].sum(), "CPU, s": found["CPU, s"].sum()}
    return pd.concat([found, pd.DataFrame([total])]).astype(object).fillna("")


def _ladder() -> pd.DataFrame:
    return _first(pd.read_csv(ROOT / "results/tables/ladder.csv", dtype=str)).drop(columns="benchmark")


def _verification() -> pd.DataFrame:
    return table("verification")


def _guarantee() -> pd.DataFrame:
    rows = pd.read_csv(ROOT / "results/tables/guarantee.csv", dtype=str).fillna("")
    return rows[rows["router"].isin((*ROUTERS, *RIVALS, "TRIM-Verify, no PRM"))]


def _robustness() -> pd.DataFrame:
    rows = table("robustness")
    rows = rows[(rows["router"] == "TRIM-Thr") & (rows["vs"] == "")]
    return rows[["distortion", "strength", "auc", "acc@20", "apgr"]]


def _both() -> pd.DataFrame:
    names = (
        "TRIM-Thr", "TRIM-Thr, small PRM", "TRIM-Thr, both", "TRIM-Thr, distilled PRM, both",
        "TRIM-POMDP", "TRIM-POMDP, both", "TRIM-Budget", "TRIM-Budget, both",
    )  # fmt: skip
    rows = _first(table("main")).set_index("router").loc[list(names)].reset_index()
    return rows[["router", "acc@20", "cpt80", "cpt95", "apgr"]]


def _robust() -> pd.DataFrame:
    rows = table("robustness")
    rows = rows[rows["router"].isin(["TRIM-Thr", "TRIM-Thr, robust PRM"]) & (rows["vs"] == "")]
    return rows.sort_values("distortion", key=lambda kinds: kinds != "none", kind="stable")[
        ["distortion", "strength", "router", "acc@20", "kept"]
    ]


DOCUMENTS: dict[str, dict[str, Callable[[], pd.DataFrame]]] = {
    "README.md": {"main": _main},
    "docs/results.md": {
        "generalisation": _generalisation,
        "twin": _twin,
        "ceiling": _ceiling,
        "pomdp": _pomdp,
        "prediction": _prediction,
        "claims": _claims,
    },
    "docs/artifact.md": {"phases": _phases},
    "docs/serving.md": {"stream": _stream},
    "docs/verification.md": {
        "ladder": _ladder,
        "both": _both,
        "verification": _verification,
        "robust": _robust,
        "guarantee": _guarantee,
    },
    "docs/rivals.md": {"rivals": _rivals, "spent": _spent},
    "docs/questions.md": {
        "whole": _whole,
        "granularity": _definitions,
        "budgets": _budgets,
        "go on": _go_on,
        "robustness": _robustness,
        "planning": _planning,
        "generalisation": _generalisation,
    },
}


if __name__ == "__main__":
    main()
