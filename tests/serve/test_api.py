"""The interface, as a client without a library sees it."""

import json
import threading
import time

import pytest
from fakes.serving import QUESTION, serving

from trim.problems.generated import generate
from trim.serve.settings import Limits
from trim.solve import Solver

QUESTIONS = [problem.question for problem in generate("standard", {"test": 24}, 77)]


@pytest.fixture(scope="module")
def server():
    """A server of the embedded experiment."""
    with serving() as started:
        yield started


def events(response):
    lines = [line[6:] for line in response.text.split("\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def told(response):
    """The error of a response, its status checked to be one."""
    assert response.status_code >= 400
    return response.json()["error"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "router", "setting"),
    [
        ("trim-budget@0.2", "trim_budget", "budget=0.2"),
        ("trim-thr@0.9", "trim_thr", "tau=0.9"),
        ("trim-pomdp@budget=0.2", "trim_pomdp", "budget=0.2"),
        ("automix-pomdp@budget=0.3", "automix_pomdp", "budget=0.3"),
        ("hybridllm@budget=0.3", "hybridllm", "budget=0.3"),
        ("uncertainty@budget=0.2", "uncertainty", "budget=0.2"),
        ("always-strong", "always_strong", "-"),
    ],
)
def test_answers_are_those_of_solve_whatever_else_is_in_the_batch(server, model, router, setting):
    solutions = Solver.load(router=router, setting=setting)(QUESTIONS)
    answers: dict[int, dict] = {}

    def ask(index):
        answers[index] = server.ask(QUESTIONS[index], model).json()

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(QUESTIONS))]
    for thread in threads:
        thread.start()
        time.sleep(0.02)  # they join rounds that are under way
    for thread in threads:
        thread.join()
    for index, solution in enumerate(solutions):
        assert answers[index]["choices"][0]["message"]["content"] == "\n\n".join(s.text for s in solution.steps)
        bill = answers[index]["trim"]
        assert bill["strong_tokens"] == solution.strong_tokens
        assert bill["always_strong"]["tokens"] == solution.always_strong_tokens
        assert bill["tokens"]["weak"]["written"] == solution.weak_tokens
        assert [step["writer"] for step in bill["steps"]] == [step.writer for step in solution.steps]


def test_a_stream_is_the_whole_answer_in_pieces(server):
    whole = server.ask(QUESTIONS[0]).json()
    chunks = events(server.ask(QUESTIONS[0], stream=True, stream_options={"include_usage": True}))
    assert [bool(chunk["choices"]) for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"])
    assert text == whole["choices"][0]["message"]["content"]
    assert [c["trim"]["step"] for c in chunks if "step" in c.get("trim", {})] == whole["trim"]["steps"]
    assert chunks[-1]["usage"] == whole["usage"]
    assert chunks[-2]["trim"] == {k: v for k, v in whole["trim"].items() if k != "steps"}
    assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]][-1] == "stop"
    assert len({c["id"] for c in chunks}) == 1
    usage = whole["usage"]
    assert usage["completion_tokens"] == sum(
        step["tokens"] + (step["draft_tokens"] if step["draft_thrown_away"] else 0) for step in whole["trim"]["steps"]
    )


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}])
def test_every_chunk_has_a_choice_where_no_usage_is_asked_for(server, n, options):
    chunks = events(server.ask(QUESTIONS[0], stream=True, n=n, stream_options=options))
    assert all(chunk["choices"] for chunk in chunks)
    assert not any("usage" in chunk for chunk in chunks)
    ends = [chunk["choices"][0]["index"] for chunk in chunks if chunk["choices"][0]["finish_reason"]]
    assert sorted(ends) == list(range(n))
    assert chunks[-1]["trim"]["router"] == "trim_thr"


@pytest.mark.parametrize(
    "more",
    [
        {"stream": True},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"stream": False, "max_completion_tokens": 1000, "temperature": 0.7},
        {"stream": True, "temperature": 0.7, "top_p": 1.0, "frequency_penalty": 0.0, "seed": None, "stop": []},
        {"stream": True, "tool_choice": "auto", "tools": [], "min_p": 0, "repetition_penalty": 1.0, "max_tokens": -1},
    ],
)
def test_chat_pages_such_as_open_webui_are_answered(server, more):
    """They list the models, then send what their forms hold."""
    assert server.client.get("/v1/models", headers={"Authorization": "Bearer"}).status_code == 200
    whole = server.ask(QUESTION).json()["choices"][0]["message"]["content"]
    response = server.ask(QUESTION, **more)
    assert response.status_code == 200
    if more["stream"]:
        chunks = [chunk for chunk in events(response) if chunk["choices"]]
        assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == whole
    else:
        assert response.json()["choices"][0]["message"]["content"] == whole


def test_blanks_at_a_questions_end_change_no_answer(server):
    texts = {server.ask(QUESTION + end).json()["choices"][0]["message"]["content"] for end in ("", "\n", " \r\n")}
    assert len(texts) == 1


def test_headers_tell_what_answered_and_the_id_gives_the_answer_again(server):
    response = server.ask(model="trim-thr@0.99")
    headers = response.headers
    assert headers["x-trim-router"] == "trim_thr"
    assert headers["x-trim-setting"] == "tau=0.99"
    assert float(headers["x-trim-strong-share"]) == pytest.approx(response.json()["trim"]["strong_share"], abs=1e-4)
    again = server.client.get(f"/v1/chat/completions/{headers['x-trim-request-id']}")
    assert again.json() == response.json()
    assert told(server.client.get("/v1/chat/completions/other"))["code"] == "not_found"


def test_drafts_are_told_on_request(server):
    plain, with_drafts = (server.ask(model="trim-thr@1", **more).json() for more in ({}, {"trim": {"drafts": True}}))
    assert all("draft" not in step for step in plain["trim"]["steps"])
    assert all(step["draft"] for step in with_drafts["trim"]["steps"])


def test_seed_temperature_and_n_give_other_answers_and_always_the_same(server):
    def texts(**more):
        return [c["message"]["content"] for c in server.ask(QUESTIONS[1], "always-weak", **more).json()["choices"]]

    default = texts()
    assert texts(temperature=0.7) == default  # which is the experiment's
    assert texts(n=3)[:1] == default
    several = texts(n=4, temperature=1.5, top_p=1)
    assert len(set(several)) > 1
    assert several == texts(n=4, temperature=1.5, top_p=1)
    assert len({tuple(texts(seed=seed, temperature=1.5)) for seed in range(6)}) > 1
    assert texts(seed=3) == texts(seed=3)
    greedy = [texts(temperature=0, seed=seed) for seed in range(3)]
    assert greedy[0] == greedy[1] == greedy[2]


def test_stop_and_max_tokens_cut_the_answer(server):
    whole = server.ask(QUESTIONS[2]).json()["choices"][0]["message"]["content"]
    cut = server.ask(QUESTIONS[2], stop=[" ="]).json()["choices"][0]
    assert cut["message"]["content"] == whole.split(" =")[0]
    assert cut["finish_reason"] == "stop"
    steps = whole.split("\n\n")
    short = server.ask(QUESTIONS[2], max_tokens=25).json()["choices"][0]
    assert short["finish_reason"] == "length"
    kept = short["message"]["content"].split("\n\n")
    assert 0 < len(kept) < len(steps)
    assert kept == steps[: len(kept)]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b'{"model": "auto"}', 400, "invalid_value"),
        (json.dumps({"model": "nope", "messages": [{"role": "user", "content": QUESTION}]}), 404, "model_not_found"),
        (json.dumps({"model": "auto", "messages": [{"role": "user", "content": "1 + 1?"}]}), 400, "unknown_question"),
        (
            json.dumps(
                {
                    "model": "auto",
                    "messages": [{"role": "system", "content": "Hi."}, {"role": "user", "content": QUESTION}],
                }
            ),
            400,
            "unknown_question",
        ),
        (b"x" * (1 << 19), 413, "too_large"),
    ],
)
def test_errors_have_a_status_and_a_form(server, body, status, code):
    response = server.client.post("/v1/chat/completions", content=body)
    assert response.status_code == status
    assert told(response)["code"] == code
    stream = json.loads(body) | {"stream": True} if body[:1] in ("{", b"{") and len(body) > 2 else None
    if stream:
        assert server.client.post("/v1/chat/completions", json=stream).status_code == status


def test_models_are_listed_and_any_budget_can_be_asked_for(server):
    listed = {model["id"]: model for model in server.client.get("/v1/models").json()["data"]}
    assert {"auto", "always-weak", "always-strong", "trim-thr@0.35", "trim-thr@budget=0.2", "trim-budget@0.2"} <= set(
        listed
    )
    assert "trim_budget at budget=0.2" in listed["auto"]["description"]
    assert server.client.get("/v1/models/trim-budget@0.17").json()["id"] == "trim-budget@0.17"
    assert server.ask(model="trim-budget@0.17").status_code == 200
    message = told(server.client.get("/v1/models/trim-thr@0.123"))["message"]
    assert "trim-thr@0.35" in message


@pytest.mark.slow
@pytest.mark.parametrize("model", ["trim-thr@0.9", "trim-budget@0.2", "trim-pomdp@budget=0.2", "trim-agg@0.01"])
def test_decisions_are_those_of_the_loop(server, model):
    answer = server.ask(QUESTIONS[3], model, trim={"drafts": True}).json()
    texts, steps = answer["choices"][0]["message"]["content"].split("\n\n"), answer["trim"]["steps"]
    standing = []
    for text, step in zip(texts, steps, strict=True):
        body = {"model": model, "messages": [{"role": "user", "content": QUESTIONS[3]}], "steps": standing}
        verdict = server.client.post("/v1/decision", json=body | {"draft": step["draft"] or text}).json()
        assert verdict["decision"] == ("rewrite" if step["writer"] == "strong" else "accept")
        assert verdict["score"] == pytest.approx(step["score"], abs=1e-4)
        assert f"{verdict['score']:.3f}" in verdict["reason"]
        standing.append({"text": text, "writer": step["writer"], "draft": step["draft"]})


@pytest.mark.parametrize(
    ("model", "decision"),
    [("always-weak", "accept"), ("always-strong", "rewrite"), ("automix-pomdp@budget=0.2", "accept")],
)
def test_verdicts_that_need_no_score(server, model, decision):
    body = {"model": model, "messages": [{"role": "user", "content": QUESTIONS[4]}], "draft": "1 + 1 = 2"}
    verdict = server.client.post("/v1/decision", json=body).json()
    assert (verdict["decision"], verdict["score"], verdict["rater"]) == (decision, None, None)


def test_health_and_metrics(server):
    server.ask()
    assert server.client.get("/health/live").json() == {"live": True}
    assert server.client.get("/health/ready").json()["ready"] is True
    assert server.metric("trim_steps_total") >= 4
    assert server.metric("trim_tokens_total") > 0
    assert told(server.client.get("/nothing"))["code"] == "not_found"
    assert told(server.client.get("/v1/chat/completions"))["code"] == "method_not_allowed"


@pytest.mark.slow
def test_too_many_requests_are_turned_away_and_told_when_to_come_again():
    with serving(limits=Limits(running=2, waiting=2)) as crowded:
        statuses = []

        def ask(question):
            response = crowded.ask(question, "always-strong")
            statuses.append(response.status_code)
            assert response.status_code == 200 or response.headers["retry-after"] == "1"

        threads = [threading.Thread(target=ask, args=(question,)) for question in QUESTIONS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(statuses) == {200, 429}
        assert crowded.ask(n=5).status_code == 429
        assert crowded.ask().status_code == 200


@pytest.mark.slow
def test_a_client_that_hangs_up_frees_its_place():
    with serving(limits=Limits(running=1, waiting=0)) as small:
        for question in QUESTIONS[:8]:
            try:
                body = {"model": "always-strong", "messages": [{"role": "user", "content": question}], "stream": True}
                small.client.post("/v1/chat/completions", json=body, timeout=0.02)
            except Exception:  # the client's own limit
                time.sleep(0.1)
        assert small.ask(QUESTIONS[9]).status_code == 200


@pytest.mark.slow
def test_an_answer_that_takes_too_long_is_given_up_and_goes_on_where_it_ended(tmp_path):
    with serving(limits=Limits(seconds=0.02), store=tmp_path / "s.sqlite") as hasty:
        response = hasty.ask(QUESTIONS[6])
        assert response.status_code == 504
        assert told(response)["code"] == "time_limit"
    with serving(store=tmp_path / "s.sqlite") as patient:
        assert patient.ask(QUESTIONS[6]).status_code == 200


def test_a_verdict_costs_its_reading_alone(server):
    account = server.service.keys.account(None)
    before = account.money, account.whole
    body = {"model": "trim-thr@0.9", "messages": [{"role": "user", "content": QUESTIONS[7]}], "draft": "1 + 1 = 2"}
    assert server.client.post("/v1/decision", json=body).status_code == 200
    price = server.service.params.models.prm.price_in / 1e6
    assert 20 * price < account.money - before[0] < 80 * price
    assert account.whole == before[1]


def test_a_mistake_of_ours_fails_what_is_open_and_not_the_server(server, monkeypatch):
    def broken(stage, turns):
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(server.scheduler._rounds, "take", broken)
        assert server.ask(QUESTIONS[8]).status_code == 500
    assert server.ask(QUESTIONS[8]).status_code == 200


def test_a_policy_that_fails_fails_its_own_request_alone(server, monkeypatch):
    point = server.service.points.find("trim-thr@0.9")

    def broken(phase, seen):
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(point.policy, "decide", broken)
        assert server.ask(QUESTIONS[8], "trim-thr@0.9").status_code == 500
        assert server.ask(QUESTIONS[8], "trim-thr@0.85").status_code == 200
    assert server.ask(QUESTIONS[8], "trim-thr@0.9").status_code == 200
