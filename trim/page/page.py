"""A self-contained page: figures and tables with explanations."""

from __future__ import annotations

import base64
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup
from vl_convert import javascript_bundle

from trim.errors import TrimError
from trim.experiment.params import Params
from trim.files import write_text
from trim.page.browser import chart, episodes
from trim.page.content_security import hashed
from trim.report.tables import format_interval, headline_measure, read_csv, titles
from trim.studies import studies_of

SECTIONS = {
    "main": (
        "Main table",
        "Test accuracy of both ends, accuracy at the middle budget, the least share of always-strong's cost that "
        "recovers 50, 80 and 95 % of the accuracy gap, and three areas. Square brackets: 95 % bootstrap intervals over "
        "problems and training seeds; a share of the gap that some resamples do not reach has none, and says how many "
        "do. ±: standard deviation between training seeds, of which there are few.",
    ),
    "budgets": ("Accuracy at a budget", "Read off each router's curve at shares of always-strong's cost."),
    "differences": (
        "Differences of routers",
        "Paired, on the same resamples of problems and training seeds: a router minus another; an interval that leaves "
        "out 0 shows a difference.",
    ),
    "thresholds": (
        "Fitted settings",
        "Chosen on validation for each budget; spent and reached on test, a mean over seeds where there are several.",
    ),
}


def write_page(results: Path, params: Params) -> Path:
    """Write results/report.html, which needs no other file and no network.

    Raises:
        TrimError: if a table or figure is missing.
    """
    studies = studies_of(params)
    read_first = {name: (study.title, study.text) for name, study in studies.items() if study.prose}
    sections = read_first | SECTIONS | {name: (study.title, study.text) for name, study in studies.items()}
    tables = []
    for name, (title, text) in sections.items():
        table = read_csv(results / "tables" / f"{name}.csv").fillna("").astype(str)
        tables.append(
            {
                "name": name,
                "title": title,
                "text": text,
                "columns": list(table),
                "rows": table.to_numpy().tolist(),
                "prose": name in read_first,
            }
        )
    figures = [
        {
            "title": study.caption.split(".")[0],
            "text": study.caption,
            "data": _embed(results / "figures" / f"{name}.svg"),
        }
        for name, study in studies.items()
    ]
    environment = Environment(loader=PackageLoader("trim.page", "."), autoescape=select_autoescape(default=True))
    environment.filters["json"] = _json
    script = f"{javascript_bundle('window.vegaEmbed = vegaEmbed;')}\n{_own('page.js')}"
    # Vega writes style attributes; no text of a model reaches the page as markup.
    policy = f"default-src 'none'; script-src {hashed(script)}; style-src 'unsafe-inline'; img-src data:; "
    page = environment.get_template("page.html.jinja").render(
        figures=figures,
        tables=tables,
        cards=_cards(results, params),
        cost=params.evaluation.cost,
        budget=f"{100 * params.evaluation.headline_budget:g} %",
        resamples=params.evaluation.bootstrap,
        chart=chart(results, params),
        episodes=episodes(results, params),
        css=_own("page.css"),
        script=Markup(script),
        policy=policy + "base-uri 'none'; form-action 'none'",
    )
    path = results / "report.html"
    write_text(path, page)
    return path


def _own(name: str) -> Markup:
    """A file of this package, which needs no escaping."""
    return Markup((files("trim.page") / name).read_text(encoding="utf-8"))


def _json(value: Any) -> Markup:
    """JSON that cannot end its HTML element, whatever its texts."""
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
        read_csv(results / "measures.csv"),
        read_csv(results / "summary.csv"),
        titles(params),
    )
    fitted = [name for name in params.routers if params.router_type(name).needs_fitting]
    router = fitted[0] if fitted else list(params.routers)[-1]
    measure = headline_measure(params)
    rows = budgets[(budgets["router"] == router) & (budgets["measure"] == measure)].dropna(subset=["value"])
    ends = summary.set_index(["benchmark", "router"])["accuracy"]
    return [
        {
            "title": names[row.benchmark],
            "figure": f"{row.value:.3f}",
            "interval": format_interval(row.value, row.low, row.high, reached=row.reached).partition(" ")[2],
            "text": f"accuracy of {routers[router]} for {measure.removeprefix('acc@')} % of always-strong's cost; weak "
            f"{ends[(row.benchmark, 'always_weak')]:.3f}, strong {ends[(row.benchmark, 'always_strong')]:.3f}",
        }
        for row in rows.itertuples()
    ]
