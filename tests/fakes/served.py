"""Models behind the fake server, and what is asked of them."""

import pytest

from fakes.scripted import FREE
from fakes.server import FakeServer
from trim.models.base import Prefix
from trim.models.connection import Connection
from trim.models.settings import Model, Sampling
from trim.rng import digest
from trim.steps import PLAIN

SECRET = "sk-very-secret-0123456789"
PREFIXES = [Prefix(f"question {i}", tuple(f"step {k}" for k in range(i % 3))) for i in range(40)]
KEYS = [digest(repr(p).encode()) for p in PREFIXES]
PRICE = 14e-6 * 1e6  # of one answer: 10 tokens read and 4 written, at a unit each


@pytest.fixture
def served(monkeypatch):
    """Starts servers; gives one and the settings of a model behind it."""
    monkeypatch.setenv("SOME_KEY", SECRET)
    monkeypatch.setattr(Connection, "_pause", staticmethod(lambda state: 0.01))  # tests of waiting wait less
    servers = []

    def start(faults=(), tag=None, kind=Model, of=None, **settings):
        servers.append(FakeServer(faults, tag, **(of or {})))
        server = {"url": servers[-1].url, "key": "SOME_KEY", "retries": 6, "timeout": 5, "concurrency": 8}
        model = kind(
            backend="openai", path="embedded/prm", weights=1, server=server | settings,
            **{**FREE, "price_in": 1e6, "price_out": 1e6},
        )  # fmt: skip
        return servers[-1], model

    yield start
    for server in servers:
        server.close()


def language_model(model, spending=None):
    from trim.models.backends.openai import ServedLM  # with transformers, which takes a second

    return ServedLM(model, Sampling(max_step_tokens=4), PLAIN, spending)


def drafts(served, api, *faults, of=None, **settings):
    """Text, tokens and stop of the next step of one prefix, for each reply of a server."""
    _, model = served(list(faults), api=api, of=of, **settings)
    lm = language_model(model)
    return [lm.next_steps([PREFIXES[1]], [KEYS[1]])[0][:3] for _ in faults or [None]]


def said(content, reason="stop", **more):
    return {"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": content, **more}}
