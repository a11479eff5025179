"""One self-contained page: figures, tables and how to read them."""

from __future__ import annotations

import base64
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup
from vl_convert import javascript_bundle

from trim.config import Params
from trim.errors import TrimError
from trim.report.browser import chart, episodes
from trim.report.tables import at_middle, read_csv, titles
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
}
STUDIES = {
    "claims": (
        "The paper's claims",
        "Each one beside the run that was released with the paper (TRIM-Thr on MATH-500) and beside this experiment, "
        "by the same code, and by what the intervals can tell. ΔIBC: incremental benefit per cost, relative to "
        "always-strong's.",
    ),
    "paper": (
        "The published run",
        "TRIM-Thr's measures as published for MATH-500, and here. The published intervals are those of independent "
        "binomial counts, since only sums were released.",
    ),
    "interventions": (
        "Where routers intervene",
        "At the setting for the middle budget: the share of judged drafts that is handed over; of first wrong steps, "
        "the share that is caught; of interventions, the share wasted on right steps. By position, PRM score, and by "
        "which model alone solves the problem.",
    ),
    "definitions": (
        "What a step is",
        "TRIM-Thr where a step ends at a blank line, with a sentence or after a number of tokens; the reward model was "
        "trained on paragraphs. The embedded models write no full stops, so that their sentences are paragraphs too.",
    ),
    "twin": (
        "The embedded twin beside the published calibration",
        "Test problems, exact labels of steps; intervals over problems. S0: all steps right; S1: an earlier step "
        "wrong; S2: this step the first wrong one. Densities by the same estimate as in calibration. The curves of"
        " TRIM-Thr and TRIM-POMDP are no target of the models' training: their distance from the released ones is "
        "the test.",
    ),
    "units": (
        "In other units of cost",
        "`spent`: the cost at the setting for the middle budget, always-strong's being 1. Strong passes: tokens "
        "that the strong model writes or reads. All tokens: read or written by any model, the reward model "
        "included. The other rows are measures of the curves over that cost; they are not defined where always-"
        "weak alone costs more than always-strong.",
    ),
    "spent": (
        "What a solution costs in all",
        "At the setting for the middle budget of strong tokens, always-strong's cost being 1. Two models share no "
        "cache: what the weak model wrote, the strong one must read before it rewrites a step. `saves in`: the "
        "units whose whole interval lies below 1. The released runs: the most that they can have cost, without the"
        " questions.",
    ),
    "transfer": (
        "Fitted here, used there",
        "APGR of routers as fitted on one benchmark and used on another; below, how far the order of the routers "
        "agrees with that of routers fitted there.",
    ),
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
        "TRIM-POMDP's variants simulated in the calibration released with the paper; no policy exceeds `bound`. "
        "`calls`: steps handed over per solution. Beside them both routers as released for MATH-500. Costs are to "
        "be chosen on validation problems, never by simulation: the model lets all problems be equally hard, and "
        "promises 14 to 27 points more than was measured at the same cost.",
    ),
}
PROSE = ("claims", "paper")  # tables that are read, not scanned
FIGURES = {
    "claims": "Accuracy gained per strong token: TRIM-Thr's over that of routers that choose one model for a problem.",
    "paper": "The share of the gap that TRIM-Thr recovers: published for MATH-500, and here.",
    "interventions": "What is handed over, what that catches and wastes, on the first benchmark.",
    "definitions": "TRIM-Thr by what a step is.",
    "twin": "The gap that TRIM-Thr and TRIM-POMDP recover, released and here.",
    "units": "Cost at the middle budget in every unit.",
    "spent": "Accuracy over strong tokens written, and over floating-point operations in all.",
    "transfer": "APGR by where a router was fitted and where it is used.",
    "calibration": "What is observed in each hidden state, and where solutions end.",
    "prediction": "TRIM-Thr's curve as the calibrated models predict it, and as it was measured.",
    "robustness": "Accuracy at the middle budget on distorted scores; strength 0 and temperature 1 change nothing.",
    "ceiling": "Fitted routers below the best that could be done.",
    "generalisation": "Routers fitted on one benchmark and used on all, beside the baselines.",
    "published": "Routers in the calibration released with the paper, and as they were released for MATH-500.",
}


def write_page(results: Path, params: Params) -> Path:
    """Write results/report.html, which needs no other file and no network.

    Raises:
        TrimError: if a table or figure is missing.
    """
    studies = params.studies()
    sections = {name: STUDIES[name] for name in PROSE if name in studies}
    sections |= SECTIONS | {name: STUDIES[name] for name in STUDIES if name in studies}
    tables = []
    for name, (title, text) in sections.items():
        table = read_csv(results / "tables" / f"{name}.csv").fillna("").astype(str)
        prose = name in PROSE
        tables.append(
            {
                "name": name,
                "title": title,
                "text": text,
                "columns": list(table),
                "rows": table.to_numpy().tolist(),
                "prose": prose,
            }
        )
    shown = {name: FIGURES[name] for name in FIGURES if name in studies}
    figures = [
        {"title": text.split(".")[0], "text": text, "data": _embed(results / "figures" / f"{name}.svg")}
        for name, text in shown.items()
    ]
    environment = Environment(loader=PackageLoader("trim.report", "."), autoescape=select_autoescape(default=True))
    environment.filters["json"] = _json
    page = environment.get_template("page.html.jinja").render(
        figures=figures,
        tables=tables,
        cards=_cards(results, params),
        cost=params.evaluation.cost,
        budget=f"{100 * params.evaluation.middle:g} %",
        resamples=params.evaluation.bootstrap,
        chart=chart(results, params),
        episodes=episodes(results, params),
        css=_own("page.css"),
        script=_own("page.js"),
        vega=Markup(javascript_bundle("window.vegaEmbed = vegaEmbed;")),
    )
    path = results / "report.html"
    write_text(path, page)
    return path


def _own(name: str) -> Markup:
    """A file of this package, which needs no escaping."""
    return Markup((files("trim.report") / name).read_text(encoding="utf-8"))


def _json(value: Any) -> Markup:
    """JSON that cannot end the element it stands in, whatever texts it holds."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _embed(path: Path) -> str:
    try:
        return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise TrimError(f"{path}: {error.strerror}; run `snakemake --cores all {path}`") from error


def _cards(results: Path, params: Params) -> list[dict[str, str]]:
    """Per benchmark: accuracy of the first fitted router at the middle budget, between both ends."""
    budgets, summary, (names, routers) = (
        read_csv(results / "budgets.csv"),
        read_csv(results / "summary.csv"),
        titles(params),
    )
    fitted = [name for name in params.routers if params.kind(name).fits]
    router = fitted[0] if fitted else list(params.routers)[-1]
    measure = at_middle(params)
    rows = budgets[(budgets["router"] == router) & (budgets["measure"] == measure)].dropna(subset=["value"])
    ends = summary.set_index(["benchmark", "router"])["accuracy"]
    return [
        {
            "title": names[row.benchmark],
            "figure": f"{row.value:.3f}",
            "interval": f"[{row.low:.3f}, {row.high:.3f}]",
            "text": f"accuracy of {routers[router]} for {measure.removeprefix('acc@')} % of always-strong's cost; weak "
            f"{ends[(row.benchmark, 'always_weak')]:.3f}, strong {ends[(row.benchmark, 'always_strong')]:.3f}",
        }
        for row in rows.itertuples()
    ]
