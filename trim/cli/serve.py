"""Serving an experiment's routers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from trim.cli.options import FittedOn, OwnParams, Results
from trim.stages.stage import DEFAULT_RESULTS


def serve(
    router: Annotated[str, typer.Option(help="The router that answers for the model `auto`.")] = "trim_budget",
    setting: Annotated[
        str | None, typer.Option(help="Its operating point, such as tau=0.9; by default that of the budget, or of 0.2.")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Hold the strong tokens of each key to this share of always-strong's, on average over all requests.",
        ),
    ] = None,
    params: OwnParams = None,
    benchmark: FittedOn = None,
    results: Results = DEFAULT_RESULTS,
    host: Annotated[
        str, typer.Option(help="Address to listen on; other machines need a key, in the variable TRIM_API_KEY.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8000,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Another name of this machine, such as host.docker.internal; not needed with a key."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="Site whose pages may send requests and read answers (CORS), such as http://localhost:5173."),
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(help="YAML file of clients, each with the variable of its key, a budget and a cap.")
    ] = None,
    store: Annotated[Path, typer.Option(help="Database of steps and answers; stored steps are reused.")] = Path(
        "results/serving/store.sqlite"
    ),
    in_memory: Annotated[bool, typer.Option("--in-memory", help="Keep nothing on disk.")] = False,
    keep: Annotated[
        int, typer.Option(min=1000, help="Most steps and scores to keep; the oldest are dropped.")
    ] = 2_000_000,
    running: Annotated[int, typer.Option(min=1, max=4096, help="Most answers in progress at once.")] = 64,
    waiting: Annotated[int, typer.Option(min=0, help="Most waiting requests; more are refused with 429.")] = 256,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time limit of an answer.")] = 120.0,
    without_prm: Annotated[
        Literal["strong", "weak", "refuse"],
        typer.Option(help="If the reward model is unavailable: the model that writes the step, or refuse."),
    ] = "refuse",
    without_strong: Annotated[
        Literal["weak", "refuse"],
        typer.Option(help="If the strong model is unavailable: accept the weak draft, or refuse."),
    ] = "refuse",
    drain: Annotated[float, typer.Option(min=0, help="Seconds left for open requests after SIGTERM.")] = 60.0,
    log_content: Annotated[
        bool, typer.Option("--log-content", help="Write questions and answers into the log.")
    ] = False,
) -> None:
    """Serve hybrid inference behind OpenAI's API: http://127.0.0.1:8000/v1, and a page for people at /.

    Requests choose an operating point by the name of a model, such as trim-thr@0.35; see docs/serving.md.

    Example: trim serve --router trim_budget --budget 0.2
    """
    from trim.serve.access import Access
    from trim.serve.server import Options, serve
    from trim.serve.settings import Limits
    from trim.setting import BUDGET, Setting

    point = f"{router}@{setting or Setting(BUDGET, 0.2 if budget is None else budget)}"
    kept = None if in_memory else store
    limits = Limits(running, waiting, seconds, without_prm=without_prm, without_strong=without_strong)
    access = Access(tuple(allow_host or ()), tuple(allow_origin or ()))
    where = (host, port, keys, kept, keep, drain, log_content)
    serve(Options(params, results, benchmark, point, budget, *where, limits, access))
