"""Episodes against the stored draws: each step, score and verdict follows from them and from the gold answers.

No model is needed. The decisions of a router are not repeated: those that another router could have made pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import asdict
from itertools import starmap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from trim.audit.bookkeeping import Line, calls, look_up
from trim.audit.check import Check
from trim.engine.cached import CachedLM
from trim.engine.judge import AnswerJudge
from trim.engine.policy import Policy
from trim.engine.rounds import goes_on, write_steps
from trim.engine.scorers import GradeScorer, LogprobScorer, StepScorer
from trim.engine.store import Draws, Node
from trim.errors import TrimError
from trim.evaluation.schema import RATERS, STEPS
from trim.experiment.fitting import fitted_policies
from trim.experiment.layout import Layout
from trim.experiment.params import Params
from trim.experiment.runner import Runner
from trim.files import read_table
from trim.ledger.calls import COLUMNS, ROLES, Call, Rater
from trim.models.base import Draft
from trim.problems import SPLITS, Problem, read_problems
from trim.progress import Tracker
from trim.section import shown

_FILLED = ("text", "correct", "tokens", "draft_tokens")
_SAME = 1e-9  # relative difference of scores between processors


class Row(NamedTuple):
    """The columns of an episodes table that follow from the draws; equal steps agree in all after the fourth."""

    problem: str
    setting: str
    step: int
    correct: bool
    writer: str
    decision: str
    text: str
    draft: str | None
    tokens: int
    draft_tokens: int
    glimpse: float | None
    score_prm: float | None
    score_weak: float | None
    score_strong: float | None
    score_grade: float | None


class _Place(NamedTuple):
    """A score of a row, and its node."""

    row: Row
    column: str
    value: float
    node: Node


class _Fault(Exception):
    """A row that does not follow from the draws; the message names the row and the reason."""


def retraced(params: Params, results: Path) -> Iterator[Check]:
    """Follow every episode through the stored draws, and judge its answer again.

    Args:
        params: the experiment of the run.
        results: its results; paths of models are taken from the folder above.
    """
    results, replay = results.resolve(), params.model_copy(update={"replay": True})
    for benchmark in params.benchmarks:
        with chdir(results.parent):
            checks = list(_benchmark(replay, benchmark, results))
        yield from checks


def _benchmark(params: Params, benchmark: str, results: Path) -> Iterator[Check]:
    try:
        stored = _Stored(params, benchmark, results)
    except TrimError as error:
        yield Check("draws", benchmark, "fail", str(error))
        return
    for router, path in zip(params.routers_on(benchmark), params.episodes(benchmark), strict=True):
        try:
            runner = Runner(params.as_run(router), stored.draws, Tracker.silent())
            costs = runner.costs()
            models = {role: asdict(costs[role]) for role in runner.models}
        except TrimError as error:  # a model's files, which name its draws, are not here
            yield Check("draws", path, "not recorded", str(error))
            continue
        try:
            table, written = read_table(results / path, STEPS)
            policies = _policies(params, router, benchmark, results)
            _same_header(written, {"models": models} | _header(params, router, benchmark, policies))
            _Episodes(runner, stored, written, table, policies).retrace()
            yield Check("draws", path, "pass")
        except (TrimError, _Fault) as error:
            yield Check("draws", path, "fail", str(error))


class _Stored:
    """Draws of a benchmark's test problems, with the trees of solutions and the verdicts that its episodes share."""

    def __init__(self, params: Params, benchmark: str, results: Path) -> None:
        self.problems = read_problems(results / "problems" / f"{benchmark}.parquet", "test")
        # The last layer holds only draws that no earlier one had. It goes first, since trees may have been made later.
        names = [f"results/draws/{benchmark}/test.parquet", *Layout(params, SPLITS).layers(benchmark, "test")]
        layers = [results / Path(name).relative_to("results") for name in names]
        self.draws = Draws([path for path in layers if path.is_file()])
        separator = params.generation.sampling.separator
        self.roots = {problem.id: Node.root(problem.question, separator) for problem in self.problems}
        self._judge = AnswerJudge(Draws(), numbers=params.generation.answer == "number")
        self._verdicts: dict[Node, bool] = {}
        self._steps: dict[bytes, dict[Node, Draft]] = {}

    def steps(self, writer: CachedLM, nodes: Sequence[Node]) -> dict[Node, Draft]:
        """The step of a model after each node."""
        known = self._steps.setdefault(writer.identity, {})
        missing = [node for node in dict.fromkeys(nodes) if node not in known]
        known.update(zip(missing, write_steps(writer, missing), strict=True))
        return known

    def verdicts(self, problems: Sequence[Problem], nodes: Sequence[Node]) -> list[bool]:
        """True for each solution with its problem's answer; each is judged once."""
        missing = {node: p for node, p in zip(nodes, problems, strict=True) if node not in self._verdicts}
        right = self._judge.right(list(missing.values()), [node.prefix.text for node in missing])
        self._verdicts.update(zip(missing, right, strict=True))
        return [self._verdicts[node] for node in nodes]


def _policies(params: Params, router: str, benchmark: str, results: Path) -> dict[str, Policy]:
    """The policies of a router by setting; those of bounds depend on the models, and are left out."""
    hindsight = params.router_type(router).hindsight
    if hindsight:
        return {}
    policies = fitted_policies(params.as_run(router), router, benchmark, results / "routers")
    return {str(setting): policy for setting, policy in policies.items()}


def _header(params: Params, router: str, benchmark: str, policies: Mapping[str, Policy]) -> dict[str, Any]:
    """The required header of a router's episodes."""
    header = {
        "benchmark": benchmark,
        "split": "test",
        "router": router,
        "title": params.title(router),
        "reference": params.router_type(router).is_reference,
    }
    if policies:
        header["settings"] = list(policies)
    return header


def _same_header(written: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        if written.get(name) != value:
            raise _Fault(f"{name} of the file: {shown(written.get(name))} found, {shown(value)} follows from the run")


class _Episodes:
    """The episodes of one router, retraced step by step.

    Args:
        runner: the models of the router's experiment, behind the draws alone.
        stored: the benchmark's draws.
        header: the header of the episodes' file.
        table: its rows.
        policies: its policies by setting; none if they are known only with the models.
    """

    def __init__(
        self,
        runner: Runner,
        stored: _Stored,
        header: dict[str, Any],
        table: pa.Table,
        policies: Mapping[str, Policy],
    ) -> None:
        self._runner, self._stored = runner, stored
        self._problems = {problem.id: problem for problem in stored.problems}
        empty = [name for name in _FILLED if table[name].null_count]
        if empty:
            raise _Fault(f"rows without {empty[0]}")
        steps = table.select(["setting", "problem", "step", "decision"]).to_pandas()
        self._rows: list[Row] = list(starmap(Row, zip(*(table[name].to_pylist() for name in Row._fields), strict=True)))
        self._policies, self._calls = policies, table["calls"].to_pylist()
        self._first = self._order(header, steps)
        self._last = np.append(self._first[1:], True)
        # Without policies: a weak model that writes on is not judged.
        self._judged = all(call["calls"] for made in self._calls for call in made if call["kind"] == "draft")
        self._nodes: list[Node | None] = [None] * len(steps)  # the node after each row
        self._raters: dict[str, StepScorer] = {
            "weak": LogprobScorer(runner.weak, own=True),
            "strong": LogprobScorer(runner.strong, own=False),
            "grade": GradeScorer(runner.strong),
            "prm": runner.scorer,
        }

    def retrace(self) -> None:
        """Check every row.

        Raises:
            _Fault: at the first that does not follow from the draws.
            TrimError: if a draw is missing.
        """
        step = np.array([row.step for row in self._rows])
        for level in range(step.max() + 1):
            rows = np.flatnonzero(step == level).tolist()
            like: dict[tuple[Any, ...], int] = {}  # settings share most of their steps; each is looked up once
            first = [like.setdefault((self._before(i), self._last[i], *self._rows[i][4:]), i) for i in rows]
            self._retrace_texts(list(like.values()))
            self._retrace_scores(list(like.values()))
            for row, same in zip(rows, first, strict=True):
                self._nodes[row] = self._nodes[same]
        self._recall()
        self._judge()

    def _before(self, row: int) -> Node:
        """The node at which a row's step was written."""
        node = self._stored.roots[self._rows[row].problem] if self._first[row] else self._nodes[row - 1]
        assert node
        return node

    def _order(self, header: dict[str, Any], steps: pd.DataFrame) -> np.ndarray:
        """True for each row that begins a solution; first checks that all problems and settings are there, in order."""
        solution = steps[["setting", "problem"]].assign(discarded=steps["decision"] == "discard")
        first = (solution != solution.shift()).any(axis=1).to_numpy()
        begun = solution[first & ~solution["discarded"]]
        wanted = [(setting, problem) for setting in header.get("settings", ()) for problem in self._problems]
        if list(zip(begun["setting"], begun["problem"], strict=True)) != wanted:
            raise _Fault("not every problem under every setting, in the order of problems and settings")
        episode = solution[["setting", "problem"]]
        followed = (episode == episode.shift(-1)).all(axis=1)
        if (solution["discarded"] & ~followed).any():
            raise _Fault("a solution was discarded, and no other follows")
        start = np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))
        if not np.array_equal(steps["step"], np.arange(len(first)) - start):
            raise _Fault("steps that are not numbered from 0 on")
        return first

    def _retrace_texts(self, rows: Sequence[int]) -> None:
        """Compare texts and lengths with the draws at each node, and go to the next."""
        drafted, rewritten = [], []
        for i in rows:
            row, node = self._rows[i], self._before(i)
            drafted += [node] if _draft(row) else []
            rewritten += [node] if row.writer == "strong" else []
        weak = self._stored.steps(self._runner.weak, drafted)
        strong = self._stored.steps(self._runner.strong, rewritten)
        generation = self._runner.params.generation
        for i in rows:
            row, node = self._rows[i], self._before(i)
            drawn = weak[node] if _draft(row) else None
            accepted = self._same_texts(row, drawn, strong[node] if row.writer == "strong" else None)
            if goes_on(accepted, row.step + 1, generation.max_steps, generation.ends) == self._last[i]:
                raise _Fault(f"{_place(row)}: the solution ends {'too early' if self._last[i] else 'before it'}")
            self._nodes[i] = node.child(accepted.text)

    def _same_texts(self, row: Row, drawn: Draft | None, rewrite: Draft | None) -> Draft:
        """The accepted step, if the texts and lengths of a row match the draws."""
        draft = _draft(row)
        if drawn and draft != (drawn.text, drawn.tokens):
            raise _differs(row, "draft", draft, (drawn.text, drawn.tokens))
        if rewrite and (row.text, row.tokens) != (rewrite.text, rewrite.tokens):
            raise _differs(row, "text", (row.text, row.tokens), (rewrite.text, rewrite.tokens))
        begun = int(row.glimpse is not None)
        if row.decision != _decision(row) or row.draft_tokens != (draft[1] if draft else begun):
            raise _Fault(f"{_place(row)}: decision or draft_tokens do not follow from its writer and its draft")
        if not _complete(row):
            raise _Fault(f"{_place(row)}: an unknown writer, or scores of no draft")
        accepted = rewrite or drawn
        assert accepted
        return accepted

    def _retrace_scores(self, rows: Sequence[int]) -> None:
        """Compare scores, log-probabilities and entropies with the stored ones."""
        places: dict[str, list[_Place]] = {}

        def look(kind: str, row: Row, column: str, node: Node) -> None:
            value = getattr(row, column)
            if value is not None:
                places.setdefault(kind, []).append(_Place(row, column, value, node))

        for i in rows:
            row, node = self._rows[i], self._before(i)
            draft = _draft(row)
            look("glimpse", row, "glimpse", node)
            if draft:
                for rater in RATERS:
                    look(rater, row, f"score_{rater}", node.child(draft[0]))
        for kind, found in places.items():
            self._same_scores(kind, found)

    def _same_scores(self, kind: str, places: Sequence[_Place]) -> None:
        nodes = [place.node for place in places]
        if kind == "glimpse":
            stored = self._runner.weak.first_entropies(nodes)
        else:
            stored = [scores[-1] for scores in self._raters[kind].score(nodes, [1] * len(nodes))]
        for (row, column, value, _), score in zip(places, stored, strict=True):
            if not math.isclose(value, score.score, rel_tol=_SAME, abs_tol=_SAME):
                raise _differs(row, column, value, score.score)

    def _recall(self) -> None:
        """Make the calls of every row again, and compare them with its own."""
        lines = list(map(self._line, range(len(self._rows))))
        costs = look_up(self._runner, self._raters, lines)
        problems = list(self._problems.values())
        prompts = self._runner.prompt_tokens(problems, *ROLES)
        questions = {p.id: {role: prompts[role][i] for role in ROLES} for i, p in enumerate(problems)}
        made = calls(lines, costs, [questions[row.problem] for row in self._rows])
        for row, written, expected in zip(self._rows, self._calls, made, strict=True):
            again = list(map(_as_written, expected))
            if written != again:
                raise _differs(row, "calls", written, again)

    def _line(self, i: int) -> Line:
        row, node, after = self._rows[i], self._before(i), self._nodes[i]
        assert after
        policy = self._policies.get(row.setting)
        verifier = policy.verifier if policy else None
        raters: list[Rater | None] = [policy.rater, policy.second] if policy else ["prm", "strong", "grade"]
        asked = [r for r in raters if r and r != "weak" and getattr(row, f"score_{r}") is not None]
        whole = row.decision == "discard" or (verifier is not None and row.writer == "weak")
        return Line(
            writer="strong" if row.writer == "strong" else "weak",
            tokens=row.tokens,
            repeats=row.writer == "strong" and row.text == row.draft,
            glimpsed=row.glimpse is not None,
            node=node,
            after=after,
            draft=self._stored.steps(self._runner.weak, ())[node] if _draft(row) else None,
            rewrite=self._stored.steps(self._runner.strong, ())[node] if row.writer == "strong" else None,
            raters=() if verifier else asked,
            begins=bool(self._first[i]) and not (i and self._rows[i - 1].decision == "discard"),
            restarts=bool(self._first[i]),
            ends=bool(self._last[i]) and whole,
            judges=policy.judges if policy else self._judged,
            verifier=verifier,
            samples=policy.samples if policy else 1,
        )

    def _judge(self) -> None:
        """Compare the verdict in every row of an episode with the one on its last text."""
        ends = [i for i, row in enumerate(self._rows) if self._last[i] and row.decision != "discard"]
        rows, nodes = [self._rows[i] for i in ends], [node for i in ends if (node := self._nodes[i])]
        right = iter(self._stored.verdicts([self._problems[row.problem] for row in rows], nodes))
        verdict, judged = False, -1
        for i, row in enumerate(self._rows):
            if i > judged:
                verdict, judged = next(right), ends.pop(0)
            if row.correct != verdict:
                raise _differs(row, "correct", row.correct, verdict)


def _draft(row: Row) -> tuple[str, int] | None:
    """Text and length of the weak model's draft; None if the strong model wrote without one."""
    if row.writer == "strong" or row.decision == "discard":
        return None if row.draft is None else (row.draft, row.draft_tokens)
    return row.text, row.tokens


def _decision(row: Row) -> str:
    if row.decision == "discard" and row.writer == "weak" and row.text == "" and row.draft is not None:
        return "discard"
    if row.writer == "weak":
        return "accept" if row.draft is None else ""
    return "delegate" if row.draft is None else "rewrite"


def _complete(row: Row) -> bool:
    """True if the writer is known, and scores belong to a draft."""
    scored = any(getattr(row, f"score_{rater}") is not None for rater in RATERS)
    return row.writer in ("weak", "strong") and (not scored or _draft(row) is not None)


def _differs(row: Row, column: str, written: object, expected: object) -> _Fault:
    return _Fault(f"{_place(row)}: {column}: {shown(written)} found, {shown(expected)} expected")


def _as_written(call: Call) -> dict[str, Any]:
    """A call as it is in a table."""
    *amounts, usage = call
    billed = (usage.read, usage.cached) if usage else (None, None)
    return dict(zip((field.name for field in COLUMNS), (*amounts, *billed), strict=True))


def _place(row: Row) -> str:
    return f"problem {shown(row.problem)} with {shown(row.setting)}, step {row.step + 1}"
