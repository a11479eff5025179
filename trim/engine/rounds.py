"""The rounds of steps: the open episodes of all policies, by the stage that each waits for.

An episode waits for one stage at a time: a glimpse of a draft's first token, a draft, its rating, a second rating, a
rewrite, or, at its end, a verification. The caller takes the turns that wait for a stage, lets the models work on them
as one batch, and settles them; then the policies send each episode to its next stage. Episodes join and leave between
any two of these calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import count
from typing import Literal, get_args

import numpy as np

from trim.engine.cached import CachedLM, CachedPRM
from trim.engine.episode import Episode, Turn, decisions
from trim.engine.policy import Policy, Rater
from trim.engine.scorers import (
    GradeScorer,
    LogprobScorer,
    Rating,
    SelfVerifier,
    SolutionVerifier,
    StepScorer,
    StepVerifier,
    Verification,
)
from trim.engine.store import Node
from trim.models.base import Draft, StepScore, add_usages
from trim.steps import BOX, Ends, is_degenerate, is_final

Stage = Literal["glimpse", "draft", "rate", "consult", "rewrite", "verify"]
STAGES: tuple[Stage, ...] = get_args(Stage)
_MOST_PIECES = 30


class Rounds:
    """The open episodes.

    Args:
        weak: writes the drafts.
        strong: rewrites the steps that a policy hands over.
        scorer: the reward model; not needed if no policy uses it.
        max_steps: maximum of steps of a solution.
        ends: see `goes_on`.
        watch: called with an episode after each of its steps; it may let the episode `leave`.
    """

    def __init__(
        self,
        weak: CachedLM,
        strong: CachedLM,
        scorer: CachedPRM | None = None,
        max_steps: int = 30,
        ends: Ends = "stop",
        watch: Callable[[Episode], None] | None = None,
    ) -> None:
        self._weak, self._strong, self._scorer = weak, strong, scorer
        self.max_steps, self._ends, self._watch = max_steps, ends, watch
        self._raters: dict[Rater, StepScorer] = {
            "weak": LogprobScorer(weak, own=True),
            "strong": LogprobScorer(strong, own=False),
            "grade": GradeScorer(strong),
            **({"prm": scorer} if scorer else {}),
        }
        self._waiting: dict[Stage, list[Turn]] = {stage: [] for stage in STAGES}
        self._open: dict[int, int] = {}  # order of joining, by the episode's id
        self._joined = count()

    def __len__(self) -> int:
        """Number of open episodes."""
        return len(self._open)

    @property
    def ready(self) -> bool:
        """True if any waiting turn can be taken."""
        return any(self._waiting.values())

    def join(self, episodes: Sequence[Episode], policies: Sequence[Policy]) -> None:
        """Open episodes, each with its policy."""
        self._open.update(zip(map(id, episodes), self._joined))
        self._begin([Turn(*pair) for pair in zip(episodes, policies, strict=True)])

    def consider(self, episode: Episode, policy: Policy, draft: Draft) -> Turn:
        """Open an episode with given steps, for a verdict on a given draft; no text is written.

        Returns:
            the turn, which `settle` returns with its verdict.
        """
        self._open[id(episode)] = next(self._joined)
        turn = Turn(episode, policy, judged_only=True)
        (turn.rejected,) = _ask([turn], "delegate")
        turn.draft = draft
        self._waiting["draft" if policy.logprobs else "rate"].append(turn)
        return turn

    def leave(self, episode: Episode) -> Turn | None:
        """Close an episode; work in progress for it is dropped when it arrives.

        Returns:
            the turn of its current step, None if it does not wait at a step.
        """
        self._open.pop(id(episode), None)
        left = None
        for stage, turns in self._waiting.items():
            if stage != "verify":
                left = next((turn for turn in turns if turn.episode is episode), left)
            turns[:] = [turn for turn in turns if turn.episode is not episode]
        return left

    def take(self, stage: Stage) -> list[Turn]:
        """Take the turns that wait for a stage, for `work` and then `settle`; the order depends only on the joining."""
        turns, self._waiting[stage] = self._waiting[stage], []
        return sorted(turns, key=lambda turn: (turn.draft is None, self._open[id(turn.episode)]))

    def wait(self, stage: Stage, turns: Iterable[Turn]) -> None:
        """Let turns wait for a stage, whatever their policies decide."""
        self._waiting[stage] += [turn for turn in turns if id(turn.episode) in self._open]

    def work(self, stage: Stage, turns: Sequence[Turn]) -> None:
        """Run the stage's model on the turns, as one batch; nothing but these turns changes."""
        nodes = [turn.episode.node for turn in turns]
        if stage == "glimpse":
            for turn, glimpse in zip(turns, self._weak.first_entropies(nodes), strict=True):
                turn.glimpse = glimpse
        elif stage == "draft":
            new = [turn for turn in turns if turn.draft is None]
            for turn, draft in zip(new, write_steps(self._weak, [turn.episode.node for turn in new]), strict=True):
                turn.draft = draft
            self._look(turns)
        elif stage == "rewrite":
            for turn, draft in zip(turns, write_steps(self._strong, nodes), strict=True):
                turn.rewrite = draft
        elif stage in ("rate", "consult"):
            for rater, scorer in self._raters.items():
                _score([turn for turn in turns if asked_at(stage, turn) == rater], scorer, rater)
        else:
            for members in _by_policy(turns):
                found = self._verifier(members[0].policy).verify([turn.episode.node for turn in members])
                for turn, verification in zip(members, found, strict=True):
                    turn.verification = verification

    def settle(self, stage: Stage, turns: Sequence[Turn]) -> list[Turn]:
        """Advance turns after `work`; returns those whose episodes are finished or whose verdict was requested."""
        here = [turn for turn in turns if id(turn.episode) in self._open]
        if stage == "glimpse":
            self._route(here)
            return []
        if stage == "draft":
            self._waiting["rate"] += [turn for turn in here if turn.policy.rater]
            return self._judge(self._consult([turn for turn in here if not turn.policy.rater]))
        if stage == "rate":
            return self._judge(self._consult(here))
        if stage == "consult":
            return self._judge(here)
        return self.stand(here) if stage == "rewrite" else self._restart(here)

    def stand(self, turns: Sequence[Turn]) -> list[Turn]:
        """Accept the rewrites of turns, or the drafts if there is none; returns as `settle` does."""
        goes = [(turn, self._advance(turn)) for turn in turns]
        here = [(turn, on) for turn, on in goes if id(turn.episode) in self._open]
        closed = list[Turn]()
        for turn in (turn for turn, on in here if not on):
            verify = turn.policy.verifier and not turn.episode.discarded
            (self._waiting["verify"] if verify else closed).append(turn)
        self._begin([Turn(turn.episode, turn.policy) for turn, on in here if on])
        return self._close(closed)

    def advance(self) -> list[Turn]:
        """One round: every open episode gets one more step; returns as `settle` does."""
        closed = []
        for stage in STAGES:
            turns = self.take(stage)
            if turns:
                self.work(stage, turns)
                closed += self.settle(stage, turns)
        return closed

    def _look(self, turns: Sequence[Turn]) -> None:
        """Record the log-probabilities of drafts that their policies observe."""
        drafted = [(turn, turn.draft) for turn in turns if turn.draft and turn.policy.logprobs]
        found = self._weak.mean_logprobs([turn.episode.node.child(draft.text) for turn, draft in drafted])
        for (turn, _), logprob in zip(drafted, found, strict=True):
            turn.logprob = logprob.score

    def _begin(self, turns: Sequence[Turn]) -> None:
        """Let episodes wait for their next step, or for a glimpse of it."""
        looking = [turn for turn in turns if turn.policy.glimpses and not turn.episode.discarded]
        self._waiting["glimpse"] += looking
        self._route([turn for turn in turns if not turn.policy.glimpses or turn.episode.discarded])

    def _route(self, turns: Sequence[Turn]) -> None:
        """Let episodes wait for a draft, or for the strong model's step without one."""
        routed = [turn for turn in turns if not turn.episode.discarded]
        delegated = dict(zip(map(id, routed), _ask(routed, "delegate"), strict=True))
        for turn in turns:  # a restarted solution is the strong model's
            self._waiting["rewrite" if delegated.get(id(turn), True) else "draft"].append(turn)

    def _consult(self, turns: Sequence[Turn]) -> list[Turn]:
        """Let drafts wait for the second rater where their policies ask for it; returns the others."""
        able = [turn for turn in turns if turn.policy.second]
        asked = dict(zip(map(id, able), _ask(able, "consult"), strict=True))
        self._waiting["consult"] += [turn for turn in able if asked[id(turn)]]
        return [turn for turn in turns if not asked.get(id(turn))]

    def _judge(self, turns: Sequence[Turn]) -> list[Turn]:
        """Ask the policies about drafts, and accept those that pass."""
        for turn, no in zip(turns, _ask(turns, "regenerate"), strict=True):
            turn.rejected |= no
        considered = [turn for turn in turns if turn.judged_only]
        for turn in considered:
            turn.reason = turn.policy.explain(decisions([turn]))
        judged = [turn for turn in turns if not turn.judged_only]
        self._waiting["rewrite"] += [turn for turn in judged if turn.rejected]
        return self._close(considered) + self.stand([turn for turn in judged if not turn.rejected])

    def _advance(self, turn: Turn) -> bool:
        """Accept the step of a turn; returns True if the solution goes on."""
        episode, stands = turn.episode, turn.rewrite or turn.draft
        assert stands
        episode.steps.append(turn.step())
        episode.scores.append(math.nan if turn.rewrite else turn.score)
        episode.node = episode.node.child(stands.text)
        if self._watch:
            self._watch(episode)
        return goes_on(stands, len(episode.steps), self.max_steps, self._ends)

    def _close(self, turns: list[Turn]) -> list[Turn]:
        for turn in turns:
            self._open.pop(id(turn.episode), None)
        return turns

    def _verifier(self, policy: Policy) -> SolutionVerifier:
        if policy.verifier == "self":
            return SelfVerifier(self._weak, policy.samples)
        assert self._scorer
        return StepVerifier(self._scorer)

    def _restart(self, turns: Sequence[Turn]) -> list[Turn]:
        """Close verified solutions; those to be solved again by the strong model lose all their steps and go on."""
        again, closed = list[Turn](), list[Turn]()
        for members in _by_policy(turns):
            found = [turn.verification for turn in members if turn.verification]
            seen = decisions([Turn(turn.episode, turn.policy) for turn in members])
            rejected = members[0].policy.restart(seen, np.array([v.values for v in found]))
            for turn, verification, no in zip(members, found, rejected.tolist(), strict=True):
                _note(turn.episode, verification)
                (again if no else closed).append(turn)
                if no:
                    turn.episode.discarded, turn.episode.steps, turn.episode.scores = turn.episode.steps, [], []
                    turn.episode.node = turn.episode.root
        self._begin([Turn(turn.episode, turn.policy) for turn in again])
        return self._close(closed)


def asked_at(stage: Stage, turn: Turn) -> Rater | None:
    """The rater that a waiting draft needs, None if there is none."""
    return turn.policy.second if stage == "consult" else turn.policy.rater


def write_steps(writer: CachedLM, nodes: Sequence[Node]) -> list[Draft]:
    """The next step at each node; a piece without content is continued until there is some."""
    steps = writer.next_steps(nodes)
    for _ in range(_MOST_PIECES):
        bare = [i for i, step in enumerate(steps) if step.stop == "separator" and is_degenerate(step.text)]
        if not bare:
            break
        for i, more in zip(bare, writer.next_steps([nodes[i].child(steps[i].text) for i in bare]), strict=True):
            text = steps[i].text + nodes[i].prefix.separator + more.text
            steps[i] = Draft(text, steps[i].tokens + more.tokens, more.stop, add_usages([steps[i].usage, more.usage]))
    # A model that still has written nothing will not, so its solution ends.
    return [s._replace(stop="length") if s.stop == "separator" and is_degenerate(s.text) else s for s in steps]


def goes_on(step: Draft, steps: int, max_steps: int, ends: Ends = "stop") -> bool:
    """True if a solution goes on after its `steps`-th step.

    `stop`: unless its model stopped for any other reason than the separator, or it gives the answer; `box`: unless a
    box opens in it, as in the released run. If a server refuses the text, it ends in any case.
    """
    if steps >= max_steps or step.stop == "refused":
        return False
    return BOX not in step.text if ends == "box" else step.stop == "separator" and not is_final(step.text)


def _score(turns: Sequence[Turn], scorer: StepScorer, rater: Rater) -> None:
    """Score each draft and, with a scorer that rereads, the earlier steps that have no score yet."""
    _score_given([turn for turn in turns if turn.judged_only and rater == turn.policy.rater], scorer)
    nodes = [turn.episode.node.child(turn.draft.text) for turn in turns if turn.draft]
    unread = [_unread(turn.episode, rater) if scorer.rereads else 0 for turn in turns]
    for turn, missing, scores in zip(turns, unread, scorer.score(nodes, [n + 1 for n in unread]), strict=True):
        turn.first_rating, turn.rating = turn.rating, Rating.of(rater, scores)
        if rater == turn.policy.second:
            turn.second = scores[-1].score
            continue
        standing = turn.episode.scores
        standing[len(standing) - missing :] = [s.score for s in scores[:-1]]
        turn.score = scores[-1].score
        if turn.judged_only:
            _measure(turn, scores)


def _unread(episode: Episode, rater: Rater) -> int:
    """Number of accepted steps that a rater of whole solutions has not read: those after the last it rated."""
    for after, step in enumerate(reversed(episode.steps)):
        if step.read_by(rater):
            return after + (step.draft is not None)
    return len(episode.steps)


def _score_given(turns: Sequence[Turn], scorer: StepScorer) -> None:
    """Score the drafts that given steps replaced."""
    places = []
    for turn in turns:
        node = turn.episode.root
        for index, step in enumerate(turn.episode.steps):
            if step.draft is not None:
                places.append((turn.episode, index, node.child(step.draft)))
            node = node.child(step.text)
    scores = scorer.score([node for *_, node in places], [1] * len(places))
    for (episode, index, _), (score,) in zip(places, scores, strict=True):
        step = episode.steps[index]
        episode.steps[index] = replace(step, score=score.score, draft_tokens=score.tokens_read or step.draft_tokens)


def _measure(turn: Turn, scores: Sequence[StepScore]) -> None:
    """Record the lengths of given steps, and the scores of those that replaced no draft."""
    assert turn.draft
    *standing, draft = scores
    turn.draft = turn.draft._replace(tokens=draft.tokens_read or turn.draft.tokens)
    steps = turn.episode.steps
    for index, score in enumerate(standing, start=len(steps) - len(standing)):
        step = replace(steps[index], tokens=score.tokens_read)
        steps[index] = step if step.draft else replace(step, score=score.score, draft_tokens=score.tokens_read)


def _note(episode: Episode, verification: Verification) -> None:
    """Record the verification of a finished solution, and its cost."""
    episode.ratings = verification.values
    if verification.rating.rater == "prm":
        values = zip(episode.steps, verification.values, strict=True)
        episode.steps = [replace(step, score=score, rater="prm") for step, score in values]
    episode.steps[-1] = replace(episode.steps[-1], **verification.rating._asdict())


def _ask(turns: Sequence[Turn], question: str) -> list[bool]:
    """Call a method of each policy, for all its episodes at the same step at once."""
    answers: dict[int, bool] = {}
    for members in _by_policy(turns):
        found = getattr(members[0].policy, question)(decisions(members))
        answers.update(zip(map(id, members), found.tolist(), strict=True))
    return [answers[id(turn)] for turn in turns]


def _by_policy(turns: Sequence[Turn]) -> list[list[Turn]]:
    """Turns grouped by policy and number of steps."""
    members: dict[tuple[int, int], list[Turn]] = {}
    for turn in turns:
        members.setdefault((id(turn.policy), len(turn.episode.steps)), []).append(turn)
    return list(members.values())
