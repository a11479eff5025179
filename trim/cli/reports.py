"""Tables, figures and the page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trim.cli.options import DEFAULT_PARAMS, PIPELINE, ParamsFile, Results, RunParams, load_params, load_run
from trim.errors import TrimError, printable
from trim.stages.stage import DEFAULT_RESULTS
from trim.terminal import cell

reports = typer.Typer()


@reports.command()
def answers(
    files: Annotated[list[Path], typer.Argument(help="Files of problems with the fields of a benchmark.")],
    tolerance: Annotated[float, typer.Option(min=0, help="Relative error allowed in a number.")] = 0.0,
) -> None:
    """Check the judge of answers: each answer against its own solution, rewritings and near misses.

    Exit status 1 if any is misjudged. Example: trim answers math500.jsonl
    """
    from trim.audit.answers import check_answers, rich_checks

    checks = {path: check_answers(path, tolerance=tolerance) for path in files}
    Console().print(rich_checks(checks))
    failures = [(path, check, failure) for path, made in checks.items() for check in made for failure in check.failures]
    for path, check, (problem, answer, held) in failures:
        print(printable(f"{path}: {problem}: {check.kind}: {answer} against {held}"))
    if failures:
        raise typer.Exit(1)


@reports.command(rich_help_panel=PIPELINE)
def tables(results: Results = DEFAULT_RESULTS, params: RunParams = None) -> None:
    """Write the main tables from the evaluation: results/tables/*.{md,csv,tex}."""
    from trim.report.tables import write_tables
    from trim.studies import main_columns

    experiment = load_run(params, results)
    for path in write_tables(results, experiment, main_columns(experiment)):
        print(path)


@reports.command(rich_help_panel=PIPELINE)
def figures(results: Results = DEFAULT_RESULTS, params: RunParams = None) -> None:
    """Draw the main figures from the evaluation: results/figures/*.{svg,png}."""
    from trim.report.figures import draw_figures

    for path in draw_figures(results, load_run(params, results)):
        print(path)


@reports.command()
def report(results: Results = DEFAULT_RESULTS, params: RunParams = None) -> None:
    """Write the self-contained page of a run: results/report.html.

    Example: trim report
    """
    from trim.page.page import write_page

    print(write_page(results, load_run(params, results)))


@reports.command()
def show(
    table: Annotated[
        str | None, typer.Argument(help="A table of results/tables, such as spent; by default the main one.")
    ] = None,
    benchmark: Annotated[
        str | None, typer.Option(help="Show only the rows of this benchmark, by its title in the table.")
    ] = None,
    results: Results = DEFAULT_RESULTS,
) -> None:
    """Print a table of the results; without a name the main one, and the place of the others.

    Example: trim show spent --benchmark Standard
    """
    from trim.report.tables import markdown, read_csv, rich_main

    if table is not None:
        path = results / "tables" / f"{table}.csv"
        known = sorted(p.stem for p in path.parent.glob("*.csv"))
        if table not in known:
            raise TrimError(f"{table}: no table of {path.parent}; it has: {', '.join(known) or 'none, run Snakemake'}")
        rows = read_csv(path).fillna("")
        if benchmark is not None:
            rows = rows[rows["benchmark"] == benchmark] if "benchmark" in rows else rows
        print(printable(markdown(rows)))
        return
    console = Console()
    for shown in rich_main(results / "tables" / "main.csv"):
        console.print(shown)
    others = sorted(path.stem for path in (results / "tables").glob("*.csv") if path.stem != "main")
    console.print(
        cell(f"With intervals: {results / 'tables' / 'main.md'}. Other tables: trim show NAME, with NAME one of")
    )
    console.print(cell(", ".join(others)))
    console.print(cell(f"Figures: {results / 'figures'}. All on one page: {results / 'report.html'}"))


@reports.command()
def experiment(
    name: Annotated[str, typer.Argument(help="A file of workflow/experiments/, such as math500.")],
    out: Annotated[Path, typer.Option(help="The parameter file to write.")] = DEFAULT_PARAMS,
    folder: Annotated[Path, typer.Option(help="Folder of the experiments.")] = Path("workflow/experiments"),
) -> None:
    """Switch to another experiment: compose its overlays and write them to params.yaml.

    Overlays without models of their own, such as full, are laid over the existing parameter file.

    Example: trim experiment math500
    """
    import yaml

    from trim.experiment.compose import compose_experiment
    from trim.experiment.load import check
    from trim.files import write_text

    found = compose_experiment(folder, name, out)
    whole = check(found, name).model_dump(mode="json", exclude={"replay"})
    found = {section: found.get(section, value) for section, value in whole.items()}  # DVC asks for every section
    write_text(out, f"# Made by `trim experiment {name}`.\n" + yaml.safe_dump(found, sort_keys=False))
    print(f"{out}: {name}; `trim plan` estimates its needs, `git checkout {out}` restores the previous one")


@reports.command()
def plan(
    flops: Annotated[float, typer.Option(help="FLOPs of one GPU a second; by default an A100's in bfloat16.")] = 312e12,
    use: Annotated[float, typer.Option(help="Share of these FLOPs that generation reaches.")] = 0.1,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Estimate the GPUs, hours, disk and money that an experiment needs, before it starts.

    Tokens follow from the parameters and the step statistics published with the paper. All but the rollouts are
    upper bounds, since routers share their draws.

    Example: trim plan --params params.yaml
    """
    from rich.table import Table

    from trim.audit.plan import make_plan

    need = make_plan(load_params(params), flops, use)
    columns = {"weak": ("read", "written"), "strong": ("read", "written"), "prm": ("read",)}
    shown = [(role, what) for role, names in columns.items() for what in names]
    table = Table("tokens of", *(f"{role} {what}" for role, what in shown), title=cell(params))
    for work in need.work:
        table.add_row(cell(work.phase), *(f"{work.of(role, what) / 1e6:,.1f} M" for role, what in shown))
    console = Console()
    console.print(table)
    hours = ", ".join(f"{role} {value:.1f}" for role, value in need.hours.items())
    console.print(f"GPU hours: {sum(need.hours.values()):.1f} ({hours}), at most; largest job: {need.gpus} GPUs")
    console.print(f"disk: {need.disk / 1e9:.1f} GB, weights included")
    for role, money in need.money.items():
        console.print(f"{role}: {money:,.2f} for tokens, at most, in the unit of its price")
