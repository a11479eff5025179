"""Episodes join and leave the rounds at any time, and none is changed by another."""

import math

import numpy as np
import pytest
from fakes.scripted import Scripted
from hypothesis import given, settings
from hypothesis import strategies as st

from trim.engine.actions import STAGES, Action, Phase
from trim.engine.cached import CachedLM, CachedPRM
from trim.engine.episode import Episode
from trim.engine.loop import run
from trim.engine.policy import Policy
from trim.engine.rounds import Rounds
from trim.engine.store import Draws, Node
from trim.models.base import Draft
from trim.problems import Problem
from trim.routers import registry
from trim.routers.always import STRONG, WEAK

PROBLEMS = [Problem(f"p{i}", f"question {i}", "1", "test") for i in range(8)]


def policies():
    made = {name: registry()[name] for name in ("trim_thr", "random")}
    return [
        WEAK,
        STRONG,
        *made["trim_thr"](made["trim_thr"].Params(thresholds=[0.3, 0.7])).policies().values(),
        *made["random"](made["random"].Params(probabilities=[0.5])).policies().values(),
    ]


def parts():
    draws = Draws()
    return (
        CachedLM("weak", lambda: Scripted("weak", 5), draws, 3),
        CachedLM("strong", lambda: Scripted("strong", 4), draws, 3),
        CachedPRM("prm", Scripted, draws, 3),
    )


def episode(problem):
    root = Node.root(problem.question)
    return Episode(problem, 0, root, root)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 4), st.integers(0, 12)), min_size=1, max_size=12))
def test_who_joins_when_changes_nothing(arrivals):
    known, rounds = policies(), Rounds(*parts())
    alone = run(PROBLEMS, known, *parts())
    expected = {(e.problem.id, e.policy): e.steps for e in alone}
    waiting = sorted(arrivals, key=lambda arrival: arrival[2])
    asked, moment = [], 0
    while waiting or len(rounds):
        for stage in STAGES:
            while waiting and waiting[0][2] <= moment:
                problem, policy, _ = waiting.pop(0)
                asked.append((episode(PROBLEMS[problem]), policy))
                rounds.join([asked[-1][0]], [known[policy]])
            turns = rounds.take(stage)
            rounds.work(stage, turns)
            rounds.settle(stage, turns)
            moment += 1
    for found, policy in asked:
        assert found.steps == expected[found.problem.id, policy]


@given(st.integers(0, 7), st.integers(0, 15))
def test_who_leaves_changes_nothing_and_gets_nothing_more(leaver, moment):
    (policy,) = registry()["trim_thr"](registry()["trim_thr"].Params(thresholds=[0.5])).policies().values()
    expected = [e.steps for e in run(PROBLEMS, [policy], *parts())]
    rounds, episodes = Rounds(*parts()), [episode(problem) for problem in PROBLEMS]
    rounds.join(episodes, [policy] * len(episodes))
    passed, kept = 0, None
    while len(rounds):
        for stage in STAGES:
            turns = rounds.take(stage)
            rounds.work(stage, turns)
            if passed == moment:  # while something is made for it
                rounds.leave(episodes[leaver])
                kept = list(episodes[leaver].steps)
            rounds.settle(stage, turns)
            passed += 1
    for index, found in enumerate(episodes):
        assert found.steps == (kept if index == leaver and kept is not None else expected[index])


def test_a_verdict_is_given_on_steps_that_others_wrote():
    (policy,) = registry()["trim_thr"](registry()["trim_thr"].Params(thresholds=[0.5])).policies().values()
    (solved,) = run(PROBLEMS[:1], [policy], *parts())
    rounds, given_to = Rounds(*parts()), episode(PROBLEMS[0])
    for step in solved.steps[:-1]:
        given_to.node = given_to.node.child(step.text)
        given_to.steps.append(step)
        given_to.scores.append(math.nan)
    last = solved.steps[-1]
    turn = rounds.consider(given_to, policy, Draft(last.draft or last.text, 3, "separator"))
    closed = [found for stage in STAGES for found in _through(rounds, stage)]
    assert closed == [turn]
    assert turn.rejected == (last.writer == "strong")
    assert turn.scores == pytest.approx(last.scores)
    assert f"{last.score:.3f}" in turn.reason
    assert len(given_to.steps) == len(solved.steps) - 1
    assert len(rounds) == 0


def test_work_that_is_repeated_is_charged_once():
    policies = [
        *registry()["trim_thr"](registry()["trim_thr"].Params(thresholds=[0.5])).policies().values(),
        Doubting(),
    ]
    expected = [e.calls for e in run(PROBLEMS[:2], policies, *parts())]
    rounds, episodes = Rounds(*parts()), [episode(problem) for _ in policies for problem in PROBLEMS[:2]]
    rounds.join(episodes, [policy for policy in policies for _ in range(2)])
    while len(rounds):
        for stage in STAGES:
            turns = rounds.take(stage)
            for _ in range(1 if stage == "rewrite" else 2):  # a rewrite is one model's work, done or not
                rounds.work(stage, turns)
            rounds.settle(stage, turns)
    assert [e.calls for e in episodes] == expected


class Doubting(Policy):
    """Observes the free log-probability of a draft, and no score."""

    rater, logprobs = None, True

    def decide(self, phase, seen):
        if phase == Phase.START:
            return super().decide(phase, seen)
        assert np.isnan(seen.scores).all() and seen.logprobs.shape == seen.tokens.shape
        return np.where(seen.logprobs[:, -1] < -0.5, Action.REWRITE, Action.ACCEPT)


def test_log_probabilities_come_with_drafts_and_cost_nothing():
    policy = Doubting()
    for solved in run(PROBLEMS, [policy], *parts()):
        for step in solved.steps:
            assert step.scores["weak"] == -Scripted.value("p" + (step.draft or step.text))
            assert (step.writer == "strong") == (step.scores["weak"] < -0.5)
            assert step.rater is None and {call.kind for call in step.calls} <= {"draft", "rewrite"}
        rounds, given_to = Rounds(*parts()), episode(solved.problem)
        last = solved.steps[0]
        turn = rounds.consider(given_to, policy, Draft(last.draft or last.text, 3, "separator"))
        assert [found for stage in STAGES for found in _through(rounds, stage)] == [turn]
        assert (
            turn.rejected == (last.writer == "strong") and turn.reason == f"log-probability {last.scores['weak']:.3f}"
        )


def _through(rounds, stage):
    turns = rounds.take(stage)
    rounds.work(stage, turns)
    return rounds.settle(stage, turns)
