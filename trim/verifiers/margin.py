"""The least margin in log-probability between a token of the draft and the next best one."""

from __future__ import annotations

from trim.verifiers.base import Verifier, given

VERIFIER = Verifier("least margin", given(lambda seen: seen.states.statistics[:, 2]))
