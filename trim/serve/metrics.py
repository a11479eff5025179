"""Counts and times of a server, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from trim.engine.budget import Account
from trim.engine.episode import Step

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """All metrics of one server, in a registry of their own."""

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
        self._first = histogram("first_step_seconds", "Time until the first step of an answer was told.")
        self._steps = counter("steps", "Steps that stand, by router and writer.", "router", "writer")
        self._rejected = counter("rejected_drafts", "Weak drafts that were thrown away, by router.", "router")
        self._tokens = counter("tokens", "Tokens that models read, found in their cache, and wrote.", "role", "kind")
        self._money = counter("money", "Money that the models cost, at the prices of the experiment.")
        self._whole = counter(
            "always_strong_tokens", "Tokens that always-strong would have written, by router.", "router"
        )
        self._strong = counter("strong_tokens", "Tokens that the strong model wrote, by router.", "router")
        self._made = counter("made", "Steps and scores that models made; others were kept from before.", "what")
        self._without = counter("without", "Steps that went on without a model that could not be reached.", "role")
        self._stopped = counter("budget_stops", "Steps that the budget kept from the strong model.", "account")
        self._gone = counter("disconnects", "Requests whose client was gone before their end.")
        self._open = gauge("open_answers", "Answers that are made at this moment.")
        self._waiting = gauge("waiting_answers", "Answers that wait for a place.")
        self._stage = histogram("stage_seconds", "Time of one batch of a stage of the rounds.", "stage")
        self._rows = counter("stage_rows", "Steps in the batches of a stage.", "stage")
        self._own = counter("own_seconds", "Time that the server itself took, for scheduling, deciding and telling.")
        self._share = gauge("strong_share", "Share of always-strong's tokens that an account has spent.", "account")
        self._told = gauge("budget_told", "The budget that the next request of an account is told.", "account")

    def text(self) -> bytes:
        """All metrics in Prometheus' format."""
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
        """How many answers are made, and how many wait."""
        self._open.set(running)
        self._waiting.set(waiting)

    def made(self, what: str, count: int) -> None:
        """A model made steps (generated) or scores (scored) that were not kept from before."""
        self._made.labels(what).inc(count)

    def request(self, path: str, model: str, status: int, seconds: float) -> None:
        """One more request is done."""
        self._requests.labels(path, model, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def first_step(self, seconds: float) -> None:
        """The first step of an answer was told."""
        self._first.observe(seconds)

    def gone(self) -> None:
        """A client hung up."""
        self._gone.inc()

    def step(self, router: str, step: Step, account: str) -> None:
        """One more step stands."""
        self._steps.labels(router, step.writer).inc()
        self._whole.labels(router).inc(step.tokens)
        self._strong.labels(router).inc(step.strong_tokens)
        if step.draft is not None:
            self._rejected.labels(router).inc()
        if step.without == "budget":
            self._stopped.labels(account).inc()

    def went_on_without(self, role: str) -> None:
        """A step goes on without a model that cannot be reached."""
        self._without.labels(role).inc()

    def spent(self, tokens: Mapping[str, Mapping[str, int]], money: float) -> None:
        """What an answer took, by role and kind."""
        for role, counts in tokens.items():
            for kind in ("read", "cached", "written"):
                self._tokens.labels(role, kind).inc(counts[kind])
        self._money.inc(money)

    def account(self, account: Account) -> None:
        """How an account stands."""
        self._share.labels(account.name).set(account.share)
        if account.budget is not None:
            self._told.labels(account.name).set(account.told)
