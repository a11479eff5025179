"""Evidence together: the fit against scikit-learn, and scores that are read with it."""

import numpy as np
import pytest
from fakes.scripted import Scripted, telling_parts
from sklearn.metrics import log_loss, roc_auc_score

from trim.engine.cached import AlteredPRM, CachedLM, CachedPRM, Distorted, Fused
from trim.engine.store import Draws, Node
from trim.errors import TrimError
from trim.models.distortion import Distortion
from trim.models.fusion import Fusion


@pytest.fixture(scope="module")
def steps():
    """Scores and log-probabilities that each know half of what makes a step right."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 4000))
    right = one + other + 0.3 * rng.normal(size=4000) > -1
    return 1 / (1 + np.exp(-2 * one)), -np.exp(-other), right


def test_both_tell_more_than_either_and_are_calibrated(steps):
    scores, logprobs, right = steps
    fusion = Fusion.fit(scores[:2000], logprobs[:2000], right[:2000])
    found, held_out = fusion(scores[2000:], logprobs[2000:]), right[2000:]
    best = max(roc_auc_score(held_out, scores[2000:]), roc_auc_score(held_out, logprobs[2000:]))
    assert roc_auc_score(held_out, found) > best + 0.05
    bins = np.digitize(found, [0.25, 0.5, 0.75])
    for index in range(4):
        assert held_out[bins == index].mean() == pytest.approx(found[bins == index].mean(), abs=0.1)
    assert log_loss(held_out, found) < log_loss(held_out, np.full(2000, right[:2000].mean()))


def test_it_is_saved_whole_and_a_foreign_file_is_named(steps, tmp_path):
    scores, logprobs, right = steps
    fusion = Fusion.fit(scores, logprobs, right)
    fusion.save(tmp_path / "e.json")
    np.testing.assert_array_equal(Fusion.load(tmp_path / "e.json")(scores, logprobs), fusion(scores, logprobs))
    (tmp_path / "e.json").write_text("{}")
    with pytest.raises(TrimError, match=r"e\.json"):
        Fusion.load(tmp_path / "e.json")
    with pytest.raises(TrimError, match="all right or all wrong"):
        Fusion.fit(scores, logprobs, np.ones(len(scores), dtype=bool))


def test_scores_are_read_with_the_log_probability_of_their_own_step_and_the_store_keeps_the_plain_ones(steps):
    draws, model = Draws(), Scripted()
    plain = CachedPRM("prm", lambda: model, draws, 8)
    weak, fusion = CachedLM("weak", lambda: model, draws, 8), Fusion.fit(*steps)
    fused = AlteredPRM([Fused(fusion, weak)], "prm", lambda: model, draws, 8)
    node = Node.root("q").child("a").child("b").child("c")
    (before,), (found,) = plain.score([node], [2]), fused.score([node], [2])
    expected = fusion(np.array([Scripted.value(s) for s in "bc"]), np.array([-Scripted.value("p" + s) for s in "bc"]))
    np.testing.assert_allclose([s.score for s in found], expected)
    assert [s.tokens_read for s in found] == [s.tokens_read for s in before]
    assert plain.score([node], [2]) == [before] and fused.reading != plain.reading
    noise = Distorted(Distortion(type="noise", strength=1))
    noisy = AlteredPRM([noise, Fused(fusion, weak)], "prm", lambda: model, draws, 8)
    spoilt = noise(np.array([s.score for s in before]), [node.at(2), node])
    expected = fusion(spoilt, np.array([-Scripted.value("p" + s) for s in "bc"]))
    np.testing.assert_allclose([s.score for s in noisy.score([node], [2])[0]], expected)


def test_the_outcomes_of_the_weak_model_are_those_of_its_solutions():
    from trim.engine.loop import run
    from trim.rl.tree import Tree
    from trim.routers.always import WEAK

    problems, *parts = telling_parts(30, "o")
    expected = [e.correct for e in run(problems, [WEAK], *parts)]
    np.testing.assert_array_equal(Tree(problems, *parts).weak_outcomes(), expected)
    assert 0 < np.mean(expected) < 1
