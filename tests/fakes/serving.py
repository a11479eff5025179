"""A server in threads of the test's own process."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import httpx2 as httpx

from trim.serve.server import Options, _listen, _Server, http_config, make_api

QUESTION = "Start with 60, add 90, multiply by 41, add 4, subtract 8."


class Serving:
    """A running server, and a client of it."""

    def __init__(self, options: Options) -> None:
        self.api = make_api(options)
        self.service, self.scheduler = self.api._service, self.api.scheduler
        listening = _listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self.server = _Server(http_config(self.api, 5, log_level="error"))
        self.threads = [
            threading.Thread(target=self.scheduler.run, daemon=True),
            threading.Thread(target=self.server.run, args=([listening],), daemon=True),
        ]
        for thread in self.threads:
            thread.start()
        self.client = httpx.Client(base_url=self.url, timeout=60)
        while not self.server.started:
            time.sleep(0.01)

    def ask(self, question=QUESTION, model="trim-thr@0.9", headers=None, **more):
        body = {"model": model, "messages": [{"role": "user", "content": question}], **more}
        return self.client.post("/v1/chat/completions", json=body, headers=headers)

    def metric(self, name):
        """The sum of a metric over its labels."""
        lines = self.client.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def close(self):
        self.server.should_exit = True
        for thread in self.threads:
            thread.join(10)
        self.client.close()
        self.service.store.close()


@contextmanager
def serving(**options):
    """A server that keeps all in memory, if nothing else is said."""
    started = Serving(Options(**{"store": None, **options}))
    try:
        yield started
    finally:
        started.close()
