"""Distorted scores."""

import numpy as np
import pytest
from fakes.scripted import Scripted
from hypothesis import given
from hypothesis import strategies as st

from trim.engine.cached import AlteredPRM, CachedPRM, Distorted
from trim.engine.store import Draws, Node
from trim.models.distortion import Distortion
from trim.rng import digest

scores = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def keys(n):
    return [digest(str(i).encode()) for i in range(n)]


@given(scores, st.sampled_from(["noise", "temperature", "random"]), st.floats(0, 10))
def test_distorted_scores_are_probabilities(values, kind, strength):
    found = Distortion(type=kind, strength=strength)(np.array(values), keys(len(values)))
    assert ((found >= 0) & (found <= 1)).all()


@given(scores)
def test_no_strength_changes_nothing(values):
    for kind, neutral in (("noise", 0), ("temperature", 1), ("random", 0)):
        found = Distortion(type=kind, strength=neutral)(np.array(values), keys(len(values)))
        np.testing.assert_allclose(found, values, atol=1e-5)


@given(scores, st.floats(0.1, 5))
def test_a_temperature_keeps_the_order(values, strength):
    values = np.sort(values)
    found = Distortion(type="temperature", strength=strength)(values, keys(len(values)))
    assert (np.diff(found) >= 0).all()


def test_noise_and_random_shares_have_their_strength():
    middle = np.full(20_000, 0.5)
    noisy = Distortion(type="noise", strength=0.7)(middle, keys(len(middle)))
    assert np.log(noisy / (1 - noisy)).std() == pytest.approx(0.7, abs=0.02)
    replaced = Distortion(type="random", strength=0.2)(middle, keys(len(middle))) != 0.5
    assert replaced.mean() == pytest.approx(0.2, abs=0.01)


def test_a_step_is_distorted_alike_whenever_it_is_read_and_the_store_keeps_the_truth():
    draws, model = Draws(), Scripted()
    distortion = Distortion(type="noise", strength=1)
    node = Node.root("q").child("a").child("b")
    scorer = AlteredPRM([Distorted(distortion)], "prm", lambda: model, draws, 8)
    both = scorer.score([node], [2])[0]
    (alone,) = scorer.score([node], [1])[0]
    assert both[1] == alone
    plain = CachedPRM("prm", lambda: pytest.fail("scored twice"), draws, 8).score([node], [2])[0]
    assert [s.score for s in plain] == [Scripted.value("a"), Scripted.value("b")]
    assert both[0].score != plain[0].score
