"""Priced reading: routers for which the strong model's reading of a draft is an action with a price.

The names here need no library, so that an experiment is checked quickly.
"""

from __future__ import annotations

from typing import Literal

Currency = Literal["strong_tokens", "flops", "money"]
Evidence = Literal["weak", "prm"]  # the weak model's log-probability of its draft, and the reward model's score
# Before a draft, let the strong model write without one; then accept, verify or rewrite the draft.
ActionName = Literal["delegate", "accept", "verify", "rewrite"]
