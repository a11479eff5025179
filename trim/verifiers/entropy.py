"""The entropy of the token that the draft begins with, as GlimpRouter takes it."""

from __future__ import annotations

from trim.verifiers.base import Verifier, given

VERIFIER = Verifier("entropy of the first token", given(lambda seen: -seen.states.statistics[:, 3]))
