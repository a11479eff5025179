"""The ledger of every episode against the stored draws: each call is made again, and its tokens counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from trim.engine.scorers import SelfVerifier, StepScorer
from trim.engine.store import Node
from trim.experiment.runner import Runner
from trim.ledger.caches import Caches
from trim.ledger.calls import PAYERS, Call, Rater, Role
from trim.models.base import Draft, StepScore, add_usages


@dataclass
class Line:
    """A row, its place in the trees, and the draws behind it.

    Attributes:
        writer, tokens: of the accepted step.
        repeats: True if it is a rewrite in the words of the draft.
        glimpsed: True if the first token of a draft was looked at.
        node: the solution before it.
        after: the solution with it.
        draft: the weak model's draft, None if there is none.
        rewrite: the strong model's step, None if there is none.
        raters: the raters that have scored the draft by itself, in their order.
        begins: True if it is the first of an episode.
        restarts: True if it is the first of another solution.
        ends: True if it is the last of a weak solution that the policy's verifier has read.
        judges, verifier, samples: see `trim.engine.policy.Policy`.
        read: for each score, the places that were read for it, the draft's last; see `places`.
    """

    writer: Role
    tokens: int
    repeats: bool
    glimpsed: bool
    node: Node
    after: Node
    draft: Draft | None
    rewrite: Draft | None
    raters: Sequence[Rater]
    begins: bool
    restarts: bool
    ends: bool
    judges: bool
    verifier: Rater | None
    samples: int
    read: dict[Rater, list[Node]] = field(default_factory=dict)


def places(lines: Sequence[Line]) -> dict[Rater, set[Node]]:
    """The nodes that each rater has read in the lines, which are noted in them."""
    needed: dict[Rater, set[Node]] = {}
    unread: list[Node] = []
    solution: list[Node] = []
    for line in lines:
        if line.begins or line.restarts:
            unread, solution = [], []
        for rater in line.raters:
            assert line.draft
            earlier = unread if rater == "prm" else []
            line.read[rater] = [*earlier, line.node.child(line.draft.text)]
        solution.append(line.after)
        if "prm" in line.raters:
            unread = []
        if "prm" not in line.raters or line.rewrite:
            unread.append(line.after)
        if line.ends and line.verifier == "prm":
            line.read["prm"] = list(solution)
        for rater, nodes in line.read.items():
            needed.setdefault(rater, set()).update(nodes)
    return needed


def look_up(
    runner: Runner, raters: Mapping[str, StepScorer], lines: Sequence[Line]
) -> dict[tuple[Rater, Node], StepScore]:
    """The cost of each rating by its rater and node; that of a verifier's verdicts by the end of the solution."""
    costs: dict[tuple[Rater, Node], StepScore] = {}
    for rater, nodes in places(lines).items():
        order = list(nodes)
        scores = raters[rater].score(order, [1] * len(order))
        costs.update({(rater, node): row[-1] for node, row in zip(order, scores, strict=True)})
    verified: dict[int, set[Node]] = {}
    for line in lines:
        if line.ends and line.verifier == "self":
            verified.setdefault(line.samples, set()).add(line.after)
    for samples, nodes in verified.items():
        order = list(nodes)
        verdicts = SelfVerifier(runner.weak, samples).verify(order)
        costs.update({("self", node): verdict.read[-1] for node, verdict in zip(order, verdicts, strict=True)})
    return costs


def calls(
    lines: Sequence[Line], costs: Mapping[tuple[Rater, Node], StepScore], questions: Sequence[Mapping[Role, int]]
) -> Iterator[list[Call]]:
    """The calls that each line must have.

    Args:
        lines: the rows of a table, in its order.
        costs: see `look_up`.
        questions: tokens of each model's prompt of each line's problem.
    """
    caches = Caches({})
    for line, question in zip(lines, questions, strict=True):
        if line.begins:
            caches = Caches(question)
        elif line.restarts:
            caches.restart()
        yield _calls(line, caches, costs)


def _calls(line: Line, caches: Caches, costs: Mapping[tuple[Rater, Node], StepScore]) -> list[Call]:
    made = list[Call]()
    if line.draft:
        made.append(caches.draft(line.draft.tokens, line.draft.usage, line.judges))
    elif line.glimpsed:
        made.append(caches.glimpse())
    for rater in line.raters:
        assert line.draft
        *earlier, draft = (costs[rater, node] for node in line.read[rater])
        if rater == "prm":
            usage = add_usages([score.usage for score in (*earlier, draft)])
            made.append(caches.score(draft.tokens_read, sum(score.tokens_read for score in earlier), usage))
        elif rater == "strong":
            made.append(caches.read(line.draft.tokens, draft.tokens_written, draft.usage))
        elif rater == "grade":
            made.append(caches.verdict(PAYERS[rater], draft.tokens_read, draft.tokens_written, usage=draft.usage))
    if line.rewrite:
        drafted = line.draft is not None or line.glimpsed
        made.append(caches.rewrite(line.rewrite.tokens, line.rewrite.usage, drafted))
    caches.accept(line.writer, line.tokens, line.repeats)
    if line.ends and line.verifier == "prm":
        *earlier, last = (costs["prm", node] for node in line.read["prm"])
        usage = add_usages([score.usage for score in (*earlier, last)])
        made.append(caches.score(last.tokens_read, sum(score.tokens_read for score in earlier), usage))
    elif line.ends and line.verifier == "self":
        cost = costs["self", line.after]
        made.append(caches.verdict("weak", cost.tokens_read, cost.tokens_written, line.samples, cost.usage))
    return made
