"""The openai backend against a server that fails on purpose."""

import logging

import numpy as np
import pytest
import yaml
from fake_server import FakeServer

from trim.config import Model, RewardModel, check
from trim.draws import Draws, Node, Writer, digest
from trim.errors import TrimError
from trim.models.base import Prefix, Sampling
from trim.models.ledger import FILE, Ledger
from trim.models.openai import ServedLM, ServedPRM
from trim.problems.generated import generate
from trim.progress import Tracker
from trim.routers.always import AlwaysStrong
from trim.steps import INSTRUCTION, PRM_TAG, join
from trim.workspace import Workspace

SECRET = "sk-very-secret-0123456789"
PREFIXES = [Prefix(f"question {i}", tuple(f"step {k}" for k in range(i % 3))) for i in range(40)]
KEYS = [digest(repr(p).encode()) for p in PREFIXES]
PRICE = 14e-6 * 1e6  # of one answer: 10 tokens read and 4 written, at a unit each


@pytest.fixture
def served(monkeypatch):
    """Starts servers; gives one and the settings of a model behind it."""
    monkeypatch.setenv("SOME_KEY", SECRET)
    servers = []

    def start(faults=(), tag=None, kind=Model, **settings):
        servers.append(FakeServer(faults, tag))
        server = {"url": servers[-1].url, "key": "SOME_KEY", "retries": 6, "timeout": 5, "concurrency": 8}
        model = kind(
            backend="openai", path="embedded/prm", weights=1, price=1e6, latency_per_call=0, latency_per_token=0,
            server=server | {"price_in": 1e6} | settings,
        )  # fmt: skip
        return servers[-1], model

    yield start
    for server in servers:
        server.close()


def language_model(model, spending=None):
    return ServedLM(model, Sampling(max_step_tokens=4), INSTRUCTION, spending)


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
    with pytest.raises(TrimError, match=r"no answer in 0\.3 s, 2 times; raise server\.timeout"):
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
    server, model = served([None] * 25 + [400] * 100)

    def writer():
        return Writer("m", lambda: language_model(model, tmp_path), Draws((), tmp_path / "j.sqlite"), 64)

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
    server, model = served(cap=150 * PRICE)
    nodes = [Node.root(f"q{i}") for i in range(400)]
    draws = Draws((), tmp_path / "j.sqlite")
    with pytest.raises(TrimError, match=r"may pass the cap of 2100; raise server\.cap"):
        Writer("m", lambda: language_model(model, tmp_path), draws, 400).next_steps(nodes)
    spent = Ledger(tmp_path, "embedded/prm", None).spent
    assert spent <= 150 * PRICE
    assert len(server.answered) * PRICE == pytest.approx(spent)
    assert len(server.answered) > 50
    with pytest.raises(TrimError, match="cap"):
        language_model(model, tmp_path).next_steps(PREFIXES[:1], KEYS[:1])


def test_secrets_stay_out_of_files_and_logs(served, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    server, model = served([500, "malformed"])
    Writer("m", lambda: language_model(model, tmp_path), Draws((), tmp_path / "j.sqlite"), 8).next_steps(
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
    from trim.models.folder import resolve
    from trim.models.prompt import read_tokenizer

    tag = read_tokenizer(resolve("embedded/prm")).convert_tokens_to_ids(PRM_TAG)
    _, model = served(["drop", "empty"], tag=tag if only_tags else None, kind=RewardModel)
    solution = Prefix("Start with 1, add 2, add 3, add 4.", ("1 + 2 = 3", "3 + 3 = 6", "6 + 4 = 10"))
    prm = ServedPRM(model, INSTRUCTION)
    (scores,) = prm.score([solution], [2])
    places = [i for i, token in enumerate(prm._prompt.ids([solution], [
        "".join(step + PRM_TAG for step in solution.steps)])[0]) if token == tag]  # fmt: skip
    assert [s.score for s in scores] == pytest.approx([1 / (1 + np.exp(-place / 10)) for place in places[-2:]])
    assert [s.tokens for s in scores] == np.diff(places).tolist()


def test_an_experiment_runs_on_a_server_and_pays_once(served, raw, tmp_path):
    server, model = served(api="chat")
    given = yaml.safe_load(yaml.safe_dump(raw))
    given["models"]["strong"] = model.model_dump(mode="json") | {"weights": None}
    given["generation"]["max_steps"] = 3
    params = check(given)
    problems = generate("standard", {"test": 4}, 0)

    def solve():
        workspace = Workspace.over(params, (), tmp_path / "j.sqlite", Tracker.silent())
        (policy,) = AlwaysStrong(None).policies().values()
        return workspace, workspace.run(problems, [policy])

    workspace, episodes = solve()
    assert [len(e.steps) for e in episodes] == [3] * 4
    assert {step.tokens for e in episodes for step in e.steps} == {4}
    assert workspace.costs()["strong"].parameters == 0
    assert [e.steps for e in solve()[1]] == [e.steps for e in episodes]
    assert len(server.answered) == 12
    assert Ledger(tmp_path, "embedded/prm", None).spent == pytest.approx(12 * PRICE)


def test_likelihoods_come_from_the_tokens_of_the_last_step(served):
    faults = ["drop", 429, "malformed", "empty", 503]
    _, model = served(faults, api="completions")
    lm, kept = language_model(model), {}
    solutions = [Prefix("Start with 1, add 2.", ("1 + 2 = 3",) * (1 + i % 3)) for i in range(12)]
    found = lm.likelihoods(solutions, lambda index, scores: kept.update({index: scores}))
    whole, starts = lm._prompt.last_steps(solutions)
    for i, (ids, start) in enumerate(zip(whole, starts, strict=True)):
        assert lm._prompt._tokenizer.decode(ids[start:]).strip() == "1 + 2 = 3"
        assert found[i].tokens == len(ids) - start
        assert found[i].score == pytest.approx(-np.mean(ids[start:]) / 100)
        assert kept[i] == [found[i]]


def test_an_api_that_tells_no_likelihoods_is_named(served):
    _, model = served(api="chat")
    with pytest.raises(TrimError, match=r"server\.api: completions"):
        language_model(model).likelihoods(PREFIXES)
