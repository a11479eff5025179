"""Requests to a server, bounded in number, time, size and cost; all that is billed is written down.

Not by the openai client, which leaves none of deadlines for whole answers, sizes, or the ledger of failed tries to us.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import httpx2 as httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from trim.errors import TrimError
from trim.models.base import Usage
from trim.models.cost import ModelCost
from trim.models.settings import Model
from trim.models.spending import Ledger

T = TypeVar("T")
_LARGEST = 64 << 20  # bytes of an answer
_MOST_TOKENS = 10**8  # of one answer; more is a mistake of the server
_LONGEST_WAIT = 60.0  # seconds, whatever a server asks for
_PASSING = (408, 409, 425, 429)  # and all from 500


class Malformed(Exception):
    """An answer that is not what the interface promises; another try may bring a better one."""


class Refused(Exception):
    """A status that is no success.

    Attributes:
        status: HTTP status of the answer.
        said: what the server said.
        after: seconds that it asks to wait, None if it does not say.
    """

    def __init__(self, status: int, said: str, after: float | None) -> None:
        super().__init__(f"status {status}: {said}")
        self.status, self.said, self.after = status, said, after


class Passing(Refused):
    """A refusal that may pass."""


def usage(answer: Any) -> Usage:
    """The tokens that an answer says it is billed for.

    Raises:
        Malformed: if it does not say, or what it says cannot be.
    """
    found = answer.get("usage") if isinstance(answer, Mapping) else None
    if not isinstance(found, Mapping):
        raise Malformed("an answer without usage")
    read, written = found.get("prompt_tokens"), found.get("completion_tokens")
    if written is None and "choices" not in answer:  # a reward model writes nothing
        written = 0
    details = found.get("prompt_tokens_details")
    cached = (details.get("cached_tokens") if isinstance(details, Mapping) else None) or 0
    for count in (read, cached, written):
        if type(count) is not int or not 0 <= count <= _MOST_TOKENS:
            raise Malformed("an answer whose usage cannot be")
    return Usage(int(read or 0), min(int(cached), int(read or 0)), int(written or 0))


class _Mine(threading.local):
    """Each thread's own event loop, and the client that belongs to it."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()

    @cached_property
    def client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=None)
        return httpx.AsyncClient(timeout=None, follow_redirects=False, trust_env=True, limits=limits)


class Connection:
    """A server, which any number of threads may ask.

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
                f"server.key: the environment variable {self.server.key} holds no key (line breaks or other signs)"
            )
        self.url = self.server.url.rstrip("/")
        self._ledger = Ledger(spending, self.name, self.server.cap)
        self._mine = _Mine()

    def each(self, requests: Sequence[Callable[[], Awaitable[T]]], keep: Any = None) -> list[T]:
        """The answers to all requests; `keep` is told of each one as it comes.

        Args:
            requests: the requests to be sent, each when its turn comes.
            keep: called with index and answer, or None.

        Raises:
            TrimError: if one fails for good; those under way are waited for and kept.
        """
        return self._mine.runner.run(self._each(requests, keep))

    async def _each(self, requests: Sequence[Callable[[], Awaitable[T]]], keep: Any) -> list[T]:
        answers: dict[int, T] = {}
        failures: list[TrimError] = []
        waiting = iter(range(len(requests)))

        async def work() -> None:
            for index in waiting:
                if failures:
                    return
                try:
                    answers[index] = await requests[index]()
                    if keep:
                        keep(index, answers[index])
                except TrimError as error:
                    failures.append(error)
                    return

        await asyncio.gather(*(work() for _ in range(min(self.server.concurrency, len(requests)))))
        if failures:
            raise failures[0]
        return [answers[index] for index in range(len(requests))]

    async def post(self, url: str, body: Mapping[str, Any], most: float, read: Callable[[Any], T]) -> T:
        """What an answer says, of the first try that brings one.

        Args:
            url: full address.
            body: as JSON.
            most: that one try can cost.
            read: makes something of the answer; raises Malformed if it cannot.

        Raises:
            Refused: for a status that no other try will change, and that is not about the key.
            TrimError: if all tries fail, or the cap forbids one.
        """
        tries = AsyncRetrying(
            stop=stop_after_attempt(self.server.retries + 1),
            wait=self._pause,
            retry=retry_if_exception_type((Malformed, Passing, TimeoutError, httpx.TransportError)),
            reraise=True,
        )
        try:
            return await tries(self._once, url, body, most, read)
        except (Malformed, Passing, TimeoutError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise self.failure(self._reason(error)) from None
        except Refused as error:
            if error.status in (401, 403) or 300 <= error.status < 400:
                raise self.failure(self._reason(error)) from None
            raise

    def failure(self, reason: object) -> TrimError:
        """The error for users that names this server and what went wrong."""
        return TrimError(f"{self.server.url}, {self.name}: {reason}")

    async def _once(self, url: str, body: Mapping[str, Any], most: float, read: Callable[[Any], T]) -> T:
        while (reserved := self._ledger.reserve(most)) is None:
            await asyncio.sleep(0.02)
        cost = 0.0
        try:
            content = await self._send(url, body)
            cost = most  # a success is billed, whatever is in it; until it says how much, as much as can be
            try:
                answer = json.loads(content)
            except (ValueError, RecursionError) as error:
                raise Malformed(f"an answer that is not JSON ({str(error)[:100]})") from None
            self._told_error(answer)
            billed = usage(answer)
            cost = self.prices(billed.read, billed.written, billed.cached)
            return read(answer)
        except TimeoutError:
            cost = most  # it may still be written, and billed
            raise
        finally:
            self._ledger.settle(reserved, cost)

    async def _send(self, url: str, body: Mapping[str, Any]) -> bytes:
        """The body of an answer that is a success.

        Raises:
            Refused: if it is none.
            Malformed: if it is larger than is allowed, or compressed, which was not asked for.
            TimeoutError: if it is not there, whole, within the server's timeout.
        """
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        headers |= {"Authorization": f"Bearer {self._key}"} if self._key else {}
        async with asyncio.timeout(self.server.timeout):
            content = json.dumps(body).encode()
            async with self._mine.client.stream("POST", url, content=content, headers=headers) as response:
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise Malformed("a compressed answer, which was not asked for")
                parts, size = [], 0
                async for part in response.aiter_raw():
                    size += len(part)
                    if size > _LARGEST:
                        raise Malformed(f"an answer of more than {_LARGEST >> 20} MiB")
                    parts.append(part)
        content = b"".join(parts)
        if response.status_code == 200:
            return content
        said = self._said(content)
        if response.status_code in _PASSING or response.status_code >= 500:
            raise Passing(response.status_code, said, _seconds(response.headers.get("Retry-After")))
        raise Refused(response.status_code, said, None)

    def _told_error(self, answer: Any) -> None:
        """Some servers tell of an error in an answer that is a success."""
        if isinstance(answer, Mapping) and answer.get("error") and not answer.get("choices") and not answer.get("data"):
            raise Malformed(f"the server says: {_message(answer['error'])}")

    def _said(self, content: bytes) -> str:
        try:
            found = json.loads(content)
            text = _message(found.get("error", found.get("message", found)) if isinstance(found, Mapping) else found)
        except (ValueError, RecursionError):
            text = content[:2000].decode(errors="replace")
        return self._without_key(text)

    def _without_key(self, text: str) -> str:
        text = " ".join(text.split())
        return (text.replace(self._key, "***") if self._key else text)[:300]

    @staticmethod
    def _pause(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        grown = wait_random_exponential(multiplier=0.2, max=10)(state)
        return max(grown, min(error.after or 0.0, _LONGEST_WAIT)) if isinstance(error, Passing) else grown

    def prices(self, read: int, written: int, cached: int = 0) -> float:
        """What tokens cost: those read, of which some from the server's cache, and those written."""
        return self._cost.money(read - cached, cached, written)

    def _reason(self, error: Exception) -> str:
        tries = f"{self.server.retries + 1} times"
        if isinstance(error, Refused):
            if error.status in (401, 403):
                return f"the key in {self.server.key or 'server.key (none is named)'} was refused"
            if 300 <= error.status < 400:
                return "redirects elsewhere, which is not followed; put the address that it means into server.url"
            return str(error)
        if isinstance(error, TimeoutError):
            return f"no answer in {self.server.timeout:g} s, {tries}; raise server.timeout"
        if isinstance(error, Malformed):
            return self._without_key(f"{error}, {tries}")
        return "cannot be reached; is the server running at server.url?"


def _message(error: Any) -> str:
    """What a server says of an error, in whatever form."""
    if isinstance(error, Mapping):
        error = error.get("message") or error.get("detail") or error
    return " ".join(str(error).split())[:300]


def _seconds(text: str | None) -> float | None:
    try:
        found = float(text or "")
    except ValueError:
        return None
    return found if 0 <= found < float("inf") else None
