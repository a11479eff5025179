"""The step loop: one engine that advances all open episodes of all routers together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from trim.engine.cached import CachedLM, CachedPRM
from trim.engine.judge import AnswerJudge
from trim.engine.policy import Decisions, Policy, Rater
from trim.engine.scorers import (
    GradeScorer,
    LogprobScorer,
    Rating,
    SelfVerifier,
    SolutionVerifier,
    StepScorer,
    StepVerifier,
)
from trim.engine.store import Draws, Node
from trim.models.base import Draft, Usage, add_usages
from trim.problems import Problem
from trim.steps import BOX, SEPARATOR, Ends, is_degenerate, is_final

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
        score: score of the weak draft, NaN if it was not scored.
        rater: who scored it.
        read: tokens of the draft, or of the question about it, that were read for the score.
        reread: tokens of the standing steps without a score, which a reward model reads with the draft.
        verdict_tokens: tokens that were written for the score.
        rating_calls: number of calls that the score took.
        draft_usage, rating_usage, rewrite_usage: what servers billed for the calls.
    """

    writer: str
    text: str
    tokens: int
    draft: str | None
    draft_tokens: int
    score: float
    rater: Rater | None = None
    read: int = 0
    reread: int = 0
    verdict_tokens: int = 0
    rating_calls: int = 0
    draft_usage: Usage | None = None
    rating_usage: Usage | None = None
    rewrite_usage: Usage | None = None

    @property
    def strong_tokens(self) -> int:
        """Tokens that the strong model wrote: the step, and a verdict on its draft."""
        verdict = self.verdict_tokens if self.rater in ("strong", "grade") else 0
        return verdict + (self.tokens if self.writer == "strong" else 0)


@dataclass
class Episode:
    """One problem solved by one policy.

    Attributes:
        problem: what was solved.
        policy: index of the policy in the call of `run`.
        node: where the solution stands in the problem's tree.
        steps: the solution so far.
        scores: score of each standing step, NaN where it was not scored (yet).
        ratings: verdicts on the whole weak solution, where it was verified.
        discarded: the steps of that solution, if it was thrown away.
        correct: whether the final answer is right.
    """

    problem: Problem
    policy: int
    node: Node
    steps: list[Step] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    ratings: tuple[float, ...] = ()
    discarded: list[Step] = field(default_factory=list)
    correct: bool = False


@dataclass
class _Turn:
    """One episode in one round."""

    episode: Episode
    draft: Draft | None = None
    score: float = math.nan
    rating: Rating | None = None
    rewrite: Draft | None = None


def run(
    problems: Sequence[Problem],
    policies: Sequence[Policy],
    weak: CachedLM,
    strong: CachedLM,
    scorer: CachedPRM | None = None,
    max_steps: int = 30,
    progress: Callable[[int, int], None] | None = None,
    judge: AnswerJudge | None = None,
    watch: Callable[[Episode], None] | None = None,
    separator: str = SEPARATOR,
    ends: Ends = "stop",
) -> list[Episode]:
    """Solve every problem under every policy (design, section 1: the step loop).

    Each round makes one weak batch, one PRM batch and one strong batch for all open episodes;
    episodes that stand at the same node share its draws.

    Args:
        problems: what to solve.
        policies: who decides; each is asked once a round, for all its open episodes.
        weak: writes the drafts.
        strong: rewrites the steps that a policy hands over.
        scorer: the reward model; not needed if no policy asks for it.
        max_steps: most steps of a solution.
        progress: told before each round how many episodes are finished, of how many.
        judge: the judge of the answers; without one, verdicts are kept for this call only.
        watch: told of an episode whenever it has one more step.
        separator: what stands between two steps.
        ends: see `goes_on`.

    Returns:
        Finished episodes, by policy and then by problem.
    """
    roots = [Node.root(problem.question, separator) for problem in problems]
    episodes = [
        Episode(problem, index, root)
        for index in range(len(policies))
        for problem, root in zip(problems, roots, strict=True)
    ]
    judge, open_episodes = judge or AnswerJudge(Draws()), episodes
    raters: dict[Rater, StepScorer] = {
        "weak": LogprobScorer(weak, own=True),
        "strong": LogprobScorer(strong, own=False),
        "grade": GradeScorer(strong),
        **({"prm": scorer} if scorer else {}),
    }
    while open_episodes:
        if progress:
            progress(len(episodes) - len(open_episodes), len(episodes))
        turns = [_Turn(episode) for episode in open_episodes]
        routed = [turn for turn in turns if not turn.episode.discarded]  # what begins again is the strong model's
        delegated = _ask(routed, policies, "delegate")
        drafting = [turn for turn, strong_writes in zip(routed, delegated, strict=True) if not strong_writes]
        for turn, draft in zip(drafting, write_steps(weak, [turn.episode.node for turn in drafting]), strict=True):
            turn.draft = draft
        for rater, by in raters.items():
            _score([turn for turn in drafting if policies[turn.episode.policy].rater == rater], by, rater)
        rejected = _ask(drafting, policies, "regenerate")
        rewriting = [turn for turn, no in zip(drafting, rejected, strict=True) if no]
        rewriting += [turn for turn in turns if turn.draft is None]
        for turn, step in zip(rewriting, write_steps(strong, [turn.episode.node for turn in rewriting]), strict=True):
            turn.rewrite = step
        finished = [not _advance(turn, max_steps, ends) for turn in turns]
        if watch:
            for turn in turns:
                watch(turn.episode)
        _restart([turn.episode for turn, ended in zip(turns, finished) if ended], policies, weak, scorer)
        finished = [ended and bool(turn.episode.steps) for turn, ended in zip(turns, finished, strict=True)]
        open_episodes = [turn.episode for turn, ended in zip(turns, finished, strict=True) if not ended]
        closed = [turn.episode for turn, ended in zip(turns, finished, strict=True) if ended]
        verdicts = judge.right([e.problem for e in closed], [e.node.prefix.text for e in closed])
        for episode, verdict in zip(closed, verdicts, strict=True):
            episode.correct = verdict
    return episodes


def write_steps(writer: CachedLM, nodes: Sequence[Node]) -> list[Draft]:
    """The next step at each node; a piece without content is written on until there is some."""
    steps = writer.next_steps(nodes)
    for _ in range(_MOST_PIECES):
        bare = [i for i, step in enumerate(steps) if step.stop == "separator" and is_degenerate(step.text)]
        if not bare:
            break
        for i, more in zip(bare, writer.next_steps([nodes[i].child(steps[i].text) for i in bare]), strict=True):
            text = steps[i].text + nodes[i].prefix.separator + more.text
            steps[i] = Draft(text, steps[i].tokens + more.tokens, more.stop, add_usages([steps[i].usage, more.usage]))
    # A model that still has said nothing will not, and its solution ends.
    return [s._replace(stop="length") if s.stop == "separator" and is_degenerate(s.text) else s for s in steps]


def goes_on(step: Draft, steps: int, max_steps: int, ends: Ends = "stop") -> bool:
    """Whether a solution goes on after a step that is its `steps`-th.

    `stop`: unless its model stopped for any other reason than the separator, or it gives the answer; `box`: unless a
    box opens in it, as in the released run.
    """
    if steps >= max_steps:
        return False
    return BOX not in step.text if ends == "box" else step.stop == "separator" and not is_final(step.text)


def _score(turns: Sequence[_Turn], scorer: StepScorer, rater: Rater) -> None:
    """Score each draft, and with a scorer that rereads the standing steps before it that have no score yet."""
    nodes = [turn.episode.node.child(turn.draft.text) for turn in turns if turn.draft]
    unscored = [sum(map(math.isnan, turn.episode.scores)) if scorer.rereads else 0 for turn in turns]
    for turn, missing, scores in zip(turns, unscored, scorer.score(nodes, [n + 1 for n in unscored]), strict=True):
        standing = turn.episode.scores
        standing[len(standing) - missing :] = [s.score for s in scores[:-1]]
        turn.score, turn.rating = scores[-1].score, Rating.of(rater, scores)


def _restart(episodes: Sequence[Episode], policies: Sequence[Policy], weak: CachedLM, scorer: CachedPRM | None) -> None:
    """Have finished weak solutions verified; those that the strong model is to write again lose all their steps."""
    members: dict[int, list[Episode]] = {}
    for episode in episodes:
        if policies[episode.policy].verifier and not episode.discarded:
            members.setdefault(episode.policy, []).append(episode)
    for index, mine in members.items():
        policy = policies[index]
        by: SolutionVerifier
        if policy.verifier == "self":
            by = SelfVerifier(weak, policy.samples)
        else:
            assert scorer
            by = StepVerifier(scorer)
        found = by.verify([episode.node for episode in mine])
        again = policy.restart(_decisions([_Turn(e) for e in mine]), np.array([v.values for v in found]))
        for episode, verification, rejected in zip(mine, found, again.tolist(), strict=True):
            episode.ratings = verification.values
            if verification.rating.rater == "prm":
                values = zip(episode.steps, verification.values, strict=True)
                episode.steps = [replace(step, score=score, rater="prm") for step, score in values]
            episode.steps[-1] = replace(episode.steps[-1], **verification.rating._asdict())
            if rejected:
                episode.discarded, episode.steps, episode.scores = episode.steps, [], []
                episode.node = Node.root(episode.problem.question, episode.node.prefix.separator)


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


def _advance(turn: _Turn, max_steps: int, ends: Ends) -> bool:
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
            draft_usage=draft.usage if draft else None,
            rewrite_usage=turn.rewrite.usage if turn.rewrite else None,
            **(turn.rating._asdict() if turn.rating else {}),
        )
    )
    episode.scores.append(math.nan if turn.rewrite else turn.score)
    episode.node = episode.node.child(stands.text)
    return goes_on(stands, len(episode.steps), max_steps, ends)
