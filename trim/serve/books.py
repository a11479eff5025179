"""The books of a server: its accounts' spending, and the possible cost of answers under way.

An answer is admitted if the money spent and reserved is below the cap; then its maximal cost is reserved until it ends.
So, whatever runs at once, all requests but the last admitted one are within the cap. A step's cost is recorded when the
step is complete: a kill or a client that leaves loses at most the step under way.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from trim.engine.budget import Account
from trim.engine.episode import Turn
from trim.engine.policy import Policy
from trim.ledger.calls import PAYERS, Role
from trim.models.cost import ModelCost
from trim.serve.answers import spent
from trim.serve.errors import ApiError
from trim.serve.jobs import Job
from trim.serve.store import ServerStore

_FRAME = 200  # tokens around a prompt, of a chat template or the question to a rater


class Books:
    """The accounts; `open` may be called from any thread, the rest from the scheduler's.

    Args:
        accounts: the accounts; their earlier spending is read from the store.
        store: the record of spending. A failed write is repeated with the next step.
        costs: prices of each model.
        count: called with the tokens, by role and kind, and the money of all work that is charged.

    Raises:
        TrimError: if an account's record in the store is damaged.
    """

    def __init__(
        self,
        accounts: Iterable[Account],
        store: ServerStore,
        costs: Mapping[str, ModelCost],
        count: Callable[[Mapping[Role, Mapping[str, int]], float], None],
    ) -> None:
        self._store, self._costs, self._count, self._accounts = store, costs, count, list(accounts)
        self._reserved: dict[Job, float] = {}
        self._due: dict[Job, Turn | None] = {}
        self._ended: list[Job] = []
        self._lock = threading.Lock()
        for account in self._accounts:
            account.strong, account.whole, account.money, account.answers = store.spent(account.name)
        self._written = {account.name: _amounts(account) for account in self._accounts}

    def reserved(self, account: Account) -> float:
        """Money reserved for an account's answers under way."""
        return sum(money for job, money in self._reserved.copy().items() if job.account is account)

    def open(self, jobs: Sequence[Job], most: float) -> None:
        """Reserve the maximal cost of each answer of a request.

        Raises:
            ApiError: if the cap is used up, or may be used up by the requests under way.
        """
        account = jobs[0].account
        if account.cap is None:
            return
        with self._lock:
            if account.exhausted:
                raise ApiError(429, f"{account.name}: all of {account.cap:g} is spent", "insufficient_quota")
            if account.money + self.reserved(account) >= account.cap:
                message = f"{account.name}: requests under way may use up the rest of {account.cap:g}; try again later"
                raise ApiError(429, message, "quota_reserved", retry_after=1)
            self._reserved.update(dict.fromkeys(jobs, most))

    def note(self, job: Job, turn: Turn | None = None) -> None:
        """Record work on a job.

        Args:
            job: the job.
            turn: the step that is not in the solution yet, or the verdict.
        """
        self._due[job] = turn

    def close(self, job: Job) -> None:
        """Record the end of a job."""
        self._ended.append(job)

    def settle(self) -> None:
        """Charge the work since the last call, and release the reservations of ended jobs."""
        due, ended, self._due, self._ended = self._due, self._ended, {}, []
        if not (due or ended):
            return
        calls = [[*job.episode.calls, *(turn.calls if turn else ())] for job, turn in due.items()]
        tokens, costs = spent([made[job.charged :] for job, made in zip(due, calls, strict=True)], self._costs)
        self._count(tokens, sum(costs))
        with self._lock:
            for job, made, more in zip(due, calls, costs, strict=True):
                job.charged = len(made)
                job.account.money += more
                if job in self._reserved:
                    self._reserved[job] = max(0.0, self._reserved[job] - more)
            for job in ended:
                self._reserved.pop(job, None)
        self.write({job.account.name: job.account for job in due}.values())

    def write(self, accounts: Iterable[Account] | None = None) -> None:
        """Record the accounts' spending (by default of all) since the last record."""
        for account in self._accounts if accounts is None else accounts:
            now, before = _amounts(account), self._written[account.name]
            strong, whole, money, answers = (new - old for new, old in zip(now, before, strict=True))
            if now != before and self._store.spend(account.name, strong, whole, money, int(answers)):
                self._written[account.name] = now


@dataclass(frozen=True)
class Size:
    """The maximal size of an answer.

    Attributes:
        prompt: tokens of the conversation.
        steps: steps.
        length: tokens of a step.
        tokens: the answer ends before the step that exceeds them (this step is written too); None for no limit.
    """

    prompt: int
    steps: int
    length: int
    tokens: int | None


def most_of_answer(policy: Policy, size: Size, costs: Mapping[str, ModelCost], servers: Collection[str]) -> float:
    """The maximal cost of an answer in money.

    Args:
        policy: the policy.
        size: the answer's size.
        costs: prices of each model.
        servers: the models behind servers, which may bill the whole prompt of every call; others read a token once.
    """
    steps, whole = size.steps, size.steps * size.length
    if size.tokens is not None:
        steps, whole = min(steps, size.tokens + 1), min(whole, size.tokens + size.length)
    raters = [rater for rater in (policy.rater, policy.second) if rater]
    calls = Counter({"weak": steps * (1 + policy.glimpses), "strong": steps})
    for rater in raters:
        calls[PAYERS.get(rater, "weak")] += steps
    if policy.verifier:
        calls[PAYERS[policy.verifier]] += policy.samples if policy.verifier == "self" else 1
    # A rater with its own question reads the whole text each time.
    again = {*servers, *(PAYERS[rater] for rater in (*raters, policy.verifier) if rater in ("grade", "self"))}
    most = 0.0
    for role, count in calls.items():
        once = size.prompt + 2 * whole + _FRAME
        read = count * (size.prompt + whole + size.length + _FRAME) if role in again else once
        most += float(costs[role].money(read, 0, 0 if role == "prm" else count * size.length))
    return most


def _amounts(account: Account) -> tuple[float, float, float, int]:
    return account.strong, account.whole, account.money, account.answers
