"""The ceilings, against enumeration of all policies and against the engine."""

import itertools

import numpy as np
import pytest
from fakes.scripted import Scripted, telling_parts

from trim.engine.cached import CachedLM, CachedPRM
from trim.engine.loop import run
from trim.engine.store import Draws
from trim.problems import Problem
from trim.rl.ceiling import Clairvoyant, Fitted, q_values, visit_probability
from trim.rl.tree import FINISHED, UNKNOWN, Tree


@pytest.fixture
def parts():
    models = {name: Scripted(name, 3) for name in ("weak", "strong", "prm")}
    draws = Draws()
    return (
        *(CachedLM(name, lambda name=name: models[name], draws, 64) for name in ("weak", "strong")),
        CachedPRM("prm", lambda: models["prm"], draws, 64),
    )


@pytest.fixture
def problems():
    return [Problem(f"p{i}", f"question {i}", "1", "test") for i in range(30)]


@pytest.fixture
def whole(parts, problems):
    tree = Tree(problems, *parts)
    tree.expand()
    return tree


def test_a_whole_tree_has_no_open_end_and_no_point_twice(whole):
    assert (whole.child != UNKNOWN).all()
    assert len(set(whole._nodes)) == len(whole)


def test_ways_that_meet_again_share_their_points():
    problems, *parts = telling_parts(20, "m")
    tree = Tree(problems, *parts)
    tree.expand()
    meets = tree.child[:20, 0] == tree.child[:20, 1]
    right = np.array([tree._drafts[i].text == "right" for i in range(20)])
    np.testing.assert_array_equal(meets, right)


@pytest.mark.parametrize("cost", [0.0, 0.02, 0.1])
def test_the_clairvoyant_router_is_the_best_of_all_ways(whole, parts, problems, cost):
    def ways(point, length):
        for actions in itertools.product((0, 1), repeat=length):
            at, paid = point, 0
            for action in actions:
                (at,), (right,), (tokens,) = whole.follow(np.array([at]), np.array([action]))
                paid += tokens
            assert at == FINISHED
            yield right - cost * paid

    best = [max(ways(root, 3)) for root in whole.roots.tolist()]
    np.testing.assert_allclose(q_values(whole, cost)[whole.roots].max(axis=1), best)
    episodes = run(problems, [Clairvoyant(whole, cost)], *parts)
    paid = [sum(s.tokens for s in e.steps if s.writer == "strong") for e in episodes]
    np.testing.assert_allclose([e.correct - cost * t for e, t in zip(episodes, paid, strict=True)], best)


def test_reach_is_a_distribution_at_each_depth_where_all_solutions_are_as_long(whole):
    chance = np.random.default_rng(0).random(len(whole))
    found = visit_probability(whole, chance)
    for depth in range(3):
        assert found[whole.depth == depth].sum() == pytest.approx(len(whole.roots))


def test_the_fitted_router_finds_what_the_scores_tell():
    problems, *parts = telling_parts(600, "f")
    tree = Tree(problems, *parts)
    tree.expand()
    policy = Fitted(tree, tree, 0.01)
    episodes = run(problems, [policy], *parts)
    assert all(e.correct for e in episodes)
    for episode in episodes:
        assert [s.writer == "strong" for s in episode.steps] == [s.score < 0.5 for s in episode.steps]
