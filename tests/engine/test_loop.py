"""The step loop and the routers."""

import math
from dataclasses import asdict

import numpy as np
import pytest
from fakes.scripted import Scripted
from hypothesis import given, settings
from hypothesis import strategies as st

from trim.engine.cached import CachedLM, CachedPRM
from trim.engine.loop import run
from trim.engine.policy import Policy
from trim.engine.store import Draws
from trim.models.base import Draft
from trim.problems import Problem
from trim.problems.generated import generate
from trim.routers import registry
from trim.routers.trim_thr import TrimThr


def policies(name, **params):
    kind = registry()[name]
    return kind(kind.Params(**params)).policies()


def texts(episodes):
    return [[step.text for step in e.steps] for e in episodes]


def test_zero_is_always_weak_and_one_is_always_strong(engine, some_problems):
    *parts, _ = engine
    ends = [*policies("always_weak").values(), *policies("always_strong").values()]
    ends += policies("trim_thr", thresholds=[0, 1]).values()
    episodes = run(some_problems, ends, *parts)
    weak, strong, never, always = (texts(episodes[i : i + 20]) for i in range(0, 80, 20))
    assert never == weak
    assert always == strong
    assert weak != strong


def test_ends_pay_for_one_model_only(engine, some_problems):
    *parts, models = engine
    run(some_problems, list(policies("always_strong").values()), *parts)
    assert not models["weak"].requests
    assert not models["prm"].requests


def test_decisions_follow_the_threshold(engine, some_problems):
    *parts, _ = engine
    for episode in run(some_problems, list(policies("trim_thr", thresholds=[0.4]).values()), *parts):
        for step in episode.steps:
            assert (step.writer == "strong") == (step.score < 0.4)
            assert step.score == Scripted.value(step.draft or step.text)
            assert (step.draft is not None) == (step.writer == "strong")


def test_prm_reads_every_step_once(engine, some_problems):
    *parts, _ = engine
    for episode in run(some_problems, list(policies("trim_thr", thresholds=[0.5]).values()), *parts):
        drafts = [step.draft or step.text for step in episode.steps]
        rewritten = [step.text for step in episode.steps[:-1] if step.writer == "strong"]
        assert sum(call.fresh for call in episode.calls if call.role == "prm") == sum(
            len(t) + 1 for t in drafts + rewritten
        )


def test_no_node_is_requested_twice_in_a_sweep(engine, some_problems):
    *parts, models = engine
    run(some_problems, list(policies("trim_thr", thresholds=np.linspace(0, 1, 21).tolist()).values()), *parts)
    for role in ("weak", "strong"):
        prefixes = [prefix for prefix, _ in models[role].requests]
        assert len(prefixes) == len(set(prefixes))
    assert len(models["prm"].requests) == len(set(models["prm"].requests))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=5, unique=True), st.integers(1, 6))
def test_policies_run_together_or_alone_alike(thresholds, length):
    problems = [Problem(f"p{i}", f"question {i}", "1", "test") for i in range(5)]
    chosen = list(policies("trim_thr", thresholds=thresholds).values())

    def fresh(which):
        weak, strong = Scripted("weak", length), Scripted("strong", length)
        draws = Draws()
        parts = CachedLM("weak", lambda: weak, draws, 3), CachedLM("strong", lambda: strong, draws, 3)
        return run(problems, which, *parts, CachedPRM("prm", Scripted, draws, 3))

    together = fresh(chosen)
    alone = [episode for policy in chosen for episode in fresh([policy])]
    assert [list(map(asdict, e.steps)) for e in together] == [list(map(asdict, e.steps)) for e in alone]


class Fixed(Scripted):
    """Writes a given list of pieces, one a call."""

    def __init__(self, *pieces):
        super().__init__()
        self.pieces = pieces

    def next_steps(self, prefixes, keys, keep=None):
        return [self.pieces[len(p.steps)] for p in prefixes]


def solve(*pieces, max_steps=30):
    writer = CachedLM("w", lambda: Fixed(*pieces), Draws(), 4)
    return run(
        [Problem("p", "q", "7", "test")], [Policy()], writer, writer, CachedPRM("s", Scripted, Draws(), 4), max_steps
    )


def test_a_piece_without_content_is_written_on():
    (episode,) = solve(Draft("---", 2, "separator"), Draft("so \\boxed{7}", 4, "separator"))
    assert texts([episode]) == [["---\n\nso \\boxed{7}"]]
    assert episode.steps[0].tokens == 6
    assert episode.correct


@pytest.mark.parametrize(
    ("pieces", "steps"),
    [
        ([Draft("a", 1, "separator"), Draft("\\boxed{7}", 1, "separator")], 2),
        ([Draft("a", 1, "separator"), Draft("b", 1, "end")], 2),
        ([Draft("a", 2048, "length")], 1),
        ([Draft("a", 1, "separator")] * 50, 5),
    ],
)
def test_a_solution_ends_with_a_box_or_a_stop_or_too_many_steps(pieces, steps):
    (episode,) = solve(*pieces, max_steps=5)
    assert len(episode.steps) == steps


def test_oracle_hands_over_exactly_the_first_error():
    problem = next(p for p in generate("standard", {"test": 1}, 0))
    right = [Draft(s, 5, "separator") for s in problem.reference[:-1]] + [Draft(problem.reference[-1], 5, "end")]
    wrong = list(right)
    wrong[1] = Draft("1 + 1 = 3", 5, "separator")
    weak = CachedLM("w", lambda: Fixed(*wrong), Draws(), 4)
    strong = CachedLM("s", lambda: Fixed(*right), Draws(), 4)
    (episode,) = run([problem], list(policies("oracle").values()), weak, strong, CachedPRM("p", Scripted, Draws(), 4))
    assert [i for i, s in enumerate(episode.steps) if s.writer == "strong"] == [1]
    assert episode.correct
    assert all(math.isnan(s.score) for s in episode.steps)


def test_a_dearer_coin_hands_over_a_superset(engine, some_problems):
    *parts, _ = engine
    cheap, dear = policies("random", probabilities=[0.2, 0.7]).values()
    episodes = run(some_problems, [cheap, dear], *parts)
    first = [(a.steps[0].writer, b.steps[0].writer) for a, b in zip(episodes[:20], episodes[20:], strict=True)]
    assert ("strong", "weak") not in first
    assert ("weak", "strong") in first


def test_fitting_spends_the_budget():
    from trim.routers.base import Outcome

    def trial(policies):
        return {name: Outcome(0.5, policy.threshold**2) for name, policy in policies.items()}

    fitted = TrimThr(TrimThr.Params(thresholds=np.linspace(0, 1, 101).tolist())).fit(trial, [0.09, 0.25])
    assert fitted == {"budgets": {"0.09": pytest.approx(0.3, abs=1e-3), "0.25": pytest.approx(0.5, abs=1e-3)}}


def test_only_a_box_or_the_last_step_ends_a_solution_of_the_released_protocol(some_problems):
    """A model that stops, or fills its step, goes on; a box that only opens ends it."""
    pieces = [Draft("one", 1, "end"), Draft("", 1, "end"), Draft("three", 9, "length"), Draft("so \\boxed{", 2, "end")]
    ended = {}
    for ends in ("stop", "box"):
        writer = CachedLM("fixed", lambda: Fixed(*pieces, Draft("five", 1, "end")), Draws(), 64)
        alone = list(policies("always_weak").values())
        (episode,) = run(some_problems[:1], alone, writer, writer, ends=ends)
        ended[ends] = [step.text for step in episode.steps]
    assert ended == {"stop": ["one"], "box": ["one", "", "three", "so \\boxed{"]}
    writer = CachedLM("fixed", lambda: Fixed(*[Draft("x", 1, "end")] * 9), Draws(), 64)
    (episode,) = run(some_problems[:1], alone, writer, writer, max_steps=5, ends="box")
    assert len(episode.steps) == 5
