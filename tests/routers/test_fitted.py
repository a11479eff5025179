"""What was fitted comes back as it was, in open formats."""

import numpy as np
import pytest
from fakes.pomdps import step_models
from hypothesis import given, settings
from hypothesis import strategies as st

from trim.engine.actions import Action, Phase
from trim.engine.policy import Observation
from trim.errors import TrimError
from trim.evaluation.published import published_model
from trim.files import read_sealed, write_sealed
from trim.pomdp.beliefs import filtered
from trim.problems import Problem
from trim.routers.base import Outcome
from trim.routers.fitted import FORMAT, read_fitted, read_numbers, write_fitted
from trim.routers.trim_pomdp import TrimPomdp, history
from trim.setting import Setting

FITTED = {
    "a": {"0.1": 0.5, "w": np.eye(3)},
    "ab": {"0.1": 0.7, "w": np.arange(4), "group": {"v.bias": np.ones(2), "scale": 0.5}},
}


def test_numbers_and_arrays_come_back(tmp_path):
    for router, values in FITTED.items():
        write_fitted(tmp_path, router, "standard", values)
        found = read_fitted(tmp_path, router)
        assert found.keys() == values.keys()
        np.testing.assert_array_equal(found["w"], values["w"])
        assert read_numbers(tmp_path, router) == {"0.1": values["0.1"]}
    np.testing.assert_array_equal(found["group"]["v.bias"], np.ones(2))
    assert found["group"]["scale"] == 0.5


def test_a_damaged_or_foreign_file_is_named(tmp_path):
    write_fitted(tmp_path, "a", "standard", FITTED["a"])
    (tmp_path / "c.json").write_bytes((tmp_path / "a.json").read_bytes())
    with pytest.raises(TrimError, match=r"c\.json: c was not fitted there"):
        read_fitted(tmp_path, "c")
    path = tmp_path / "a.safetensors"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(TrimError, match=r"a\.safetensors: cannot be read"):
        read_fitted(tmp_path, "a")
    (tmp_path / "a.json").write_text("[1")
    with pytest.raises(TrimError, match=r"a\.json: cannot be read"):
        read_numbers(tmp_path, "a")


@pytest.mark.parametrize("other", [None, FORMAT + 1])
def test_a_file_of_another_format_is_refused(tmp_path, other):
    write_fitted(tmp_path, "a", "standard", FITTED["a"])
    written = read_sealed(tmp_path / "a.json")
    write_sealed(tmp_path / "a.json", {**written, "format": other})
    with pytest.raises(TrimError, match=r"a\.json: fitted by another version of trim; .* run Snakemake again$"):
        read_fitted(tmp_path, "a")


class Trial:
    """A validation split on which more expensive policies spend less."""

    def __init__(self, model):
        self.model = model

    def __call__(self, policies):
        return {name: Outcome(0.5, 1 / (1 + float(name))) for name in policies}

    def calibration(self, kind):
        return self.model


def decisions(rng, n, t):
    scores, strong = rng.random((n, t + 1)), rng.random((n, t)) < 0.3
    drafts = np.where(np.pad(strong, ((0, 0), (0, 1))), rng.random((n, t + 1)), scores)
    problem = Problem("p", "q", "1", "test")
    tokens = rng.integers(1, 9, (n, t + 1))
    unknown = np.full_like(drafts, np.nan)
    observation = [("s",)] * n, [b"n"] * n, scores, tokens, unknown[:, 0], drafts, unknown, unknown, tokens, strong
    return Observation([problem] * n, *observation, np.zeros((n, 0)))


@given(step_models(bins=(4, 4)), st.integers(0, 999), st.sampled_from(["pair", "score"]))
@settings(max_examples=10, deadline=None)
def test_a_fitted_policy_survives_its_file_and_decides_by_its_belief(tmp_path_factory, model, seed, observation):
    folder = tmp_path_factory.mktemp("fits")
    params = TrimPomdp.Params(costs=[1, 5, 20], observation=observation)
    fitted = TrimPomdp(params).fit(Trial(model), [0.1, 0.3])
    write_fitted(folder, "trim_pomdp", "standard", fitted)
    policies = TrimPomdp(params, read_fitted(folder, "trim_pomdp")).policies()
    assert list(map(str, policies)) == ["cost=20", "cost=5", "cost=1", "budget=0.1", "budget=0.3"]
    batch = decisions(np.random.default_rng(seed), 30, 1)
    in_memory = TrimPomdp(params, fitted).policies()
    for setting, policy in policies.items():
        expected = in_memory[setting].decide(Phase.DRAFTED, batch)
        np.testing.assert_array_equal(policy.decide(Phase.DRAFTED, batch), expected)
    # By hand: what is regenerated gains more than it costs, as the plan values it.
    model = model.on_scores() if observation == "score" else model
    belief = filtered(model, history(batch))
    vectors = fitted["plan"]["vectors"][2, 1].T
    value = [(s.reshape(30, -1) @ vectors).max(axis=1) for s in (model.accept(belief), model.regenerate(belief))]
    expected = value[1] - 20 * batch.tokens[:, -1] > value[0]
    np.testing.assert_array_equal(
        policies[Setting("cost", 20)].decide(Phase.DRAFTED, batch) == Action.REWRITE, expected
    )


def test_the_papers_restriction_only_ever_forbids():

    rng = np.random.default_rng(0)
    observation = decisions(rng, 400, 2)
    free, bound = (
        TrimPomdp(p, TrimPomdp(p).fit(Trial(published_model()), [0.1])).policies()[Setting("cost", 0.1)]
        for p in (
            TrimPomdp.Params(costs=[0.1, 0.5], observation="pair", tracker="latest", restriction=restriction)
            for restriction in (None, 0.4)
        )
    )
    free, bound = (policy.decide(Phase.DRAFTED, observation) == Action.REWRITE for policy in (free, bound))
    assert not (bound & ~free).any()
    assert (free & ~bound).any()
