"""Connections to servers that fail on purpose: tries, money, and whose failure it is."""

import asyncio
import logging
import sqlite3
import threading
import time

import pytest
from fakes.served import KEYS, PREFIXES, PRICE, SECRET, language_model, said
from fakes.server import BROKEN

from trim.engine.cached import CachedLM
from trim.engine.rounds import goes_on
from trim.engine.store import Draws, Node
from trim.errors import TrimError
from trim.models import connection
from trim.models.base import Draft, Prefix
from trim.models.connection import Connection
from trim.models.spending import FILE, Ledger

pytestmark = pytest.mark.slow


def test_a_storm_of_refusals_is_waited_out(served):
    server, model = served([429] * 24)
    assert len(language_model(model).next_steps(PREFIXES[:8], KEYS[:8])) == 8
    assert len(server.requests) == 32


def test_slow_answers_are_given_up_and_say_so(served):
    _, model = served([3.0] * 9, timeout=0.3, retries=1)
    with pytest.raises(TrimError, match=r"no whole answer in 0\.3 s, 2 times; raise server\.timeout"):
        language_model(model).next_steps(PREFIXES[:1], KEYS[:1])


@pytest.mark.parametrize(("status", "message"), [(401, "the key in SOME_KEY was refused"), (404, "status 404")])
def test_what_no_retry_can_cure_fails_at_once_and_shows_no_secret(served, status, message):
    server, model = served([status] * 8)
    with pytest.raises(TrimError, match=message) as caught:
        language_model(model).next_steps(PREFIXES, KEYS)
    assert len(server.requests) <= 8
    assert SECRET not in str(caught.value)


def test_without_a_server_or_a_key_it_says_so(served, monkeypatch):
    server, model = served(retries=0)
    server.close()
    with pytest.raises(TrimError, match=r"cannot be reached; is the server running at server\.url"):
        language_model(model).next_steps(PREFIXES[:1], KEYS[:1])
    monkeypatch.delenv("SOME_KEY")
    with pytest.raises(TrimError, match="SOME_KEY is not set"):
        language_model(model)


def test_a_finished_draft_is_never_paid_for_twice(served, tmp_path):
    """A run that dies in the middle of a batch goes on with what was not finished."""
    nodes = [Node.root(f"q{i}") for i in range(60)]
    server, model = served([None] * 25 + [400] * 100, api="chat")

    def writer():
        return CachedLM("m", lambda: language_model(model, tmp_path), Draws((), tmp_path / "j.sqlite"), 64)

    with pytest.raises(TrimError, match="status 400"):
        writer().next_steps(nodes)
    paid = len(server.answered)
    assert 20 <= paid < 60
    server.faults.clear()
    drafts = writer().next_steps(nodes)
    assert len(server.answered) == 60
    assert len({str(body["messages"]) for body in server.answered}) == 60
    assert writer().next_steps(nodes) == drafts
    assert len(server.answered) == 60
    assert Ledger(tmp_path, "embedded/prm", None).spent == pytest.approx(60 * PRICE)


def test_the_cap_is_never_passed_and_what_was_made_is_kept(served, tmp_path):
    server, model = served(cap=150 * PRICE, api="chat")
    nodes = [Node.root(f"q{i}") for i in range(400)]
    draws = Draws((), tmp_path / "j.sqlite")
    with pytest.raises(TrimError, match=r"may pass the cap of 2100; raise server\.cap"):
        CachedLM("m", lambda: language_model(model, tmp_path), draws, 400).next_steps(nodes)
    spent = Ledger(tmp_path, "embedded/prm", None).spent
    assert spent <= 150 * PRICE
    assert len(server.answered) * PRICE == pytest.approx(spent)
    assert len(server.answered) > 50
    with pytest.raises(TrimError, match="cap"):
        language_model(model, tmp_path).next_steps(PREFIXES[:1], KEYS[:1])


def test_secrets_stay_out_of_files_and_logs(served, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    server, model = served([500, "malformed"])
    CachedLM("m", lambda: language_model(model, tmp_path), Draws((), tmp_path / "j.sqlite"), 8).next_steps(
        [Node.root("q")]
    )
    assert server.requests[0][2] == f"Bearer {SECRET}"
    assert SECRET not in caplog.text
    assert SECRET not in model.model_dump_json()
    assert all(SECRET.encode() not in path.read_bytes() for path in tmp_path.iterdir())
    assert (tmp_path / FILE).is_file()


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"null",
        b"[1, 2]",
        b'"text"',
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b"NaN",
        {"choices": None, "usage": None, "error": {"message": "the GPU fell off"}},
        {"error": "the GPU fell off"},
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        {"choices": [None], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        {"choices": "x", "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        {"choices": [said("a")], "usage": {"prompt_tokens": 1e300, "completion_tokens": 1}},
        {"choices": [said("a")], "usage": {"prompt_tokens": -1, "completion_tokens": 1}},
        {"choices": [said("a")], "usage": {"prompt_tokens": True, "completion_tokens": 1}},
        {"choices": [said("a")], "usage": {"prompt_tokens": 10**30, "completion_tokens": 1}},
        {"choices": [said("a")], "usage": {}},
        {"choices": [said("a")], "usage": []},
        {"choices": [said(7)], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        {"choices": [{"message": "a"}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        "gzip",
        "huge",
        "truncate",
    ],
)
def test_broken_answers_are_tried_again_a_few_times_and_paid_for(served, broken, tmp_path):
    server, model = served([broken, broken], api="chat", retries=2)
    lm = language_model(model, tmp_path)
    assert lm.next_steps([PREFIXES[0]], [KEYS[0]])[0].stop == "separator"
    assert len(server.requests) == 3
    spent = Ledger(tmp_path, "embedded/prm", None).spent
    assert spent >= PRICE
    server.faults = [broken] * 9
    with pytest.raises(TrimError) as caught:
        lm.next_steps([PREFIXES[1]], [KEYS[1]])
    assert len(server.requests) == 6
    assert "\n" not in str(caught.value)
    if isinstance(broken, dict) and "error" in broken:
        assert "the GPU fell off" in str(caught.value)
    assert Ledger(tmp_path, "embedded/prm", None).spent > spent


@pytest.mark.parametrize("fault", [*BROKEN, "truncate", "gzip", "huge", "drip"])
def test_an_answer_that_breaks_off_is_billed_at_the_most_it_can_cost(served, tmp_path, fault):
    server, model = served([fault] * 3, api="chat", retries=2, timeout=1 if fault == "drip" else 5)
    lm, most = language_model(model, tmp_path), []
    prices = lm._connection.prices
    lm._connection.prices = lambda *tokens: most.append(prices(*tokens)) or most[-1]
    with pytest.raises(TrimError, match=r"broke off|no whole answer|more than 64 MiB|compressed") as caught:
        lm.next_steps(PREFIXES[:1], KEYS[:1])
    assert "cannot be reached" not in str(caught.value)
    assert len(server.requests) == 3
    assert Ledger(tmp_path, "embedded/prm", None).spent == pytest.approx(3 * most[0])
    assert lm.next_steps(PREFIXES[:1], KEYS[:1])[0].stop == "separator"


@pytest.mark.parametrize("fault", [429, 500, (400, {"error": "no"}), "drop"])
def test_what_gives_no_answer_is_not_billed(served, tmp_path, fault):
    _, model = served([fault] * 2, api="chat", retries=1)
    with pytest.raises(TrimError):
        language_model(model, tmp_path).next_steps(PREFIXES[:1], KEYS[:1])
    assert Ledger(tmp_path, "embedded/prm", None).spent == 0


@pytest.mark.parametrize(
    ("fault", "stop"),
    [
        ((400, {"error": {"message": "no", "code": "content_filter"}}), "refused"),
        ((422, {"detail": "the text cannot be processed"}), "refused"),
        ((413, {"error": "too large"}), "length"),
        ((400, {"error": {"message": "prompt is too long: 210000 tokens > 200000 maximum"}}), "length"),
        (said("We have 6 times", "content_filter"), "refused"),
        (said(None, refusal="I can't help with that."), "refused"),
        (said("We have 6 times", "model_context_window_exceeded"), "length"),
    ],
)
def test_one_problems_failure_ends_that_problem_once(served, tmp_path, caplog, fault, stop):
    server, model = served([fault], api="chat", concurrency=1)
    nodes = [Node.root(f"q{i}") for i in range(5)]

    def steps():
        draws = Draws((), tmp_path / "j.sqlite")
        return CachedLM("m", lambda: language_model(model, tmp_path), draws, 64).next_steps(nodes)

    first, *others = steps()
    assert (first.text, first.stop) == ("", stop)
    assert {draft.stop for draft in others} == {"separator"}
    assert "the solution of 'q0'" in caplog.text
    requests = len(server.requests)
    assert steps() == [first, *others]
    assert len(server.requests) == requests


def test_a_server_that_refuses_every_text_for_no_reason_ends_the_batch(served):
    _, model = served([(422, {"detail": "no"})] * 40, api="chat", concurrency=1)
    lm = language_model(model)
    with pytest.raises(TrimError, match="status 422: no"):
        lm.next_steps(PREFIXES, KEYS)
    assert lm.refused == 3


@pytest.mark.parametrize("ends", ["stop", "box"])
def test_a_refused_step_ends_its_solution(ends):
    assert not goes_on(Draft("", 0, "refused"), 1, 30, ends)


@pytest.mark.parametrize(
    ("status", "said", "cure"),
    [
        (422, "extra_forbidden body.seed", r"server\.seed: false"),
        (400, "the valid range of max_tokens is [1, 8192]", r"lower generation\.sampling\.max_step_tokens"),
    ],
)
def test_a_refused_parameter_ends_the_batch_and_says_its_cure(served, status, said, cure):
    _, model = served([(status, {"detail": said})], api="chat", retries=0)
    with pytest.raises(TrimError, match=cure):
        language_model(model).next_steps(PREFIXES[:1], KEYS[:1])


def test_a_query_of_the_address_stays_at_its_end(served):
    server, model = served(["drop"], api="chat", retries=1)
    at = model.server.model_copy(update={"url": server.url + "/deployments/d/?api-version=2024-06-01"})
    language_model(model.model_copy(update={"server": at})).next_steps(PREFIXES[:1], KEYS[:1])
    assert {path for path, *_ in server.requests} == {"/v1/deployments/d/chat/completions?api-version=2024-06-01"}
    server.faults = [404]
    with pytest.raises(TrimError) as caught:
        language_model(model.model_copy(update={"server": at})).next_steps(PREFIXES[:1], KEYS[:1])
    assert "api-version" not in str(caught.value)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "socks5h://127.0.0.1:1", "nonsense://x"])
def test_proxies_of_the_environment_do_not_take_a_server_of_this_machine(served, monkeypatch, variable, proxy):
    monkeypatch.setenv(variable, proxy)
    _, model = served(api="chat", retries=0)
    assert language_model(model).next_steps(PREFIXES[:1], KEYS[:1])
    for host in ("localhost", "127.0.0.2"):
        at = model.server.model_copy(update={"url": model.server.url.replace("127.0.0.1", host)})
        assert Connection(model.model_copy(update={"server": at}), None)._here
    at = model.server.model_copy(update={"url": "http://elsewhere.invalid/v1"})
    with pytest.raises(TrimError, match=r"HTTP_PROXY|ALL_PROXY"):
        language_model(model.model_copy(update={"server": at})).next_steps(PREFIXES[:1], KEYS[:1])


def test_a_caller_with_an_event_loop_of_its_own_is_answered(served, tmp_path):
    """As in a notebook; draws are kept in the thread that asks."""
    server, model = served([429, None, 500], api="chat")
    lm = CachedLM("m", lambda: language_model(model, tmp_path), Draws((), tmp_path / "j.sqlite"), 64)
    nodes = [Node.root(f"q{i}") for i in range(20)]

    async def cell():
        return lm.next_steps(nodes)

    drafts = asyncio.run(cell())
    assert [draft.stop for draft in drafts] == ["separator"] * 20
    assert asyncio.run(cell()) == drafts
    server.faults = [404] * 20

    async def failing():
        lm.next_steps([Node.root("new")])

    with pytest.raises(TrimError, match="status 404"):
        asyncio.run(failing())


def test_waiting_for_the_cap_is_logged_and_ends(served, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(connection, "_PATIENCE", 0.1)
    _, model = served(api="chat", cap=1.0, timeout=0.2)
    monkeypatch.setattr(connection, "_STALL", 0.2)
    Ledger(tmp_path, "embedded/prm", None).reserve(1.0)
    elsewhere = sqlite3.connect(tmp_path / FILE)
    with elsewhere:
        elsewhere.execute("UPDATE reserved SET host = 'another'")
    lm = language_model(model, tmp_path)
    lm._connection.prices = lambda *tokens: 0.5
    with pytest.raises(TrimError, match=r"1\.0000 spent"):
        lm.next_steps(PREFIXES[:1], KEYS[:1])
    assert caplog.text.count(r"waits under server.cap") == 1


def test_the_deadline_is_for_the_whole_answer(served):
    _, model = served(["drip"] * 3, timeout=1, retries=0, api="chat")
    with pytest.raises(TrimError, match=r"no whole answer in 1 s"):
        language_model(model).next_steps(PREFIXES[:1], KEYS[:1])


def test_redirects_are_not_followed(served):
    other, _ = served()
    _, model = served([other.url + "/chat/completions"] * 3, api="chat")
    with pytest.raises(TrimError, match="redirects elsewhere"):
        language_model(model).next_steps(PREFIXES[:1], KEYS[:1])
    assert not other.requests


def test_the_cap_holds_for_any_script_and_over_processes(served, tmp_path):
    """Emoji are several tokens each; the server bills one a byte."""
    _, model = served(
        [{"choices": [said("a")], "usage": {"prompt_tokens": 400, "completion_tokens": 4}}] * 99,
        cap=5000.0,
        api="chat",
        concurrency=32,
    )
    prefixes = [Prefix("\U0001f600" * 100 + str(i)) for i in range(60)]
    ledgers = [Ledger(tmp_path, "embedded/prm", 5000.0) for _ in range(5)]
    reserved = [ledger.reserve(600.0) for ledger in ledgers]  # as other processes would

    def settle():
        time.sleep(0.5)
        for number in reserved:
            Ledger(tmp_path, "embedded/prm", 5000.0).settle(number, 600.0)

    threading.Thread(target=settle).start()
    with pytest.raises(TrimError, match="cap"):
        language_model(model, tmp_path).next_steps(prefixes, KEYS + KEYS[:20])
    assert Ledger(tmp_path, "embedded/prm", None).spent <= 5000
