"""Verifiers that only the weak model is asked for: statistics of its draft, which are free, and further samples."""

from __future__ import annotations

import numpy as np

from trim.engine.rounds import write_steps
from trim.verifiers.verifier import SAMPLES, Seen, Verifier, given


def _agreement(seen: Seen) -> np.ndarray:
    """The share of further samples of the step that are the same text as the draft."""
    nodes = seen.tree.prefixes(seen.points)
    drafts = [node.prefix.steps[-1] for node in seen.tree.drafted(seen.points)]
    same = [[a == b.text for a, b in zip(drafts, write_steps(model, nodes), strict=True)] for model in seen.samples]
    return np.mean(same, axis=0)


# The columns of `StepStates.statistics`: log-probability (mean, least), margin to the next best token, first entropy.
VERIFIERS = {
    "mean": Verifier("mean log-probability", given(lambda seen: seen.states.statistics[:, 0])),
    "least": Verifier("least log-probability", given(lambda seen: seen.states.statistics[:, 1])),
    "margin": Verifier("least margin", given(lambda seen: seen.states.statistics[:, 2])),
    "entropy": Verifier("entropy of the first token", given(lambda seen: -seen.states.statistics[:, 3])),  # GlimpRouter
    "agreement": Verifier(f"agreement of {SAMPLES} samples", given(_agreement), "weak", SAMPLES),
}
