"""Settings of sampling that are legal as a double and nothing as a float."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trim.models.base import Prefix
from trim.models.sampler import penalise, sample
from trim.models.settings import Sampling

LOGITS = torch.from_numpy(np.random.default_rng(0).normal(scale=30, size=(8, 200))).float()
UNIFORM = np.linspace(0, 1, 8, endpoint=False)
exponents = st.floats(-323, -5, exclude_max=True)


@given(exponents)
def test_a_temperature_near_zero_takes_the_most_probable_token(exponent):
    for sampling in (Sampling(temperature=10**exponent), Sampling().of(Prefix("q", temperature=10**exponent))):
        assert torch.equal(sample(LOGITS, UNIFORM, sampling), LOGITS.argmax(-1))


@given(exponents, st.sampled_from([0.1, 1.0, 10.0]))
def test_a_share_near_zero_takes_the_most_probable_token(exponent, temperature):
    sampling = Sampling(temperature=temperature, top_k=None).of(Prefix("q", top_p=10**exponent))
    assert torch.equal(sample(LOGITS, UNIFORM, sampling), LOGITS.argmax(-1))


@given(st.floats(0, 10), st.floats(0, 1, exclude_min=True), st.floats(0.01, 10))
def test_no_legal_setting_draws_a_token_that_top_k_forbids(temperature, top_p, penalty):
    sampling = Sampling(temperature=temperature, top_p=top_p, top_k=5, repetition_penalty=penalty)
    logits = penalise(LOGITS, torch.ones_like(LOGITS, dtype=torch.bool), sampling.repetition_penalty)
    drawn = sample(logits, UNIFORM, sampling)
    assert all(token in row.topk(5).indices for token, row in zip(drawn, logits, strict=True))


@given(st.floats(1e-5, 10), st.floats(1e-6, 1))
def test_usual_settings_stay_as_they_are(temperature, top_p):
    """Draws are filed under them."""
    sampling = Sampling(temperature=temperature, top_p=top_p)
    assert (sampling.temperature, sampling.top_p) == (temperature, top_p)
    assert Sampling().of(Prefix("q", temperature=temperature, top_p=top_p)) == sampling


def test_a_penalty_that_a_float_does_not_hold_is_refused():
    with pytest.raises(ValueError, match=r"greater than or equal to 0\.01"):
        Sampling(repetition_penalty=1e-320)
