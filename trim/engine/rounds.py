"""The rounds of steps: the open episodes of all policies, by the model that each waits for.

The caller takes the turns that wait for a stage, lets the models work on them as one batch, and settles them: their
policies decide, and by `trim.engine.actions.NEXT` each waits for its next stage. Episodes join and leave between any
two of these calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import count

from trim.engine.actions import NEXT, STAGES, USUAL, Action, Phase, Stage
from trim.engine.cached import CachedLM, CachedPRM
from trim.engine.episode import Episode, Turn, observe
from trim.engine.policy import Policy
from trim.engine.scorers import (
    GradeScorer,
    LogprobScorer,
    SelfVerifier,
    SolutionVerifier,
    StepScorer,
    StepVerifier,
)
from trim.engine.store import Node
from trim.errors import TrimError
from trim.ledger.calls import PAYERS, Call, Rater
from trim.models.base import Draft, StepScore, add_usages
from trim.steps import BOX, Ends, is_degenerate, is_final

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
        for step in episode.steps:
            episode.caches.accept(step.writer, step.tokens, repeats=False)
        turn = Turn(episode, policy, judged_only=True)
        ((_, action),) = _decide(Phase.START, [turn])
        turn.rejected, turn.draft = action == Action.DELEGATE, draft
        self._waiting["draft" if policy.logprobs else "score"].append(turn)
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

    def advance(self) -> list[Turn]:
        """One round: every open episode gets one more step; returns as `settle` does."""
        closed = []
        for stage in STAGES:
            turns = self.take(stage)
            if turns:
                self.work(stage, turns)
                closed += self.settle(stage, turns)
        return closed

    def work(self, stage: Stage, turns: Sequence[Turn]) -> None:
        """Run the stage's model on the turns, as one batch; nothing but these turns changes.

        If it fails, it may be repeated on each turn alone: finished work is neither done nor charged twice.
        """
        nodes = [turn.episode.node for turn in turns]
        if stage == "glimpse":
            for turn, glimpse in zip(turns, self._weak.first_entropies(nodes), strict=True):
                turn.glimpse = glimpse
        elif stage == "draft":
            new = [turn for turn in turns if turn.draft is None]
            for turn, draft in zip(new, write_steps(self._weak, [turn.episode.node for turn in new]), strict=True):
                turn.draft = draft
                usage = add_usages([begun.usage for begun in (turn.glimpse, draft) if begun])
                turn.calls.append(turn.episode.caches.draft(draft.tokens, usage, turn.policy.judges))
            looking = [turn for turn in turns if turn.policy.logprobs]
            read = self._weak.mean_logprobs([turn.drafted for turn in looking])
            for turn, logprob in zip(looking, read, strict=True):
                turn.scores["weak"] = logprob.score
        elif stage == "rewrite":
            for turn, draft in zip(turns, write_steps(self._strong, nodes), strict=True):
                turn.rewrite, begun = draft, bool(turn.draft or turn.glimpse)
                turn.calls.append(turn.episode.caches.rewrite(draft.tokens, draft.usage, begun))
        elif stage in ("score", "read"):
            for rater, scorer in self._raters.items():
                unscored = [turn for turn in turns if rater not in turn.scores]
                _score([turn for turn in unscored if rater_at(stage, turn) == rater], scorer, rater)
        else:
            for members in _by_policy(turns):
                verified = self._verifier(members[0].policy).verify([turn.episode.node for turn in members])
                for turn, verification in zip(members, verified, strict=True):
                    turn.verification = verification

    def settle(self, stage: Stage, turns: Sequence[Turn]) -> list[Turn]:
        """Advance turns after `work`; returns those whose episodes are finished or whose verdict was requested."""
        here = [turn for turn in turns if id(turn.episode) in self._open]
        if stage == "glimpse":
            self._start(here)
            return []
        if stage == "draft":
            self._waiting["score"] += [turn for turn in here if turn.policy.rater]
            return self._judge(Phase.DRAFTED, [turn for turn in here if not turn.policy.rater])
        if stage == "score":
            return self._judge(Phase.DRAFTED, here)
        if stage == "read":
            return self._judge(Phase.READ, here)
        return self.accept(here) if stage == "rewrite" else self._restart(here)

    def _begin(self, turns: Sequence[Turn]) -> None:
        """Let episodes wait for their next step, or for a glimpse of it; a restarted solution is the strong model's."""
        first = [turn for turn in turns if not turn.episode.discarded]
        self._waiting["rewrite"] += [turn for turn in turns if turn.episode.discarded]
        self._waiting["glimpse"] += [turn for turn in first if turn.policy.glimpses]
        self._start([turn for turn in first if not turn.policy.glimpses])

    def _start(self, turns: Sequence[Turn]) -> None:
        """Let episodes wait for a draft, or for the strong model's step without one."""
        for turn, action in _decide(Phase.START, turns):
            if turn.glimpse and action == Action.DELEGATE:
                turn.calls.append(turn.episode.caches.glimpse(turn.glimpse.usage))
            self._wait_after(Phase.START, action, turn)

    def _judge(self, phase: Phase, turns: Sequence[Turn]) -> list[Turn]:
        """Ask the policies about drafts, and accept those that pass; returns as `settle` does."""
        accepted, considered = list[Turn](), list[Turn]()
        decided = [(turn, USUAL[phase]) for turn in turns if not turn.policy.judges]
        for turn, action in decided + _decide(phase, [turn for turn in turns if turn.policy.judges]):
            if turn.judged_only and action != Action.READ:
                turn.rejected |= action == Action.REWRITE
                turn.reason = turn.policy.explain(observe([turn]))
                considered.append(turn)
            elif not self._wait_after(phase, action, turn):
                accepted.append(turn)
        return self._close(considered) + self.accept(accepted)

    def accept(self, turns: Sequence[Turn]) -> list[Turn]:
        """Accept the rewrites of turns, or the drafts if there is none; returns as `settle` does."""
        goes = [(turn, self._accept(turn)) for turn in turns]
        here = [(turn, on) for turn, on in goes if id(turn.episode) in self._open]
        closed = list[Turn]()
        for turn in (turn for turn, on in here if not on):
            verify = turn.policy.verifier and not turn.episode.discarded
            (self._waiting["verify"] if verify else closed).append(turn)
        self._begin([Turn(turn.episode, turn.policy) for turn, on in here if on])
        return self._close(closed)

    def _accept(self, turn: Turn) -> bool:
        """Accept the step of a turn; returns True if the solution goes on."""
        episode, step = turn.episode, turn.step()
        episode.caches.accept(step.writer, step.tokens, repeats=step.text == step.draft)
        episode.steps.append(step)
        score = math.nan if turn.rewrite or not turn.policy.rater else turn.scores.get(turn.policy.rater, math.nan)
        episode.scores.append(score)
        episode.node = episode.node.child(step.text)
        if self._watch:
            self._watch(episode)
        accepted = turn.rewrite or turn.draft
        assert accepted
        return goes_on(accepted, len(episode.steps), self.max_steps, self._ends)

    def _restart(self, turns: Sequence[Turn]) -> list[Turn]:
        """Close verified solutions; those to be solved again by the strong model lose all their steps and go on."""
        verified = [Turn(turn.episode, turn.policy, verification=turn.verification) for turn in turns]
        closed, again = list[Turn](), list[Turn]()
        for turn, (_, action) in zip(turns, _decide(Phase.ENDED, verified), strict=True):
            episode, stage = turn.episode, NEXT[Phase.ENDED, action]
            _note(turn)
            if stage:
                episode.discarded, episode.steps, episode.scores = episode.steps, [], []
                episode.node = episode.root
                episode.caches.restart()
            (again if stage else closed).append(turn)
        self._begin([Turn(turn.episode, turn.policy) for turn in again])
        return self._close(closed)

    def _wait_after(self, phase: Phase, action: Action, turn: Turn) -> bool:
        """Let a turn wait for the stage that follows from an action; returns False if there is none."""
        stage = NEXT[phase, action]
        if stage:
            self._waiting[stage].append(turn)
        return stage is not None

    def _close(self, turns: list[Turn]) -> list[Turn]:
        for turn in turns:
            self._open.pop(id(turn.episode), None)
        return turns

    def _verifier(self, policy: Policy) -> SolutionVerifier:
        if policy.verifier == "self":
            return SelfVerifier(self._weak, policy.samples)
        assert self._scorer
        return StepVerifier(self._scorer)


def rater_at(stage: Stage, turn: Turn) -> Rater | None:
    """The rater that a waiting draft needs, None if there is none."""
    return turn.policy.second if stage == "read" else turn.policy.rater


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
    unread = [_unread(turn.episode, rater) if scorer.rereads else 0 for turn in turns]
    _score_given([turn for turn in turns if turn.judged_only and rater == turn.policy.rater], scorer)
    read = scorer.score([turn.drafted for turn in turns], [earlier + 1 for earlier in unread])
    for turn, earlier, scores in zip(turns, unread, read, strict=True):
        turn.scores[rater] = scores[-1].score
        turn.calls += _rating_calls(turn, rater, scores)
        if rater == turn.policy.second:
            continue
        accepted = turn.episode.scores
        accepted[len(accepted) - earlier :] = [score.score for score in scores[:-1]]
        if turn.judged_only:
            _measure(turn, scores)


def _rating_calls(turn: Turn, rater: Rater, scores: Sequence[StepScore]) -> list[Call]:
    """The call behind the scores of a draft and the earlier steps that were scored with it."""
    caches, (*earlier, draft) = turn.episode.caches, scores
    written, usage = sum(score.tokens_written for score in scores), add_usages([score.usage for score in scores])
    if rater == "prm":
        return [caches.score(draft.tokens_read, sum(score.tokens_read for score in earlier), usage)]
    if rater == "strong":
        assert turn.draft
        return [caches.read(turn.draft.tokens, written, usage)]
    return [caches.verdict(PAYERS[rater], draft.tokens_read, written, usage=usage)] if rater in PAYERS else []


def _unread(episode: Episode, rater: Rater) -> int:
    """Number of accepted steps that a rater of whole solutions has not read: those after the last it rated."""
    for after, step in enumerate(reversed(episode.steps)):
        if rater in step.scores:
            return after + (step.draft is not None)
    return len(episode.steps)


def _score_given(turns: Sequence[Turn], scorer: StepScorer) -> None:
    """Score the drafts that given steps replaced."""
    places = []
    for turn in turns:
        node = turn.episode.root
        for index, step in enumerate(turn.episode.steps):
            if step.draft is not None:
                places.append((turn, index, node.child(step.draft)))
            node = node.child(step.text)
    read = scorer.score([node for *_, node in places], [1] * len(places))
    for (turn, index, _), (score,) in zip(places, read, strict=True):
        step = turn.episode.steps[index]
        scores = {turn.policy.rater: score.score} if turn.policy.rater else {}
        step = replace(step, scores=scores, draft_tokens=score.tokens_read or step.draft_tokens)
        turn.episode.steps[index] = step


def _measure(turn: Turn, scores: Sequence[StepScore]) -> None:
    """Record the lengths of given steps, and the scores of those that replaced no draft."""
    assert turn.draft and turn.policy.rater
    *earlier, draft = scores
    turn.draft = turn.draft._replace(tokens=draft.tokens_read or turn.draft.tokens)
    steps = turn.episode.steps
    for index, score in enumerate(earlier, start=len(steps) - len(earlier)):
        step = replace(steps[index], tokens=score.tokens_read)
        given = {turn.policy.rater: score.score}
        steps[index] = step if step.draft else replace(step, scores=given, draft_tokens=score.tokens_read)


def _note(turn: Turn) -> None:
    """Record the verification of a finished solution, and its call."""
    episode, verification = turn.episode, turn.verification
    assert verification
    episode.ratings, (*earlier, last) = verification.values, verification.read
    if turn.policy.verifier == "prm":
        rated = zip(episode.steps, verification.values, strict=True)
        episode.steps = [replace(step, scores={**step.scores, "prm": score}, rater="prm") for step, score in rated]
        call = episode.caches.score(last.tokens_read, sum(score.tokens_read for score in earlier), last.usage)
    else:
        samples = turn.policy.samples
        call = episode.caches.verdict("weak", last.tokens_read, last.tokens_written, samples, last.usage)
    episode.steps[-1] = replace(episode.steps[-1], calls=(*episode.steps[-1].calls, call))


def _decide(phase: Phase, turns: Sequence[Turn]) -> list[tuple[Turn, Action]]:
    """The action for each turn; each policy is asked for all its episodes at the same step at once.

    Raises:
        TrimError: for an action that the phase does not have.
    """
    chosen: dict[int, Action] = {}
    for members in _by_policy(turns):
        policy = members[0].policy
        actions = policy.decide(phase, observe(members))
        for turn, action in zip(members, actions.tolist(), strict=True):
            if (phase, action) not in NEXT or (action == Action.READ and not policy.second):
                raise TrimError(f"{type(policy).__name__}.decide: {action!r} is no action of the phase {phase.name}")
            chosen[id(turn)] = Action(action)
    return [(turn, chosen[id(turn)]) for turn in turns]


def _by_policy(turns: Sequence[Turn]) -> list[list[Turn]]:
    """Turns grouped by policy and number of steps."""
    members: dict[tuple[int, int], list[Turn]] = {}
    for turn in turns:
        members.setdefault((id(turn.policy), len(turn.episode.steps)), []).append(turn)
    return list(members.values())
