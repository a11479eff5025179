"""Solving the user's questions."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from trim.cli.options import FittedOn, OwnParams, Results
from trim.errors import TrimError, printable
from trim.stages.stage import DEFAULT_RESULTS

if TYPE_CHECKING:
    from trim.engine.episode import Episode, Step
    from trim.solve import Solution


def solve(
    question: Annotated[str | None, typer.Argument(help="A question; `-` reads lines from standard input.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file of questions, one per line.")] = None,
    router: Annotated[str, typer.Option(help="A router of the experiment.")] = "trim_budget",
    setting: Annotated[
        str | None,
        typer.Option(help="Its operating point, such as tau=0.9 or cost=0.01; by default budget=0.2, or its only one."),
    ] = None,
    benchmark: FittedOn = None,
    drafts: Annotated[bool, typer.Option("--drafts", help="Show discarded drafts.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each question.")] = False,
    results: Results = DEFAULT_RESULTS,
    params: OwnParams = None,
) -> None:
    """Solve questions by hybrid inference: each step with its writer and the score of the weak draft.

    Example: trim solve "Start with 60, add 90, multiply by 41, add 4, subtract 8." --router trim_thr --drafts
    """
    from trim.solve import Solver

    questions = _questions(question, file)
    solver = Solver.load(params, router, setting, benchmark, results)
    if as_json:
        for solution in solver(questions):
            print(json.dumps(_record(solution)))
        return
    console = Console(highlight=False)
    for asked in questions:
        console.print(Text(printable(asked), style="bold"))
        (solution,) = solver([asked], lambda episode: _show(console, episode, drafts))
        _close(console, solution)


def _questions(question: str | None, file: Path | None) -> list[str]:
    """Questions from the argument, a file or standard input, in that order."""
    if question is not None and question != "-":
        if not question.isprintable() and question != question.encode("utf-8", "replace").decode():
            raise TrimError("the question is not UTF-8; save it in a file as UTF-8, and use --file")
        return [question]
    from trim.files import read_text

    silent = file is None and (sys.stdin is None or (question is None and sys.stdin.isatty()))
    try:
        text = "" if silent else read_text(file) if file else sys.stdin.read()
    except (OSError, UnicodeDecodeError) as error:
        raise TrimError(f"standard input: cannot be read ({error}); is it UTF-8?") from error
    questions = [line.strip() for line in text.split("\n") if line.strip()]
    if not questions:
        raise TrimError("no question; give one, or --file, or lines on standard input")
    return questions


def _show(console: Console, episode: Episode, drafts: bool) -> None:
    step = episode.steps[-1]
    if episode.discarded and len(episode.steps) == 1:
        console.print(Text("  The solution so far is discarded; the strong model begins again.", style="dim"))
    if drafts and step.draft is not None:
        console.print(Text(f"  draft  {step.score:.3f}  {printable(step.draft)}", style="dim strike"))
    line = f"  {step.writer:6} {_score(step)}  {printable(step.text)}"
    console.print(Text(line, style="cyan" if step.writer == "strong" else ""))


def _score(step: Step) -> str:
    """The score of an accepted draft; a rewritten step has none yet."""
    return "     " if math.isnan(step.score) or step.writer == "strong" else f"{step.score:.3f}"


def _close(console: Console, solution: Solution) -> None:
    answer = printable(solution.answer or "none found")
    spent = f"{solution.weak_tokens} weak and {solution.strong_tokens} strong tokens"
    saved = f"about {solution.saving:.0%} of always-strong's {solution.always_strong_tokens} saved"
    console.print(Text(f"  answer {answer}; {spent}; {saved}", style="green"))


def _record(solution: Solution) -> dict[str, object]:
    steps = [
        {
            "writer": step.writer,
            "text": step.text,
            "draft": step.draft,
            "score": None if math.isnan(step.score) else step.score,
            "tokens": step.tokens,
        }
        for step in solution.steps
    ]
    return {
        "question": solution.question,
        "answer": solution.answer,
        "steps": steps,
        "discarded": [step.text for step in solution.discarded],
        "weak_tokens": solution.weak_tokens,
        "strong_tokens": solution.strong_tokens,
        "always_strong_tokens": solution.always_strong_tokens,
        "saving": solution.saving,
    }
