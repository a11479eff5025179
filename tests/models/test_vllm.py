"""The vllm backend, and its server behind the openai backend, against the transformers backend. Needs `make vllm`."""

import os
import urllib.request
from contextlib import ExitStack
from importlib.util import find_spec

import numpy as np
import pytest
import yaml
from conftest import ROOT
from fakes.scripted import FREE
from vllm_servers import needs_vllm, vllm_server

from trim.errors import TrimError
from trim.evaluation.results import read_results
from trim.experiment.load import check
from trim.experiment.runner import Runner
from trim.models.backends.openai import ServedLM, ServedPRM
from trim.models.backends.transformers import TransformersLM, TransformersPRM
from trim.models.backends.vllm import VllmLM, VllmPRM, _placed
from trim.models.base import Draft, Prefix
from trim.models.files import resolve
from trim.models.load import step_states
from trim.models.settings import Engine, Model, RewardModel, Sampling
from trim.problems.generated import generate
from trim.progress import Tracker
from trim.rng import digest
from trim.routers import registry
from trim.stages.episodes import write_run
from trim.steps import PLAIN

pytestmark = pytest.mark.slow
GREEDY = Sampling(temperature=0, max_step_tokens=60)


@pytest.fixture(scope="module")
def prefixes():
    problems = generate("standard", {"test": 30}, 11) + generate("long", {"test": 10}, 11)
    return [Prefix(p.question, p.reference[:n]) for p in problems for n in range(len(p.reference))]


@pytest.fixture(scope="module")
def keys(prefixes):
    return [digest(repr(p).encode()) for p in prefixes]


@pytest.fixture(scope="module")
def greedy(prefixes, keys):
    return TransformersLM(resolve("embedded/strong"), GREEDY).next_steps(prefixes, keys)


@pytest.fixture(scope="module")
def solutions(prefixes):
    return [p for p in prefixes if p.steps]


@pytest.fixture(scope="module")
def scores(solutions):
    return TransformersPRM(resolve("embedded/prm")).score(solutions, [len(s.steps) for s in solutions])


@pytest.fixture(scope="module")
def engine():
    return VllmLM(resolve("embedded/strong"), GREEDY, dtype="float32", engine=Engine(context=512))


def alike(found, expected, varied=0.1):
    assert [[s.tokens_read for s in row] for row in found] == [[s.tokens_read for s in row] for row in expected]
    apart = [a.score - b.score for one, other in zip(found, expected, strict=True) for a, b in zip(one, other)]
    assert np.abs(apart).max() < 1e-3
    assert np.std([s.score for row in expected for s in row]) > varied


@needs_vllm
def test_greedy_text_is_that_of_transformers(engine, prefixes, keys, greedy):
    assert engine.next_steps(prefixes, keys) == greedy


@needs_vllm
def test_likelihoods_are_those_of_transformers(engine, solutions):
    expected = TransformersLM(resolve("embedded/strong"), GREEDY).mean_logprobs(solutions)
    alike([[score] for score in engine.mean_logprobs(solutions)], [[score] for score in expected], varied=0.05)


@needs_vllm
def test_entropies_are_those_of_transformers(engine, prefixes):
    expected = TransformersLM(resolve("embedded/strong"), GREEDY).first_entropies(prefixes)
    found = np.array([score.score for score in engine.first_entropies(prefixes)])
    # The strong model is sure how a step begins, so that only a relative difference says anything.
    np.testing.assert_allclose(found, [score.score for score in expected], rtol=0.02, atol=1e-5)
    assert found.max() > 10 * found.min()


@needs_vllm
def test_what_it_knows_of_steps_is_what_transformers_knows(solutions):
    model = Model(path="embedded/weak", dtype="float32", engine=Engine(context=512), **FREE)
    expected, found = (
        step_states(model.model_copy(update={"backend": backend}), PLAIN, solutions)
        for backend in ("transformers", "vllm")
    )
    np.testing.assert_allclose(found.hidden, expected.hidden, atol=1e-4)
    np.testing.assert_allclose(found.statistics, expected.statistics, atol=1e-3)
    assert (expected.statistics.std(axis=0) > 0.005).all()
    assert (expected.hidden.std(axis=0) > 0.01).all()


@needs_vllm
def test_a_seeded_draft_depends_on_its_key_alone(engine, prefixes, keys):
    engine.sampling = Sampling(temperature=2, top_p=1, max_step_tokens=60)
    together = engine.next_steps(prefixes[:80], keys[:80])
    order = np.random.default_rng(0).permutation(80).tolist()
    again = engine.next_steps([prefixes[i] for i in order], [keys[i] for i in order])
    assert sum(again[order.index(i)] == together[i] for i in range(80)) >= 79  # sums of a batch may round otherwise
    other = engine.next_steps(prefixes[:80], [key[::-1] for key in keys[:80]])
    assert other != together
    engine.sampling = GREEDY


@needs_vllm
def test_a_prefix_that_fills_the_context_ends_its_solution(engine, keys):
    (draft,) = engine.next_steps([Prefix("Start with 1, add 2.", ("1 + 2 = 3",) * 200)], keys[:1])
    assert draft == Draft("", 0, "length")


@needs_vllm
def test_scores_are_those_of_transformers(solutions, scores):
    prm = VllmPRM(resolve("embedded/prm"), dtype="float32", engine=Engine(context=512))
    alike(prm.score(solutions, [len(s.steps) for s in solutions]), scores)


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """Starts real servers; gives their address."""
    with ExitStack() as started:
        yield lambda role, *options: started.enter_context(vllm_server(role, tmp_path_factory.mktemp(role), *options))


@needs_vllm
def test_a_server_writes_the_same(serve, prefixes, keys, greedy):
    url = serve("strong")
    for api in ("completions", "prefill"):
        model = Model(
            backend="openai", path="embedded/strong", weights=1, **FREE,
            server={"url": url, "model": "strong", "api": api},
        )  # fmt: skip
        lm = ServedLM(model, GREEDY, PLAIN)
        assert [draft[:3] for draft in lm.next_steps(prefixes, keys)] == [draft[:3] for draft in greedy]
        if api == "completions":
            here = TransformersLM(resolve("embedded/strong"), GREEDY).first_entropies(prefixes)
            there = [score.score for score in lm.first_entropies(prefixes)]
            np.testing.assert_allclose(there, [score.score for score in here], rtol=0.02, atol=1e-5)


@needs_vllm
def test_a_server_scores_the_same(serve, solutions, scores):
    url = serve("prm")
    model = RewardModel(
        backend="openai", path="embedded/prm", weights=1, **FREE,
        server={"url": url, "model": "prm"},
    )  # fmt: skip
    alike(ServedPRM(model, PLAIN).score(solutions, [len(s.steps) for s in solutions]), scores)


def counters(url):
    """What a server says of all its requests: prompt tokens, those found in its cache, and tokens written."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    names = ("vllm:prompt_tokens_total", "vllm:prefix_cache_hits_total", "vllm:generation_tokens_total")
    return [sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + "{")) for name in names]


@needs_vllm
def test_what_servers_bill_is_what_is_counted(serve, tmp_path):
    """50 problems, steps handed over by coins: usage, the servers' own counters, and the accounting of episodes."""
    options = ("--no-enable-chunked-prefill", "--enable-prefix-caching", "--enable-prompt-tokens-details")
    urls = {role: serve(role, *options) for role in ("weak", "strong")}
    before = {role: counters(url) for role, url in urls.items()}
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["generation"]["sampling"]["max_step_tokens"] = 60
    for role, url in urls.items():
        raw["models"][role] |= {
            "backend": "openai", "weights": 1, "server": {"url": url, "model": role, "api": "completions"},
        }  # fmt: skip
    runner = Runner.open(check(raw), (), None, Tracker.silent())
    problems = generate("standard", {"test": 50}, 3)
    policies = registry()["random"](registry()["random"].Params(probabilities=[0.4], seed=0)).policies()
    write_run(runner, "standard", "test", "random", problems, policies, tmp_path / "e.parquet")
    costs = read_results(tmp_path / "e.parquet").costs
    for role, url in urls.items():
        none, prefix, billed = (
            {what: costs[regime][f"{role}_{what}"].sum() for what in ("read", "cached", "written")}
            for regime in ("none", "prefix", "billed")
        )
        prompt, cached, written = np.subtract(counters(url), before[role])
        assert billed["read"] + billed["cached"] == none["read"] == prompt
        assert billed["written"] == none["written"] == written
        assert billed["cached"] == cached
        # A server keeps whole blocks, of 128 tokens on a CPU, so that it finds less than one that keeps every token.
        assert 0 <= billed["cached"] <= prefix["cached"]


@pytest.mark.parametrize(
    ("visible", "devices", "seen"),
    [("0,1", (1,), "1"), ("4,7", (0, 1), "4,7"), ("3", (1,), "3"), ("3", (0, 1), "3"), ("0,1", None, "0,1")],
)
def test_a_model_is_placed_on_its_own_gpus(monkeypatch, visible, devices, seen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with _placed(devices):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == seen
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_without_vllm_it_says_how_to_get_it():
    with pytest.raises(TrimError, match=r"pip install -e \.\[vllm\]`, or without a GPU `make vllm"):
        VllmLM(resolve("embedded/weak"), GREEDY)
