"""The ladder of verifiers: what it measures, against plain computations and the engine."""

import numpy as np
from fakes.scripted import telling_parts
from hypothesis import given
from hypothesis import strategies as st

from trim.engine.loop import run
from trim.rl.tree import Tree
from trim.rl.walk import walk
from trim.routers import registry
from trim.verifiers.verifier import calibrate, calibration_error


def whole(n, name):
    problems, *parts = telling_parts(n, name)
    tree = Tree(problems, *parts)
    tree.expand()
    return tree, problems, parts


def test_walking_the_tree_is_what_the_engine_does():
    tree, problems, parts = whole(40, "w")
    for threshold in (0.0, 0.5, 1.0):
        (policy,) = registry()["trim_thr"](registry()["trim_thr"].Params(thresholds=[threshold])).policies().values()
        episodes = run(problems, [policy], *parts)
        found = walk(tree, tree.score < threshold if threshold < 1 else np.full(len(tree), True))
        np.testing.assert_array_equal(found.correct, [e.correct for e in episodes])
        np.testing.assert_array_equal(found.strong, [sum(s.strong_tokens for s in e.steps) for e in episodes])
        np.testing.assert_array_equal(found.drafts, [sum(s.draft_tokens for s in e.steps) for e in episodes])
        np.testing.assert_array_equal(found.steps, [len(e.steps) for e in episodes])
        last = [max((i + 1 for i, s in enumerate(e.steps) if s.writer == "strong"), default=0) for e in episodes]
        passes = [sum(s.tokens for s in e.steps[:n]) for e, n in zip(episodes, last, strict=True)]
        np.testing.assert_array_equal(found.passes, passes)
        unread = [sum(s.tokens for s in e.steps[:-1] if s.writer == "strong" and s.text != s.draft) for e in episodes]
        np.testing.assert_array_equal(found.unread, unread)


def test_the_way_of_the_weak_model_is_always_weak_s():
    tree, problems, parts = whole(40, "v")
    (policy,) = registry()["always_weak"](None).policies().values()
    steps = sum(len(e.steps) for e in run(problems, [policy], *parts))
    assert len(tree.weak_way()) == steps
    assert len(tree.drafted(tree.weak_way())) == steps


@given(st.integers(0, 10**6))
def test_calibrated_scores_have_a_small_error_and_random_ones_do_not(seed):
    rng = np.random.default_rng(seed)
    scores = rng.random(4000)
    right = rng.random(4000) < scores**2
    assert calibration_error(scores**2, right) < 0.06
    assert calibration_error(scores, right) > 0.1
    fitted = calibrate(scores[:2000], right[:2000]).predict(scores[2000:])
    assert calibration_error(fitted, right[2000:]) < 0.08
