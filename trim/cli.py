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
Fits = Annotated[Path | None, typer.Option(help="Folder made by `trim fit`.")]
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
    out: Annotated[Path, typer.Option(help="Folder to write the models into.")],
    draws_out: Annotated[Path, typer.Option(help="Layer of the draws made on the way.")],
    journal: Journal,
    layer: Layers = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Calibrate the POMDP of a benchmark on its train split."""
    from trim.stages.calibrate import make_calibration

    with display(f"calibration, {benchmark}") as tracker:
        make_calibration(_load(params, benchmark), problems, layer or [], out, draws_out, journal, tracker)
    print(f"{out}: single.json, rule.json, classes.json, agreement.json")


@app.command()
def fit(
    benchmark: Benchmark,
    kind: Annotated[str, typer.Option(help="Kind of the routers to fit: the name of their file.")],
    problems: Problems,
    out: Annotated[Path, typer.Option(help="Folder to write KIND.json and KIND.safetensors into.")],
    draws_out: Annotated[Path, typer.Option(help="Layer of the draws made on the way.")],
    journal: Journal,
    layer: Layers = None,
    calibrations: Annotated[Path | None, typer.Option(help="Folder made by `trim calibrate`.")] = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Fit the routers of one kind on the validation split."""
    from trim.stages.fit import make_fit

    found = _load(params, benchmark)
    if kind not in {found.kind(router).name for router in found.routers}:
        raise TrimError(f"--kind {kind}: no router of the experiment is of that kind")
    with display(f"fit {kind}, {benchmark}") as tracker:
        make_fit(found, benchmark, kind, problems, layer or [], calibrations, out, draws_out, journal, tracker)
    print(f"{out}: fitted {kind}")


@app.command()
def draws(
    problems: Problems,
    split: Annotated[Split, typer.Option()],
    out: Out,
    journal: Journal,
    layer: Layers = None,
    fits: Fits = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Run all routers at once, for the draws that they need."""
    from trim.stages.draws import make_draws

    with display(f"draws, {split.value}") as tracker:
        count = make_draws(_load(params), split.value, problems, layer or [], fits, out, journal, tracker)
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
    fits: Fits = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Run one router and write a row per step."""
    from trim.stages.episodes import make_episodes

    found = _load(params, benchmark, router)
    with display(f"{router}, {benchmark}") as tracker:
        make_episodes(found, benchmark, split.value, router, problems, layer or [], fits, out, journal, tracker)
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
def predict(
    calibrations: Annotated[Path, typer.Option(help="Folder made by `trim calibrate`.")],
    episodes: Annotated[Path, typer.Option(help="TRIM-Thr's episodes.")],
    points: Annotated[Path, typer.Option(help="Table of predicted and measured points.")],
    errors: Annotated[Path, typer.Option(help="Table of mean absolute errors.")],
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Compare the curve that a calibrated POMDP predicts for TRIM-Thr with the measured one."""
    from trim.stages.predict import make_prediction

    make_prediction(_load(params), calibrations, episodes, points, errors)
    print(points, errors, sep="\n")


@app.command()
def simulate(out: Out, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Simulate routers in the calibration that was released with the paper.

    Example: trim simulate --out published.csv
    """
    from trim.stages.simulate import make_simulation

    with display("simulation") as tracker:
        make_simulation(_load(params), out, tracker.advanced)
    print(out)


@app.command()
def robustness(
    benchmark: Benchmark,
    problems: Problems,
    out: Annotated[Path, typer.Option(help="Folder to write DISTORTION/ROUTER.parquet into.")],
    draws_out: Annotated[Path, typer.Option(help="Layer of the draws made on the way.")],
    journal: Journal,
    layer: Layers = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Calibrate, fit and run routers on distorted scores."""
    from trim.stages.robustness import make_robustness

    found = _load(params, benchmark)
    with display(f"robustness, {benchmark}") as tracker:
        make_robustness(found, benchmark, problems, layer or [], out, draws_out, journal, tracker)
    print(f"{out}: {', '.join(found.robustness.distortions())}")


@app.command()
def robustness_table(
    benchmark: Benchmark, out: Out, results: Results = DEFAULT_RESULTS, params: ParamsFile = DEFAULT_PARAMS
) -> None:
    """Measure what `trim robustness` made."""
    from trim.stages.robustness import make_robustness_table

    make_robustness_table(_load(params, benchmark), benchmark, results, out)
    print(out)


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
def study(
    name: Annotated[str, typer.Argument(help="calibration, prediction, published or robustness.")],
    results: Results = DEFAULT_RESULTS,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Write the table and draw the figure of a study of the POMDP.

    Example: trim study calibration
    """
    from trim.report.studies import STUDIES, write_study

    if name not in STUDIES:
        raise TrimError(f"study {name}: unknown; allowed: {', '.join(STUDIES)}")
    for path in write_study(results, _load(params), name):
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
