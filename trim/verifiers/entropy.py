"""The entropy of the draft's first token, as in GlimpRouter."""

from __future__ import annotations

from trim.verifiers.base import Verifier, given

VERIFIER = Verifier("entropy of the first token", given(lambda seen: -seen.states.statistics[:, 3]))
