"""Counts and times of a server, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from trim.engine.budget import Account
from trim.engine.episode import Step
from trim.ledger.calls import Role

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """The metrics of one server, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"trim_{name}", text, labels, registry=self.registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"trim_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(f"trim_{name}", text, labels, registry=self.registry, buckets=_SECONDS)

        self._requests = counter("requests", "Requests by path, model and status.", "path", "model", "status")
        self._seconds = histogram("request_seconds", "Time of a request.", "path")
        self._first = histogram("first_step_seconds", "Time to the first step of an answer.")
        self._steps = counter("steps", "Accepted steps, by router and writer.", "router", "writer")
        self._rejected = counter("rejected_drafts", "Discarded weak drafts, by router.", "router")
        self._tokens = counter("tokens", "Tokens read by models, found in their cache, and written.", "role", "kind")
        self._money = counter("money", "Cost of the models in money, at the prices of the experiment.")
        self._whole = counter(
            "always_strong_tokens", "Tokens that always-strong would have written, by router.", "router"
        )
        self._strong = counter("strong_tokens", "Tokens that the strong model wrote, by router.", "router")
        self._made = counter("made", "Steps and scores made by models, without those from the store.", "what")
        self._without = counter("without", "Steps made without a model that could not be reached.", "role")
        self._stopped = counter("budget_stops", "Steps denied to the strong model by the budget.", "account")
        self._gone = counter("disconnects", "Requests whose client left before their end.")
        self._open = gauge("open_answers", "Answers in progress.")
        self._waiting = gauge("waiting_answers", "Waiting answers.")
        self._stage = histogram("stage_seconds", "Time of one batch of a stage of the rounds.", "stage")
        self._rows = counter("stage_rows", "Steps in the batches of a stage.", "stage")
        self._own = counter("own_seconds", "Time of the server itself, for scheduling, deciding and reporting.")
        self._share = gauge("strong_share", "Share of always-strong's tokens spent by an account.", "account")
        self._told = gauge("budget_told", "The budget of an account's next request.", "account")

    def text(self) -> bytes:
        """The metrics in Prometheus' format."""
        return generate_latest(self.registry)

    @contextmanager
    def own_time(self) -> Iterator[None]:
        """Count the time of a block as the server's own."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._own.inc(time.perf_counter() - start)

    @contextmanager
    def stage(self, name: str, rows: int) -> Iterator[None]:
        """Time one batch of a stage."""
        self._rows.labels(name).inc(rows)
        with self._stage.labels(name).time():
            yield

    def open(self, running: int, waiting: int) -> None:
        """Record the numbers of running and waiting answers."""
        self._open.set(running)
        self._waiting.set(waiting)

    def made(self, what: str, count: int) -> None:
        """Count steps (generated) or scores (scored) that a model made, without those from the store."""
        self._made.labels(what).inc(count)

    def request(self, path: str, model: str, status: int, seconds: float) -> None:
        """Count a finished request."""
        self._requests.labels(path, model, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def first_step(self, seconds: float) -> None:
        """Record the time to an answer's first step."""
        self._first.observe(seconds)

    def gone(self) -> None:
        """Count a client that hung up."""
        self._gone.inc()

    def step(self, router: str, step: Step, account: str) -> None:
        """Count an accepted step."""
        self._steps.labels(router, step.writer).inc()
        self._whole.labels(router).inc(step.tokens)
        self._strong.labels(router).inc(step.strong_tokens)
        if step.draft is not None:
            self._rejected.labels(router).inc()
        if step.without == "budget":
            self._stopped.labels(account).inc()

    def went_on_without(self, role: str) -> None:
        """Count a step without a model that cannot be reached."""
        self._without.labels(role).inc()

    def spent(self, tokens: Mapping[Role, Mapping[str, int]], money: float) -> None:
        """Count the cost of an answer, by role and kind."""
        for role, counts in tokens.items():
            for kind in ("read", "cached", "written"):
                self._tokens.labels(role, kind).inc(counts[kind])
        self._money.inc(money)

    def account(self, account: Account) -> None:
        """Record the state of an account."""
        self._share.labels(account.name).set(account.share)
        if account.budget is not None:
            self._told.labels(account.name).set(account.told)
