"""The transformers backend on the shipped models, against plain computations."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from tools.pretrain.train import measure_language_model, measure_reward_model
from trim.errors import TrimError
from trim.models.backends.transformers import TransformersLM, TransformersPRM
from trim.models.base import MOST_PROBABLE, Prefix
from trim.models.files import identity, parameters, resolve
from trim.models.prefix_cache import PrefixCache
from trim.models.prompt import Prompt
from trim.models.sampler import sample
from trim.models.settings import Sampling
from trim.problems.generated import generate
from trim.rng import digest, seeds, uniforms
from trim.steps import INSTRUCTION, PLAIN, PRM_TAG, SEPARATOR, ChatFormat, join

ROLES = ("weak", "strong")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=ROLES)
def language_model(request):
    return TransformersLM(resolve(f"embedded/{request.param}"), Sampling())


@pytest.fixture(scope="module")
def prm():
    return TransformersPRM(resolve("embedded/prm"))


@pytest.fixture(scope="module")
def prefixes():
    problems = generate("standard", {"test": 60}, 11) + generate("long", {"test": 20}, 11)
    return [Prefix(p.question, p.reference[:n]) for p in problems for n in range(len(p.reference))]


def keys(prefixes):
    return [digest(repr(p).encode()) for p in prefixes]


def score(prm, solutions):
    return prm.score(solutions, [len(s.steps) for s in solutions])


def test_the_prompt_is_the_chat_template_continued(language_model, prefixes):
    tokenizer = language_model.tokenizer
    for prefix in prefixes[:20]:
        chat = PLAIN.messages(prefix.question)
        if prefix.steps:
            chat.append({"role": "assistant", "content": join(prefix.steps)})
        whole = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=not prefix.steps)
        assert whole.startswith(language_model.prompt(prefix, join(prefix.steps)))


def test_texts_survive_the_tokenizer(language_model, prefixes):
    for prefix in prefixes[:50]:
        text = language_model.prompt(prefix, join(prefix.steps))
        ids = language_model.tokenizer(text)["input_ids"]
        assert language_model.tokenizer.unk_token_id not in ids
        assert language_model.tokenizer.decode(ids) == text


def test_a_step_does_not_depend_on_its_batch(language_model, prefixes):
    together = language_model.next_steps(prefixes, keys(prefixes))
    language_model = TransformersLM(resolve(f"embedded/{language_model.id.split(chr(64))[0]}"), Sampling())
    order = np.random.default_rng(0).permutation(len(prefixes)).tolist()
    shuffled = [prefixes[i] for i in order]
    again = language_model.next_steps(shuffled, keys(shuffled))
    alone = [language_model.next_steps([p], keys([p]))[0] for p in prefixes[::9]]
    assert [again[order.index(i)] for i in range(len(order))] == together
    assert alone == together[::9]


def test_rows_of_one_batch_may_ask_for_other_temperatures(language_model, prefixes):
    asked = [(None, None), (0.0, None), (1.5, 1.0)]
    mixed = [p._replace(temperature=t, top_p=q) for p, (t, q) in zip(prefixes[:60], asked * 20, strict=True)]
    together = language_model.next_steps(mixed, keys(prefixes[:60]))
    for index, (temperature, top_p) in enumerate(asked):
        rows = range(index, 60, 3)
        sampling = Sampling().of(Prefix("", temperature=temperature, top_p=top_p))
        alone = TransformersLM(resolve(f"embedded/{language_model.id.split(chr(64))[0]}"), sampling)
        own = alone.next_steps([prefixes[i] for i in rows], [keys(prefixes)[i] for i in rows])
        assert [together[i] for i in rows] == own


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_greedy_decoding_is_that_of_transformers(prefixes, penalty):
    sampling = Sampling(temperature=0, max_step_tokens=40, repetition_penalty=penalty)
    model = TransformersLM(resolve("embedded/strong"), sampling)
    chosen = prefixes[:12]
    for prefix, draft in zip(chosen, model.next_steps(chosen, keys(chosen)), strict=True):
        ids = model.tokenizer(model.prompt(prefix, join(prefix.steps)), return_tensors="pt")["input_ids"]
        ids = ids.to(model.model.device)
        out = model.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=40, do_sample=False, use_cache=False,
            repetition_penalty=penalty,
        )  # fmt: skip
        text = model.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
        assert draft.text == text.split(SEPARATOR)[0]


def test_likelihoods_are_those_of_one_whole_pass(language_model, prefixes):
    solutions = [p for p in prefixes if p.steps]
    found = language_model.mean_logprobs(solutions)
    language_model.next_steps(solutions[:30], keys(solutions[:30]))  # what is cached changes nothing
    order = np.random.default_rng(0).permutation(len(solutions)).tolist()
    again = language_model.mean_logprobs([solutions[i] for i in order])
    assert [again[order.index(i)].tokens_read for i in range(len(order))] == [s.tokens_read for s in found]
    assert [again[order.index(i)].score for i in range(len(order))] == pytest.approx([s.score for s in found], abs=1e-4)
    for solution, rated in list(zip(solutions, found, strict=True))[::12]:
        before = language_model.prompt(solution, join(solution.steps[:-1]))
        start = len(language_model.tokenizer(before)["input_ids"])
        ids = language_model.tokenizer(before + solution.steps[-1], return_tensors="pt")["input_ids"]
        with torch.no_grad():
            logs = (
                language_model.model(input_ids=ids.to(language_model.model.device)).logits[0, :-1].log_softmax(-1).cpu()
            )
        expected = logs.gather(-1, ids[0, 1:, None])[start - 1 :, 0]
        assert rated.tokens_read == len(expected)
        assert rated.score == pytest.approx(float(expected.mean()), abs=1e-4)
    assert np.std([s.score for s in found]) > 0.01


def test_states_are_those_of_one_whole_pass(language_model, prefixes):
    solutions = [p for p in prefixes if p.steps][:40]
    found, together = language_model.states(solutions, batch_size=7), language_model.states(solutions)
    np.testing.assert_allclose(found.statistics, together.statistics, atol=1e-4)
    np.testing.assert_allclose(found.hidden, together.hidden, atol=1e-4)
    means = [s.score for s in language_model.mean_logprobs(solutions)]
    np.testing.assert_allclose(found.statistics[:, 0], means, atol=1e-4)
    ids, starts = language_model.prompt.last_steps(solutions)
    for i in range(0, 40, 9):
        tokens = torch.tensor([ids[i]], device=language_model.model.device)
        with torch.no_grad():
            out = language_model.model(input_ids=tokens, output_hidden_states=True)
        p = out.logits[0, :-1].softmax(-1).cpu()
        chosen = p.gather(-1, tokens.cpu()[0, 1:, None])[starts[i] - 1 :, 0].log()
        two = p[starts[i] - 1 :].sort(dim=-1).values[:, -2:]
        first = p[starts[i] - 1].sort().values[-MOST_PROBABLE:]
        first = first / first.sum()
        expected = chosen.mean(), chosen.min(), (two[:, 1] - two[:, 0]).min(), -(first * first.log()).nansum()
        np.testing.assert_allclose(found.statistics[i], np.array(expected), atol=1e-4)
        np.testing.assert_allclose(found.hidden[i], out.hidden_states[-1][0, -1].cpu(), atol=1e-4)


def test_tokens_that_no_tokenizer_knows_are_written_as_nothing(tmp_path):
    source = resolve("embedded/weak")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    model = AutoModelForCausalLM.from_pretrained(source)
    model.resize_token_embeddings(2000, mean_resizing=False)  # as Qwen2.5's models, which have more rows than tokens
    torch.manual_seed(0)
    torch.nn.init.normal_(model.get_input_embeddings().weight)
    model.save_pretrained(tmp_path)
    wide = TransformersLM(tmp_path, Sampling(max_step_tokens=20, top_p=1, top_k=None, temperature=5))
    known = {
        len(draft.text) for draft in wide.next_steps([Prefix("q")] * 20, keys([Prefix(str(i)) for i in range(20)]))
    }
    assert len(known) > 1


def test_what_is_asked_takes_the_place_of_the_instruction(language_model):
    asked = language_model.prompt(Prefix("Is 2 even?", (), ""), "")
    assert "Is 2 even?" in asked
    assert INSTRUCTION not in asked


def test_scores_are_a_plain_softmax_at_each_tag(prm, prefixes):
    solutions = [p for p in prefixes if p.steps][::15]
    for solution, scores in zip(solutions, score(prm, solutions), strict=True):
        text = prm.tokenizer.apply_chat_template(
            PLAIN.messages(solution.question), tokenize=False, add_generation_prompt=True
        )
        ids = prm.tokenizer(text + PRM_TAG.join(solution.steps) + PRM_TAG, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            logits = prm.model(input_ids=ids.to(prm.model.device)).logits[0].cpu()
        at = (ids[0] == prm.tag).nonzero().ravel()
        expected = torch.softmax(logits[at], -1)[:, 1]
        assert [s.score for s in scores] == pytest.approx(expected.tolist(), abs=1e-5)
        assert sum(s.tokens_read for s in scores) == int(at[-1]) + 1 - prm.prompt_tokens([solution])[0]


def test_a_score_does_not_depend_on_later_steps(prm, prefixes):
    whole = [p for p in prefixes if len(p.steps) >= 3][:10]
    shorter = [Prefix(p.question, p.steps[:2]) for p in whole]
    for long, short in zip(score(prm, whole), score(prm, shorter), strict=True):
        assert [s.score for s in long[:2]] == pytest.approx([s.score for s in short], abs=1e-5)


@pytest.mark.parametrize("size", [2**16, 2**20])
def test_what_the_prefix_cache_holds_changes_nothing(prm, prefixes, size):
    chosen = [p for p in prefixes if p.steps][:40]
    fresh, cached = (TransformersLM(resolve("embedded/weak"), Sampling()) for _ in range(2))
    cached._cache = PrefixCache(cached.model, size)
    small = TransformersPRM(resolve("embedded/prm"))
    small._cache = PrefixCache(small.model, size)
    for _ in range(2):
        for prefix in chosen:
            assert cached.next_steps([prefix], keys([prefix])) == fresh.next_steps([prefix], keys([prefix]))
            fresh._cache = PrefixCache(fresh.model)
        drawn = [s.score for scores in small.score(chosen, [1] * len(chosen)) for s in scores]
        assert drawn == pytest.approx([scores[-1].score for scores in score(prm, chosen)], abs=1e-5)


def test_a_step_that_spells_the_tag_gets_one_score(prm):
    (scores,) = prm.score([Prefix("Start with 1, add 2.", (f"1 + {PRM_TAG}2 = 3",))], [1])
    assert len(scores) == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.integers(1, 25), st.floats(0.1, 1), st.floats(0.2, 2), st.integers(0, 2**32 - 1))
def test_sampling_follows_the_filtered_distribution(vocabulary, top_k, top_p, temperature, seed):
    logits = torch.from_numpy(np.random.default_rng(seed).normal(size=vocabulary)).float()
    n = 4000
    uniform = (np.arange(n) + 0.5) / n
    settings = Sampling(temperature=temperature, top_p=top_p, top_k=top_k)
    drawn = sample(logits.expand(n, -1), uniform, settings)
    frequency = np.bincount(drawn.numpy(), minlength=vocabulary) / n
    p = torch.softmax(logits / temperature, -1).numpy().astype(float)
    order = np.argsort(-p)
    kept = order[: min(top_k, vocabulary)]
    inside = p[kept] / p[kept].sum()
    kept = kept[np.cumsum(inside) - inside < top_p]
    expected = np.zeros(vocabulary)
    expected[kept] = p[kept] / p[kept].sum()
    assert np.abs(frequency - expected).max() < 2e-3


def test_streams_are_uniform_and_apart():
    streams = seeds([digest(str(i).encode()) for i in range(2000)])
    values = np.stack([uniforms(streams, t) for t in range(20)])
    assert values.min() >= 0
    assert values.max() < 1
    assert abs(values.mean() - 0.5) < 0.01
    assert np.abs(np.corrcoef(values) - np.eye(20)).max() < 0.1
    assert len(np.unique(values)) == values.size


def test_the_embedded_models_are_what_the_study_needs():
    """The bands of the published calibration, on problems that no other stage uses."""
    probes = {"standard": generate("standard", {"validation": 400}, 77)}
    weak = measure_language_model(resolve("embedded/weak"), probes)[0]["standard"]
    strong = measure_language_model(resolve("embedded/strong"), probes)[0]["standard"]
    prm = measure_reward_model(resolve("embedded/prm"), resolve("embedded/weak"), probes)[0]["standard"]
    assert 0.83 <= weak["step right"] <= 0.92
    assert 0.955 <= strong["step right"] <= 0.99
    assert 0.28 <= weak["problems solved"] <= 0.58
    assert 0.73 <= strong["problems solved"] <= 0.93
    assert 0.93 <= prm["AUC"] <= 0.98
    assert 0.78 <= prm["AUC, after an error"] <= 0.90
    assert weak["AUC of its log-probability"] <= prm["AUC"] - 0.05


def test_the_embedded_models_are_small_and_open():
    folders = [resolve(f"embedded/{name}") for name in (*ROLES, "prm")]
    files = [f for folder in folders for f in folder.iterdir()]
    assert sum(f.stat().st_size for f in files) < 20e6
    assert all(f.suffix in {".json", ".jinja", ".md", ".safetensors"} for f in files)
    for folder in folders:
        assert parameters(folder) > 10_000
        assert "Measured on" in (folder / "README.md").read_text()


def test_a_missing_or_damaged_model_is_named(tmp_path):
    with pytest.raises(TrimError, match=r"config\.json.*restore"):
        identity(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"x" * 40)
    with pytest.raises(TrimError, match=r"model\.safetensors: not a safetensors file"):
        parameters(tmp_path)


def test_the_instruction_reaches_the_prompt(language_model):
    assert INSTRUCTION in language_model.prompt(Prefix("Start with 1, add 2."), "")


def test_the_released_prompt(language_model, prm):
    """The user turn, the opening before the first step and the other before those that stand, a system turn."""
    chat = ChatFormat("Solve \\boxed{{X}}.", "{instruction}\nQuestion: {question}", "Solution:\n\n", "Solution: ")
    prompt = Prompt(language_model.tokenizer, chat)
    first, later = (prompt(prefix, prefix.text) for prefix in (Prefix("{instruction}?"), Prefix("q", ("a", "b"))))
    assert "user\nSolve \\boxed{{X}}.\nQuestion: {instruction}?<|im_end|>" in first
    assert first.endswith("assistant\nSolution:\n\n")
    assert later.endswith("assistant\nSolution: a\n\nb\n\n")
    asked = prompt(Prefix("Is 2 even?", (), ""), "")
    assert "Solution" not in asked and "Question" not in asked
    judged = Prompt(prm.tokenizer, ChatFormat("", system="You judge."))(Prefix("q", ("a",)), "a<extra_0>")
    assert judged.startswith("<|im_start|>system\nYou judge.<|im_end|>\n<|im_start|>user\nq<|im_end|>")
    assert judged.endswith("assistant\na<extra_0>")


def test_a_prompt_is_counted_to_its_first_step(language_model, prm, prefixes):
    for model in (language_model, prm):
        for prefix, count in zip(prefixes[:5], model.prompt_tokens(prefixes[:5]), strict=True):
            assert count == len(model.tokenizer(model.prompt(prefix._replace(steps=()), ""))["input_ids"])


def test_a_pool_that_is_claimed_again_keeps_what_it_holds(prm, prefixes):
    solutions = [p for p in prefixes[:40] if p.steps]
    before = score(prm, solutions)
    prm.claim_memory()
    again = score(prm, solutions)
    assert [[s.score for s in row] for row in again] == [
        [pytest.approx(s.score, abs=1e-5) for s in row] for row in before
    ]
