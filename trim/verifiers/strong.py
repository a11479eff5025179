"""The mean log-probability of the draft under the strong model, which reads it."""

from __future__ import annotations

from trim.verifiers.base import Verifier, given

VERIFIER = Verifier("strong log-probability", given(lambda seen: seen.tree.logprobs("strong", seen.points)), "strong")
