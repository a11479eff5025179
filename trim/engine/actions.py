"""The actions of a policy, and where each leads: the step loop as a table."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, get_args


class Phase(IntEnum):
    """The moments at which a policy decides."""

    START = 0  # before a step is drafted
    DRAFTED = 1  # the weak model's draft is there, with the score that the policy asks for
    READ = 2  # the second rater has read it too
    ENDED = 3  # a whole weak solution is there, with its verification


class Action(IntEnum):
    """The decisions."""

    DRAFT = 0  # the weak model drafts the step
    DELEGATE = 1  # the strong model writes it unseen
    ACCEPT = 2  # the draft, or the whole solution, is kept
    READ = 3  # the second rater reads the draft before it is judged
    REWRITE = 4  # the strong model writes the step in place of the draft
    RESTART = 5  # the strong model solves the problem again


# An episode waits for one model at a time: for a draft's first token, a draft, its score, a second opinion, the strong
# model's step, or the verification of a whole solution.
Stage = Literal["glimpse", "draft", "score", "read", "rewrite", "verify"]
STAGES: tuple[Stage, ...] = get_args(Stage)

# What the episode waits for next; None: the step, or the solution, is accepted.
NEXT: dict[tuple[Phase, Action], Stage | None] = {
    (Phase.START, Action.DRAFT): "draft",
    (Phase.START, Action.DELEGATE): "rewrite",
    (Phase.DRAFTED, Action.ACCEPT): None,
    (Phase.DRAFTED, Action.READ): "read",
    (Phase.DRAFTED, Action.REWRITE): "rewrite",
    (Phase.READ, Action.ACCEPT): None,
    (Phase.READ, Action.REWRITE): "rewrite",
    (Phase.ENDED, Action.ACCEPT): None,
    (Phase.ENDED, Action.RESTART): "rewrite",
}
# The action of a policy that has no opinion: the weak model solves the problem alone.
USUAL = {Phase.START: Action.DRAFT, Phase.DRAFTED: Action.ACCEPT, Phase.READ: Action.ACCEPT, Phase.ENDED: Action.ACCEPT}
