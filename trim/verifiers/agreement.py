"""The share of further weak samples of the step that agree with the draft."""

from __future__ import annotations

import numpy as np

from trim.engine.rounds import write_steps
from trim.verifiers.base import SAMPLES, Seen, Verifier, given


def _share(seen: Seen) -> np.ndarray:
    nodes = seen.tree.prefixes(seen.points)
    own = [node.prefix.steps[-1] for node in seen.tree.drafted(seen.points)]
    same = [[a == b.text for a, b in zip(own, write_steps(model, nodes), strict=True)] for model in seen.samples]
    return np.mean(same, axis=0)


VERIFIER = Verifier(f"agreement of {SAMPLES} samples", given(_share), "weak", SAMPLES)
