"""Turns of the server's rounds: the models that they wait for, and their failures."""

from __future__ import annotations

from typing import Literal

from trim.engine.actions import Stage
from trim.engine.episode import Episode, Turn
from trim.engine.rounds import rater_at
from trim.errors import TrimError
from trim.ledger.calls import PAYERS, Role
from trim.models.base import Draft
from trim.serve.errors import ApiError

NAMES = {"weak": "weak model", "strong": "strong model", "prm": "reward model"}


def role_of(stage: Stage, turn: Turn) -> Role | Literal[""]:
    """The role of the model that a turn waits for; empty for a verdict that needs no rating."""
    if stage in ("score", "read"):
        rater = rater_at(stage, turn)
        return PAYERS.get(rater, "weak") if rater else ""
    if stage == "verify":
        return PAYERS[str(turn.policy.verifier)]
    return "weak" if stage in ("glimpse", "draft") else "strong"


def unfinished(stage: str, turn: Turn) -> Turn | None:
    """The turn, unless its step is already in the solution, which is then being verified."""
    return None if stage == "verify" else turn


def place(stage: Stage, turn: Turn) -> tuple[str, ...]:
    """The key shared by turns that need the same result."""
    draft = turn.draft.text if stage in ("score", "read") and turn.draft else ""
    return stage, str(rater_at(stage, turn)), turn.episode.node.path[-1].hex(), draft


def cut(stands: Draft | None, episode: Episode, max_steps: int) -> bool:
    """True if a solution ended because there was no more room."""
    return bool(stands and stands.stop == "length") or (
        len(episode.steps) >= max_steps and bool(stands and stands.stop == "separator")
    )


def unexpected(error: Exception) -> ApiError:
    """The error for a failure that is not the request's fault."""
    message = str(error) if isinstance(error, TrimError) else f"unexpected {type(error).__name__}"
    return ApiError(500, message, "internal_error")
