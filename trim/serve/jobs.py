"""What the scheduler is given to do, and what it tells of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from trim.engine.budget import Account
from trim.engine.episode import Episode, Step, Turn
from trim.engine.policy import Policy
from trim.evaluation.costs import ROLES
from trim.models.base import Draft
from trim.serve.errors import ApiError
from trim.serve.text import Finish, Text


@dataclass(eq=False)
class Job:
    """A request, or one of its answers, on its way through the rounds.

    Attributes:
        episode: its episode.
        policy: who decides.
        text: its text so far, None where only a verdict on `draft` is wanted.
        draft: see above.
        account: who pays.
        router: the router's name.
        tell: takes events: a step with the text that can be given out, or how it ended.
        deadline: `time.monotonic()` at which it is given up.
        shown: number of steps that were told.
        prompts: tokens of each model's prompt.
        charged: money that its account was charged.
    """

    episode: Episode
    policy: Policy
    text: Text | None
    draft: Draft | None
    account: Account
    router: str
    tell: Callable[[Event], None]
    deadline: float
    shown: int = 0
    prompts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ROLES, 0))
    charged: float = 0.0


@dataclass(frozen=True)
class Event:
    """What happened to a job: one more step, or its end.

    Attributes:
        step: the step.
        text: what of the text can be given out now.
        finish: how the answer ended, None as long as it goes on.
        error: why it failed, None if it did not.
        verdict: the turn with the verdict that was wanted.
    """

    step: Step | None = None
    text: str = ""
    finish: Finish | None = None
    error: ApiError | None = None
    verdict: Turn | None = None
