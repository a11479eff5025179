"""`trim serve` with its models behind two vLLM servers and a pooling server, as in production."""

import threading
from contextlib import ExitStack

import pytest
import yaml
from fakes.serving import serving
from vllm_servers import needs_vllm, vllm_server

from trim.answers import boxed
from trim.problems.generated import generate
from trim.serve.settings import Limits
from trim.solve import SHIPPED

pytestmark = [pytest.mark.slow, needs_vllm]
PROBLEMS = generate("standard", {"test": 24}, 82)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    params = yaml.safe_load((SHIPPED / "params.yaml").read_text())
    with ExitStack() as started:
        for role, model in params["models"].items():
            url = started.enter_context(vllm_server(role, tmp_path_factory.mktemp(role)))
            settings = {"url": url, "model": role, "api": "completions", "context": 512}
            model |= {"backend": "openai", "weights": 1, "server": settings}
        path = tmp_path_factory.mktemp("params") / "params.yaml"
        path.write_text(yaml.safe_dump(params, sort_keys=False))
        yield started.enter_context(serving(params=path, results=SHIPPED, limits=Limits(without_prm="weak")))


def test_answers_stream_from_three_servers(server):
    answers = {}

    def ask(problem):
        answers[problem.id] = server.ask(problem.question, "trim-budget@0.2")

    threads = [threading.Thread(target=ask, args=(problem,)) for problem in PROBLEMS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers.values()} == {200}
    told = {name: answer.json()["trim"] for name, answer in answers.items()}
    assert all(step["without"] is None for one in told.values() for step in one["steps"])
    right = [boxed(answers[p.id].json()["choices"][0]["message"]["content"]) == p.answer for p in PROBLEMS]
    assert sum(right) / len(right) > 0.5
    strong = sum(one["strong_tokens"] for one in told.values())
    assert 0.05 < strong / sum(one["always_strong"]["tokens"] for one in told.values()) < 0.4
    # What the servers billed is what was told: at least the question was read by each model that was asked.
    assert all(one["tokens"]["weak"]["read"] + one["tokens"]["weak"]["cached"] > 20 for one in told.values())


def test_the_same_request_gives_the_same_answer_from_the_store(server):
    one, other = (server.ask(PROBLEMS[0].question, "trim-budget@0.2").json() for _ in range(2))
    assert one["choices"] == other["choices"]


def test_decisions_are_made_with_the_pooling_server(server):
    body = {"model": "trim-thr@0.5", "messages": [{"role": "user", "content": PROBLEMS[0].question}]}
    right, *_ = PROBLEMS[0].reference
    wrong = right[:-1] + str((int(right[-1]) + 5) % 10)
    verdicts = [server.client.post("/v1/decision", json=body | {"draft": draft}).json() for draft in (right, wrong)]
    assert verdicts[0]["score"] > verdicts[1]["score"]
    for verdict in verdicts:
        assert verdict["decision"] == ("rewrite" if verdict["score"] < 0.5 else "accept")
