"""The rounds of steps: all open episodes of all policies, and what each of them waits for.

An episode waits for one thing at a time: a glimpse of the token that a draft would begin with, a draft, a rating of it,
a second opinion, a rewrite, or, at its end, a verification. Whoever drives the rounds takes what waits for one of them,
has the models work on it as one batch, and settles it, upon which the policies send each episode on to what it waits
for next: after a rating, for another draft, where the weak model is to try again. Episodes join and leave between any
two of these.
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
    """All open episodes.

    Args:
        weak: writes the drafts.
        strong: rewrites the steps that a policy hands over.
        scorer: the reward model; not needed if no policy asks for it.
        max_steps: most steps of a solution.
        ends: see `goes_on`.
        watch: told of an episode whenever it has one more step; it may let the episode `leave`.
        again: the weak model with other random numbers; not needed if no policy has it try again.
    """

    def __init__(
        self,
        weak: CachedLM,
        strong: CachedLM,
        scorer: CachedPRM | None = None,
        max_steps: int = 30,
        ends: Ends = "stop",
        watch: Callable[[Episode], None] | None = None,
        again: CachedLM | None = None,
    ) -> None:
        self._weak, self._strong, self._scorer, self._again = weak, strong, scorer, again
        self.max_steps, self._ends, self._watch = max_steps, ends, watch
        self._raters: dict[Rater, StepScorer] = {
            "weak": LogprobScorer(weak, own=True),
            "strong": LogprobScorer(strong, own=False),
            "grade": GradeScorer(strong),
            **({"prm": scorer} if scorer else {}),
        }
        self._waiting: dict[Stage, list[Turn]] = {stage: [] for stage in STAGES}
        self._open: dict[int, int] = {}  # the order in which episodes joined, by their identity
        self._joined = count()

    def __len__(self) -> int:
        """Number of open episodes."""
        return len(self._open)

    @property
    def ready(self) -> bool:
        """Whether any episode waits for something that can be taken."""
        return any(self._waiting.values())

    def join(self, episodes: Sequence[Episode], policies: Sequence[Policy]) -> None:
        """Open episodes, each with its policy."""
        self._open.update(zip(map(id, episodes), self._joined))
        self._begin([Turn(*pair) for pair in zip(episodes, policies, strict=True)])

    def consider(self, episode: Episode, policy: Policy, draft: Draft) -> Turn:
        """Open an episode whose steps were given, for a verdict on a draft that was given too; no text is written.

        Returns:
            the turn, which `settle` gives back with its verdict.
        """
        self._open[id(episode)] = next(self._joined)
        turn = Turn(episode, policy, judged_only=True)
        (turn.rejected,) = _ask([turn], "delegate")
        turn.draft = draft
        self._waiting["draft" if policy.logprobs else "rate"].append(turn)
        return turn

    def leave(self, episode: Episode) -> Turn | None:
        """Close an episode; what is being made for it is dropped when it comes.

        Returns:
            the turn with the step that it was at, None if it does not wait for anything of a step.
        """
        self._open.pop(id(episode), None)
        left = None
        for stage, turns in self._waiting.items():
            if stage != "verify":
                left = next((turn for turn in turns if turn.episode is episode), left)
            turns[:] = [turn for turn in turns if turn.episode is not episode]
        return left

    def take(self, stage: Stage) -> list[Turn]:
        """All that waits for something, for `work` and then `settle`; in an order that depends on the joining alone."""
        turns, self._waiting[stage] = self._waiting[stage], []
        return sorted(turns, key=lambda turn: (turn.draft is None, self._open[id(turn.episode)]))

    def wait(self, stage: Stage, turns: Iterable[Turn]) -> None:
        """Have turns wait for something, whatever their policies say."""
        self._waiting[stage] += [turn for turn in turns if id(turn.episode) in self._open]

    def work(self, stage: Stage, turns: Sequence[Turn]) -> None:
        """Have the models make what the turns wait for, as one batch; nothing but these turns changes."""
        nodes = [turn.episode.node for turn in turns]
        if stage == "glimpse":
            for turn, glimpse in zip(turns, self._weak.first_entropies(nodes), strict=True):
                turn.glimpse = glimpse
        elif stage == "draft":
            new = [turn for turn in turns if turn.draft is None]
            self._write(self._weak, [turn for turn in new if turn.retry_of is None])
            self._write(self._again, [turn for turn in new if turn.retry_of])
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
        """Send turns on after `work`; returns those whose episodes are finished, or whose verdict was wanted."""
        here = [turn for turn in turns if id(turn.episode) in self._open]
        if stage == "glimpse":
            self._route(here)
            return []
        if stage == "draft":
            self._waiting["rate"] += [turn for turn in here if turn.policy.rater]
            return self._judge(self._consult(self._retry([turn for turn in here if not turn.policy.rater])))
        if stage == "rate":
            return self._judge(self._consult(self._retry(here)))
        if stage == "consult":
            return self._judge(here)
        return self.stand(here) if stage == "rewrite" else self._restart(here)

    def stand(self, turns: Sequence[Turn]) -> list[Turn]:
        """Let the rewrites of turns stand, or the drafts where there is none; returns as `settle` does."""
        goes = [(turn, self._advance(turn)) for turn in turns]
        here = [(turn, on) for turn, on in goes if id(turn.episode) in self._open]
        closed = list[Turn]()
        for turn in (turn for turn, on in here if not on):
            verify = turn.policy.verifier and not turn.episode.discarded
            (self._waiting["verify"] if verify else closed).append(turn)
        self._begin([Turn(turn.episode, turn.policy) for turn, on in here if on])
        return self._close(closed)

    def advance(self) -> list[Turn]:
        """One round: every open episode has one more step, or a second draft of it; returns as `settle` does."""
        closed = []
        for stage in STAGES:
            turns = self.take(stage)
            if turns:
                self.work(stage, turns)
                closed += self.settle(stage, turns)
        return closed

    @staticmethod
    def _write(writer: CachedLM | None, turns: Sequence[Turn]) -> None:
        """Have a model write the drafts of turns."""
        if not turns:
            return
        assert writer
        for turn, draft in zip(turns, write_steps(writer, [turn.episode.node for turn in turns]), strict=True):
            turn.draft = draft

    def _look(self, turns: Sequence[Turn]) -> None:
        """Note the log-probabilities of drafts that their policies look at."""
        drafted = [(turn, turn.draft) for turn in turns if turn.draft and turn.policy.logprobs]
        found = self._weak.mean_logprobs([turn.episode.node.child(draft.text) for turn, draft in drafted])
        for (turn, _), logprob in zip(drafted, found, strict=True):
            turn.logprob = logprob.score

    def _begin(self, turns: Sequence[Turn]) -> None:
        """Have episodes wait for their next step, or for a glimpse of it."""
        looking = [turn for turn in turns if turn.policy.glimpses and not turn.episode.discarded]
        self._waiting["glimpse"] += looking
        self._route([turn for turn in turns if not turn.policy.glimpses or turn.episode.discarded])

    def _route(self, turns: Sequence[Turn]) -> None:
        """Have episodes wait for a draft, or for the strong model's step at once."""
        routed = [turn for turn in turns if not turn.episode.discarded]
        delegated = dict(zip(map(id, routed), _ask(routed, "delegate"), strict=True))
        for turn in turns:  # what begins again is the strong model's
            self._waiting["rewrite" if delegated.get(id(turn), True) else "draft"].append(turn)

    def _retry(self, turns: Sequence[Turn]) -> list[Turn]:
        """Have the weak model try again where policies ask for it; returns the others, each with its better draft."""
        turns = [turn.better() for turn in turns]
        able = [turn for turn in turns if turn.policy.retries and not (turn.judged_only or turn.retry)]
        asked = dict(zip(map(id, able), _ask(able, "retry"), strict=True))
        self._waiting["draft"] += [Turn(t.episode, t.policy, retry_of=t) for t in able if asked[id(t)]]
        return [turn for turn in turns if not asked.get(id(turn))]

    def _consult(self, turns: Sequence[Turn]) -> list[Turn]:
        """Have drafts wait for a second opinion where their policies ask for it; returns the others."""
        able = [turn for turn in turns if turn.policy.second]
        asked = dict(zip(map(id, able), _ask(able, "consult"), strict=True))
        self._waiting["consult"] += [turn for turn in able if asked[id(turn)]]
        return [turn for turn in turns if not asked.get(id(turn))]

    def _judge(self, turns: Sequence[Turn]) -> list[Turn]:
        """Ask the policies about drafts, and let those stand that they accept."""
        for turn, no in zip(turns, _ask(turns, "regenerate"), strict=True):
            turn.rejected |= no
        considered = [turn for turn in turns if turn.judged_only]
        for turn in considered:
            turn.reason = turn.policy.explain(decisions([turn]))
        judged = [turn for turn in turns if not turn.judged_only]
        self._waiting["rewrite"] += [turn for turn in judged if turn.rejected]
        return self._close(considered) + self.stand([turn for turn in judged if not turn.rejected])

    def _advance(self, turn: Turn) -> bool:
        """Let the step of a turn stand; returns whether the solution goes on."""
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
        """Close verified solutions; those that the strong model is to write again lose all their steps and go on."""
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
    """Who is asked for a score of a draft that waits for one, None if nobody is."""
    return turn.policy.second if stage == "consult" else turn.policy.rater


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
    box opens in it, as in the released run. Where a server refuses the text, it ends in any case.
    """
    if steps >= max_steps or step.stop == "refused":
        return False
    return BOX not in step.text if ends == "box" else step.stop == "separator" and not is_final(step.text)


def _score(turns: Sequence[Turn], scorer: StepScorer, rater: Rater) -> None:
    """Score each draft, and with a scorer that rereads the standing steps before it that have no score yet."""
    _score_given([turn for turn in turns if turn.judged_only and rater == turn.policy.rater], scorer)
    nodes = [turn.episode.node.child(turn.draft.text) for turn in turns if turn.draft]
    unread = [_unread(turn.episode, rater) if scorer.rereads and not turn.retry_of else 0 for turn in turns]
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
    """Number of standing steps that a rater which reads whole solutions has not read: those after the last it rated."""
    for after, step in enumerate(reversed(episode.steps)):
        if step.read_by(rater):
            return after + (step.draft is not None)
    return len(episode.steps)


def _score_given(turns: Sequence[Turn], scorer: StepScorer) -> None:
    """Score the drafts that steps which were given took the place of."""
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
    """Note the lengths of steps that were given, and the scores of those that took no draft's place."""
    assert turn.draft
    *standing, draft = scores
    turn.draft = turn.draft._replace(tokens=draft.tokens_read or turn.draft.tokens)
    steps = turn.episode.steps
    for index, score in enumerate(standing, start=len(steps) - len(standing)):
        step = replace(steps[index], tokens=score.tokens_read)
        steps[index] = step if step.draft else replace(step, score=score.score, draft_tokens=score.tokens_read)


def _note(episode: Episode, verification: Verification) -> None:
    """Write down what was found out about a finished solution, and what that took."""
    episode.ratings = verification.values
    if verification.rating.rater == "prm":
        values = zip(episode.steps, verification.values, strict=True)
        episode.steps = [replace(step, score=score, rater="prm") for step, score in values]
    episode.steps[-1] = replace(episode.steps[-1], **verification.rating._asdict())


def _ask(turns: Sequence[Turn], question: str) -> list[bool]:
    """Put a question to each policy, for all its episodes at the same step at once."""
    answers: dict[int, bool] = {}
    for members in _by_policy(turns):
        found = getattr(members[0].policy, question)(decisions(members))
        answers.update(zip(map(id, members), found.tolist(), strict=True))
    return [answers[id(turn)] for turn in turns]


def _by_policy(turns: Sequence[Turn]) -> list[list[Turn]]:
    """Turns in groups of the same policy and the same number of steps."""
    members: dict[tuple[int, int], list[Turn]] = {}
    for turn in turns:
        members.setdefault((id(turn.policy), len(turn.episode.steps)), []).append(turn)
    return list(members.values())
