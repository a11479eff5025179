"""The mean log-probability of the draft under the weak model, which comes with it for nothing."""

from __future__ import annotations

from trim.verifiers.base import Verifier, given

VERIFIER = Verifier("mean log-probability", given(lambda seen: seen.states.statistics[:, 0]))
