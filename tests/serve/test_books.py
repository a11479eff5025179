"""The books: caps hold whatever runs at once, and what is made is charged once, whatever fails."""

import sqlite3
import threading
import time
from contextlib import suppress
from types import SimpleNamespace

import httpx2 as httpx
import pytest
import yaml
from fakes.serving import QUESTION, serving
from hypothesis import given
from hypothesis import strategies as st

from trim.engine.budget import Account
from trim.engine.episode import Episode, Step
from trim.engine.store import Node
from trim.ledger.calls import Call
from trim.models.base import Usage
from trim.models.cost import ModelCost
from trim.problems import Problem
from trim.problems.generated import generate
from trim.routers import registry
from trim.serve.answers import bill, spent
from trim.serve.books import Books, Size, most_of_answer
from trim.serve.errors import ApiError

QUESTIONS = [problem.question for problem in generate("standard", {"test": 40}, 80)]
COSTS = {role: ModelCost(1, 1e6, 1e5, 5e6, 0, 0, 0) for role in ("weak", "strong", "prm")}
ROOT = Node.root("q")
(WEAK_WITH_PRM,) = registry()["trim_thr"](registry()["trim_thr"].Params(thresholds=[0])).policies().values()
SECRET = "alice-secret-0123456789"


class Failing:
    """A store that fails at times."""

    def __init__(self, fails):
        self.fails, self.spending = iter(fails), [0.0, 0.0, 0.0, 0]

    def spent(self, name):
        return 0.0, 0.0, 0.0, 0

    def spend(self, name, *amounts):
        if next(self.fails, False):
            return False
        self.spending = [a + b for a, b in zip(self.spending, amounts, strict=True)]
        return True


class Costing:
    """A job of which only the calls matter."""

    def __init__(self, account):
        self.account, self.charged, self.episode, self.spent = account, 0, SimpleNamespace(calls=[]), 0.0

    def spend(self, money):
        self.spent += money
        self.episode.calls.append(Call("weak", "draft", 1, 0, 0, money * 1e6 / COSTS["weak"].price_out))


EVENTS = st.lists(
    st.tuples(st.sampled_from(["open", "spend", "end"]), st.integers(0, 9), st.floats(0, 1), st.integers(1, 6)),
    max_size=60,
)


@given(EVENTS, st.floats(0.1, 5), st.lists(st.booleans(), max_size=60))
def test_all_but_the_last_request_taken_is_within_the_cap(events, cap, fails):
    account, store = Account("a", cap=cap), Failing(fails)
    counted = []
    books = Books([account], store, COSTS, lambda tokens, money: counted.append(money))
    requests, last, most = [], [], 1.0
    for kind, which, share, count in events:
        if kind == "open":
            jobs = [Costing(account) for _ in range(count)]
            with suppress(ApiError):
                books.open(jobs, most)
                requests.append(jobs)
                last = jobs
        elif requests:
            for one in requests[which % len(requests)]:
                if kind == "spend":
                    one.spend(share * (most - one.spent))
                    books.note(one)
                else:
                    books.close(one)
            if kind == "end":
                requests.pop(which % len(requests))
            books.settle()
        assert (
            account.money
            - sum(one.spent for one in last)
            + sum(money for one, money in books._reserved.items() if one not in last)
            <= cap + 1e-9
        )
        assert account.money + books.reserved(account) <= cap + 6 * most + 1e-9
    store.fails = iter(())
    books.write()
    assert store.spending[2] == pytest.approx(account.money) == pytest.approx(sum(counted))


LENGTHS = st.integers(1, 20)
STEPS = st.lists(st.tuples(st.booleans(), LENGTHS, LENGTHS), min_size=1, max_size=6)


def written(steps, prompt, most_tokens=None, billed=False):
    """An episode in which every draft is scored, and some are rewritten."""
    episode = Episode(Problem("p", "q", "", "test"), 0, ROOT, ROOT, dict.fromkeys(COSTS, prompt))
    caches, tokens, unscored = episode.caches, 0, 0
    for rewritten, length, draft in steps:
        if most_tokens is not None and tokens > most_tokens:
            break
        tokens += length if rewritten else draft
        usage = Usage(prompt + tokens + draft, 0, 20) if billed else None
        calls = [caches.draft(draft, usage), caches.score(draft, unscored, usage)]
        if rewritten:
            calls.append(caches.rewrite(length, usage))
            step = Step("strong", "x", length, "y", draft, {"prm": 0.5}, "prm", calls=tuple(calls))
        else:
            step = Step("weak", "x", draft, None, draft, {"prm": 0.5}, "prm", calls=tuple(calls))
        unscored = length if rewritten else 0
        caches.accept(step.writer, step.tokens, repeats=False)
        episode.steps.append(step)
    return episode


@given(STEPS, st.integers(1, 50), st.sampled_from([None, 1, 7, 30]), st.booleans())
def test_no_bill_is_above_the_most_that_an_answer_can_cost(steps, prompt, most_tokens, billed):
    cost = bill(written(steps, prompt, most_tokens, billed), COSTS).money
    size = Size(prompt, 6, 20, most_tokens)
    assert 0 < cost <= most_of_answer(WEAK_WITH_PRM, size, COSTS, list(COSTS) if billed else [])


@given(st.lists(st.tuples(STEPS, st.booleans()), min_size=1, max_size=5), st.integers(1, 50))
def test_the_costs_of_many_episodes_are_those_of_each(many, prompt):
    episodes = []
    for number, (steps, restarted) in enumerate(many):
        episode = written(steps, prompt + number)
        if restarted:
            episode.discarded, episode.steps = episode.steps[:-1], episode.steps[-1:]
        episodes.append(episode)
    alone = [bill(episode, COSTS).money for episode in episodes]
    assert spent([episode.calls for episode in episodes], COSTS)[1] == pytest.approx(alone)


@pytest.fixture
def keys(tmp_path, monkeypatch):
    monkeypatch.setenv("ALICE_KEY", SECRET)
    path = tmp_path / "keys.yaml"
    path.write_text(yaml.safe_dump({"alice": {"variable": "ALICE_KEY", "cap": 0.0001}}))
    return {"keys": path, "store": tmp_path / "s.sqlite"}


ALICE = {"Authorization": f"Bearer {SECRET}"}


def test_parallel_requests_cannot_pass_a_cap(keys):
    with serving(**keys) as server:
        statuses, bills = [], []

        def ask(question):
            response = server.ask(question, "always-strong", ALICE, n=3)
            statuses.append(response.status_code)
            if response.status_code == 200:
                bills.append(sum(one["money"] for one in response.json()["trim"]["answers"]))
            else:
                assert response.json()["error"]["code"] in ("quota_reserved", "insufficient_quota")

        threads = [threading.Thread(target=ask, args=(question,)) for question in QUESTIONS[:16]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (account,) = (a for a in server.service.keys.accounts if a.name == "alice")
        assert {200, 429} == set(statuses)
        assert account.money == pytest.approx(sum(bills))
        assert account.money - max(bills) < account.cap
        assert server.service.books.reserved(account) == 0
        assert server.service.store.spent("alice")[2] == pytest.approx(account.money)


def test_what_is_streamed_is_written_down_before_it_is_told(keys):
    with serving(**keys) as server:
        body = {"model": "always-strong", "messages": [{"role": "user", "content": QUESTION}], "stream": True}
        with server.client.stream("POST", "/v1/chat/completions", json=body, headers=ALICE) as response:
            told = 0
            for line in response.iter_lines():
                if '"step"' in line:
                    told += 1
                    with sqlite3.connect(keys["store"]) as database:
                        ((strong,),) = database.execute("SELECT strong FROM accounts WHERE name = 'alice'")
                    assert strong >= told * 3
        assert told > 2


def test_clients_that_hang_up_pay_for_what_was_made(server_of_everybody):
    server = server_of_everybody
    account, before = server.service.keys.account(None), server.metric("trim_made_total")
    money = account.money
    for question in QUESTIONS[20:26]:
        body = {"model": "always-weak", "messages": [{"role": "user", "content": question}]}
        with suppress(httpx.HTTPError):
            server.client.post("/v1/chat/completions", json=body, timeout=0.03)
    while server.metric("trim_open_answers"):
        time.sleep(0.05)
    time.sleep(0.3)
    made = server.metric("trim_made_total") - before
    price = server.service.params.models.weak.price_out / 1e6
    assert account.money - money >= made * 3 * price  # each draft has more tokens than that


@pytest.fixture(scope="module")
def server_of_everybody():
    with serving() as started:
        yield started


@pytest.mark.parametrize("stream", [False, True])
def test_a_full_disk_stops_no_answer_and_shows_in_readiness(server_of_everybody, stream, caplog):
    server = server_of_everybody
    store, account = server.service.store, server.service.keys.account(None)
    before = account.money
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    try:
        for question in QUESTIONS[10 + 5 * stream : 15 + 5 * stream]:
            for _ in range(20):
                response = server.ask(question, metadata={str(i): "x" * 500 for i in range(16)}, stream=stream)
                assert response.status_code == 200
                if stream:
                    assert response.text.rstrip().endswith("[DONE]")
                if store._failing:
                    break
        assert store._failing
        assert "Traceback" not in caplog.text
    finally:
        store._connection.execute("PRAGMA max_page_count = 100000")
    assert server.client.get("/health/ready").json()["store"] == "up"
    assert server.ask(QUESTION).status_code == 200
    assert store.spent(account.name)[2] == pytest.approx(account.money)
    assert account.money > before


def test_a_store_that_raises_ends_a_stream_with_an_error_and_one_charge(server_of_everybody, monkeypatch):
    server = server_of_everybody
    account = server.service.keys.account(None)
    before = account.money

    def broken(*_):
        raise sqlite3.OperationalError("disk I/O error in /secret/path")

    with monkeypatch.context() as patched:
        patched.setattr(server.service.store, "spend", broken)
        response = server.ask(QUESTIONS[30], "always-weak", stream=True)
        assert "/secret/path" not in response.text
        assert "unexpected error" in response.text
    spent = account.money - before
    server.ask(QUESTIONS[30], "always-weak")
    assert 0 <= spent <= account.money - before - spent


def test_damaged_draws_are_made_again_and_no_path_is_told(tmp_path):
    path = tmp_path / "s.sqlite"
    with serving(store=path) as server:
        first = server.ask(QUESTION).json()["choices"]
        server.service.store._connection.execute("UPDATE draws SET text = 'x' WHERE text IS NOT NULL")
        server.service.store._connection.commit()
        again = server.ask(QUESTION)
        assert again.status_code == 200
        assert str(tmp_path) not in again.text
        assert again.json()["choices"] == first


def test_a_round_that_is_stuck_shows_in_the_health(server_of_everybody, monkeypatch):
    server = server_of_everybody
    monkeypatch.setattr("trim.serve.scheduler._STUCK", 0.0)
    monkeypatch.setattr(
        server.scheduler, "_limits", SimpleNamespace(**vars(server.scheduler._limits) | {"seconds": 0.5})
    )
    goes_on = threading.Event()
    server.scheduler._inbox.put(goes_on.wait)
    time.sleep(0.8)
    assert server.client.get("/health/live").status_code == 503
    goes_on.set()
    time.sleep(0.5)
    assert server.client.get("/health/live").status_code == 200
