"""Mistakes in params.yaml stop before any work, in one line."""

import copy

import pytest
import yaml

from trim.config import check, load
from trim.errors import TrimError


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
