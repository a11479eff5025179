"""A server from an experiment: loading, checks, and running until it is stopped."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trim.errors import TrimError
from trim.experiment.choosing import guaranteed_setting, validation_path
from trim.experiment.load import load
from trim.experiment.runner import Runner
from trim.progress import Tracker
from trim.serve.access import LOOPBACK, Access
from trim.serve.app import Api
from trim.serve.errors import ApiError
from trim.serve.metrics import Metrics
from trim.serve.points import Points, operating_points
from trim.serve.service import Service
from trim.serve.settings import KEY, Keys, Limits
from trim.serve.store import ServerStore
from trim.setting import Setting
from trim.solve import fitted_folder, here

_MOST_HEAD = 1 << 16  # bytes of a request outside its body
_PIECE = 1 << 12  # bytes parsed between two checks of that limit
_SWITCH = 0.0005  # seconds after which the HTTP thread yields to that of the models


@dataclass(frozen=True)
class Options:
    """The options of a server's operator.

    Attributes:
        params: the experiment's file; by default that of the current folder, else the embedded experiment.
        results: folder of fitted parameters.
        benchmark: the benchmark on which routers were fitted; by default the experiment's first.
        model: the operating point of the model `auto`.
        budget: target share of always-strong's tokens over the stream, None for no such budget.
        host, port: address to listen on.
        keys: file of the clients' keys; see `trim.serve.settings.Keys`.
        store: file of draws and answers, None to keep them in memory.
        keep: maximum of stored draws.
        drain: seconds left for requests under way after the signal to stop.
        log_content: write questions and answers into the log.
        limits: limits of work at once.
        access: hosts and pages that may use a server without a key.
    """

    params: Path | None = None
    results: Path = Path("results")
    benchmark: str | None = None
    model: str = "trim-budget@0.2"
    budget: float | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    keys: Path | None = None
    store: Path | None = Path("results/serving/store.sqlite")
    keep: int = 2_000_000
    drain: float = 60.0
    log_content: bool = False
    limits: Limits = field(default_factory=Limits)
    access: Access = field(default_factory=Access)


class _Counted(Tracker):
    """Counts the models' work instead of showing it."""

    metrics: Metrics

    def batch(self, what: str, count: int, tokens: int) -> None:
        """A batch was generated or scored."""
        self.metrics.made(what, count)


def make_api(options: Options) -> Api:
    """The interface of a server.

    Raises:
        TrimError: if the experiment, a fit, a key or the store is wrong, or if the server would listen beyond this
            machine without a key.
    """
    params = load(options.params or here(), options.benchmark)
    keys = Keys.load(options.keys, options.budget)
    if options.host not in LOOPBACK and not keys.needed:
        raise TrimError(f"--host {options.host}: others than this machine need a key; export {KEY}, or name --keys")
    benchmark = options.benchmark or next(iter(params.benchmarks))
    router = options.model.partition("@")[0]
    served = params.as_run(router) if router in params.routers else params
    fitted = operating_points(params, benchmark, options.results, served)
    if router in params.routers and not any(point.router == router for point in fitted.values()):
        raise TrimError(
            f"{router}: not fitted on {benchmark} in {options.results}; `snakemake --cores all` fits it, "
            "or choose another --router"
        )

    def named(router: str, setting: Setting) -> Setting:
        if router not in params.routers:
            return setting
        folder = fitted_folder(params, router, benchmark, options.results)
        return guaranteed_setting(validation_path(folder, params.source(router, benchmark)), router, setting)

    points = Points(fitted, options.model, named)
    store = ServerStore(options.store, options.keep)
    metrics, tracker = Metrics(), _Counted.silent()
    tracker.metrics = metrics
    runner = Runner(served, store, tracker)
    for model in runner.models.values():
        model.load()
    service = Service(runner, points, keys, options.limits, metrics)
    return Api(service, options.access, options.log_content)


class _Protocol(HttpToolsProtocol):
    """HTTP with a limit on heads (address and headers) and everything else outside bodies."""

    _head = 0  # bytes since the last body or end of a request

    def data_received(self, data: bytes) -> None:
        """Parse incoming bytes."""
        for start in range(0, len(data), _PIECE):
            if self.transport.is_closing():
                return
            piece = data[start : start + _PIECE]
            self._head += len(piece)
            super().data_received(piece)
            if self._head > _MOST_HEAD:
                self._refuse()

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        self._head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        self._head = 0
        super().on_message_complete()

    def _refuse(self) -> None:
        error = ApiError(431, f"the headers have more than {_MOST_HEAD:,} bytes", "headers_too_large")
        body = json.dumps(error.body()).encode()
        head = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-type: application/json"
        self.transport.write(f"{head}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        self.transport.close()


def http_config(api: Api, drain: float, **more: Any) -> uvicorn.Config:
    """The HTTP configuration of an interface.

    Args:
        api: the interface.
        drain: seconds left for requests under way once the server stops.
        more: see `uvicorn.Config`.
    """
    settings: dict[str, Any] = {"http": _Protocol, "ws": "none", "access_log": False, "server_header": False}
    return uvicorn.Config(
        api.app(), timeout_graceful_shutdown=round(drain), **{**settings, "log_level": "warning", **more}
    )


class _Server(uvicorn.Server):
    """Uvicorn in its own thread, where no signals arrive."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def serve(options: Options) -> None:
    """Answer requests until SIGTERM or Ctrl-C; those under way are finished first.

    The models run in this thread, HTTP in another; see `Scheduler.run`.

    Raises:
        TrimError: if it cannot listen, or for what `make_api` raises.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sys.setswitchinterval(_SWITCH)
    logging.getLogger("trim.serve").setLevel(logging.INFO)
    api = make_api(options)
    try:
        listening = _listen(options.host, options.port)
    except OSError as error:
        raise TrimError(f"{options.host}:{options.port}: {error.strerror}; choose another --port") from error
    server = _Server(http_config(api, options.drain, host=options.host, port=options.port))

    def stop(number: int, frame: object) -> None:
        if server.should_exit:
            server.force_exit = True
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    threading.Thread(target=server.run, args=([listening],), name="http", daemon=True).start()
    host, port = listening.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    print(f"trim: {api.description}\ntrim: API: {address}/v1, page: {address}", file=sys.stderr, flush=True)
    api.scheduler.run()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    listening.listen(1024)
    return listening
