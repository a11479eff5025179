"""One self-contained page: figures, tables and how to read them."""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment, PackageLoader, select_autoescape

from trim.config import Params
from trim.errors import TrimError
from trim.report.tables import read_csv, titles
from trim.tables import write_text

SECTIONS = {
    "main": (
        "Main table",
        "Test accuracy of both ends, accuracy at the middle budget, the least share of always-strong's cost that "
        "recovers 50, 80 and 95 % of the accuracy gap, and three areas. Square brackets: 95 % bootstrap intervals; "
        "±: standard deviation over training seeds.",
    ),
    "budgets": ("Accuracy at a budget", "Read off each router's curve at shares of always-strong's cost."),
    "differences": (
        "Differences of routers",
        "Paired, on the same resamples of the problems: a router minus another; an interval that leaves out 0 tells "
        "them apart.",
    ),
    "thresholds": (
        "Fitted settings",
        "Chosen on validation for each budget; spent and reached on test.",
    ),
    "operating_points": ("All operating points", "Token and cost figures are means per problem."),
}
STUDY_SECTIONS = {
    "calibration": (
        "Calibration of the POMDP",
        "From labelled steps, from the threshold rule, and with difficulty classes. `apart`: total variation distance "
        "of a state's density from the labelled one. `exact`, `earlier`, `later`: where the rule puts the first error, "
        "among the weak model's solutions that are wrong by both.",
    ),
    "prediction": (
        "Predicting TRIM-Thr",
        "Mean absolute error over thresholds of the curve that each calibrated POMDP predicts, on held-out problems: "
        "of accuracy and calls at equal thresholds, of accuracy at equal calls (curve).",
    ),
    "robustness": (
        "Distorted scores",
        "Routers calibrated and fitted on distorted scores: noise on the logit, a wrong temperature, a share of random "
        "scores. `auc` tells right steps from first wrong ones.",
    ),
    "ceiling": (
        "What there is to gain",
        "The best that any router could do, by dynamic programming on whole solution trees. Five features: what "
        "TRIM-Agg sees, by fitted policy iteration on the train split, or (in hindsight, too good to be true) on the "
        "test problems themselves. Clairvoyant: it knows how everything would end. `minus`: each router's distance.",
    ),
    "generalisation": (
        "On other benchmarks",
        "Routers fitted on one benchmark and used unchanged on all, beside baselines that are fitted on each; in "
        "parentheses the rank. ±: standard deviation over training seeds.",
    ),
    "published": (
        "In the published calibration",
        "TRIM-POMDP's variants simulated in the calibration released with the paper; no policy exceeds `bound`.",
    ),
}
FIGURES = {
    "curves": "Cost-accuracy curves. Bands: intervals over problems. Dotted: mixing the two models at random.",
    "budgets": "Accuracy at fixed budgets.",
    "variants": "Variants of one kind of router.",
}
STUDY_FIGURES = {
    "calibration": "What is observed in each hidden state, and where solutions end.",
    "prediction": "TRIM-Thr's curve as the calibrated models predict it, and as it was measured.",
    "robustness": "Accuracy at the middle budget on distorted scores; strength 0 and temperature 1 change nothing.",
    "ceiling": "Fitted routers below the best that could be done.",
    "generalisation": "Routers fitted on one benchmark and used on all, beside the baselines.",
    "published": "Routers in the calibration released with the paper, and TRIM-Thr as it was published for MATH-500.",
}


def write_page(results: Path, params: Params) -> Path:
    """Write results/report.html, which needs no other file and no network.

    Raises:
        TrimError: if a table or figure is missing.
    """
    tables = []
    studies = params.studies()
    sections = SECTIONS | {name: STUDY_SECTIONS[name] for name in studies}
    shown = FIGURES | {name: STUDY_FIGURES[name] for name in studies}
    for name, (title, text) in sections.items():
        table = read_csv(results / "tables" / f"{name}.csv").fillna("")
        tables.append(
            {
                "name": name,
                "title": title,
                "text": text,
                "columns": list(table.columns),
                "rows": table.astype(str).to_numpy().tolist(),
            }
        )
    figures = [
        {"name": name, "text": text, "data": _embed(results / "figures" / f"{name}.svg")}
        for name, text in shown.items()
    ]
    environment = Environment(loader=PackageLoader("trim.report", "."), autoescape=select_autoescape(default=True))
    page = environment.get_template("page.html.jinja").render(
        figures=figures,
        tables=tables,
        benchmarks=titles(params)[0],
        cards=_cards(results, params),
        cost=params.evaluation.cost,
        resamples=params.evaluation.bootstrap,
    )
    path = results / "report.html"
    write_text(path, page)
    return path


def _embed(path: Path) -> str:
    try:
        return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise TrimError(f"{path}: {error.strerror}; run `snakemake --cores all {path}`") from error


def _cards(results: Path, params: Params) -> list[dict[str, str]]:
    """Per benchmark: the least share of strong tokens at which the first fitted router recovers most of the gap."""
    budgets, (names, routers) = read_csv(results / "budgets.csv"), titles(params)
    fitted = [name for name in params.routers if params.kind(name).fits]
    router = fitted[0] if fitted else list(params.routers)[-1]
    measure = f"cpt{round(100 * params.evaluation.levels[-1])}" if params.evaluation.levels else "apgr"
    rows = budgets[(budgets["router"] == router) & (budgets["measure"] == measure)].dropna(subset=["value"])
    return [
        {
            "title": names[row.benchmark],
            "figure": f"{100 * row.value:.0f} %",
            "text": f"of always-strong's cost: {routers[router]} recovers {measure.removeprefix('cpt')} % of the gap",
        }
        for row in rows.itertuples()
    ]
