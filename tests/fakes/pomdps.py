"""POMDPs of any shape."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from trim.pomdp.model import StepModel


@st.composite
def step_models(draw, steps: int | None = None, bins: tuple[int, int] | None = None, classes=(1, 2)) -> StepModel:
    """Random POMDPs, small enough to enumerate."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    z, k = draw(st.sampled_from(classes)), steps or draw(st.integers(2, 4))
    shape = bins or (draw(st.integers(1, 3)), draw(st.integers(2, 4)))
    return StepModel(
        observation=rng.dirichlet(np.full(shape[0] * shape[1], 0.7), 3).reshape(3, *shape),
        prior=rng.dirichlet(np.ones(z)),
        p_weak=rng.uniform(0.3, 0.95, z),
        p_strong=rng.uniform(0.5, 1, z),
        hazard=np.concatenate([rng.uniform(0, 0.7, (z, k - 1)), np.ones((z, 1))], axis=1),
        tokens=float(rng.uniform(0.5, 2)),
    )
