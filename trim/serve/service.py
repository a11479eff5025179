"""The server's work without HTTP: requests in, events out, and the books."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from trim.engine.budget import Account, Capped
from trim.engine.episode import Episode, Step
from trim.engine.policy import Policy
from trim.engine.store import Node
from trim.experiment.runner import Runner
from trim.models.base import Draft
from trim.problems import Problem
from trim.serve.answers import Bill, Head, bill
from trim.serve.books import Books, Size, most_of_answer
from trim.serve.errors import ApiError, refused
from trim.serve.jobs import Event, Job
from trim.serve.metrics import Metrics
from trim.serve.points import DEFAULT, Point, Points
from trim.serve.requests import ChatRequest, Conversation, DecisionRequest
from trim.serve.scheduler import Scheduler
from trim.serve.settings import Keys, Limits
from trim.serve.store import ServerStore
from trim.serve.text import Text
from trim.solve import check_question
from trim.steps import approximate_tokens


@dataclass
class Call:
    """A request under way.

    Attributes:
        head: the common part of its chunks.
        jobs: its answers, or the one verdict.
        account: the account that pays.
        arrived: `time.monotonic()` of its arrival.
        events: events of its answers, by their numbers.
    """

    head: Head
    jobs: list[Job]
    account: Account
    arrived: float
    events: asyncio.Queue[tuple[int, Event]]


class _Outbox:
    """Passes events from the scheduler's thread to the loop's, many at a time, since waking a loop is expensive."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._events, self._called = loop, deque[tuple[asyncio.Queue, Any]](), False

    def put(self, to: asyncio.Queue, event: Any) -> None:
        """Add an event; called in the scheduler's thread."""
        self._events.append((to, event))
        if not self._called:
            self._called = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._called = False  # before the events are taken, so that none is lost
        while self._events:
            to, event = self._events.popleft()
            to.put_nowait(event)


class Service:
    """Takes requests and keeps the books.

    Args:
        runner: the models, over the store of draws and answers.
        points: the operating points.
        keys: the clients' keys.
        limits: limits of work at once.
        metrics: the metrics.
    """

    def __init__(
        self, runner: Runner[ServerStore], points: Points, keys: Keys, limits: Limits, metrics: Metrics
    ) -> None:
        self.params, self.store, self.points = runner.params, runner.draws, points
        self.keys, self.limits, self.metrics = keys, limits, metrics
        self._costs = runner.costs()
        self.books = Books(keys.accounts, self.store, self._costs, self.metrics.spent)
        self.scheduler = Scheduler(runner, limits, self.metrics, self.books)
        self._open = 0
        self._outbox: _Outbox | None = None

    def ask(self, request: ChatRequest, account: Account) -> Call:
        """Accept a request for an answer.

        Raises:
            ApiError: if it is refused.
        """
        sampling = self.params.generation.sampling
        temperature = None if request.temperature == sampling.temperature else request.temperature
        top_p = None if request.top_p == sampling.top_p else request.top_p
        prefix = request.prefix(sampling.separator, temperature, top_p)
        count, seed = request.n or 1, "" if request.seed is None else str(request.seed)
        roots = [Node.of(prefix, seed if i == 0 else f"{seed}.{i}") for i in range(count)]
        texts = [Text(sampling.separator, request.stop, request.most_tokens) for _ in roots]
        return self._call(request, account, roots, texts)

    def decide(self, request: DecisionRequest, account: Account) -> Call:
        """Accept a request for a verdict.

        Raises:
            ApiError: if it is refused.
        """
        self._check_solution(request)
        root = Node.of(request.prefix(self.params.generation.sampling.separator))
        return self._call(request, account, [root], [None])

    def _check_solution(self, request: DecisionRequest) -> None:
        """Refuse a solution that is longer than possible."""
        generation = self.params.generation
        if len(request.steps) >= generation.max_steps:
            raise refused("steps", f"{len(request.steps)} given; a solution has at most {generation.max_steps}")
        most = generation.sampling.max_step_tokens
        given = [("draft", request.draft)]
        given += [("steps", text) for step in request.steps for text in (step.text, step.draft) if text]
        for name, text in given:
            if approximate_tokens(text) > most:
                raise refused(name, f"a step of {len(text):,} characters is too long; it has at most {most} tokens")

    def _call(
        self, request: Conversation, account: Account, roots: Sequence[Node], texts: Sequence[Text | None]
    ) -> Call:
        point = self.points.find(request.model)
        self._check(request, len(roots))
        events = asyncio.Queue[tuple[int, Event]]()
        outbox = self._outbox = self._outbox or _Outbox(asyncio.get_running_loop())

        def tell(number: int, event: Event) -> None:
            outbox.put(events, (number, event))

        arrived = time.monotonic()
        head = Head(f"chatcmpl-{secrets.token_hex(16)}", int(time.time()), point)
        jobs = []
        for number, (root, text) in enumerate(zip(roots, texts, strict=True)):
            problem = Problem(head.id, root.prefix.question, "", "test")
            episode, draft = Episode(problem, 0, root, root), None
            if isinstance(request, DecisionRequest):
                draft = _standing(episode, request)
            policy = self._policy(request.model, point, account, stops=text is not None)
            deadline = arrived + self.limits.seconds
            jobs.append(Job(episode, policy, text, draft, account, point.router, partial(tell, number), deadline))
        self.books.open(jobs, self._most(request, jobs[0].policy))
        self._open += len(jobs)
        self.scheduler.submit(jobs)
        return Call(head, jobs, account, arrived, events)

    def _most(self, request: Conversation, policy: Policy) -> float:
        """The maximal cost of one answer; a prompt's tokens are bounded by its characters."""
        generation, prompt = self.params.generation, sum(len(message.content) for message in request.messages)
        most_tokens = request.most_tokens if isinstance(request, ChatRequest) else None
        size = Size(prompt, generation.max_steps, generation.sampling.max_step_tokens, most_tokens)
        servers = [role for role, model in self.params.models if model.server]
        return most_of_answer(policy, size, self._costs, servers)

    def _check(self, request: Conversation, answers: int) -> None:
        if self._open + answers > self.limits.running + self.limits.waiting:
            raise ApiError(429, "too many requests at once; try again later", "overloaded", retry_after=1)
        try:
            check_question(self.params, request.messages[-1].content, len(request.messages) > 1)
        except Exception as error:
            raise ApiError(400, str(error), "unknown_question", "messages") from error

    def _policy(self, model: str, point: Point, account: Account, stops: bool) -> Policy:
        """The policy of a request; a verdict alone needs no limit by the budget."""
        if account.budget is None:
            return point.policy
        steered = point.at_budget if model == DEFAULT else None
        policy = steered(account.told) if steered else point.policy
        return Capped(policy, account) if stops else policy

    async def events(self, call: Call) -> AsyncGenerator[tuple[int, Event]]:
        """The events of a call until its end; a call that is left earlier is cancelled.

        Raises:
            ApiError: if an answer fails.
        """
        ended, first = 0, True
        try:
            while ended < len(call.jobs):
                number, event = await call.events.get()
                if first and event.step:
                    first = False
                    self.metrics.first_step(time.monotonic() - call.arrived)
                if event.error:
                    raise event.error
                ended += event.finish is not None or event.verdict is not None
                yield number, event
        finally:
            self._open -= len(call.jobs)
            if ended < len(call.jobs):
                self.scheduler.cancel(call.jobs)
                self.metrics.gone()

    def close(self, call: Call) -> list[Bill]:
        """The bill of each answer of a call, however it ended."""
        self.metrics.account(call.account)
        return [bill(job.episode, self._costs) for job in call.jobs]


def _standing(episode: Episode, request: DecisionRequest) -> Draft:
    """Put the given steps into an episode; returns the draft. Lengths are estimates until they are read."""
    for given in request.steps:
        episode.node = episode.node.child(given.text)
        tokens, drafted = approximate_tokens(given.text), approximate_tokens(given.draft or given.text)
        episode.steps.append(Step(given.writer, given.text, tokens, given.draft, drafted))
        episode.scores.append(math.nan)
    return Draft(request.draft, approximate_tokens(request.draft), "separator")
