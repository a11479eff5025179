"""Continuous batching by steps: requests join the engine's rounds at any time, and leave when they are finished.

One thread owns the rounds: the caller of `run`. Models of this process work in it, each time on all waiting turns. A
model behind a server is called from a separate thread for every single step, so that a stalled answer delays no other.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from trim.engine.budget import Capped
from trim.engine.episode import Episode, Turn
from trim.engine.rounds import STAGES, Rounds, Stage
from trim.errors import TrimError, first_line
from trim.experiment.runner import Runner
from trim.serve.books import Books
from trim.serve.errors import ApiError
from trim.serve.health import PAUSE, Health
from trim.serve.jobs import Event, Job
from trim.serve.metrics import Metrics
from trim.serve.settings import Limits
from trim.serve.text import Finish
from trim.serve.turns import NAMES, cut, place, role_of, unexpected, unfinished

_THREADS = 4  # per running answer; after its client has left, an answer keeps one until its server answers
_STUCK = 60.0  # seconds that a batch may always take
_LOOK = 0.2  # seconds between two checks of the time when idle
_log = logging.getLogger(__name__)


class Scheduler:
    """Runs jobs; `submit`, `cancel` and `stop` may be called from any thread.

    Args:
        runner: the models.
        limits: limits of work at once, and the choice if a model cannot be reached.
        metrics: the metrics.
        books: the books, which charge the work.

    Attributes:
        alive: True while `run` is under way.
    """

    def __init__(self, runner: Runner, limits: Limits, metrics: Metrics, books: Books) -> None:
        self._limits, self._metrics, self._books = limits, metrics, books
        self._rounds: Rounds = runner.rounds(self._on_step)
        self._models, served = runner.models, dict(runner.params.models)
        self._served = {role for role, model in served.items() if model.server}
        self._contexts = {
            role: (served[role].server or served[role].engine).context or model.context
            for role, model in self._models.items()
        }
        self._health = {role: Health() for role in served}
        self._pool = ThreadPoolExecutor(_THREADS * limits.running, "model") if self._served else None
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._backlog: deque[Job] = deque()
        self._jobs: dict[int, Job] = {}
        self._flying: dict[tuple[str, ...], list[Turn]] = {}
        self._told: list[tuple[Job, Event]] = []  # events of jobs, sent once they are charged
        self._left: dict[Turn, Job] = {}  # turns at a server, whose clients have left
        self.alive, self._stopping, self._ended = False, False, threading.Event()
        self._moved = time.monotonic()  # when the last batch began

    @property
    def moves(self) -> bool:
        """True if the rounds go on: `run` is under way, and no batch takes longer than an answer may."""
        return self.alive and time.monotonic() - self._moved < max(_STUCK, self._limits.seconds)

    def health(self) -> dict[str, str]:
        """The state of each model: in use, or paused since it could not be reached."""
        return {role: "down" if state.failing else "up" for role, state in self._health.items()}

    @property
    def refusing(self) -> bool:
        """True if a model is paused that the operator chose as indispensable."""
        down = [role for role, state in self.health().items() if state == "down"]
        return any(self._choice(role) == "refuse" for role in down)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Start jobs, in order, as soon as there is room."""
        self._inbox.put(lambda: self._backlog.extend(jobs))

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Cancel jobs; they get no further events."""

        def dropping() -> None:
            for job in jobs:
                self._drop(job)

        self._inbox.put(dropping)

    def stop(self) -> None:
        """End `run`, and wait until it has ended; work under way is abandoned."""

        def stopping() -> None:
            self._stopping = True

        self._inbox.put(stopping)
        self._ended.wait()

    # Everything below runs in the thread that calls `run`, except `_ask`.

    def run(self) -> None:
        """Work on jobs until `stop` is called.

        With local models it must be called in the main thread: in another one OpenMP's workers would sleep between any
        two operations, which takes twice the time.
        """
        self.alive = True
        try:
            while not self._stopping:
                try:
                    self._turn_over()
                except Exception:  # a bug of ours fails the open jobs, not the server
                    _log.exception("the rounds of steps")
                    for job in [*self._jobs.values(), *self._backlog]:
                        self._fail(job, ApiError(500, "unexpected error", "internal_error"))
        finally:
            self.alive = False
            if self._pool:
                self._pool.shutdown(wait=False, cancel_futures=True)
            try:
                self._report()
                self._books.write()
            finally:
                self._ended.set()

    def _turn_over(self) -> None:
        """All stages once, with the work in between."""
        self._receive(wait=True)
        for stage in STAGES:
            self._receive(wait=False)
            self._round(stage)

    def _round(self, stage: Stage) -> None:
        """Process the turns that wait for one stage."""
        self._moved = time.monotonic()
        here = []
        for turn in self._rounds.take(stage):
            if role_of(stage, turn) in self._served:
                self._send(stage, turn)
            else:
                here.append(turn)
        if here:
            self._work(stage, here)
        with self._metrics.own_time():
            self._expire()
            self._report()

    def _receive(self, wait: bool) -> None:
        """Handle incoming work; when idle, wait for it, but check the time now and then."""
        if wait and not self._rounds.ready:
            with suppress(queue.Empty):
                self._inbox.get(timeout=_LOOK)()
        with self._metrics.own_time():
            while not self._inbox.empty():
                self._inbox.get()()
            joining = list[Job]()
            while self._backlog and len(self._jobs) + len(joining) < self._limits.running:
                joining.append(self._backlog.popleft())
            for job in self._with_prompts(joining):
                self._join(job)
            self._report()
            self._metrics.open(len(self._jobs), len(self._backlog))

    def _with_prompts(self, jobs: list[Job]) -> list[Job]:
        """Compute the lengths of the jobs' prompts; returns the jobs for which that succeeds."""
        if not jobs:
            return []
        roots = [job.episode.root for job in jobs]
        try:
            lengths = {role: model.prompt_tokens(roots) for role, model in self._models.items()}
        except Exception as error:  # such as a chat template without system turns
            if len(jobs) > 1:
                return [job for alone in jobs for job in self._with_prompts([alone])]
            self._fail(jobs[0], ApiError(400, unexpected(error).message, "invalid_messages", "messages"))
            return []
        for index, job in enumerate(jobs):
            job.episode.question |= {role: found[index] for role, found in lengths.items()}
        return [job for job in jobs if self._fits(job)]

    def _fits(self, job: Job) -> bool:
        """True if the models' contexts have room for a job's prompt and the given part of its solution."""
        given = sum(step.tokens for step in job.episode.steps) + (job.draft.tokens if job.draft else 0)
        for role, prompt in job.episode.question.items():
            context, tokens = self._contexts[role], prompt + given
            if context is not None and tokens >= context:
                message = f"{tokens} tokens, of which the {NAMES[role]} reads at most {context}"
                self._fail(job, ApiError(400, message, "context_length_exceeded", "messages"))
                return False
        return True

    def _join(self, job: Job) -> None:
        self._jobs[id(job.episode)] = job
        try:
            if job.draft is None:
                self._rounds.join([job.episode], [job.policy])
            else:
                self._rounds.consider(job.episode, job.policy, job.draft)
        except Exception as error:  # a policy's error is this job's, not the server's
            self._fail(job, unexpected(error))

    def _drop(self, job: Job) -> None:
        if job in self._backlog:
            self._backlog.remove(job)
        self._end(job)

    def _expire(self) -> None:
        now = time.monotonic()
        for job in [job for job in (*self._jobs.values(), *self._backlog) if job.deadline < now]:
            message = f"not finished within {self._limits.seconds:g} s; another try continues where this one ended"
            self._fail(job, ApiError(504, message, "time_limit", retry_after=1))

    def _work(self, stage: Stage, turns: Sequence[Turn]) -> None:
        """Run models of this process on turns; if they fail, on each turn alone, to find the cause."""
        try:
            with self._metrics.stage(stage, len(turns)):
                self._rounds.work(stage, turns)
        except Exception as error:
            if len(turns) > 1:
                for turn in turns:
                    self._work(stage, [turn])
                return
            _log.warning("%s: %s", stage, first_line(error))
            self._fail(self._jobs.get(id(turns[0].episode)), unexpected(error), unfinished(stage, turns[0]))
            return
        self._settle(stage, turns)

    def _settle(self, stage: Stage, turns: Sequence[Turn]) -> None:
        with self._metrics.own_time():
            try:
                self._close(self._rounds.settle(stage, turns))
            except Exception as error:
                for turn in turns:
                    self._fail(self._jobs.get(id(turn.episode)), unexpected(error))

    def _send(self, stage: Stage, turn: Turn) -> None:
        """Send a turn to a model behind a server; equal turns wait for the one under way."""
        assert self._pool
        role, at = role_of(stage, turn), place(stage, turn)
        if self._health[role].down():
            self._without(stage, turn, TrimError(f"the {role} model cannot be reached"))
        elif at in self._flying:
            self._flying[at].append(turn)
        else:
            self._flying[at] = [turn]
            self._pool.submit(self._ask, stage, turn, at)

    def _ask(self, stage: Stage, turn: Turn, at: tuple[str, ...]) -> None:
        """The server's call, in a thread of the pool."""
        failure: Exception | None = None
        try:
            with self._metrics.stage(stage, 1):
                self._rounds.work(stage, [turn])
        except Exception as error:
            failure = error
        self._inbox.put(lambda: self._answered(stage, turn, at, failure))

    def _answered(self, stage: Stage, turn: Turn, at: tuple[str, ...], failure: Exception | None) -> None:
        first, *others = self._flying.pop(at)
        for gone in [gone for gone in (first, *others) if gone in self._left]:
            job = self._left.pop(gone)
            self._books.note(job, gone)
            self._books.close(job)
        self._health[role_of(stage, turn)].note(failure is not None)
        if failure is None:
            self._settle(stage, [first])
        else:
            _log.warning("%s: %s", stage, first_line(failure))
            self._without(stage, first, failure)
        self._rounds.wait(stage, others)

    def _without(self, stage: Stage, turn: Turn, failure: Exception) -> None:
        """Continue without a model that cannot be reached, by the operator's choice."""
        job, role = self._jobs.get(id(turn.episode)), role_of(stage, turn)
        if job is None:
            return
        choice = self._choice(role)
        if choice == "refuse" or turn.judged_only or stage == "verify" or not isinstance(failure, TrimError):
            message = f"the {NAMES[role]} cannot be reached; try again later"
            error = ApiError(503, message, f"{role}_unavailable", retry_after=PAUSE)
            error = error if isinstance(failure, TrimError) else unexpected(failure)
            self._fail(job, error, unfinished(stage, turn))
            return
        turn.without = "prm" if role == "prm" else "strong"
        self._metrics.went_on_without(role)
        if choice == "strong":
            self._rounds.wait("rewrite", [turn])
        elif turn.draft is None:
            self._rounds.wait("draft", [turn])
        else:
            self._close(self._rounds.accept([turn]))

    def _choice(self, role: str) -> str:
        """The operator's choice for a model that cannot be reached."""
        return {"prm": self._limits.without_prm, "strong": self._limits.without_strong}.get(role, "refuse")

    def _on_step(self, episode: Episode) -> None:
        job, step = self._jobs[id(episode)], episode.steps[-1]
        self._settle_account(job)
        if isinstance(job.policy, Capped) and job.policy.stopped:
            step = episode.steps[-1] = replace(step, without="budget")
        job.account.spend(episode)
        self._books.note(job)
        self._metrics.step(job.router, step, job.account.name)
        # A whole solution that may still be discarded is reported once it is accepted.
        if not job.policy.verifier or episode.discarded:
            self._tell(job)

    def _report(self) -> None:
        """Charge the work, and then report it."""
        told, self._told = self._told, []
        try:
            self._books.settle()
        finally:
            for job, event in told:
                job.tell(event)

    def _tell(self, job: Job) -> None:
        """Report the new steps."""
        assert job.text
        while job.text.finish is None and job.shown < len(job.episode.steps):
            step = job.episode.steps[job.shown]
            job.shown += 1
            text = job.text.add(step.text, step.tokens)
            if job.text.finish is not None:
                self._end(job)
            self._told.append((job, Event(step, text, job.text.finish)))

    def _close(self, turns: Sequence[Turn]) -> None:
        """Report the end of finished episodes."""
        for turn in turns:
            job = self._jobs.get(id(turn.episode))
            if job is None:
                continue
            if job.text is None:
                self._books.note(job, turn)
                self._end(job)
                self._told.append((job, Event(verdict=turn)))
                continue
            self._tell(job)
            if job.text.finish is None:
                stands = turn.rewrite or turn.draft
                finish: Finish = "length" if cut(stands, turn.episode, self._rounds.max_steps) else "stop"
                finish = "content_filter" if stands and stands.stop == "refused" else finish
                self._end(job)
                self._told.append((job, Event(None, job.text.end(finish), finish)))

    def _fail(self, job: Job | None, error: ApiError, turn: Turn | None = None) -> None:
        """End a job with an error; its current turn is charged as far as it came."""
        if job:
            if turn:
                self._books.note(job, turn)
            self._drop(job)
            self._told.append((job, Event(error=error)))

    def _end(self, job: Job) -> None:
        """Forget a job, which may have ended already."""
        waiting = self._rounds.leave(job.episode)
        self._settle_account(job)
        asked = [(at[0], turn) for at, turns in self._flying.items() for turn in turns if turn.episode is job.episode]
        flying = [turn for stage, turn in asked if unfinished(stage, turn)]
        if self._jobs.pop(id(job.episode), None):
            self._left.update(dict.fromkeys(flying, job))
            for turn in filter(None, (waiting, *flying)):
                self._books.note(job, turn)
        if not flying:  # a server's possible bill stays reserved until it answers
            self._books.close(job)

    @staticmethod
    def _settle_account(job: Job) -> None:
        if isinstance(job.policy, Capped):
            job.policy.settle()
