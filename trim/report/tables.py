"""Tables in print quality: Markdown, CSV and LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from trim.errors import TrimError, first_line
from trim.experiment.params import Params
from trim.files import write_text
from trim.pomdp.model import StepModel
from trim.pomdp.planner import Plan
from trim.routers.fitted import read_numbers
from trim.setting import BUDGET, Setting
from trim.terminal import cell

NOT_REACHED = "not reached"

Column = Callable[[Path, str], dict[str, str]]
"""The cell of each router in a column, from the results and the name of a benchmark."""


def unseeded(settings: pd.Series) -> pd.Series:
    """The texts of settings without their seeds, so that the points of one setting are together."""
    return settings.map(lambda text: str(Setting.parse(text).unseeded))


def read_csv(path: Path) -> pd.DataFrame:
    """A table made by `trim evaluate`.

    Raises:
        TrimError: if it is missing or not a table.
    """
    try:
        return pd.read_csv(path, keep_default_na=True)
    except FileNotFoundError as error:
        raise TrimError(f"{path}: No such file or directory; `snakemake --cores all` makes it") from error
    except (OSError, ValueError) as error:
        reason = first_line(error)
        raise TrimError(f"{path}: cannot be read ({reason}); delete it and run `snakemake --cores all`") from error


def write_tables(results: Path, params: Params, columns: Mapping[str, Column]) -> list[Path]:
    """Write every table into results/tables, the main one with further columns by heading; returns the paths."""
    makers: dict[str, Callable[[Path, Params], pd.DataFrame]] = {
        "main": partial(_main, columns=columns),
        "budgets": _budgets,
        "operating_points": _operating_points,
        "differences": _differences,
        "thresholds": _thresholds,
    }
    return [path for name, make in makers.items() for path in write(results, name, make(results, params))]


def write(results: Path, name: str, table: pd.DataFrame) -> list[Path]:
    """Write one table as Markdown, CSV and LaTeX into results/tables; returns the paths."""
    shown = table.astype(object).where(table.notna(), "")  # a missing number is an empty cell, as in the CSV
    texts = {"md": markdown(shown), "csv": table.to_csv(index=False), "tex": _latex(shown)}
    paths = [results / "tables" / f"{name}.{suffix}" for suffix in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        write_text(path, text)
    return paths


def titles(params: Params) -> tuple[dict[str, str], dict[str, str]]:
    """Names to print: of benchmarks and of routers."""
    return (
        {name: params.benchmark_title(name) for name in params.benchmarks},
        {name: params.title(name) for name in params.routers},
    )


def format_interval(value: float, low: float, high: float, spread: float = np.nan, reached: float = np.nan) -> str:
    """A value with its interval, or the share of resamples that reach it, and its deviation between seeds if any."""
    if np.isnan(value):
        return NOT_REACHED + (_reached(reached) if reached > 0 else "")
    interval = _reached(reached) if np.isnan(low) else f" [{low:.3f}, {high:.3f}]"
    return f"{value:.3f}{interval}" + ("" if np.isnan(spread) else f" ± {spread:.3f}")


def _reached(share: float) -> str:
    """The share of the resamples that reach a value, as a whole percentage below 100."""
    return f" (reached in {min(99, int(100 * share + 0.5))} %)" if share < 1 else ""


def _named(table: pd.DataFrame, params: Params) -> pd.DataFrame:
    benchmarks, routers = titles(params)
    return table.assign(benchmark=table["benchmark"].map(benchmarks), router=table["router"].map(routers), split="test")


def at_budgets(params: Params) -> list[str]:
    """Names of the measures of accuracy at each budget."""
    return [f"acc@{100 * budget:g}" for budget in params.evaluation.budgets]


def headline_measure(params: Params) -> str:
    """Name of the measure of accuracy at the middle budget."""
    return f"acc@{100 * params.evaluation.headline_budget:g}"


def _wide(table: pd.DataFrame, measures: list[str], params: Params) -> pd.DataFrame:
    """One row per benchmark and router, one column per measure."""
    chosen = table[table["measure"].isin(measures)]
    columns = [name for name in ("value", "low", "high", "spread", "reached") if name in chosen]
    figures = [format_interval(**row) for row in chosen[columns].to_dict("records")]
    table = chosen.assign(figure=figures).pivot(index=["benchmark", "router"], columns="measure", values="figure")
    order = list(dict.fromkeys(zip(chosen["benchmark"], chosen["router"], strict=True)))
    table = table.reindex(order)[measures].reset_index()
    return _named(table, params)[["benchmark", "split", "router", *measures]]


def _references(params: Params) -> set[str]:
    return {"always_weak", "always_strong"} & set(params.routers)


def _main(results: Path, params: Params, columns: Mapping[str, Column]) -> pd.DataFrame:
    """The ends' accuracy, then each router's measures, accuracy at 20 % first, then the columns of studies."""
    summary, budgets = read_csv(results / "summary.csv"), read_csv(results / "measures.csv")
    measures = [headline_measure(params), *_levels(params), "apgr", "aiq", "ibc"]
    table = _wide(budgets[~budgets["router"].isin(_references(params))], measures, params)
    benchmarks, _ = titles(params)
    for end, column in (("always_weak", "weak"), ("always_strong", "strong")):
        rows = summary[summary["router"] == end]
        accuracy = {
            benchmarks[r.benchmark]: format_interval(r.accuracy, r.accuracy_low, r.accuracy_high)
            for r in rows.itertuples()
        }
        table.insert(2 + (column == "strong"), column, table["benchmark"].map(accuracy))
    for heading, cells_of in columns.items():
        cells = {
            (title, params.title(router)): cell
            for name, title in benchmarks.items()
            for router, cell in cells_of(results, name).items()
        }
        if cells:
            table[heading] = [cells.get(pair, "") for pair in zip(table["benchmark"], table["router"], strict=True)]
    return table


def _levels(params: Params) -> list[str]:
    return [f"cpt{round(100 * level):d}" for level in params.evaluation.levels]


def _budgets(results: Path, params: Params) -> pd.DataFrame:
    return _wide(read_csv(results / "measures.csv"), at_budgets(params), params)


def _operating_points(results: Path, params: Params) -> pd.DataFrame:
    table = read_csv(results / "summary.csv")
    table["accuracy"] = [
        format_interval(*row) for row in table[["accuracy", "accuracy_low", "accuracy_high"]].itertuples(index=False)
    ]
    calls, steps = table["strong_calls"], table["steps"]
    table["hands over"] = np.select([calls == 0, calls == steps], ["no step", "every step"], "")
    columns = [
        "benchmark", "split", "router", "setting", "n", "accuracy", "pgr", "strong_fraction", "hands over",
        "strong_tokens", "weak_tokens_kept", "weak_tokens_discarded", "strong_calls", "strong_read", "weak_read",
        "prm_tokens", "flops", "money", "latency",
    ]  # fmt: skip
    return _named(table, params)[columns].round(4)


def _differences(results: Path, params: Params) -> pd.DataFrame:
    table, (_, names) = read_csv(results / "differences.csv"), titles(params)
    measures = [m for m in dict.fromkeys(table["measure"]) if m.startswith("acc@") or m in ("apgr", "aiq")]
    table = table[~table["router"].isin(_references(params))]
    parts = [pd.DataFrame(columns=["benchmark", "split", "router", "vs", *measures])]  # a single router has none
    for baseline, rows in table.groupby("baseline", sort=False):
        part = _wide(rows, measures, params)
        part.insert(3, "vs", names[str(baseline)])
        parts.append(part)
    return pd.concat(parts)


def _thresholds(results: Path, params: Params) -> pd.DataFrame:
    """Fitted settings, chosen on validation, with their spending and accuracy on test."""
    summary = read_csv(results / "summary.csv")
    rows = []
    for name in params.routers:
        for benchmark in params.benchmarks:
            if not params.router_type(name).needs_fitting or name not in params.routers_on(benchmark):
                continue
            fitted = read_numbers(results / "routers" / params.source(name, benchmark), name)
            for budget, value in fitted.get("budgets", {}).items():
                row = summary[
                    (summary["benchmark"] == benchmark)
                    & (summary["router"] == name)
                    & (unseeded(summary["setting"]) == str(Setting(BUDGET, float(budget))))
                ]
                if len(row):
                    means = row[["strong_fraction", "accuracy", "accuracy_low", "accuracy_high"]].mean()
                    if len(row) > 1:  # the intervals are each network's own
                        means[["accuracy_low", "accuracy_high"]] = np.nan
                    rows.append(
                        {
                            "benchmark": benchmark,
                            "router": name,
                            "budget": float(budget),
                            "fitted (validation)": round(value, 4),
                            "strong fraction (test)": round(means["strong_fraction"], 4),
                            "accuracy (test)": format_interval(
                                means["accuracy"], means["accuracy_low"], means["accuracy_high"], row["accuracy"].std()
                            ),
                        }
                    )
    columns = ["benchmark", "router", "budget", "fitted (validation)", "strong fraction (test)", "accuracy (test)"]
    return _named(pd.DataFrame(rows, columns=columns), params)[columns]


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown."""
    escaped = [[_in_markdown(value) for value in row] for row in table.itertuples(index=False)]
    lines = [list(table.columns), ["---"] * len(table.columns), *escaped]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _in_markdown(value: object) -> str:
    """A value as text, with bars and HTML escaped."""
    return str(value).replace("|", "\\|").replace("<", "&lt;")


def _latex(table: pd.DataFrame) -> str:
    from pylatexenc.latexencode import UnicodeToLatexEncoder

    # Characters outside LaTeX's base become question marks, so that any title compiles.
    encoder = UnicodeToLatexEncoder(unknown_char_policy="replace", unknown_char_warning=False)

    def escape(cell: object) -> str:
        return encoder.unicode_to_latex(str(cell))

    lines = [" & ".join(map(escape, row)) + r" \\" for row in [table.columns, *table.itertuples(index=False)]]
    body = "\n".join([r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"])
    return f"\\begin{{tabular}}{{{'l' * len(table.columns)}}}\n{body}\n\\end{{tabular}}\n"


SHOWN = ("cpt50", "cpt80", "apgr", "ibc")  # beside the accuracy at a budget; a row fits a terminal


def rich_main(path: Path) -> list[Table]:
    """The main table's CSV for a terminal of 80 columns: a table per benchmark, both ends first, no intervals.

    Raises:
        TrimError: if the file is missing or another table.
    """
    rows, tables = read_csv(path), []
    measures = [name for name in rows.columns if name.startswith("acc@") or name in SHOWN]
    if not {"benchmark", "router", "weak", "strong"} <= set(rows.columns):
        raise TrimError(f"{path}: not the main table; delete it and run `snakemake --cores all`")
    for benchmark, group in rows.groupby("benchmark", sort=False):
        table = Table(box=SIMPLE, title=cell(benchmark, "bold"), title_justify="left", padding=(0, 1, 0, 0))
        table.add_column("router", no_wrap=True)
        for measure in measures:
            table.add_column(measure, justify="right", no_wrap=True)
        for end in ("weak", "strong"):
            table.add_row(f"{end} model alone", _short(group[end].iloc[0]))
        table.add_section()
        for router, *values in group[["router", *measures]].itertuples(index=False):
            table.add_row(cell(router), *map(_short, values))
        tables.append(table)
    return tables


def _short(value: object) -> Text:
    """A number without its interval and spread."""
    return cell("-" if str(value).startswith(NOT_REACHED) else str(value).split(" ")[0])


def rich_certificate(plan: Plan, model: StepModel) -> Table:
    """A plan's bounds for the terminal: of a problem's value, and their largest gap at any step and belief."""
    table = Table(title=f"{plan.vectors.shape[2]} grid points; a right solution is worth {model.reward:g}")
    for column in ("cost", "value, at least", "value, at most", "largest gap", "share of the reward"):
        table.add_column(column, justify="right")
    for cost, (low, high), gap in zip(plan.costs, plan.start, plan.gap, strict=True):
        table.add_row(f"{cost:g}", f"{low:.4f}", f"{high:.4f}", f"{gap:.4f}", f"{gap / model.reward:.3%}")
    return table
