"""The stages of the pipeline, in order."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trim.cli.options import (
    DEFAULT_PARAMS,
    DEFAULT_RESULTS,
    PIPELINE,
    Benchmark,
    Fitted,
    Journal,
    Labelled,
    Layers,
    Out,
    ParamsFile,
    Problems,
    Results,
    Role,
    Shard,
    Split,
    load_params,
)
from trim.errors import TrimError
from trim.progress import display

stages = typer.Typer()
DrawsOut = Annotated[Path, typer.Option(help="File for the draws made on the way.")]


@stages.command()
def check(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Check an experiment file and print its contents.

    Example: trim check --params params.yaml
    """
    found = load_params(params)
    from trim.experiment.soundness import check_surroundings
    from trim.studies import check_names

    check_names(found)
    for note in check_surroundings(found):
        print(note)
    print(f"{params}: sound; {len(found.benchmarks)} benchmarks, {len(found.routers)} routers")


@stages.command(rich_help_panel=PIPELINE)
def problems(benchmark: Benchmark, out: Out, params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Generate or read the problems of a benchmark.

    Example: trim problems --benchmark standard --out p.parquet
    """
    from trim.stages.problems import make_problems

    print(f"{out}: {make_problems(load_params(params, benchmark), benchmark, out)} problems")


@stages.command(rich_help_panel=PIPELINE)
def labelled(
    part: Annotated[str, typer.Argument(help="A part of ProcessBench: gsm8k, math, olympiadbench or omnimath.")],
    out: Out,
) -> None:
    """Download solutions with labelled first errors, for calibration.

    Example: trim labelled math --out processbench.jsonl
    """
    from trim.stages.problems import make_labelled

    print(f"{out}: {make_labelled(part, out)} solutions")


@stages.command(rich_help_panel=PIPELINE)
def download(
    model: Annotated[str, typer.Option(help="The model: weak, strong, prm or encoders; by default all.")] = "",
    out: Annotated[Path | None, typer.Option(help="File to record the download in.")] = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Download the experiment's models from the hub into its cache (HF_HOME), where jobs find them.

    HF_ENDPOINT names a mirror, HF_TOKEN opens gated models, HF_HUB_OFFLINE=1 forbids the network.

    Example: trim download --model strong
    """
    from trim.stages.download import download_encoders, download_model

    found = load_params(params)
    known = [*type(found.models).model_fields, "encoders"]
    if model and model not in known:
        raise TrimError(f"--model {model}: allowed: {', '.join(known)}")
    for role in [model] if model else known:
        print(download_encoders(found, out) if role == "encoders" else download_model(found, role, out))


@stages.command(rich_help_panel=PIPELINE)
def rollouts(
    problems: Problems,
    model: Annotated[Role, typer.Option()],
    out: Annotated[Path, typer.Option(help="Folder to write SPLIT/MODEL.SHARD.parquet into.")],
    journal: Journal,
    shard: Shard = 0,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Solve every problem with one model alone: OUT/SPLIT/MODEL.SHARD.parquet."""
    from trim.stages.rollouts import make_rollouts

    with display(f"{model.value} rollouts") as tracker:
        count = make_rollouts(load_params(params), problems, model.role, shard, out, journal, tracker)
    print(f"{out}: {count} draws")


@stages.command(rich_help_panel=PIPELINE)
def scores(
    problems: Problems,
    out: Annotated[Path, typer.Option(help="Folder to write SPLIT.SHARD.parquet into.")],
    journal: Journal,
    layers: Layers = None,
    shard: Shard = 0,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Score every step of the weak model's solutions: OUT/SPLIT.SHARD.parquet."""
    from trim.stages.scores import make_scores

    with display("scores") as tracker:
        count = make_scores(load_params(params), problems, shard, layers or [], out, journal, tracker)
    print(f"{out}: {count} scores")


@stages.command(rich_help_panel=PIPELINE)
def trees(
    problems: Problems,
    split: Annotated[Split, typer.Option(help="The split whose problems are expanded.")],
    out: Out,
    journal: Journal,
    layers: Layers = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Expand every problem's full solution tree, for RL training and upper bounds; writes the draws to OUT."""
    from trim.stages.trees import make_trees

    with display("trees") as tracker:
        count = make_trees(load_params(params), problems, split.value, layers or [], out, journal, tracker)
    print(f"{out}: draws of {count} decision points")


@stages.command(rich_help_panel=PIPELINE)
def logprobs(
    problems: Problems,
    split: Annotated[Split, typer.Option(help="The split whose trees' drafts are rated.")],
    out: Out,
    journal: Journal,
    layers: Layers = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Rate every weak draft of the whole solution trees by its log-probability under both models: OUT."""
    from trim.stages.trees import make_logprobs

    with display("log-probabilities") as tracker:
        count = make_logprobs(load_params(params), problems, split.value, layers or [], out, journal, tracker)
    print(f"{out}: log-probabilities of {count} drafts")


@stages.command(rich_help_panel=PIPELINE)
def calibrate(
    benchmark: Benchmark,
    problems: Problems,
    out: Annotated[Path, typer.Option(help="Folder to write the models into.")],
    draws_out: Annotated[Path, typer.Option(help="File for the draws made on the way.")],
    journal: Journal,
    layers: Layers = None,
    solutions: Labelled = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Calibrate the POMDP of a benchmark on its train split: single.json, rule.json, classes.json, agreement.json."""
    from trim.stages.calibrate import make_calibration

    with display(f"calibration, {benchmark}") as tracker:
        found = load_params(params, benchmark)
        make_calibration(found, problems, layers or [], out, draws_out, journal, tracker, solutions)
    print(f"{out}: single.json, rule.json, classes.json, agreement.json")


@stages.command(rich_help_panel=PIPELINE)
def fit(
    benchmark: Benchmark,
    router: Annotated[str, typer.Option(help="The router to fit.")],
    problems: Problems,
    out: Annotated[Path, typer.Option(help="Folder to write ROUTER.json and ROUTER.safetensors into.")],
    draws_out: DrawsOut,
    journal: Journal,
    layers: Layers = None,
    calibrations: Annotated[Path | None, typer.Option(help="Folder made by `trim calibrate`.")] = None,
    solutions: Labelled = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Fit a router without networks: choose its settings on the validation split."""
    from trim.stages.fit import make_fit

    found = load_params(params, benchmark, router)
    with display(f"fit {router}, {benchmark}") as tracker:
        files = calibrations, out, draws_out, journal
        make_fit(found, benchmark, router, problems, layers or [], *files, tracker, solutions)
    print(f"{out}: fitted {router}")


@stages.command(rich_help_panel=PIPELINE)
def train(
    benchmark: Benchmark,
    router: Annotated[str, typer.Option(help="The router to train.")],
    problems: Problems,
    out: Annotated[Path, typer.Option(help="Folder to write ROUTER.json and ROUTER.safetensors into.")],
    draws_out: DrawsOut,
    curves: Annotated[Path, typer.Option(help="Folder to write the curves of the training into.")],
    journal: Journal,
    layers: Layers = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Train a router by PPO on the train split, and keep the best epoch on the validation split."""
    from trim.stages.train import make_training

    found = load_params(params, benchmark, router)
    with display(f"train {router}, {benchmark}") as tracker:
        make_training(found, benchmark, router, problems, layers or [], out, draws_out, curves, journal, tracker)
    print(f"{out}: trained {router}")


@stages.command(rich_help_panel=PIPELINE)
def curves(
    out: Annotated[Path, typer.Option(help="Folder to write curves.csv and metrics.json into.")],
    folders: Annotated[list[Path] | None, typer.Argument(help="BENCHMARK/ROUTER/ of each training.")] = None,
) -> None:
    """Gather the curves of all trainings in one table, and their last values, for `dvc plots` and `dvc metrics`."""
    from trim.stages.curves import make_curves

    make_curves(folders or [], out)
    print(f"{out}: curves.csv, metrics.json")


@stages.command(rich_help_panel=PIPELINE)
def draws(
    benchmark: Benchmark,
    problems: Problems,
    split: Annotated[Split, typer.Option()],
    out: Out,
    journal: Journal,
    layers: Layers = None,
    fitted: Fitted = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Run all routers at once, so that shared draws are made once; writes the draws to OUT."""
    from trim.stages.draws import make_draws

    with display(f"draws, {split.value}") as tracker:
        found = load_params(params, benchmark)
        count = make_draws(found, benchmark, split.value, problems, layers or [], fitted, out, journal, tracker)
    print(f"{out}: {count} draws")


@stages.command(rich_help_panel=PIPELINE)
def episodes(
    benchmark: Benchmark,
    router: Annotated[str, typer.Option(help="A router of the experiment.")],
    problems: Problems,
    split: Annotated[Split, typer.Option()],
    out: Out,
    journal: Journal,
    layers: Layers = None,
    fitted: Fitted = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Run one router on a split and write a row per step to OUT."""
    from trim.stages.episodes import make_episodes

    found = load_params(params, benchmark, router)
    with display(f"{router}, {benchmark}") as tracker:
        make_episodes(found, benchmark, split.value, router, problems, layers or [], fitted, out, journal, tracker)
    print(f"{out}: episodes of {router}")


@stages.command(rich_help_panel=PIPELINE)
def operating_points(
    benchmark: Benchmark,
    problems: Problems,
    out: Out,
    journal: Journal,
    layers: Layers = None,
    fitted: Annotated[Path, typer.Option(help="Folder of fitted parameters.")] = DEFAULT_RESULTS / "routers",
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Measure every setting of the fitted routers on the validation problems, for `trim serve`; writes OUT."""
    from trim.stages.operating_points import measure_points

    found = load_params(params, benchmark)
    with display(f"operating points, {benchmark}") as tracker:
        measure_points(found, benchmark, problems, layers or [], fitted, out, journal, tracker)
    print(f"{out}: operating points on {benchmark}")


@stages.command(rich_help_panel=PIPELINE)
def evaluate(
    episodes: Annotated[list[Path], typer.Argument(help="Files made by `trim episodes`.")],
    results: Results = DEFAULT_RESULTS,
    cost: Annotated[str | None, typer.Option(help="Unit of cost, in place of the experiment's.")] = None,
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Compute every measure with its interval: the CSV files and metrics.json in the results."""
    from trim.stages.evaluate import make_evaluation

    make_evaluation(load_params(params), episodes, results, cost)
    print(f"{results}: summary, measures, differences, ratios and units .csv, metrics.json")
