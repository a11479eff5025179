"""The openai backend against a server: how it asks, and what it takes for a step."""

import numpy as np
import pytest
import yaml
from fakes.served import KEYS, PREFIXES, PRICE, SECRET, drafts, language_model, said

from trim.errors import TrimError
from trim.experiment.load import check
from trim.experiment.runner import Runner
from trim.models.backends.openai import ServedLM, ServedPRM
from trim.models.base import IMPOSSIBLE, Prefix
from trim.models.settings import RewardModel, Sampling
from trim.models.spending import Ledger
from trim.problems.generated import generate
from trim.progress import Tracker
from trim.routers.always import AlwaysStrong
from trim.steps import INSTRUCTION, PLAIN, PRM_TAG, join

pytestmark = pytest.mark.slow


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


def test_a_key_in_place_of_its_variables_name_is_refused_and_not_shown(raw):
    given = yaml.safe_load(yaml.safe_dump(raw))
    given["models"]["strong"] |= {"backend": "openai", "server": {"url": "http://127.0.0.1:1/v1", "key": SECRET}}
    with pytest.raises(
        TrimError, match=r"models\.strong\.server\.key: not the name of an environment variable"
    ) as caught:
        check(given)
    assert SECRET not in str(caught.value)
