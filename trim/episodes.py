"""The step loop: one engine that advances all open episodes of all routers together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from trim.draws import Draws, Node, Scorer, Writer
from trim.judge import Judge
from trim.models.base import Draft
from trim.problems import Problem
from trim.routers.base import Decisions, Policy
from trim.steps import SEPARATOR, is_degenerate, is_final

_MOST_PIECES = 30


@dataclass(frozen=True)
class Step:
    """One step as it stands, and what it cost.

    Attributes:
        writer: "weak" or "strong": who wrote the text that stands.
        text: the step.
        tokens: its length in its writer's tokens.
        draft: the rejected weak draft, None if none was rejected.
        draft_tokens: length of the weak draft, kept or rejected; 0 if the weak model wrote none.
        score: PRM score of the weak draft, NaN if it was not scored.
        prm_tokens: tokens the PRM read for the first time at this decision.
    """

    writer: str
    text: str
    tokens: int
    draft: str | None
    draft_tokens: int
    score: float
    prm_tokens: int


@dataclass
class Episode:
    """One problem solved by one policy.

    Attributes:
        problem: what was solved.
        policy: index of the policy in the call of `run`.
        node: where the solution stands in the problem's tree.
        steps: the solution so far.
        scores: PRM score of each standing step, NaN where it was not scored (yet).
        correct: whether the final answer is right.
    """

    problem: Problem
    policy: int
    node: Node
    steps: list[Step] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    correct: bool = False


@dataclass
class _Turn:
    """One episode in one round."""

    episode: Episode
    draft: Draft | None = None
    score: float = math.nan
    prm_tokens: int = 0
    rewrite: Draft | None = None


def run(
    problems: Sequence[Problem],
    policies: Sequence[Policy],
    weak: Writer,
    strong: Writer,
    scorer: Scorer | None = None,
    max_steps: int = 30,
    progress: Callable[[int, int], None] | None = None,
    judge: Judge | None = None,
    watch: Callable[[Episode], None] | None = None,
) -> list[Episode]:
    """Solve every problem under every policy (design, section 1: the step loop).

    Each round makes one weak batch, one PRM batch and one strong batch for all open episodes;
    episodes that stand at the same node share its draws.

    Args:
        problems: what to solve.
        policies: who decides; each is asked once a round, for all its open episodes.
        weak: writes the drafts.
        strong: rewrites the steps that a policy hands over.
        scorer: scores the solutions so far; not needed if no policy asks for it.
        max_steps: most steps of a solution.
        progress: told before each round how many episodes are finished, of how many.
        judge: of the answers; without one, verdicts are kept for this call only.
        watch: told of an episode whenever it has one more step.

    Returns:
        Finished episodes, by policy and then by problem.
    """
    roots = [Node.root(problem.question) for problem in problems]
    episodes = [
        Episode(problem, index, root)
        for index in range(len(policies))
        for problem, root in zip(problems, roots, strict=True)
    ]
    judge, open_episodes = judge or Judge(Draws()), episodes
    while open_episodes:
        if progress:
            progress(len(episodes) - len(open_episodes), len(episodes))
        turns = [_Turn(episode) for episode in open_episodes]
        delegated = _ask(turns, policies, "delegate")
        drafting = [turn for turn, strong_writes in zip(turns, delegated, strict=True) if not strong_writes]
        for turn, draft in zip(drafting, write_steps(weak, [turn.episode.node for turn in drafting]), strict=True):
            turn.draft = draft
        if scorer:
            _score([turn for turn in drafting if policies[turn.episode.policy].scored], scorer)
        rejected = _ask(drafting, policies, "regenerate")
        rewriting = [turn for turn, no in zip(drafting, rejected, strict=True) if no]
        rewriting += [turn for turn in turns if turn.draft is None]
        for turn, step in zip(rewriting, write_steps(strong, [turn.episode.node for turn in rewriting]), strict=True):
            turn.rewrite = step
        finished = [not _advance(turn, max_steps) for turn in turns]
        if watch:
            for turn in turns:
                watch(turn.episode)
        open_episodes = [turn.episode for turn, ended in zip(turns, finished, strict=True) if not ended]
        closed = [turn.episode for turn, ended in zip(turns, finished, strict=True) if ended]
        verdicts = judge.right([e.problem for e in closed], [e.steps[-1].text for e in closed])
        for episode, verdict in zip(closed, verdicts, strict=True):
            episode.correct = verdict
    return episodes


def write_steps(writer: Writer, nodes: Sequence[Node]) -> list[Draft]:
    """The next step at each node; a piece without content is written on until there is some."""
    steps = writer.next_steps(nodes)
    for _ in range(_MOST_PIECES):
        bare = [i for i, step in enumerate(steps) if step.stop == "separator" and is_degenerate(step.text)]
        if not bare:
            break
        for i, more in zip(bare, writer.next_steps([nodes[i].child(steps[i].text) for i in bare]), strict=True):
            text = steps[i].text + SEPARATOR + more.text
            steps[i] = Draft(text, steps[i].tokens + more.tokens, more.stop)
    return steps


def goes_on(step: Draft, steps: int, max_steps: int) -> bool:
    """Whether a solution goes on after a step that is its `steps`-th."""
    return step.stop == "separator" and not is_final(step.text) and steps < max_steps


def _score(turns: Sequence[_Turn], scorer: Scorer) -> None:
    """Score each draft, and the standing steps before it that have no score yet."""
    nodes = [turn.episode.node.child(turn.draft.text) for turn in turns if turn.draft]
    unscored = [sum(map(math.isnan, turn.episode.scores)) for turn in turns]
    for turn, missing, scores in zip(turns, unscored, scorer.score(nodes, [n + 1 for n in unscored]), strict=True):
        standing = turn.episode.scores
        standing[len(standing) - missing :] = [s.score for s in scores[:-1]]
        turn.score, turn.prm_tokens = scores[-1].score, sum(s.tokens for s in scores)


def _ask(turns: Sequence[_Turn], policies: Sequence[Policy], question: str) -> list[bool]:
    """Put a question to each policy, for all its episodes at once."""
    members: dict[int, list[int]] = {}
    for index, turn in enumerate(turns):
        members.setdefault(turn.episode.policy, []).append(index)
    answers = np.zeros(len(turns), dtype=bool)
    for policy, indices in members.items():
        answers[indices] = getattr(policies[policy], question)(_decisions([turns[i] for i in indices]))
    return answers.tolist()


def _decisions(turns: Sequence[_Turn]) -> Decisions:
    episodes = [turn.episode for turn in turns]
    drafted = turns[0].draft is not None
    shape = len(turns), len(episodes[0].steps) + drafted
    standing = [[s.tokens for s in e.steps] for e in episodes]
    return Decisions(
        problems=[e.problem for e in episodes],
        steps=[(e.node.child(t.draft.text) if t.draft else e.node).prefix.steps for e, t in zip(episodes, turns)],
        nodes=[e.node.path[-1] for e in episodes],
        scores=np.array([t.episode.scores + [t.score] * drafted for t in turns], dtype=float).reshape(shape),
        tokens=np.array(
            [n + ([t.draft.tokens] if t.draft else []) for n, t in zip(standing, turns, strict=True)], dtype=int
        ).reshape(shape),
        drafts=np.array(
            [[s.score for s in e.steps] + [t.score] * drafted for e, t in zip(episodes, turns, strict=True)],
            dtype=float,
        ).reshape(shape),
        draft_tokens=np.array(
            [
                [s.draft_tokens for s in e.steps] + ([t.draft.tokens] if t.draft else [])
                for e, t in zip(episodes, turns, strict=True)
            ],
            dtype=int,
        ).reshape(shape),
        strong=np.array([[s.writer == "strong" for s in e.steps] for e in episodes], dtype=bool).reshape(
            len(turns), len(episodes[0].steps)
        ),
    )


def _advance(turn: _Turn, max_steps: int) -> bool:
    """Let the step of this round stand; returns whether the solution goes on."""
    episode, draft, stands = turn.episode, turn.draft, turn.rewrite or turn.draft
    assert stands is not None
    episode.steps.append(
        Step(
            writer="strong" if turn.rewrite else "weak",
            text=stands.text,
            tokens=stands.tokens,
            draft=draft.text if draft and turn.rewrite else None,
            draft_tokens=draft.tokens if draft else 0,
            score=turn.score,
            prm_tokens=turn.prm_tokens,
        )
    )
    episode.scores.append(math.nan if turn.rewrite else turn.score)
    episode.node = episode.node.child(stands.text)
    return goes_on(stands, len(episode.steps), max_steps)
