"""Models that cannot be reached, stall or talk nonsense: others are answered, and the operator's choice is told."""

import asyncio
import gc
import json
import threading
import time
from contextlib import suppress

import httpx2 as httpx
import pytest
import yaml
from conftest import ROOT
from fakes.scripted import FREE
from fakes.server import FakeServer
from fakes.serving import QUESTION, serving

from trim.models.connection import Connection
from trim.problems.generated import generate
from trim.serve import service
from trim.serve.server import Options, make_api
from trim.serve.settings import Limits
from trim.solve import SHIPPED

pytestmark = pytest.mark.slow

QUESTIONS = [problem.question for problem in generate("standard", {"test": 40}, 78)]


@pytest.fixture
def backends(tmp_path, monkeypatch):
    """Three servers of models, and the experiment that uses them."""
    monkeypatch.setattr(Connection, "_pause", staticmethod(lambda state: 0.01))
    servers = {"weak": FakeServer(), "strong": FakeServer(), "prm": FakeServer(tag=None)}
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for role, server in servers.items():
        settings = {"url": server.url, "retries": 1, "timeout": 1, "api": "chat", "model": role}
        params["models"][role] = {"backend": "openai", "path": "embedded/prm", "weights": 1, "server": settings} | FREE
    params["generation"]["max_steps"] = 4
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    yield servers, {"params": path, "results": SHIPPED}
    for server in servers.values():
        server.close()


def close(server):
    """The server is gone for good."""
    server.close()


@pytest.mark.parametrize(
    ("choice", "status", "writers"),
    [("refuse", 503, None), ("weak", 200, {"weak"}), ("strong", 200, {"strong"})],
)
def test_without_the_reward_model_the_operator_chose_what_happens(backends, choice, status, writers):
    servers, options = backends
    close(servers["prm"])
    with serving(**options, limits=Limits(without_prm=choice)) as server:
        for question in QUESTIONS[:6]:
            response = server.ask(question, "trim-thr@0.9")
            assert response.status_code == status
            if writers is None:
                assert response.json()["error"]["code"] == "prm_unavailable"
                assert response.headers["retry-after"] == "5"
            else:
                steps = response.json()["trim"]["steps"]
                assert {step["writer"] for step in steps} == writers
                assert {step["without"] for step in steps} == {"prm"}
        assert server.ask(QUESTION, "always-weak").status_code == 200
        health = server.client.get("/health/ready")
        assert health.json()["models"] == {"weak": "up", "strong": "up", "prm": "down"}
        assert health.status_code == (503 if writers is None else 200)
        if writers:
            assert server.metric("trim_without_total") == 24


@pytest.mark.parametrize("model", ["trim-thr@1", "always-strong"])
@pytest.mark.parametrize(("choice", "status"), [("refuse", 503), ("weak", 200)])
def test_without_the_strong_model_the_operator_chose_what_happens(backends, choice, status, model):
    servers, options = backends
    close(servers["strong"])
    with serving(**options, limits=Limits(without_strong=choice)) as server:
        response = server.ask(QUESTION, model)
        assert response.status_code == status
        if status == 200:
            steps = response.json()["trim"]["steps"]
            assert {(step["writer"], step["without"]) for step in steps} == {("weak", "strong")}
        stream = server.ask(QUESTION, model, stream=True)
        assert stream.status_code == status


def test_without_the_weak_model_nothing_goes_but_what_needs_it_not(backends):
    servers, options = backends
    close(servers["weak"])
    with serving(**options) as server:
        assert server.ask(QUESTION, "trim-thr@0.9").json()["error"]["code"] == "weak_unavailable"
        assert server.ask(QUESTION, "always-strong").status_code == 200


def test_a_model_that_comes_back_is_used_again(backends, monkeypatch):
    monkeypatch.setattr("trim.serve.health.PAUSE", 0.3)
    servers, options = backends
    servers["prm"].faults = [500] * 8
    with serving(**options) as server:
        assert [server.ask(q, "trim-thr@0.9").status_code for q in QUESTIONS[:4]] == [503] * 4
        asked = len(servers["prm"].requests)
        assert asked == 6  # two tries of each of three requests; the fourth was not even sent
        time.sleep(0.35)
        assert server.ask(QUESTIONS[5], "trim-thr@0.9").status_code == 503
        time.sleep(0.35)
        assert server.ask(QUESTIONS[5], "trim-thr@0.9").status_code == 200


@pytest.mark.parametrize("fault", ["drop", "malformed", "empty", "truncate", "huge", 500, 429, {"choices": []}])
def test_what_passes_is_tried_again_and_no_step_is_paid_twice(backends, fault):
    servers, options = backends
    for server in servers.values():
        server.faults = [fault]
    with serving(**options) as server:
        first = server.ask(QUESTION, "trim-thr@0.9")
        assert first.status_code == 200
        made = {role: len(server.answered) for role, server in servers.items()}
        assert server.ask(QUESTION, "trim-thr@0.9").json()["choices"] == first.json()["choices"]
        assert {role: len(server.answered) for role, server in servers.items()} == made


def test_one_answer_that_stalls_holds_up_nobody_else(backends):
    servers, options = backends
    servers["strong"].faults = [0.9]  # seconds
    with serving(**options) as server:
        ended = {}

        def ask(index):
            assert server.ask(QUESTIONS[index], "always-strong").status_code == 200
            ended[index] = time.monotonic()

        first = threading.Thread(target=ask, args=(0,))
        first.start()
        while not servers["strong"].requests:
            time.sleep(0.01)
        others = [threading.Thread(target=ask, args=(index,)) for index in range(1, 9)]
        for thread in others:
            thread.start()
        for thread in (first, *others):
            thread.join()
        assert max(ended[index] for index in range(1, 9)) < ended[0]


def test_a_prompt_that_no_context_holds_is_refused(backends):
    _, options = backends
    params = yaml.safe_load(options["params"].read_text())
    params["models"]["prm"]["server"]["context"] = 64
    options["params"].write_text(yaml.safe_dump(params, sort_keys=False))
    long = "Start with 6" + ", add 7" * 20 + "."
    with serving(**options) as server:
        refused = server.ask(long, "trim-thr@0.9")
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "context_length_exceeded"
        assert server.ask("Start with 6, add 7, add 8, add 9.", "trim-thr@0.9").status_code == 200


def test_a_verdict_that_takes_too_long_or_whose_client_left_is_given_up(backends):
    servers, options = backends
    servers["prm"].faults = [0.9, 0.9]  # seconds
    body = {"model": "trim-thr@0.9", "messages": [{"role": "user", "content": QUESTION}], "draft": "60 + 90 = 50"}
    with serving(**options, limits=Limits(seconds=0.3)) as server:
        began = time.monotonic()
        assert server.client.post("/v1/decision", json=body).status_code == 504
        assert time.monotonic() - began < 0.9
        with suppress(httpx.TimeoutException):
            server.client.post("/v1/decision", json=body | {"draft": "60 + 90 = 51"}, timeout=0.1)
        for _ in range(50):
            if not server.service._open:
                break
            time.sleep(0.01)
        assert server.service._open == 0


def test_a_call_that_is_answered_after_its_client_left_is_charged(backends):
    servers, options = backends
    params = yaml.safe_load(options["params"].read_text())
    params["models"]["weak"]["price_out"] = 1.0
    options["params"].write_text(yaml.safe_dump(params, sort_keys=False))
    servers["weak"].faults = [0.6]  # seconds
    with serving(**options) as server:
        account = server.service.keys.account(None)
        with pytest.raises(httpx.TimeoutException):
            body = {"model": "always-weak", "messages": [{"role": "user", "content": QUESTION}]}
            server.client.post("/v1/chat/completions", json=body, timeout=0.2)
        assert account.money == 0
        for _ in range(100):
            if account.money:
                break
            time.sleep(0.05)
        assert account.money > 0
        assert server.service.store.spent(account.name)[2] == pytest.approx(account.money)


def test_equal_steps_under_way_are_asked_for_once(backends):
    servers, options = backends
    servers["strong"].faults = [0.3]
    with serving(**options) as server:
        threads = [threading.Thread(target=server.ask, args=(QUESTION, "always-strong")) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(servers["strong"].requests) == 4


def test_clients_that_hang_up_read_slowly_or_send_rubbish_disturb_nobody(backends):
    _, options = backends
    with serving(**options, limits=Limits(running=16)) as server:
        stop = threading.Event()

        def disturb(number):
            with httpx.Client(base_url=server.url) as client:
                while not stop.is_set():
                    asked = {"model": "trim-thr@0.9", "stream": number % 2 == 0}
                    asked["messages"] = [{"role": "user", "content": QUESTIONS[number % 40]}]
                    body = [json.dumps(asked), "{", "x" * 300_000][number % 3]
                    with suppress(httpx.HTTPError):
                        client.post("/v1/chat/completions", content=body, timeout=0.01 * (1 + number % 7))
                    number += 1

        threads = [threading.Thread(target=disturb, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        statuses = [server.ask(question, "trim-thr@0.9").status_code for question in QUESTIONS[20:36]]
        stop.set()
        for thread in threads:
            thread.join()
        assert set(statuses) == {200}
        for _ in range(100):
            if server.metric("trim_open_answers") == server.service._open == 0:
                break
            time.sleep(0.1)
        assert server.metric("trim_open_answers") == server.service._open == 0


def test_a_stream_that_is_never_sent_frees_its_place(backends):
    _, options = backends
    api = make_api(Options(store=None, **options))
    scheduler = threading.Thread(target=api.scheduler.run, daemon=True)
    scheduler.start()
    body = {"model": "trim-thr@0.9", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    told = [{"type": "http.request", "body": json.dumps(body).encode()}]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b""}
    scope |= {"headers": [(b"host", b"127.0.0.1")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2)}

    async def receive():
        if told:
            return told.pop()
        await asyncio.sleep(60)

    async def send(message):
        raise OSError("the connection is lost")

    async def ask():
        with suppress(OSError, ExceptionGroup):
            await api.app()(scope, receive, send)
        assert not told and api._service._open == 0

    gc.disable()  # what only the collector finds must not be what a place waits for
    try:
        asyncio.run(ask())
    finally:
        gc.enable()
        api.scheduler.stop()
        scheduler.join(10)
        api._service.store.close()


def test_a_question_that_a_model_refuses_ends_with_its_reason(backends):
    servers, options = backends
    refused = {"index": 0, "finish_reason": "content_filter", "message": {"content": "We", "refusal": None}}
    servers["strong"].faults = [refused]
    with serving(**options) as server:
        answer = server.ask(QUESTION, "always-strong").json()
        assert answer["choices"][0]["finish_reason"] == "content_filter"
        assert not answer["choices"][0]["message"]["content"]
        assert len(servers["strong"].requests) == 1
        assert server.ask(QUESTIONS[0], "always-strong").json()["choices"][0]["finish_reason"] == "length"


def test_a_conversation_with_answers_of_this_server_is_held(backends, monkeypatch):
    servers, options = backends
    monkeypatch.setattr(service, "check_question", lambda *_: None)  # these models have embedded tokenizers alone
    with serving(**options) as server:
        turns = [{"role": "system", "content": "Be short."}, {"role": "developer", "content": "Be kind."}]
        for question in ("How much is 2 + 2?\n", "And twice that?"):
            turns.append({"role": "user", "name": "user", "content": question})
            response = server.ask(model="always-weak", messages=turns)
            assert response.status_code == 200, response.text
            turns.append(response.json()["choices"][0]["message"])
    _, sent, _ = servers["weak"].requests[-1]
    roles = [turn["role"] for turn in sent["messages"]]
    assert roles[:4] == ["system", "user", "assistant", "user"]
    assert sent["messages"][0]["content"] == "Be short.\n\nBe kind."
    assert all(set(turn) == {"role", "content"} for turn in sent["messages"])
