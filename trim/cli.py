"""The command line: one command a stage. `snakemake` calls them in order."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from trim.errors import TrimError
from trim.progress import display

if TYPE_CHECKING:
    from trim.config import Params

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Route multi-step reasoning one step at a time: a weak model writes, a reward model scores, "
    "a strong model rewrites the critical steps.\n\nThe whole pipeline: [bold]snakemake --cores all[/bold]. "
    "The commands below are its stages.",
)


class Split(str, Enum):
    """A split of a benchmark."""

    train = "train"
    validation = "validation"
    test = "test"


class Role(str, Enum):
    """A language model's role."""

    weak = "weak"
    strong = "strong"


ParamsFile = Annotated[Path, typer.Option("--params", help="The experiment.")]
Benchmark = Annotated[str, typer.Option(help="A benchmark of the experiment.")]
Problems = Annotated[Path, typer.Option(help="Table made by `trim problems`.")]
Layers = Annotated[list[Path] | None, typer.Option("--layer", help="Draws to read; repeat for more.")]
Journal = Annotated[Path, typer.Option(help="Database that keeps every batch as it is made.")]
Fitted = Annotated[list[str] | None, typer.Option("--fitted", help="ROUTER=FILE made by `trim fit`; repeatable.")]
Out = Annotated[Path, typer.Option(help="File to write.")]
Shard = Annotated[int, typer.Option(min=0, help="Which shard of the problems.")]
Results = Annotated[Path, typer.Option(help="Folder of the results.")]
DEFAULT_PARAMS = Path("params.yaml")
DEFAULT_RESULTS = Path("results")


def _load(path: Path, benchmark: str | None = None, router: str | None = None) -> Params:
    from trim.config import load

    params = load(path)
    for name, known in ((benchmark, params.benchmarks), (router, params.routers)):
        if name is not None and name not in known:
            raise TrimError(f"{path}: {name!r} is not in it; it has: {', '.join(known)}")
    return params


def _pairs(fitted: list[str] | None) -> dict[str, Path]:
    pairs = {}
    for text in fitted or []:
        name, equals, path = text.partition("=")
        if not equals:
            raise TrimError(f"--fitted {text}: give ROUTER=FILE")
        pairs[name] = Path(path)
    return pairs


@app.command()
def check(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Check an experiment file and say what it holds.

    Example: trim check --params params.yaml
    """
    found = _load(params)
    print(f"{params}: {len(found.benchmarks)} benchmarks, {len(found.routers)} routers")


@app.command()
def problems(benchmark: Benchmark, out: Out, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Generate or read the problems of a benchmark.

    Example: trim problems --benchmark standard --out p.parquet
    """
    from trim.stages.problems import make_problems

    print(f"{out}: {make_problems(_load(params, benchmark), benchmark, out)} problems")


@app.command()
def rollouts(
    problems: Problems,
    split: Annotated[Split, typer.Option()],
    model: Annotated[Role, typer.Option()],
    out: Out,
    journal: Journal,
    shard: Shard = 0,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Have one model solve a split alone."""
    from trim.stages.rollouts import make_rollouts

    with display(f"{model.value} rollouts, {split.value}") as tracker:
        count = make_rollouts(_load(params), problems, split.value, model.value, shard, out, journal, tracker)
    print(f"{out}: {count} draws")


@app.command()
def scores(
    problems: Problems,
    split: Annotated[Split, typer.Option()],
    out: Out,
    journal: Journal,
    layer: Layers = None,
    shard: Shard = 0,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Score every step of the weak rollouts."""
    from trim.stages.scores import make_scores

    with display(f"scores, {split.value}") as tracker:
        count = make_scores(_load(params), problems, split.value, shard, layer or [], out, journal, tracker)
    print(f"{out}: {count} scores")


@app.command()
def calibrate(
    benchmark: Benchmark,
    problems: Problems,
    out: Annotated[Path, typer.Option(help="Folder to write single.json, rule.json and classes.json into.")],
    draws_out: Annotated[Path, typer.Option(help="Layer of the draws made on the way.")],
    journal: Journal,
    layer: Layers = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Calibrate the POMDP of a benchmark on its train split."""
    from trim.stages.calibrate import make_calibration

    with display(f"calibration, {benchmark}") as tracker:
        make_calibration(_load(params, benchmark), benchmark, problems, layer or [], out, draws_out, journal, tracker)
    print(f"{out}: single.json, rule.json, classes.json")


@app.command()
def fit(
    benchmark: Benchmark,
    router: Annotated[str, typer.Option(help="A router of the experiment.")],
    problems: Problems,
    out: Out,
    draws_out: Annotated[Path, typer.Option(help="Layer of the draws made on the way.")],
    journal: Journal,
    layer: Layers = None,
    calibrations: Annotated[Path | None, typer.Option(help="Folder made by `trim calibrate`.")] = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Fit a router on the validation split."""
    from trim.stages.fit import make_fit

    found = _load(params, benchmark, router)
    with display(f"fit {router}, {benchmark}") as tracker:
        make_fit(found, benchmark, router, problems, layer or [], calibrations, out, draws_out, journal, tracker)
    print(f"{out}: fitted {router}")


@app.command()
def draws(
    problems: Problems,
    split: Annotated[Split, typer.Option()],
    out: Out,
    journal: Journal,
    layer: Layers = None,
    fitted: Fitted = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Run all routers at once, for the draws that they need."""
    from trim.stages.draws import make_draws

    with display(f"draws, {split.value}") as tracker:
        count = make_draws(_load(params), split.value, problems, layer or [], _pairs(fitted), out, journal, tracker)
    print(f"{out}: {count} draws")


@app.command()
def episodes(
    benchmark: Benchmark,
    router: Annotated[str, typer.Option(help="A router of the experiment.")],
    problems: Problems,
    split: Annotated[Split, typer.Option()],
    out: Out,
    journal: Journal,
    layer: Layers = None,
    fitted: Fitted = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Run one router and write a row per step."""
    from trim.stages.episodes import make_episodes

    found = _load(params, benchmark, router)
    with display(f"{router}, {benchmark}") as tracker:
        make_episodes(
            found, benchmark, split.value, router, problems, layer or [], _pairs(fitted), out, journal, tracker
        )
    print(f"{out}: episodes of {router}")


@app.command()
def evaluate(
    episodes: Annotated[list[Path], typer.Argument(help="Files made by `trim episodes`.")],
    results: Results = DEFAULT_RESULTS,
    cost: Annotated[str | None, typer.Option(help="Unit of cost instead of the experiment's.")] = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Compute every measure with its interval: summary.csv, budgets.csv, differences.csv, metrics.json."""
    from trim.stages.evaluate import make_evaluation

    make_evaluation(_load(params), episodes, results, cost)
    print(f"{results}: summary.csv, budgets.csv, differences.csv, metrics.json")


@app.command()
def tables(results: Results = DEFAULT_RESULTS, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Write results/tables/*.{md,csv,tex} from the figures."""
    from trim.report.tables import write_tables

    for path in write_tables(results, _load(params)):
        print(path)


@app.command()
def figures(results: Results = DEFAULT_RESULTS, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Draw results/figures/*.{svg,png} from the figures."""
    from trim.report.figures import draw_figures

    for path in draw_figures(results, _load(params)):
        print(path)


@app.command()
def report(results: Results = DEFAULT_RESULTS, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Write the self-contained page results/report.html."""
    from trim.report.page import write_page

    print(write_page(results, _load(params)))


@app.command()
def show(results: Results = DEFAULT_RESULTS) -> None:
    """Print the main table, and where figures and report lie."""
    from trim.report.tables import rich_table

    console = Console()
    console.print(rich_table(results / "tables" / "main.csv"))
    for name in ("tables", "figures", "report.html"):
        console.print(f"{name.removesuffix('.html')}: {results / name}", highlight=False)


pretrain = typer.Typer(no_args_is_help=True, help="Train the embedded models from scratch.")
app.add_typer(pretrain, name="pretrain")


@pretrain.command("lm")
def pretrain_lm(model: Annotated[Role, typer.Option()], out: Out, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Train a language model.

    Example: trim pretrain lm --model weak --out results/pretrain/weak
    """
    from trim.stages.pretrain import make_language_model

    with display(f"pretrain {model.value}") as tracker:
        make_language_model(_load(params), model.value, out, tracker)


@pretrain.command("prm")
def pretrain_prm(
    weak: Annotated[Path, typer.Option()],
    strong: Annotated[Path, typer.Option()],
    out: Out,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Train the reward model on solutions that both language models sample."""
    from trim.stages.pretrain import make_reward_model

    with display("pretrain prm") as tracker:
        make_reward_model(_load(params), weak, strong, out, tracker)


@pretrain.command("cards")
def pretrain_cards(
    folder: Annotated[Path, typer.Argument(help="Holds weak, strong and prm.")], params: ParamsFile = DEFAULT_PARAMS
) -> None:
    """Measure the three models and write a model card into each."""
    from trim.stages.pretrain import make_cards

    for path in make_cards(_load(params), folder):
        print(path)


def main() -> None:
    """Run the command line; a user's mistake is one line and exit status 2."""
    try:
        app()
    except TrimError as error:
        print(f"trim: {error}", file=sys.stderr)
        sys.exit(2)
