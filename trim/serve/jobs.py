"""Jobs of the scheduler, and their events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trim.engine.budget import Account
from trim.engine.episode import Episode, Step, Turn
from trim.engine.policy import Policy
from trim.models.base import Draft
from trim.serve.errors import ApiError
from trim.serve.text import Finish, Text


@dataclass(eq=False)
class Job:
    """A request, or one of its answers, on its way through the rounds.

    Attributes:
        episode: its episode.
        policy: the policy.
        text: its text so far, None if only a verdict on `draft` is requested.
        draft: see above.
        account: the account that pays.
        router: the router's name.
        tell: called with events: a step with the text that can be sent, or the job's end.
        deadline: `time.monotonic()` at which it is cancelled.
        shown: number of reported steps.
        charged: number of its calls that are charged to its account.
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
    charged: int = 0


@dataclass(frozen=True)
class Event:
    """An event of a job: one more step, or its end.

    Attributes:
        step: the step.
        text: the part of the text that can be sent now.
        finish: the answer's finish reason, None while it goes on.
        error: the reason for a failure, None if there is none.
        verdict: the turn with the requested verdict.
    """

    step: Step | None = None
    text: str = ""
    finish: Finish | None = None
    error: ApiError | None = None
    verdict: Turn | None = None
