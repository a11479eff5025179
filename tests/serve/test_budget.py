"""Budgets, keys and money over a stream of requests."""

import numpy as np
import pytest
import yaml
from fakes.serving import serving
from hypothesis import given
from hypothesis import strategies as st

from trim.engine.actions import Action, Phase
from trim.engine.budget import BURST, Account, Capped
from trim.engine.policy import Observation, Policy
from trim.errors import TrimError
from trim.problems import Problem
from trim.problems.generated import generate
from trim.serve.settings import KEY, Keys

QUESTIONS = [problem.question for problem in generate("standard", {"test": 150}, 79)]
SECRETS = {"ALICE_KEY": "alice-secret-0123456789", "BOB_KEY": "bob-secret-0123456789"}


class Greedy(Policy):
    def decide(self, phase, observation):
        return np.full(len(observation), Action.REWRITE)


def observation(tokens):
    one = np.full((1, 1), 0.5)
    lengths = np.full((1, 1), tokens)
    none = np.zeros((1, 0), dtype=bool)
    return Observation(
        [Problem("p", "q", "", "test")], [("s",)], [b"n"], one, lengths, one[:, 0], one, one, one, lengths, none, none
    )


@given(st.lists(st.integers(1, 50), min_size=1, max_size=200), st.floats(0.01, 0.9))
def test_the_credit_is_never_passed(lengths, budget):
    account = Account("a", budget)
    for length in lengths:
        policy = Capped(Greedy(), account)
        if policy.decide(Phase.DRAFTED, observation(length))[0] == Action.REWRITE:
            account.strong += length
        policy.settle()
        account.whole += length
        account.answers += 1
        assert account.strong <= budget * (account.whole + BURST * max(account.usual, 80)) + 1e-6
    assert not account.pending


def test_what_is_under_way_counts():
    account = Account("a", 0.1)
    policies = [Capped(Greedy(), account) for _ in range(10)]
    allowed = [policy.decide(Phase.DRAFTED, observation(40))[0] == Action.REWRITE for policy in policies]
    assert sum(allowed) == int(0.1 * BURST * 80 // 40)
    assert allowed[0]
    assert not allowed[-1]


def test_the_budget_that_is_told_makes_up_for_the_past():
    thrifty, wasteful = Account("a", 0.2, strong=100, whole=1000, answers=10), Account("b", 0.2, None, 300, 1000)
    wasteful.answers = 10
    assert wasteful.told < 0.2 < thrifty.told


@pytest.mark.slow
def test_a_stream_holds_its_budget_and_tells_where_it_ends():
    with serving(model="trim-budget@0.1", budget=0.1) as server:
        shares = []
        for question in QUESTIONS:
            response = server.ask(question, "auto")
            shares.append(response.json()["trim"]["budget"]["share_so_far"])
        assert shares[-1] == pytest.approx(0.1, abs=0.03)
        # An operating point that was named is not steered, but it is stopped.
        stopped = [server.ask(question, "always-strong").json()["trim"] for question in QUESTIONS[:60]]
        assert any(step["without"] == "budget" for told in stopped for step in told["steps"])
        assert server.metric("trim_budget_stops_total") > 0
        account = server.service.keys.account(None)
        assert account.strong <= 0.1 * (account.whole + BURST * account.usual) + 1e-6


@pytest.fixture
def keys(tmp_path, monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "keys.yaml"
    clients = {"alice": {"variable": "ALICE_KEY", "cap": 0.0001}, "bob": {"variable": "BOB_KEY", "budget": 0.0}}
    path.write_text(yaml.safe_dump(clients))
    return path


@pytest.mark.slow
def test_each_key_has_its_own_account(keys, tmp_path):
    alice, bob = ({"Authorization": f"Bearer {SECRETS[name]}"} for name in ("ALICE_KEY", "BOB_KEY"))
    with serving(keys=keys, store=tmp_path / "s.sqlite") as server:
        for wrong in ({}, {"Authorization": "Bearer other"}, {"Authorization": SECRETS["BOB_KEY"][:-1]}):
            assert server.ask(headers=wrong).status_code == 401
        assert server.client.get("/v1/models").status_code == 401
        response = server.ask(model="always-strong", headers=bob)
        assert response.json()["trim"]["strong_share"] <= 0.5  # the burst is nothing too
        answered = 0
        while server.ask(QUESTIONS[answered], "always-strong", alice).status_code == 200:
            answered += 1
        assert answered > 1
        refused = server.ask(QUESTIONS[answered], "always-strong", alice)
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "insufficient_quota"
        assert server.ask(headers=bob).status_code == 200
        name = response.headers["x-trim-request-id"]
        assert server.client.get(f"/v1/chat/completions/{name}", headers=bob).status_code == 200
        assert server.client.get(f"/v1/chat/completions/{name}", headers=alice).status_code == 404
        assert not any(secret in server.client.get("/metrics").text for secret in SECRETS.values())
    with serving(keys=keys, store=tmp_path / "s.sqlite") as server:  # what was spent is remembered
        assert server.ask(QUESTIONS[answered], "always-strong", alice).status_code == 429


@pytest.mark.parametrize(
    ("content", "environment", "message"),
    [
        ("alice: {variable: ALICE_KEY}", {}, "ALICE_KEY is not set"),
        ("alice: {variable: ALICE_KEY}", {"ALICE_KEY": "short"}, "at least 16"),
        ("alice: {variable: alice-secret-0123456789}", {}, "variable"),
        ("alice: {variable: ALICE_KEY, budget: 2}", {}, "budget"),
        ("a: {variable: ALICE_KEY}\nb: {variable: ALICE_KEY}", SECRETS, "that of another"),
        ("[]", {}, "keys.yaml"),
        ("{}", {}, "no client in it"),
        ("", {}, "empty"),
        ("default: {variable: ALICE_KEY}", SECRETS, "default: an account of the server"),
        ("everybody: {variable: ALICE_KEY}", SECRETS, "everybody: an account of the server"),
    ],
)
def test_mistakes_in_keys_are_named(tmp_path, content, environment, message):
    path = tmp_path / "keys.yaml"
    path.write_text(content)
    with pytest.raises(TrimError, match=message):
        Keys.load(path, None, environment)


@pytest.mark.parametrize("header", ["Bearer KEY", "bearer KEY", "BEARER   KEY ", "KEY"])
def test_a_key_is_found_however_its_scheme_is_written(header):
    account = Account("a")
    keys = Keys({SECRETS["ALICE_KEY"]: account}, Account("all"))
    assert keys.account(header.replace("KEY", SECRETS["ALICE_KEY"])) is account
    assert keys.account(header.replace("KEY", SECRETS["BOB_KEY"])) is None


def test_other_machines_are_served_with_a_key_only(monkeypatch):
    monkeypatch.delenv(KEY, raising=False)
    with pytest.raises(TrimError, match=KEY), serving(host="0.0.0.0"):
        pass
