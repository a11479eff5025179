"""The stages of the pipeline: a command for each of `trim.stages`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from trim.cli.options import DEFAULT_PARAMS, PIPELINE, ParamsFile, load_params
from trim.progress import display
from trim.stages import registry
from trim.stages.job import Job
from trim.stages.stage import Input, Stage

stages = typer.Typer()
prm = typer.Typer(no_args_is_help=True, help="Train reward models on the experiment's own solutions.")
_GROUPS = {"": stages, "prm": prm}
# Types that only type checkers import, since they are slow to load.
_UNSEEN = {name: Any for name in ("Params", "Tracker")}
_GIVEN = ("params", "tracker", "source")  # not options of their own


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


def add(app: typer.Typer, stage: Stage, panel: str | None = None) -> None:
    """Add a stage's command to an application: Typer reads it from the signature that the stage's inputs make."""
    own = signature(stage.make).parameters
    offered = sorted(_inputs(stage.make, stage), key=lambda found: (found[0].default is not Parameter.empty, found[1]))
    parameters = [parameter for parameter, _ in offered]
    if {"params", "job"} & own.keys():
        parameters.append(_keyword("params", ParamsFile, DEFAULT_PARAMS))

    def command(**given: Any) -> None:
        source = given.pop("params", None)
        if source:
            given["params"] = load_params(source, **{name: given[name] for name in stage.checked if name in given})
        lines = _run(stage, source, given) if "job" in own else stage.make(**given)
        for line in [lines] if isinstance(lines, str) else lines:
            print(line)

    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    app.command(stage.name.split()[-1], help=stage.help, rich_help_panel=panel)(command)


def _run(stage: Stage, source: Path, given: dict[str, Any]) -> str | Iterable[str]:
    with display(stage.progress.format(**given)) as tracker:
        shared = {field.name: given.pop(field.name) for field in fields(Job) if field.name in given}
        return stage.make(job=Job(tracker=tracker, source=source, **shared), **given)


def _inputs(function: Callable[..., Any], stage: Stage) -> Iterator[tuple[Parameter, int]]:
    """The parameters of a command with their `Input.place`; those of a job are in place of `job`."""
    hints = get_type_hints(function, localns=_UNSEEN, include_extras=True)
    for name, parameter in signature(function).parameters.items():
        if name == "job":
            yield from _inputs(Job, stage)
        elif name not in _GIVEN and (stage.reads_draws or name != "layers"):
            found = next(iter(getattr(hints[name], "__metadata__", ())), Input())
            text = stage.out if function is Job and name == "out" else found.help
            form = (typer.Argument if found.positional else typer.Option)(help=text, min=found.minimum)
            yield _keyword(name, Annotated[hints[name], form], parameter.default), found.place


def _keyword(name: str, annotation: Any, default: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


for _stage in registry():
    _group = _stage.name.rpartition(" ")[0]
    add(_GROUPS[_group], _stage, None if _group else PIPELINE)
