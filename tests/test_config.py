"""Mistakes in params.yaml stop before any work, in one line."""

import copy

import pytest
import yaml
from conftest import ROOT

from trim.config import check, load
from trim.errors import TrimError
from trim.models.base import Engine


def test_the_shipped_experiment_is_sound(params):
    assert next(iter(params.benchmarks)) == "standard"
    assert params.benchmarks["standard"].sizes.model_dump() == {"train": 2000, "validation": 500, "test": 500}
    assert all(b.sizes.test >= 300 for b in params.benchmarks.values())


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("routers", "trim_thr", "thresholds"), [0.1, 1.2], r"routers\.trim_thr\.thresholds\[1\]: 1\.2 found.*1"),
        (("routers", "trim_thr", "treshold"), 1, r"routers\.trim_thr\.treshold: unknown key"),
        (("routers", "magic"), {}, r"routers\.magic: unknown router; allowed: .*trim_thr"),
        (("generation", "sampling", "temperature"), "hot", r"generation\.sampling\.temperature: 'hot' found"),
        (("generation", "sampling", "top_p"), 1.5, r"generation\.sampling\.top_p: 1\.5 found, allowed: at most 1"),
        (("shards",), 0, r"shards: 0 found, allowed: at least 1"),
        (("evalution",), {}, r"evalution: unknown key"),
        (("models", "weak", "dtype"), "int8", r"models\.weak\.dtype: 'int8' found, allowed: 'float32' or 'bfloat16'"),
        (("evaluation", "cost"), "tears", r"evaluation\.cost: 'tears' found, allowed: .*strong_tokens"),
        (("evaluation", "baselines"), ["nobody"], r"evaluation\.baselines: 'nobody' found, allowed: .*trim_thr"),
        (("robustness", "routers"), ["nobody"], r"robustness\.routers: 'nobody' found, allowed: .*trim_thr"),
        (("models", "prm", "distortion"), {"kind": "fog", "strength": 1}, r"distortion\.kind: 'fog' found, allowed"),
        (
            ("routers", "trim_pomdp", "costs"),
            [-1, 2],
            r"costs\[0\]: -1 found, allowed: at least 0",
        ),
        (("routers", "trim_agg", "fit_on"), "mars", r"routers\.trim_agg\.fit_on: 'mars' found, allowed: standard"),
        (("ceiling", "benchmarks"), ["mars"], r"ceiling\.benchmarks: 'mars' found, allowed: standard"),
        (("routers", "trim_agg", "training", "epochs"), 0, r"training\.epochs: 0 found, allowed: at least 1"),
        (("benchmarks", "standard", "hub"), "math500", r"benchmarks\.standard: give one of family \(with sizes\), hub"),
        (("models", "strong", "backend"), "openai", r"models\.strong: server is for the backend openai, and needed"),
        (("models", "strong", "server"), {"url": "ftp://x"}, r"models\.strong\.server\.url: 'ftp://x' found"),
        (("benchmarks", "standard", "family"), "easy", r"benchmarks\.standard\.family: 'easy' found"),
    ],
)
def test_a_mistake_is_one_line_that_names_key_value_and_cure(raw, keys, value, message):
    wrong = copy.deepcopy(raw)
    section = wrong
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    with pytest.raises(TrimError, match=message) as caught:
        check(wrong)
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named(raw):
    wrong = copy.deepcopy(raw)
    del wrong["models"]["prm"]["path"]
    with pytest.raises(TrimError, match=r"models\.prm\.path: missing"):
        check(wrong)


def test_both_ends_are_needed(raw):
    wrong = copy.deepcopy(raw)
    del wrong["routers"]["always_strong"]
    with pytest.raises(TrimError, match=r"routers\.always_strong: missing"):
        check(wrong)


@pytest.mark.parametrize("text", ["{", "a: [", "- 1"])
def test_no_yaml_or_no_mapping(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(TrimError, match=r"params\.yaml"):
        load(tmp_path / "params.yaml")


def test_yaml_of_a_checked_experiment_is_equal(raw, params):
    assert check(yaml.safe_load(yaml.safe_dump(raw))) == params


@pytest.mark.parametrize("path", sorted((ROOT / "workflow/experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_experiments_are_sound_and_can_be_planned(path):
    from trim.stages.plan import make_plan

    params = load(path) if path.stem not in ("rl", "rehearsal") else None
    if params is None:
        pytest.skip("written over params.yaml")
    need = make_plan(params, 312e12, 0.1)
    assert 0 < sum(need.hours.values()) < 200
    assert need.gpus == (1 if path.stem == "api" else 2)
    assert 1e9 < need.disk < 1e11
    assert all(model.revision for model in (params.models.weak, params.models.prm))
    assert list(need.money) == (["strong"] if path.stem == "api" else [])


def test_flops_need_the_size_of_a_served_model(raw):
    given = copy.deepcopy(raw)
    given["models"]["strong"] |= {"backend": "openai", "server": {"url": "http://127.0.0.1:1/v1"}}
    check(given)
    given["evaluation"]["cost"] = "flops"
    with pytest.raises(TrimError, match=r"models\.strong\.weights: missing; evaluation\.cost: flops needs it"):
        check(given)


def test_models_on_one_gpu_are_counted_once(params):
    def gpus(*engines):
        roles = zip(("weak", "strong", "prm"), engines)
        found = {role: getattr(params.models, role).model_copy(update={"backend": "vllm", "engine": Engine(**engine)})
                 for role, engine in roles}  # fmt: skip
        return params.models.model_copy(update=found).gpus("weak", "strong", "prm")

    assert params.models.gpus("weak", "strong", "prm") == 0
    assert gpus({}, {}, {}) == 1
    assert gpus({"devices": [0]}, {"devices": [1]}, {"devices": [0]}) == 2
    assert gpus({"devices": [0]}, {"tensor_parallel": 4}, {}) == 4
