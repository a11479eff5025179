"""The log-probability of the least likely token of the draft, which comes with it for nothing."""

from __future__ import annotations

from trim.verifiers.base import Verifier, given

VERIFIER = Verifier("least log-probability", given(lambda seen: seen.states.statistics[:, 1]))
