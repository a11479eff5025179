"""Requests to a server, bounded in number, time, size and cost; every bill is recorded.

The openai client is not used: it has no deadline for whole answers, no limit of size, and no record of failed tries.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies_environment

import httpx2 as httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from trim.errors import TrimError
from trim.models.base import Usage
from trim.models.cost import ModelCost
from trim.models.refusals import cure, message
from trim.models.settings import Model
from trim.models.spending import Ledger

T = TypeVar("T")
_LARGEST = 64 << 20  # bytes of an answer
_MOST_TOKENS = 10**8  # of one answer; more is a server's error
_LONGEST_WAIT = 60.0  # seconds, whatever a server asks for
_PASSING = (408, 409, 425, 429)  # and all from 500
_PATIENCE = 2.0  # seconds that a request waits without a line in the log
_STALL = 60.0  # seconds that a request may be delayed on this machine
_log = logging.getLogger(__name__)


class Malformed(Exception):
    """An answer that is billed but violates the interface; another try may give a better one."""


class Refused(Exception):
    """An unsuccessful status.

    Attributes:
        status: HTTP status of the answer.
        message: the server's message.
        after: requested seconds to wait, None if not given.
    """

    def __init__(self, status: int, message: str, after: float | None) -> None:
        super().__init__(f"status {status}: {message}")
        self.status, self.message, self.after = status, message, after


class Passing(Refused):
    """A refusal that may pass."""


def usage(answer: Any) -> Usage:
    """The tokens billed for an answer; some servers count those of reasoning in the total only.

    Raises:
        Malformed: if it reports none, or impossible numbers.
    """
    counts = answer.get("usage") if isinstance(answer, Mapping) else None
    if not isinstance(counts, Mapping):
        raise Malformed("an answer without usage")
    read, written = counts.get("prompt_tokens"), counts.get("completion_tokens")
    if written is None and "choices" not in answer:  # a reward model writes nothing
        written = 0
    cached = _detail(counts, "prompt_tokens_details", "cached_tokens")
    reasoning = _detail(counts, "completion_tokens_details", "reasoning_tokens")
    total = counts.get("total_tokens") or 0
    for count in (read, cached, written, reasoning, total):
        if type(count) is not int or not 0 <= count <= _MOST_TOKENS:
            raise Malformed("an answer with an impossible usage")
    read = int(read or 0)
    return Usage(read, min(cached, read), max(int(written or 0), reasoning, total - read))


def _detail(counts: Mapping[str, Any], part: str, name: str) -> Any:
    details = counts.get(part)
    return (details.get(name) if isinstance(details, Mapping) else None) or 0


class _Mine(threading.local):
    """Each thread's own event loop, and the client that belongs to it."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.client: httpx.AsyncClient | None = None


@cache
def _loop_apart() -> asyncio.AbstractEventLoop:
    """An event loop in its own thread, for callers whose thread already runs one, such as a notebook's."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="servers", daemon=True).start()
    return loop


class Connection:
    """A server, for any number of threads.

    Args:
        model: the model, with its server.
        spending: folder of the ledger.

    Raises:
        TrimError: if the key is not in the environment.
    """

    def __init__(self, model: Model, spending: Path | None) -> None:
        assert model.server
        self.server, self._cost = model.server, ModelCost.of(model)
        self.name = self.server.model or model.path
        self._key = os.environ.get(self.server.key, "") if self.server.key else ""
        if self.server.key and not self._key:
            raise TrimError(f"server.key: the environment variable {self.server.key} is not set; export the key in it")
        if not (self._key.isascii() and self._key.isprintable()):
            raise TrimError(
                f"server.key: the environment variable {self.server.key} holds no valid key (a line break or the like)"
            )
        self._ledger = Ledger(spending, self.name, self.server.cap, 2 * self.server.timeout + _STALL)
        self._mine, self._waited = _Mine(), False
        self._here = _is_here(urlsplit(self.server.url).hostname or "")

    def each(self, requests: Sequence[Callable[[], Awaitable[T]]], keep: Any = None) -> list[T]:
        """Answers to the requests; `keep` is called with each one as it comes.

        Args:
            requests: the requests, each sent when its turn comes.
            keep: called with index and answer, or None.

        Raises:
            TrimError: if one fails for good; those under way are awaited and kept. So too for any error in `keep`.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._mine.runner.run(self._each(requests, keep))
        return self._each_apart(requests, keep)

    def _each_apart(self, requests: Sequence[Callable[[], Awaitable[T]]], keep: Any) -> list[T]:
        """As `each`, if this thread's event loop is running: the requests are sent from another thread."""
        answers: queue.SimpleQueue[tuple[int, T] | None] = queue.SimpleQueue()
        work = self._each(requests, lambda *answer: answers.put(answer))
        future: Future[list[T]] = asyncio.run_coroutine_threadsafe(work, _loop_apart())
        future.add_done_callback(lambda _: answers.put(None))
        try:
            while answer := answers.get():
                if keep:
                    keep(*answer)
            return future.result()
        finally:
            future.cancel()

    async def _each(self, requests: Sequence[Callable[[], Awaitable[T]]], keep: Any) -> list[T]:
        answers: dict[int, T] = {}
        failures: list[Exception] = []
        self._waited = False
        waiting = iter(range(len(requests)))

        async def work() -> None:
            for index in waiting:
                if failures:
                    return
                try:
                    answers[index] = await requests[index]()
                    if keep:
                        keep(index, answers[index])
                except Exception as error:
                    failures.append(error)
                    return

        await asyncio.gather(*(work() for _ in range(min(self.server.concurrency, len(requests)))))
        if failures:
            raise failures[0]
        return [answers[index] for index in range(len(requests))]

    async def post(self, url: str, body: Mapping[str, Any], most: float, read: Callable[[Any], T]) -> T:
        """Send a request, and read the first valid answer.

        Args:
            url: full address.
            body: as JSON.
            most: maximal cost of one try.
            read: parses the answer; raises Malformed if it cannot.

        Raises:
            Refused: for a status that another try will not change.
            TrimError: if all tries fail, or the cap forbids one.
        """
        tries = AsyncRetrying(
            stop=stop_after_attempt(self.server.retries + 1),
            wait=self._pause,
            before_sleep=self._note_retry,
            retry=retry_if_exception_type((Malformed, Passing, TimeoutError, httpx.TransportError)),
            reraise=True,
        )
        try:
            return await tries(self._once, url, body, most, read)
        except (Malformed, Passing, TimeoutError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise self.failure(error) from None

    def address(self, path: str, beside: str = "") -> str:
        """The full address of a path below the server's, or `beside` its last part.

        A query of the server's address, such as Azure's api-version, stays at the end.
        """
        parts = urlsplit(self.server.url)
        return urlunsplit(parts._replace(path=parts.path.rstrip("/").removesuffix(beside) + path))

    def failure(self, reason: object) -> TrimError:
        """The error for users, with this server's name and the reason."""
        words = self._reason(reason) if isinstance(reason, Exception) else reason
        return TrimError(f"{self.server.url.partition('?')[0]}, {self.name}: {words}")

    async def _once(self, url: str, body: Mapping[str, Any], most: float, read: Callable[[Any], T]) -> T:
        reserved = await self._reserve(most)
        cost = most  # a request that was sent may be billed in any case
        try:
            answer = _parsed(await self._send(url, body))
            with suppress(Malformed):
                billed = usage(answer)
                cost = self.prices(billed.read, billed.written, billed.cached)
            if isinstance(answer, Mapping) and answer.get("error"):
                raise Malformed(f"the server says: {message(answer['error'])}")
            return read(answer)
        except (Refused, TrimError, httpx.TransportError, httpx.InvalidURL):
            cost = 0.0
            raise
        finally:
            self._ledger.settle(reserved, cost)

    async def _reserve(self, most: float) -> int:
        """Reserve the maximal cost of a request, as soon as the cap leaves room for it."""
        since = time.monotonic()
        while (reserved := self._ledger.reserve(most)) is None:
            if not self._waited and time.monotonic() - since > _PATIENCE:
                self._waited = True
                _log.warning("%s: waits under server.cap until requests under way are billed", self.name)
            await asyncio.sleep(0.02)
        return reserved

    async def _send(self, url: str, body: Mapping[str, Any]) -> bytes:
        """The body of a successful answer.

        Raises:
            Refused: if it is unsuccessful.
            Malformed: if it breaks off, is too large, or compressed, which was not requested.
            TimeoutError: if it is not complete within the server's timeout.
        """
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        headers |= {"Authorization": f"Bearer {self._key}"} if self._key else {}
        async with asyncio.timeout(self.server.timeout):
            sent = json.dumps(body).encode()
            async with self._client().stream("POST", url, content=sent, headers=headers) as response:
                content = b""
                try:
                    content = await _whole(response)
                except (Malformed, httpx.TransportError) as error:
                    if response.status_code == 200:
                        broken = "the answer broke off" if isinstance(error, httpx.TransportError) else error
                        raise Malformed(str(broken)) from None
        if response.status_code == 200:
            return content
        text = self._error_text(content)
        if response.status_code in _PASSING or response.status_code >= 500:
            raise Passing(response.status_code, text, _seconds(response.headers.get("Retry-After")))
        raise Refused(response.status_code, text, None)

    def _client(self) -> httpx.AsyncClient:
        """The client of this thread's event loop.

        Raises:
            TrimError: if the environment names a proxy that cannot be used.
        """
        if self._mine.client is None:
            limits = httpx.Limits(max_connections=None)
            try:
                # A server on this machine is reached directly, whatever proxies the environment names.
                self._mine.client = httpx.AsyncClient(
                    timeout=None, follow_redirects=False, trust_env=not self._here, limits=limits
                )
            except (ImportError, ValueError, httpx.InvalidURL) as error:
                raise self.failure(f"the proxy of the environment cannot be used ({error}); {self._way()}") from None
        return self._mine.client

    def _way(self) -> str:
        """The variables of the environment that affect the way to the server."""
        proxies = {} if self._here else getproxies_environment()
        names = ", ".join(f"{name.upper()}_PROXY" for name in sorted(proxies) if name != "no")
        return f"see {names} and NO_PROXY" if names else "is the server running at server.url?"

    def _error_text(self, content: bytes) -> str:
        try:
            answer = json.loads(content)
            text = message(
                answer.get("error", answer.get("message", answer)) if isinstance(answer, Mapping) else answer
            )
        except (ValueError, RecursionError):
            text = content[:2000].decode(errors="replace")
        return self._without_key(text)

    def _without_key(self, text: str) -> str:
        text = " ".join(text.split())
        return (text.replace(self._key, "***") if self._key else text)[:400]

    def _note_retry(self, state: RetryCallState) -> None:
        error, pause = state.outcome.exception() if state.outcome else None, state.upcoming_sleep
        level = logging.WARNING if pause > _PATIENCE or isinstance(error, TimeoutError) else logging.INFO
        words = self._without_key(str(error)) or "no whole answer in time"
        _log.log(level, "%s: %s; tried again in %.1f s", self.name, words, pause)

    @staticmethod
    def _pause(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        grown = wait_random_exponential(multiplier=0.2, max=10)(state)
        return max(grown, min(error.after or 0.0, _LONGEST_WAIT)) if isinstance(error, Passing) else grown

    def prices(self, read: int, written: int, cached: int = 0) -> float:
        """The price of tokens read (some of them from the server's cache) and written."""
        return self._cost.money(read - cached, cached, written)

    def _reason(self, error: Exception) -> str:
        tries = f"{self.server.retries + 1} times"
        if isinstance(error, Refused):
            if error.status in (401, 403):
                return f"the key in {self.server.key or 'server.key (none is named)'} was refused"
            if 300 <= error.status < 400:
                return "redirects elsewhere, which is not followed; set server.url to the new address"
            return f"{error}{cure(error.message)}"
        if isinstance(error, TimeoutError):
            return f"no whole answer in {self.server.timeout:g} s, {tries}; raise server.timeout"
        if isinstance(error, Malformed):
            return self._without_key(f"{error}, {tries}")
        if isinstance(error, httpx.ConnectError | httpx.ProxyError):
            return f"cannot be reached; {self._way()}"
        return f"the connection was lost before an answer came, {tries}; {self._way()}"


def _is_here(host: str) -> bool:
    """True for a host that is this machine."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


async def _whole(response: httpx.Response) -> bytes:
    """The raw body of an answer.

    Raises:
        Malformed: if it is too large, or compressed.
    """
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise Malformed("a compressed answer, which was not requested")
    parts, size = [], 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > _LARGEST:
            raise Malformed(f"an answer of more than {_LARGEST >> 20} MiB")
        parts.append(part)
    return b"".join(parts)


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"an answer that is not JSON ({str(error)[:100]})") from None


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
