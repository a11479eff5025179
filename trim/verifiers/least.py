"""The log-probability of the draft's least likely token, which is free."""

from __future__ import annotations

from trim.verifiers.base import Verifier, given

VERIFIER = Verifier("least log-probability", given(lambda seen: seen.states.statistics[:, 1]))
