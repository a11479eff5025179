"""A model is what its folder says, wholly, or it is refused; and its draws are named by all that causes them."""

import json
import shutil
from typing import Any

import pytest
import torch
from fakes.scripted import FREE
from pydantic import BaseModel
from safetensors.torch import load_file, save_file

from trim.engine.judge import AnswerJudge
from trim.errors import TrimError
from trim.experiment.load import check
from trim.experiment.runner import Runner
from trim.models.backends.transformers import TransformersLM, TransformersPRM
from trim.models.files import resolve
from trim.models.load import language_model, name, reward_model
from trim.models.settings import Engine, Model, RewardModel, Sampling, Server
from trim.models.weights import check_folder
from trim.progress import Tracker
from trim.steps import PLAIN


@pytest.fixture
def folder(tmp_path):
    """Makes a copy of an embedded model, with its weights changed."""

    def make(model, change=lambda weights: None, **config):
        target = tmp_path / "model"
        shutil.copytree(resolve(f"embedded/{model}"), target)
        weights = load_file(target / "model.safetensors")
        change(weights)
        save_file(weights, target / "model.safetensors", {"format": "pt"})
        found = json.loads((target / "config.json").read_text())
        (target / "config.json").write_text(json.dumps(found | config))
        return target

    return make


def spoil(weights):
    weights["model.layers.0.mlp.up_proj.weight"][0, 0] = float("nan")


def grow(weights):
    weights["model.norm.weight"] = torch.ones(7)


def drop(weights):
    del weights["model.layers.1.self_attn.q_proj.weight"]


LOADERS = {"language model": lambda f: TransformersLM(f, Sampling()), "reward model": TransformersPRM}


@pytest.mark.parametrize(
    ("model", "meant", "change", "config", "why"),
    [
        (
            "strong",
            "reward model",
            lambda w: None,
            {},
            r"lacks weights score\.0\.bias, score\.0\.weight|lacks weights score",
        ),
        ("prm", "language model", lambda w: None, {}, r"holds unknown weights score\.0\.bias"),
        ("weak", "language model", drop, {}, r"lacks weights model\.layers\.1\.self_attn\.q_proj\.weight"),
        ("prm", "reward model", drop, {}, r"lacks weights model\.layers\.1\.self_attn\.q_proj\.weight"),
        (
            "weak",
            "language model",
            lambda w: None,
            {"num_hidden_layers": 3, "layer_types": ["full_attention"] * 3},
            r"lacks weights model\.layers\.2",
        ),
        (
            "weak",
            "language model",
            lambda w: None,
            {"num_hidden_layers": 1, "layer_types": ["full_attention"]},
            r"unknown weights model\.layers\.1",
        ),
        ("weak", "language model", spoil, {}, r"non-finite weights model\.layers\.0\.mlp\.up_proj\.weight"),
        ("prm", "reward model", spoil, {}, r"non-finite weights model\.layers\.0\.mlp\.up_proj\.weight"),
        ("weak", "language model", grow, {}, r"model\.norm\.weight|not a readable language model"),
    ],
)
def test_a_model_is_refused_unless_it_is_whole(folder, model, meant, change, config, why):
    with pytest.raises(TrimError, match=why) as caught:
        LOADERS[meant](folder(model, change, **config))
    assert "\n" not in str(caught.value)


def test_other_engines_are_given_whole_models_only(folder):
    """What vLLM loads by itself is looked through before."""
    check_folder(resolve("embedded/weak"), "language model")
    check_folder(resolve("embedded/prm"), "reward model")
    for model, meant, why in (
        ("strong", "reward model", "where Qwen2ForProcessRewardModel is needed"),
        ("prm", "language model", "where a language model is needed"),
    ):
        with pytest.raises(TrimError, match=why):
            check_folder(resolve(f"embedded/{model}"), meant)
    with pytest.raises(TrimError, match="non-finite"):
        check_folder(folder("weak", spoil), "language model")


def test_code_and_pickles_in_a_folder_are_never_run(folder, tmp_path, monkeypatch):
    target = folder("weak", auto_map={"AutoModelForCausalLM": "evil.Evil"}, model_type="evil")
    (target / "evil.py").write_text(f"open({str(tmp_path / 'PWNED')!r}, 'w')")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(TrimError, match="not a readable language model"):
        TransformersLM(target, Sampling())
    (target / "model.safetensors").unlink()
    torch.save({}, target / "pytorch_model.bin")
    with pytest.raises(TrimError, match=r"model\.safetensors: No such file"):
        TransformersLM(target, Sampling())
    assert not (tmp_path / "PWNED").exists()


def test_a_tokenizer_without_the_step_tag_and_a_broken_template_are_named(folder):
    target = folder("prm")
    text = (target / "tokenizer.json").read_text()
    (target / "tokenizer.json").write_text(text.replace("<extra_0>", "<other_0>"))
    with pytest.raises(TrimError, match="no token <extra_0>"):
        TransformersPRM(target)
    (target / "tokenizer.json").write_text(text)
    (target / "chat_template.jinja").write_text("{% for x in %}")
    with pytest.raises(TrimError, match="chat template fails"):
        from trim.models.base import Prefix

        TransformersPRM(target).score([Prefix("q", ("1",))], [1])


# Settings that leave every text and score as it is: where and how fast a model runs, and what it costs.
HARMLESS = {
    "Model": {
        "batch_size",
        "price_in",
        "price_cached",
        "price_out",
        "latency_per_call",
        "latency_per_token",
        "latency_per_read",
        "weights",
        "engine",
        "server",
        "repetition_penalty",
    },
    "Engine": {"tensor_parallel", "memory", "devices"},
    "Server": {"url", "key", "concurrency", "timeout", "retries", "cap"},
    "Generation": {"max_steps", "sampling", "ends", "answer"},
}
OTHER = {
    "backend": "vllm",
    "path": "embedded/strong",
    "revision": "abc",
    "dtype": "bfloat16",
    "thinking": True,
    "context": 512,
    "model": "another",
    "api": "chat",
    "seed": 11,
    "sample": 1,
    "instruction": "Be brief.",
    "template": "{instruction} {question}",
    "opening": "Solution: ",
    "reopening": "Solution: ",
    "repetition_penalty": 1.1,
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 5,
    "max_step_tokens": 7,
    "step": "sentence",
}


def served(**server):
    return Model(
        backend="openai",
        path="embedded/weak",
        **FREE,
        server={"url": "http://127.0.0.1:1/v1"} | server,
    )


def fields(kind: type[BaseModel], harmless: str) -> list[str]:
    """Every setting that is not known to be harmless: a new one has to be put in the key, or in that list."""
    return sorted(set(kind.model_fields) - HARMLESS[harmless])


def test_every_cause_of_a_text_is_in_the_models_name(params):
    plain = params.models.weak
    for field in fields(Model, "Model"):
        assert name(plain.model_copy(update={field: OTHER[field]})) != name(plain), field
    for field in fields(Engine, "Engine"):
        both = [
            plain.model_copy(update={"backend": "vllm", "engine": Engine(**e)}) for e in ({}, {field: OTHER[field]})
        ]
        assert name(both[0]) != name(both[1]), field
    for field in fields(Server, "Server"):
        other = {**OTHER, "seed": False}[field]
        assert name(served(**{field: other})) != name(served()), field


def keys(raw: dict[str, Any]) -> tuple[bytes, bytes]:
    runner = Runner.open(check(raw), (), None, Tracker.silent())
    return runner.weak.identity, runner.scorer.identity


def test_every_cause_of_a_text_or_score_is_in_its_key(raw, params):
    plain = keys(raw)
    kinds = {"sampling": Sampling, **dict.fromkeys(fields(type(params.generation), "Generation"))}
    for field in [*fields(type(params.generation), "Generation"), *Sampling.model_fields]:
        inner = field in Sampling.model_fields
        if field == "step":
            continue  # an experiment's steps are paragraphs; studies of others have keys of their own
        generation = {**raw["generation"]}
        if inner:
            generation["sampling"] = {**generation["sampling"], field: OTHER[field]}
        else:
            generation[field] = OTHER[field]
        assert keys({**raw, "generation": generation})[0] != plain[0], field
    assert kinds
    for changed in ({"instruction": "AnswerJudge."}, {"system": "You judge."}):
        prm = {**raw["models"]["prm"], **changed}
        assert keys({**raw, "models": {**raw["models"], "prm": prm}})[1] != plain[1]
    own = ["distortion", "evidence", "instruction", "system"]
    assert fields(RewardModel, "Model") == sorted([*fields(Model, "Model"), *own])
    weak = {**raw["models"]["weak"], "repetition_penalty": 1.1}
    assert keys({**raw, "models": {**raw["models"], "weak": weak}})[0] != plain[0]


def test_other_files_of_a_model_are_another_model(folder):
    target = folder("weak")
    plain = Model(path=str(target), **FREE)
    before = {name(plain)}
    for file, content in (
        ("generation_config.json", '{"eos_token_id": 3}'),
        ("tokenizer_config.json", "{}"),
        ("added_tokens.json", "{}"),
        ("chat_template.jinja", "x"),
        ("config.json", "{}"),
    ):
        (target / file).write_text(content)
        before.add(name(plain))
    assert len(before) == 6


def test_the_judges_limits_and_version_are_in_a_verdicts_key(monkeypatch):
    pair = ("x+1", "1+x", 0.0)
    found = {
        AnswerJudge(None)._key(*pair),
        AnswerJudge(None, 6.0)._key(*pair),
        AnswerJudge(None)._key("x+1", "1+x", 0.1),
    }
    monkeypatch.setattr("trim.engine.judge._VERSION", 99)
    assert len(found | {AnswerJudge(None)._key(*pair)}) == 4


def test_models_are_loaded_by_name(params):
    assert language_model(params.models.weak, Sampling(), PLAIN).tokenizer
    assert reward_model(params.models.prm, PLAIN).tag
