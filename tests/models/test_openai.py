"""The openai backend against a server that fails on purpose."""

import asyncio
import logging
import sqlite3
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import yaml
from fakes.scripted import FREE
from fakes.server import BROKEN, FakeServer

from trim.engine.cached import CachedLM
from trim.engine.rounds import goes_on
from trim.engine.store import Draws, Node
from trim.errors import TrimError
from trim.experiment.load import check
from trim.experiment.runner import Runner
from trim.models import connection
from trim.models.backends.openai import ServedLM, ServedPRM
from trim.models.base import IMPOSSIBLE, Draft, Prefix
from trim.models.connection import Connection
from trim.models.settings import Model, RewardModel, Sampling
from trim.models.spending import FILE, Ledger
from trim.problems.generated import generate
from trim.progress import Tracker
from trim.rng import digest
from trim.routers.always import AlwaysStrong
from trim.steps import INSTRUCTION, PLAIN, PRM_TAG, join

pytestmark = pytest.mark.slow

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
    return ServedLM(model, Sampling(max_step_tokens=4), PLAIN, spending)


@pytest.mark.parametrize("api", ["completions", "prefill", "chat"])
def test_faults_change_nothing(served, api):
    _, model = served(api=api)
    calm = language_model(model).next_steps(PREFIXES, KEYS)
    assert len({draft.text for draft in calm}) == len(PREFIXES)
    assert {(draft.tokens, draft.stop) for draft in calm} == {(4, "separator")}
    faults = ["drop", 429, "malformed", "truncate", 500, "empty", 503, 0.2, 429, "drop", 502, "malformed"]
    server, model = served(faults, api=api)
    assert language_model(model).next_steps(PREFIXES, KEYS) == calm
    assert not server.faults
    assert server.most_open <= 8


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


def test_a_chat_that_cannot_be_continued_is_asked_for_the_next_step_only(served):
    server, model = served(api="chat")
    prefix = Prefix("What is 1+1+1?", ("1+1=2",))
    language_model(model).next_steps([prefix], [KEYS[0]])
    (_, body, _) = server.requests[0]
    (turn,) = body["messages"]
    assert turn["role"] == "user"
    for part in (prefix.question, INSTRUCTION, join(prefix.steps), "only the next step"):
        assert part in turn["content"]
    assert not {"top_k", "stop", "continue_final_message"} & set(body)


def test_a_turn_is_continued_where_the_server_can(served):
    server, model = served(api="prefill")
    language_model(model).next_steps(PREFIXES[:2], KEYS[:2])
    first, second = sorted((body for _, body, _ in server.requests), key=lambda body: len(body["messages"]))
    assert (first["continue_final_message"], first["add_generation_prompt"]) == (False, True)
    assert (second["continue_final_message"], second["add_generation_prompt"]) == (True, False)
    assert second["messages"][-1] == {"role": "assistant", "content": join(PREFIXES[1].steps)}
    assert second["stop"] == ["\n\n"]


@pytest.mark.parametrize("only_tags", [True, False])
def test_scores_come_from_the_tags_with_one_softmax(served, only_tags):
    from trim.models.files import resolve
    from trim.models.prompt import read_tokenizer

    tag = read_tokenizer(resolve("embedded/prm")).convert_tokens_to_ids(PRM_TAG)
    _, model = served(["drop", "empty"], tag=tag if only_tags else None, kind=RewardModel)
    solution = Prefix("Start with 1, add 2, add 3, add 4.", ("1 + 2 = 3", "3 + 3 = 6", "6 + 4 = 10"))
    prm = ServedPRM(model, PLAIN)
    (scores,) = prm.score([solution], [2])
    places = [i for i, token in enumerate(prm._prompt.ids([solution], [
        "".join(step + PRM_TAG for step in solution.steps)])[0]) if token == tag]  # fmt: skip
    assert [s.score for s in scores] == pytest.approx([1 / (1 + np.exp(-place / 10)) for place in places[-2:]])
    assert [s.tokens_read for s in scores] == np.diff(places).tolist()


def test_an_experiment_runs_on_a_server_and_pays_once(served, raw, tmp_path):
    server, model = served(api="chat")
    given = yaml.safe_load(yaml.safe_dump(raw))
    given["models"]["strong"] = model.model_dump(mode="json") | {"weights": None}
    given["generation"]["max_steps"] = 3
    params = check(given)
    problems = generate("standard", {"test": 4}, 0)

    def solve():
        runner = Runner.open(params, (), tmp_path / "j.sqlite", Tracker.silent())
        (policy,) = AlwaysStrong(None).policies().values()
        return runner, runner.run(problems, [policy])

    runner, episodes = solve()
    assert [len(e.steps) for e in episodes] == [3] * 4
    assert {step.tokens for e in episodes for step in e.steps} == {4}
    assert runner.costs()["strong"].parameters == 0
    assert [e.steps for e in solve()[1]] == [e.steps for e in episodes]
    assert len(server.answered) == 12
    assert Ledger(tmp_path, "embedded/prm", None).spent == pytest.approx(12 * PRICE)


def test_likelihoods_come_from_the_tokens_of_the_last_step(served):
    faults = ["drop", 429, "malformed", "empty", 503]
    _, model = served(faults, api="completions")
    lm, kept = language_model(model), {}
    solutions = [Prefix("Start with 1, add 2.", ("1 + 2 = 3",) * (1 + i % 3)) for i in range(12)]
    found = lm.mean_logprobs(solutions, lambda index, scores: kept.update({index: scores}))
    whole, starts = lm._prompt.last_steps(solutions)
    for i, (ids, start) in enumerate(zip(whole, starts, strict=True)):
        assert lm._prompt._tokenizer.decode(ids[start:]).strip() == "1 + 2 = 3"
        assert found[i].tokens_read == len(ids) - start
        assert found[i].score == pytest.approx(-np.mean(ids[start:]) / 100)
        assert kept[i] == [found[i]]


def test_entropies_are_those_of_the_most_probable_tokens(served):
    _, model = served(["drop", 429, "malformed", "empty", 503], api="completions")
    lm, kept = language_model(model), {}
    prefixes = [Prefix("Start with 1, add 2.", ("1 + 2 = 3",) * i) for i in range(9)]
    found = lm.first_entropies(prefixes, lambda index, scores: kept.update({index: scores}))
    for i, ids in enumerate(lm._prompt.ids(prefixes, [p.text for p in prefixes])):
        assert found[i].score == pytest.approx(np.log(len(ids) % 7 + 1))
        assert found[i].usage.written == 1
        assert kept[i] == [found[i]]


@pytest.mark.parametrize("method", ["mean_logprobs", "first_entropies"])
def test_an_api_that_tells_no_likelihoods_is_named(served, method):
    _, model = served(api="chat")
    with pytest.raises(TrimError, match=r"server\.api: completions"):
        getattr(language_model(model), method)(PREFIXES)


def drafts(served, api, *faults, of=None, **settings):
    """Text, tokens and stop of the next step of one prefix, for each reply of a server."""
    _, model = served(list(faults), api=api, of=of, **settings)
    lm = language_model(model)
    return [lm.next_steps([PREFIXES[1]], [KEYS[1]])[0][:3] for _ in faults or [None]]


def said(content, reason="stop", **more):
    return {"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": content, **more}}


@pytest.mark.parametrize("reason", [None, "", "eos_token", "stop_sequence", "end_turn", "eos", "load"])
def test_a_reply_of_one_step_goes_on_in_all_the_words_for_its_end(served, reason):
    (draft,) = drafts(served, "chat", said("First, 2 plus 3 is a sum.", reason))
    assert draft == ("First, 2 plus 3 is a sum.", 4, "separator")


@pytest.mark.parametrize(
    ("content", "reason", "step", "stop"),
    [
        (
            "<think>\nThe user asks 2+3.\n\nThat is 5.\n</think>\n\nSo \\boxed{5}.",
            "stop",
            "So \\boxed{5}.",
            "separator",
        ),
        ("---\n\nThe sum is 5: \\boxed{5}.", "stop", "The sum is 5: \\boxed{5}.", "separator"),
        ("### Step 1\n\nWe add.", "stop", "### Step 1\nWe add.", "separator"),
        ("**Step 2:**\n\nWe add.\n\nMore", "stop", "**Step 2:**\nWe add.", "separator"),
        ("First, add.\n\nThen more", "length", "First, add.", "separator"),
        ("First, ad", "length", "First, ad", "length"),
        ([{"type": "text", "text": "First, "}, {"type": "text", "text": "add."}], "stop", "First, add.", "separator"),
        ("half a \ud800 character", "stop", "half a ? character", "separator"),
        ("", "stop", "", "end"),
        (None, "end_turn", "", "end"),
        ("", "length", "", "length"),
    ],
)
def test_what_chat_replies_hold(served, content, reason, step, stop):
    assert drafts(served, "chat", said(content, reason)) == [(step, 4, stop)]


@pytest.mark.parametrize("reason", ["length", "stop"])
@pytest.mark.parametrize("reply", [{"content": None, "reasoning_content": "..."}, {"content": "<think>and on and on"}])
def test_an_answer_that_is_lost_to_reasoning_says_so(served, reason, reply):
    with pytest.raises(TrimError, match=r"lost to reasoning.*max_step_tokens"):
        drafts(served, "chat", {"finish_reason": reason, "message": reply})


@pytest.mark.parametrize(
    ("choice", "stop"),
    [
        ({"stop_reason": "\n\n"}, "separator"),
        ({"stop_reason": None}, "end"),
        ({"matched_stop": 151645}, "end"),
        ({"matched_stop": "\n\n"}, "separator"),
        ({}, "separator"),
        ({"finish_reason": "eos_token"}, "end"),
        ({"finish_reason": "stop_sequence"}, "separator"),
        ({"finish_reason": None}, "separator"),
    ],
)
def test_why_a_continued_turn_stopped(served, choice, stop):
    assert drafts(served, "prefill", said("So 5.") | choice) == [("So 5.", 4, stop)]


def test_a_model_that_says_no_more_ends_its_solution(served, raw):
    """Two requests, not hundreds, where a server does not tell which stop it was."""
    server, model = served([said("It ends without a box."), said("")] + [said("")] * 900)
    given = yaml.safe_load(yaml.safe_dump(raw))
    given["models"]["strong"] = model.model_dump(mode="json") | {"weights": None}
    runner = Runner.open(check(given), (), None, Tracker.silent())
    (policy,) = AlwaysStrong(None).policies().values()
    (episode,) = runner.run(generate("standard", {"test": 1}, 0), [policy])
    assert [step.text for step in episode.steps] == ["It ends without a box.", ""]
    assert len(server.answered) == 2


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


@pytest.mark.parametrize("method", ["mean_logprobs", "first_entropies"])
def test_a_full_context_leaves_no_likelihood(served, method):
    _, model = served(of={"context": 30}, api="completions")
    (score,) = getattr(language_model(model), method)([Prefix("question", ("a long step " * 30,))])
    assert score.score in (0.0, IMPOSSIBLE)


@pytest.mark.parametrize("sent", [True, False])
def test_a_seed_fits_31_bits_or_is_left_out(served, sent):
    server, model = served(api="chat", seed=sent)
    language_model(model).next_steps(PREFIXES, KEYS)
    seeds = [body.get("seed") for _, body, _ in server.requests]
    if sent:
        assert len(set(seeds)) == len(PREFIXES)
        assert all(0 <= seed < 2**31 for seed in seeds)
    else:
        assert seeds == [None] * len(PREFIXES)


@pytest.mark.parametrize("api", ["chat", "prefill"])
@pytest.mark.parametrize("thinking", [None, True, False])
def test_a_chat_says_if_the_model_is_to_think(served, api, thinking):
    server, model = served(api=api)
    language_model(model.model_copy(update={"thinking": thinking})).next_steps(PREFIXES[:1], KEYS[:1])
    ((_, body, _),) = server.requests
    assert body.get("chat_template_kwargs") == (None if thinking is None else {"enable_thinking": thinking})


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


def test_a_template_that_trims_the_open_turn_is_refused_at_the_start(served):
    server, model = served(of={"trims": True})
    with pytest.raises(TrimError, match="chat template trims the turn"):
        language_model(model).next_steps(PREFIXES[:1], KEYS[:1])
    assert not server.requests


def test_parameters_that_are_null_are_not_sent(served):
    server, model = served(api="chat")
    ServedLM(model, Sampling(top_p=None, max_step_tokens=4), PLAIN).next_steps(PREFIXES[:1], KEYS[:1])
    ((_, body, _),) = server.requests
    assert "top_p" not in body
    assert body["temperature"] == 0.7


def test_the_name_of_the_limit_follows_the_server(served):
    server, model = served(of={"max_tokens": "max_completion_tokens"}, api="chat")
    lm = language_model(model)
    lm.next_steps(PREFIXES[:3], KEYS[:3])
    assert len(server.answered) == 3
    assert all(body["max_completion_tokens"] == 4 and "max_tokens" not in body for body in server.answered)


@pytest.mark.parametrize("api", ["completions", "prefill", "chat"])
def test_a_solution_that_fills_the_context_ends_there(served, api, caplog):
    _, model = served(of={"context": 900}, api=api, context=900 if api == "completions" else None)
    lm = ServedLM(model, Sampling(max_step_tokens=512), PLAIN)
    long = Prefix("question", ("a long step " * 30,) * 60)
    short, full = lm.next_steps([PREFIXES[1], long], KEYS[:2])
    assert short.stop == "separator"
    assert full[:3] == ("", 0, "length")
    assert lm.full == 1
    assert "fills the context" in caplog.text


def test_a_reward_models_prompt_is_cut_from_the_left_and_lost_steps_count_as_right(served, caplog):
    from trim.models.files import resolve
    from trim.models.prompt import read_tokenizer

    tag = read_tokenizer(resolve("embedded/prm")).convert_tokens_to_ids(PRM_TAG)
    _, model = served(tag=tag, kind=RewardModel, context=64)
    solution = Prefix("Start with 1, add 2.", tuple(f"{i} + 1 = {i + 1}" for i in range(30)))
    (scores,) = ServedPRM(model, PLAIN).score([solution], [30])
    assert len(scores) == 30
    assert [s.score for s in scores[:15]] == [1.0] * 15
    assert all(s.score < 1 for s in scores[-5:])
    assert "cut" in caplog.text


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


def test_what_a_dead_process_had_reserved_counts_as_spent(tmp_path):
    code = "import sys, pathlib, trim.models.spending as l; l.Ledger(pathlib.Path(sys.argv[1]), 'm', 9.0).reserve(5.0)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    ledger = Ledger(tmp_path, "m", 9.0)
    with pytest.raises(TrimError, match=r"5\.0000 spent"):
        ledger.reserve(6.0)
    assert ledger.spent == 5.0
    assert ledger.reserve(4.0) is not None


def test_a_key_in_place_of_its_variables_name_is_refused_and_not_shown(raw):
    given = yaml.safe_load(yaml.safe_dump(raw))
    given["models"]["strong"] |= {"backend": "openai", "server": {"url": "http://127.0.0.1:1/v1", "key": SECRET}}
    with pytest.raises(
        TrimError, match=r"models\.strong\.server\.key: not the name of an environment variable"
    ) as caught:
        check(given)
    assert SECRET not in str(caught.value)
