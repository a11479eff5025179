"""The mean log-probability of the draft under the weak model, which is free."""

from __future__ import annotations

from trim.verifiers.base import Verifier, given

VERIFIER = Verifier("mean log-probability", given(lambda seen: seen.states.statistics[:, 0]))
