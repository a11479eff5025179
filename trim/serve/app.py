"""The interface over HTTP: paths, keys, limits, and streams."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from sse_starlette import EventSourceResponse
from sse_starlette.sse import AppStatus
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from trim.engine.budget import Account
from trim.engine.episode import Step
from trim.section import shown
from trim.serve.access import Access
from trim.serve.answers import Bill, delta, message, told_step, usage
from trim.serve.errors import ApiError
from trim.serve.page import Page
from trim.serve.points import DEFAULT
from trim.serve.requests import ChatRequest, DecisionRequest, read
from trim.serve.service import Call, Service

AppStatus.disable_automatic_graceful_drain()  # streams end by themselves, within the limit of a request
_UP = {True: "up", False: "down"}
_PING = 15  # seconds between pings in a stream
_SERVED = ("/v1/chat/completions", "/v1/models", "/v1/decision")
_UNEXPECTED = ApiError(500, "unexpected error", "internal_error")
_log = logging.getLogger(__name__)


class Api:
    """The handlers of one server.

    Args:
        service: the service.
        access: hosts and pages that may use a server without a key.
        log_content: write questions and answers into the log.
    """

    def __init__(self, service: Service, access: Access | None = None, log_content: bool = False) -> None:
        self._service, self._access, self._log_content = service, access or Access(), log_content
        self.scheduler, self.description = service.scheduler, service.points.default.description
        self._page = Page(service.points, service.keys.needed)
        self.ready = False

    def app(self) -> Starlette:
        """The application."""

        @contextlib.asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            self.ready = True
            yield
            self.ready = False
            await run_in_threadpool(self._service.scheduler.stop)

        routes = [
            Route("/", self._guarded(self.page, keyless=True)),
            Route("/v1/chat/completions", self._guarded(self.chat), methods=["POST"]),
            Route("/v1/chat/completions/{id}", self._guarded(self.replay)),
            Route("/v1/decision", self._guarded(self.decision), methods=["POST"]),
            Route("/v1/models", self._guarded(self.models)),
            Route("/v1/models/{id}", self._guarded(self.model)),
            Route("/health/live", self.live),
            Route("/health/ready", self.health),
            Route("/health", self.health),
            Route("/metrics", self._guarded(self.metrics, keyless=True)),
        ]
        handlers = {HTTPException: _http_error}
        middleware = self._access.middleware
        return Starlette(routes=routes, lifespan=lifespan, middleware=middleware, exception_handlers=handlers)

    async def chat(self, request: Request, account: Account) -> Response:
        """POST /v1/chat/completions."""
        asked = read(await self._body(request), ChatRequest)
        call = self._service.ask(asked, account)
        self._content(call.head.id, asked.messages[-1].content)
        if not asked.stream:
            return await self._whole(request, call, asked)
        stream = self._stream(call, asked)
        # A failure before the first step is an error with its own status.
        try:
            first = await _unless_gone(request, anext(stream))
        except BaseException:
            await stream.aclose()
            raise

        async def all_events() -> AsyncIterator[dict[str, str]]:
            yield {"data": first}
            async for text in stream:
                yield {"data": text}

        response = _Events(
            all_events(), headers=_headers(call), sep="\n", ping=_PING, send_timeout=self._service.limits.send
        )
        response.stream = stream
        return response

    async def decision(self, request: Request, account: Account) -> Response:
        """POST /v1/decision: accept a draft, or hand it to the strong model."""
        asked = read(await self._body(request), DecisionRequest)
        call = self._service.decide(asked, account)
        async with contextlib.aclosing(self._service.events(call)) as events:
            _, event = await _unless_gone(request, anext(events))
        turn = event.verdict
        assert turn
        score = turn.scores.get(turn.rater) if turn.rater else None
        body = {
            "id": call.head.id,
            "object": "trim.decision",
            "model": call.head.point.id,
            "decision": "rewrite" if turn.rejected else "accept",
            "score": score,
            "rater": turn.rater,
            "reason": turn.reason,
        }
        return JSONResponse(body, headers=_headers(call))

    async def replay(self, request: Request, account: Account) -> Response:
        """GET /v1/chat/completions/{id}: an earlier answer, from the store."""
        name = request.path_params["id"]
        found = await run_in_threadpool(self._service.store.answer, name, account.name)
        if found is None:
            raise ApiError(404, f"no answer {name[:100]!r} is kept", "not_found", "id")
        return JSONResponse(found["answer"], headers={"x-trim-request-id": name})

    async def models(self, request: Request, account: Account) -> Response:
        """GET /v1/models."""
        listed = [self._default()]
        listed += [self._listed(p.id, p.description, p.reached) for p in self._service.points]
        return JSONResponse({"object": "list", "data": listed})

    async def model(self, request: Request, account: Account) -> Response:
        """GET /v1/models/{id}."""
        name = request.path_params["id"]
        point = self._service.points.find(name)
        if name == DEFAULT:
            return JSONResponse(self._default())
        return JSONResponse(self._listed(point.id, point.description, point.reached))

    async def page(self, request: Request, account: Account | None) -> Response:
        """GET /: the page for people."""
        return HTMLResponse(self._page.html, headers=self._page.headers)

    async def metrics(self, request: Request, account: Account | None) -> Response:
        """GET /metrics."""
        return Response(self._service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def live(self, request: Request) -> Response:
        """GET /health/live: the process works."""
        alive = self._service.scheduler.moves
        return JSONResponse({"live": alive}, 200 if alive else 503)

    async def health(self, request: Request) -> Response:
        """GET /health, /health/ready: the server can presumably answer requests."""
        scheduler, kept = self._service.scheduler, await run_in_threadpool(self._service.store.works)
        ready = self.ready and scheduler.moves and not scheduler.refusing and kept
        state = {"live": scheduler.moves, "ready": ready, "models": scheduler.health(), "store": _UP[kept]}
        return JSONResponse(state, 200 if ready else 503)

    def _guarded(self, handler: Any, keyless: bool = False) -> Callable[[Request], Awaitable[Response]]:
        """A handler behind the checks of host and key; errors take OpenAI's form and are counted."""

        async def handle(request: Request) -> Response:
            start, path = time.monotonic(), request.scope["route"].path
            try:
                if not self._service.keys.needed:
                    self._access.check(request.headers.get("host", ""), request.headers.get("origin"))
                account = self._service.keys.account(request.headers.get("authorization"))
                if account is None and not keyless:
                    raise ApiError(401, "no such key; send it as `Authorization: Bearer KEY`", "invalid_api_key")
                response = await handler(request, account)
            except (_Gone, ClientDisconnect):
                response = Response(status_code=499)
            except ApiError as error:
                headers = {} if error.retry_after is None else {"Retry-After": f"{error.retry_after:.0f}"}
                response = JSONResponse(error.body(), error.status, headers)
            except Exception:
                _log.exception("%s", path)
                response = JSONResponse(_UNEXPECTED.body(), 500)
            model = response.headers.get("x-trim-model", "")
            seconds = time.monotonic() - start
            self._service.metrics.request(path, model, response.status_code, seconds)
            if path.startswith("/v1/"):
                name = response.headers.get("x-trim-request-id", "-")
                _log.info("%s %s %s %.3f s %s", path, response.status_code, model or "-", seconds, name)
            return response

        return handle

    async def _body(self, request: Request) -> bytes:
        limits, parts, size = self._service.limits, [], 0
        encoding = request.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise ApiError(415, f"Content-Encoding {shown(encoding)}: send the body as it is", "unsupported_encoding")
        try:
            async with asyncio.timeout(limits.upload):
                async for part in request.stream():
                    size += len(part)
                    if size > limits.body:
                        raise ApiError(413, f"the body has more than {limits.body:,} bytes", "too_large")
                    parts.append(part)
        except TimeoutError:
            raise ApiError(408, f"the body did not arrive within {limits.upload:g} s", "too_slow") from None
        return b"".join(parts)

    async def _whole(self, request: Request, call: Call, asked: ChatRequest) -> Response:
        steps: list[dict[str, Any]] = []
        finishes: dict[int, str] = {}

        async def collect() -> None:
            async with contextlib.aclosing(self._service.events(call)) as events:
                async for number, event in events:
                    if event.step:
                        _note(steps, number, event.step, asked)
                    if event.finish:
                        finishes[number] = event.finish

        try:
            await _unless_gone(request, collect())
        finally:
            bills = self._service.close(call)
        body = self._keep(call, asked, bills, steps, finishes)
        headers = _headers(call) | {"x-trim-strong-share": f"{_share(bills):.4f}"}
        return JSONResponse(body, headers=headers)

    async def _stream(self, call: Call, asked: ChatRequest) -> AsyncGenerator[str]:
        """The chunks of an answer as JSON, the last one [DONE]; the response begins with the first step."""
        head, steps = call.head, list[dict[str, Any]]()
        finishes: dict[int, str] = {}
        begun = closed = False
        try:
            async with contextlib.aclosing(self._service.events(call)) as events:
                async for number, event in events:
                    if not begun:
                        roles = [delta(i, {"role": "assistant", "content": ""}) for i in range(len(call.jobs))]
                        yield json.dumps(head.chunk(roles))
                        begun = True
                    told: dict[str, Any] = {}
                    if event.step:
                        _note(steps, number, event.step, asked)
                        told = {"trim": {"step": steps[-1]}}
                    if event.text or event.step:
                        yield json.dumps(head.chunk([delta(number, {"content": event.text})], **told))
                    if event.finish:
                        finishes[number] = event.finish
                        last = delta(number, {}, event.finish)
                        if len(finishes) < len(call.jobs):
                            yield json.dumps(head.chunk([last]))
            bills, closed = self._service.close(call), True
            body = self._keep(call, asked, bills, steps, finishes)
            summary = {name: value for name, value in body["trim"].items() if name != "steps"}
            yield json.dumps(head.chunk([last], trim=summary))
            # Clients read the first choice of every chunk, except that of the usage, if they requested one.
            if asked.stream_options and asked.stream_options.include_usage:
                yield json.dumps(head.chunk([], usage=body["usage"]))
            yield "[DONE]"
        except ApiError as error:
            if not begun:
                raise
            yield json.dumps(error.body())
        except Exception:
            if not begun:
                raise
            _log.exception("a stream")
            yield json.dumps(_UNEXPECTED.body())
        finally:
            if not closed:
                self._service.close(call)

    def _keep(
        self,
        call: Call,
        asked: ChatRequest,
        bills: list[Bill],
        steps: list[dict[str, Any]],
        finishes: Mapping[int, str],
    ) -> dict[str, Any]:
        """Store a finished answer; returns it whole."""
        choices = [message(i, job.text.sent, finishes.get(i)) for i, job in enumerate(call.jobs) if job.text]
        body = call.head.whole(choices, usage=usage(bills), trim=_summary(call, bills, steps))
        content = {"request": asked.model_dump(exclude_defaults=True), "answer": body}
        self._service.store.keep_answer(call.head.id, call.account.name, content)
        self._content(call.head.id, *(job.text.sent for job in call.jobs if job.text))
        return body

    def _content(self, name: str, *texts: str) -> None:
        if self._log_content:
            for text in texts:
                _log.info("%s: %s", name, json.dumps(text))

    def _default(self) -> dict[str, Any]:
        return self._listed(DEFAULT, f"the operator's choice: {self._service.points.default.description}", None)

    def _listed(self, name: str, description: str, reached: Any) -> dict[str, Any]:
        listed = {"id": name, "object": "model", "created": 0, "owned_by": "trim", "description": description}
        return listed | ({"validation": dict(reached)} if reached else {})


class _Events(EventSourceResponse):
    """Server-sent events whose source is closed when the response ends, even before its first event.

    Attributes:
        stream: the source.
    """

    stream: AsyncGenerator[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self.stream.aclose()


class _Gone(Exception):
    """The client hung up."""


async def _unless_gone(request: Request, work: Awaitable[Any]) -> Any:
    """The result of `work`, which is cancelled when the client hangs up."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(gone())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            raise _Gone
        return tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _note(steps: list[dict[str, Any]], choice: int, step: Step, asked: ChatRequest) -> None:
    """Append the report on one more step of an answer."""
    index = sum(told["choice"] == choice for told in steps)
    steps.append(told_step(index, choice, step, asked.trim.drafts))


def _share(bills: list[Bill]) -> float:
    whole = sum(b.whole for b in bills)
    return sum(b.strong for b in bills) / whole if whole else 0.0


def _summary(call: Call, bills: list[Bill], steps: list[dict[str, Any]]) -> dict[str, Any]:
    """The report on an answer beside its text; on several answers together."""
    point, account = call.head.point, call.account
    told = bills[0].told() if len(bills) == 1 else {"answers": [one.told() for one in bills]}
    budget = None if account.budget is None else {"wanted": account.budget, "share_so_far": account.share}
    return {"router": point.router, "setting": str(point.setting), "steps": steps, **told, "budget": budget}


def _headers(call: Call) -> dict[str, str]:
    point = call.head.point
    return {
        "x-request-id": call.head.id,
        "x-trim-request-id": call.head.id,
        "x-trim-model": point.id,
        "x-trim-router": point.router,
        "x-trim-setting": str(point.setting),
    }


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    reason = _cure(request.url.path) if error.status_code == 404 else error.detail
    message = f"{request.method} {request.url.path[:100]}: {reason}"
    return JSONResponse(ApiError(error.status_code, message, code).body(), error.status_code)


def _cure(path: str) -> str:
    """The path to use instead of an unknown one: base_url may lack /v1 or have it twice."""
    meant = "/v1/" + "/".join(part for part in path.split("/") if part not in ("", "v1"))
    if meant in _SERVED and meant != path:
        return f"use {meant}; base_url ends in one /v1"
    if meant in ("/v1/responses", "/v1/completions"):
        return "use /v1/chat/completions, the API of this server"
    return f"no such path; there are {', '.join(_SERVED)}"
