"""Calibration: densities, labels, rates, difficulty."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from fakes.pomdps import step_models
from fakes.scripted import Scripted
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from trim.errors import TrimError
from trim.evaluation.published import published_model
from trim.experiment.calibrating import _read_labelled
from trim.files import write_sealed
from trim.pomdp.calibration import Solution, agreement, calibrate, density, guess_error, hazard, observations
from trim.pomdp.difficulty import Outcomes, fit_classes
from trim.pomdp.model import StepModel
from trim.pomdp.predict import predict_thresholds
from trim.pomdp.simulate import simulate, threshold


def sampled(model, n, seed, weak=True):
    """Solutions that follow a model: scores, and the first error."""
    rng = np.random.default_rng(seed)
    bins = model.observation.shape[2]
    below = model.observation.sum(axis=1).cumsum(axis=1)
    rates = model.p_weak if weak else model.p_strong
    kinds = np.random.default_rng(0).choice(model.classes, n, p=model.prior)
    solutions = []
    for z in kinds:
        scores, error = [], -1
        for k in range(model.steps):
            wrong = error < 0 and rng.random() >= rates[z]
            state = 2 if wrong else (0 if error < 0 else 1)
            error = k if wrong else error
            drawn = np.searchsorted(below[state], rng.random() * below[state, -1])
            scores.append((drawn + rng.random()) / bins)
            if rng.random() < model.hazard[z, k]:
                break
        solutions.append(Solution(np.array(scores), error))
    return solutions


@given(st.integers(0, 10_000), st.integers(2, 12))
@settings(max_examples=20, deadline=None)
def test_bin_masses_are_those_of_the_reflected_kernel(seed, bins):
    points = np.random.default_rng(seed).beta(2, 1, (40, 2))
    found = density(points, bins)
    assert found.sum() == pytest.approx(1)
    # Integrate the mirrored kernels numerically.
    width = points.std(axis=0, ddof=1) * len(points) ** (-1 / 6)
    fine = (np.arange(bins * 200) + 0.5) / (bins * 200)
    kernels = [
        sum(norm.pdf(fine[:, None], image, width[d]) for image in (points[:, d], -points[:, d], 2 - points[:, d]))
        for d in range(2)
    ]
    grid = (kernels[0] @ kernels[1].T).reshape(bins, 200, bins, 200).sum(axis=(1, 3))
    np.testing.assert_allclose(found, grid / grid.sum(), atol=2e-4)


def test_states_of_the_prefixes_of_a_solution():
    points, states = observations([Solution(np.array([0.9, 0.2, 0.6, 0.7]), 1)])
    assert states.tolist() == [0, 2, 1, 1]
    assert points.tolist() == [[1.0, 0.9], [0.9, 0.2], [0.2, 0.6], [0.2, 0.7]]
    assert observations([Solution(np.array([0.9, 0.8]), -1)])[1].tolist() == [0, 0]


def test_the_threshold_rule():
    scores = np.array([0.9, 0.5, 0.3, 0.1])
    assert guess_error(scores, correct=True) == -1
    assert guess_error(scores, correct=False) == 2
    assert guess_error(scores, correct=False, threshold=0.05) == 3


def test_agreement_counts_what_the_rule_misses():
    def labelled(errors):
        return [Solution(np.full(5, 0.5), error) for error in errors]

    found = agreement(labelled([-1, 1, 2, 3]), labelled([2, 1, 3, 0]))
    assert found["wrong"] == 0.75
    assert found["wrong_by_rule"] == 1
    assert (found["exact"], found["later"], found["earlier"]) == pytest.approx((1 / 3,) * 3)


def test_calibration_recovers_the_model_that_made_the_solutions():
    truth = published_model()
    found = calibrate(sampled(truth, 4000, 1), sampled(truth, 4000, 2, weak=False), 60, truth.steps)
    assert found.p_weak == pytest.approx(truth.p_weak, abs=0.01)
    assert found.p_strong == pytest.approx(truth.p_strong, abs=0.005)
    assert np.abs(found.hazard - truth.hazard)[0, 1:15].max() < 0.06
    # The kernel smooths what was smoothed before; the marginals of the score stay close.
    apart = np.abs(found.observation.sum(axis=1) - truth.observation.sum(axis=1)).sum(axis=1) / 2
    assert apart.max() < 0.15


@given(st.lists(st.integers(1, 40), min_size=2, max_size=50))
@settings(deadline=None)
def test_a_hazard_is_a_probability_and_ends_at_the_last_step(counts):
    found = hazard(np.array(counts), 30)
    assert found.shape == (30,)
    assert ((found >= 0) & (found <= 1)).all()
    assert (found[0], found[-1]) == (0, 1)


def test_difficulty_classes_are_found_from_the_outcomes():
    rng = np.random.default_rng(0)
    n, truth = 40_000, np.array([[0.97, 0.75], [0.995, 0.93]])
    kinds = rng.random(n) < 0.4
    counts = rng.integers(4, 10, n)
    outcomes = []
    for rates in truth:
        right = np.minimum(rng.geometric(1 - rates[kinds.astype(int)]) - 1, counts)
        outcomes.append(Outcomes(right, right < counts))
    member = fit_classes(outcomes, counts, 2)
    assert member.mean(axis=0)[1] == pytest.approx(0.4, abs=0.08)
    found = [(member.T @ o.right) / (member.T @ (o.right + o.wrong)) for o in outcomes]
    np.testing.assert_allclose(found, truth, atol=0.03)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s[:20], r"20 weak solutions, at least 30"),
        (lambda s: [Solution(np.full(5, 0.5), i % 3 - 1) for i in range(200)], "scores of S0 are constant"),
        (lambda s: [*s, Solution(np.array([0.5]), 1)], r"label 1 is not -1…0"),
        (lambda s: [*s, Solution(np.array([1.5]), 0)], r"scores must be in \[0, 1\]"),
        (lambda s: [Solution(x.scores, -1) for x in s], r"0 observations of S1 .steps after a wrong one., at least 30"),
    ],
)
def test_what_cannot_be_calibrated_is_refused_with_its_cure(spoil, message):
    weak = sampled(published_model(), 200, 3)
    with pytest.raises(TrimError, match=message):
        calibrate(spoil(weak), weak, 60, 30)


def test_the_published_calibration_is_the_papers():
    model = published_model()
    assert model.p_weak[0] == pytest.approx(0.866, abs=5e-4)
    assert model.p_strong[0] == pytest.approx(0.970, abs=5e-4)
    assert model.observation.shape == (3, 20, 20)
    assert model.steps == 30
    assert published_model("omni").observation.shape == (3, 20, 20)


@given(step_models())
@settings(max_examples=15, deadline=None)
def test_the_closed_form_of_thr_is_its_simulation(model):
    bins = model.observation.shape[2]
    for edge in range(bins + 1):
        tau = edge / bins
        said = predict_thresholds(model, [tau])
        done = simulate(model, threshold(tau), 20_000, edge)
        assert said.accuracy[0] == pytest.approx(done.correct.mean(), abs=0.02)
        assert said.calls[0] == pytest.approx(done.calls.mean(), abs=0.05)
        assert said.steps[0] == pytest.approx(done.steps.mean(), abs=0.05)


def test_a_model_is_saved_in_the_open_and_a_damaged_one_refused(tmp_path):
    path = tmp_path / "m.json"
    published_model().save(path)
    again = StepModel.load(path)
    for name, value in published_model().arrays().items():
        np.testing.assert_array_equal(getattr(again, name), value)
    values = json.loads(path.read_text())
    del values["checksum"]
    write_sealed(path, values | {"p_weak": [1.2]})
    with pytest.raises(TrimError, match=r"m\.json.*probabilities"):
        StepModel.load(path)
    write_sealed(path, {name: value for name, value in values.items() if name != "hazard"})
    with pytest.raises(TrimError, match=r"m\.json: not a calibration"):
        StepModel.load(path)
    whole = json.dumps(values | {"checksum": "0" * 64})
    for damaged in (whole, whole[:100], whole.replace("0.9", "0.8", 1)):
        path.write_text(damaged)
        with pytest.raises(TrimError, match=r"m\.json: cannot be read"):
            StepModel.load(path)


def test_solutions_in_processbenchs_form_are_scored_and_a_bad_line_is_named(tmp_path, engine):
    *_, scorer, _ = engine
    runner = SimpleNamespace(scorer=scorer)
    path = tmp_path / "labelled.jsonl"
    lines = [
        {"problem": "q", "steps": ["a", "b"], "label": 1},
        {"problem": "q", "steps": ["a", "c", "d"], "label": -1},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = _read_labelled(path, runner)
    assert [s.error for s in found] == [1, -1]
    np.testing.assert_allclose(found[1].scores, [Scripted.value(step) for step in "acd"])
    for bad, message in (
        ({"problem": "q", "steps": ["a"], "label": 1}, "label 1 is not -1…0"),
        ({"problem": "q", "steps": [], "label": -1}, "label -1"),
        ({"problem": "q", "label": 1}, "not problem, steps and label"),
    ):
        path.write_text(json.dumps(lines[0]) + "\n" + json.dumps(bad) + "\n")
        with pytest.raises(TrimError, match=rf"labelled\.jsonl:2: .*{message}"):
            _read_labelled(path, runner)
