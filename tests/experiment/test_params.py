"""Mistakes in params.yaml stop before any work, in one line."""

import copy
import json
import os
import time
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from trim.errors import TrimError
from trim.experiment.compose import compose_experiment
from trim.experiment.load import check, load
from trim.models.settings import Engine


def test_the_shipped_experiment_is_sound(params):
    assert next(iter(params.benchmarks)) == "standard"
    assert params.benchmarks["standard"].sizes.model_dump() == {"train": 2000, "validation": 500, "test": 500}
    assert all(b.sizes.test >= 300 for b in params.benchmarks.values())


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("routers", "trim_thr", "thresholds"), [0.1, 1.2], r"routers\.trim_thr\.thresholds\[1\]: 1\.2 found.*1"),
        (("routers", "trim_thr", "treshold"), 1, r"routers\.trim_thr\.treshold: unknown key"),
        (("routers", "rsd", "only"), None, r"routers\.rsd\.only: empty; give it a value, or leave the key out"),
        (("routers", "rsd", "only"), "standard", r"routers\.rsd\.only: 'standard' found, allowed: a list"),
        (("routers", "rsd", "type"), [], r"routers\.rsd\.type: \[\] found, allowed: text"),
        (("routers", "rsd", "type"), {}, r"routers\.rsd\.type: \{\} found, allowed: text"),
        (("routers", "rsd", "type"), None, r"routers\.rsd\.type: empty"),
        (("routers", "rsd", "title"), " ", r"routers\.rsd\.title: empty"),
        (("evaluation", "baselines"), [], r"evaluation\.baselines: an empty list; give one value at least"),
        (("routers", "trim_pomdp", "costs"), [1, float("inf")], r"costs\[1\]: inf found, allowed: a finite number"),
        (("routers", "magic"), {}, r"routers\.magic: unknown router; allowed: .*trim_thr"),
        (("generation", "sampling", "temperature"), "hot", r"generation\.sampling\.temperature: 'hot' found"),
        (("generation", "sampling", "top_p"), 1.5, r"generation\.sampling\.top_p: 1\.5 found, allowed: at most 1"),
        (("shards",), 0, r"shards: 0 found, allowed: at least 1"),
        (("evalution",), {}, r"evalution: unknown key"),
        (("models", "weak", "dtype"), "int8", r"models\.weak\.dtype: 'int8' found, allowed: 'float32' or 'bfloat16'"),
        (("evaluation", "cost"), "tears", r"evaluation\.cost: 'tears' found, allowed: .*strong_tokens"),
        (("evaluation", "baselines"), ["nobody"], r"evaluation\.baselines: 'nobody' found, allowed: .*trim_thr"),
        (("robustness", "routers"), ["nobody"], r"robustness\.routers: 'nobody' found, allowed: .*trim_thr"),
        (("models", "prm", "distortion"), {"type": "fog", "strength": 1}, r"distortion\.type: 'fog' found, allowed"),
        (
            ("routers", "trim_pomdp", "costs"),
            [-1, 2],
            r"costs\[0\]: -1 found, allowed: at least 0",
        ),
        (("routers", "trim_verify", "fit_on"), "long", r"routers\.trim_verify: fitted on long.*list long in `trees`"),
        (("routers", "trim_agg", "fit_on"), "mars", r"routers\.trim_agg\.fit_on: 'mars' found, allowed: standard"),
        (("trees",), ["mars"], r"trees: 'mars' found, allowed: standard"),
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


def test_a_missing_key_is_named_with_the_one_that_may_be_meant(raw):
    wrong = copy.deepcopy(raw)
    wrong["router"] = wrong.pop("routers")
    with pytest.raises(TrimError, match=r"routers: missing; 'router' is an unknown key, check its spelling"):
        check(wrong)


def test_the_ends_alone_compare_nothing(raw):
    wrong = copy.deepcopy(raw) | {"trees": [], "transfer": {}, "robustness": {"routers": ["always_weak"]}}
    wrong["routers"] = {"always_weak": {}, "always_strong": {}}
    wrong["evaluation"]["baselines"] = ["always_weak"]
    with pytest.raises(TrimError, match=r"routers: only the two ends of the scale, so nothing is compared; add one"):
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
    from trim.audit.plan import make_plan

    if path.stem == "rehearsal":
        pytest.skip("written over math500")
    params = check(compose_experiment(path.parent, path.stem, ROOT / "params.yaml"))
    if path.stem in ("full", "rl"):
        return
    need = make_plan(params, 312e12, 0.1)
    if path.stem == "served":  # whose GPUs are elsewhere
        assert not need.hours
        assert sum(need.money.values()) > 0
        return
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
        found = {
            role: getattr(params.models, role).model_copy(update={"backend": "vllm", "engine": Engine(**engine)})
            for role, engine in roles
        }
        return params.models.model_copy(update=found).gpus("weak", "strong", "prm")

    assert params.models.gpus("weak", "strong", "prm") == 0
    assert gpus({}, {}, {}) == 1
    assert gpus({"devices": [0]}, {"devices": [1]}, {"devices": [0]}) == 2
    assert gpus({"devices": [0]}, {"tensor_parallel": 4}, {}) == 4


def changed(raw, value, *keys):
    wrong = copy.deepcopy(raw)
    section = wrong
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    return wrong


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("benchmarks", "standard", "sizes", "validation"), 0, "fitted on standard, which has no validation problems"),
        (("benchmarks", "standard", "sizes", "train"), 0, "fitted on standard, which has no train problems"),
        (("benchmarks", "extra"), {"hub": "minerva"}, "fitted on extra, which has no validation problems"),
        (("benchmarks", "standard", "sizes", "test"), 10**15, r"sizes\.test: 1000000000000000 found, allowed: at most"),
        (("routers", "random", "probabilities"), [], r"routers\.random\.probabilities: an empty list"),
        (("routers", "trim_thr", "thresholds"), [], r"routers\.trim_thr\.thresholds: an empty list"),
        (("routers", "trim_agg", "costs"), [], r"routers\.trim_agg\.costs: an empty list"),
        (("routers", "trim_thr", "thresholds"), [0.5, 0.5], "thresholds: 0.5 is given twice"),
        (("evaluation", "levels"), [], r"evaluation\.levels: an empty list"),
        (("evaluation", "baselines"), ["random", "random"], "baselines: 'random' is given twice"),
        (("evaluation", "levels"), [0.5, 0.501], "levels: two of them are 50 % in tables"),
        (("evaluation", "bootstrap"), 10**9, r"evaluation\.bootstrap: 1000000000 found, allowed: at most"),
        (("evaluation", "seed"), -1, r"evaluation\.seed: -1 found, allowed: at least 0"),
        (("evaluation", "bootstrap"), True, "bootstrap: true found; a boolean is not allowed here"),
        (("evaluation", "bootstrap"), "many", "'many' found, allowed: a whole number"),
        (("evaluation", "bootstrap"), [1], r"\[1\] found, allowed: a whole number"),
        (("evaluation", "budgets"), 0.2, r"evaluation\.budgets: 0\.2 found, allowed: a list"),
        (("evaluation",), None, "evaluation: None found, allowed: a section of keys and values"),
        (("shards",), 10**9, "shards: 1000000000 found, allowed: at most"),
        (("models", "weak", "price_in"), float("inf"), "price_in: inf found, allowed: a finite number"),
        (("models", "weak", "path"), "{x}", "allowed: a path without line breaks and braces"),
        (
            ("routers", "always_weak"),
            {"type": "random"},
            r"routers\.always_weak\.type: an end of the scale has no such key",
        ),
        (("routers", "always_strong"), {"only": ["standard"]}, r"routers\.always_strong\.only: an end of the scale"),
        (("routers", "trim_thr", "title"), 7, r"routers\.trim_thr\.title: 7 found, allowed: text"),
        (
            ("routers", "trim_thr", "title"),
            "\x1b[31m",
            r"routers\.trim_thr\.title: '.x1b\[31m' found, allowed: one line",
        ),
        (("routers", "trim_thr", "title"), "a\u202eb", r"title: 'a.u202eb' found, allowed: one line"),
        (("routers", "trim_thr", "only"), "standard", r"routers\.trim_thr\.only: 'standard' found, allowed: a list"),
        (("routers", "trim_thr", "group"), "mine", r"routers\.trim_thr\.group: 'mine' found, allowed: 'reference'"),
        (("routers", "trim_thr"), None, r"routers\.trim_thr: None found, allowed: a section"),
        (("routers", "a" * 300), {}, "not a name; allowed: lower-case letters"),
        (("calibration", "solutions"), "processbench/$(touch X)", "is no part of ProcessBench; it has: gsm8k"),
        (
            ("routers", "trim_thr", "reward_model"),
            "mine",
            r"reward_model: 'mine' found, allowed: small, distilled, robust",
        ),
        (("reward_models",), {"a": {"fit_on": "no"}}, r"reward_models\.a\.fit_on: 'no' found, allowed: standard"),
        (
            ("reward_models",),
            {name: {"fit_on": "hard", "labels": "success"} for name in ("small", "distilled", "robust")},
            r"reward_models\.small\.labels: success needs solution trees; list hard in `trees`",
        ),
        (("reward_models",), {"a": {"labels": "mine"}}, r"reward_models\.a\.labels: 'mine' found, allowed: 'steps'"),
        (("transfer", "routers"), ["nobody"], r"transfer\.routers: 'nobody' found"),
    ],
)
def test_all_that_can_be_found_before_work_is(raw, keys, value, message):
    with pytest.raises(TrimError, match=message) as caught:
        check(changed(raw, value, *keys))
    assert str(caught.value).isprintable()
    assert "pydantic" not in str(caught.value)


def test_an_empty_section_takes_its_defaults(raw):
    assert check(changed(raw, {}, "evaluation")).evaluation.budgets == (0.1, 0.15, 0.2, 0.25, 0.3)


def test_titles_are_for_reading_and_names_are_keys(raw):
    given = changed(raw, "Standard", "benchmarks", "long", "title")
    given["routers"]["other"] = {"type": "trim_thr", "thresholds": [0.5]}
    params = check(given)
    assert params.title("trim_thr") == "TRIM-Thr (trim_thr)"
    assert params.title("other") == "TRIM-Thr (other)"
    assert params.title("random") == "Random"
    assert params.benchmark_title("standard") == "Standard (standard)"
    titles = [params.title(name) for name in params.routers]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("studies: []", r"params\.yaml:\d+: the key 'studies' is already in line \d+"),
        ("replay: yes", r"params\.yaml:\d+: yes would be read as true or false"),
        ("extra: 1:30", r"params\.yaml:\d+: 1:30 would be read as a number to base 60"),
        ("extra: 010", "010 would be read as a number to base 8"),
        ("extra: .inf", "read as no number at all"),
        ("extra: 2026-01-01", "read as a date"),
        ("extra: !!python/name:os.system x", "not YAML"),
        ("extra: [" + "[" * 200 + "]" * 200 + "]", "nested too deeply"),
    ],
)
def test_yaml_means_what_it_looks_like(tmp_path, line, message):
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text() + "\n" + line + "\n")
    with pytest.raises(TrimError, match=message):
        load(path)


def aliases(levels, width):
    lines = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels)]
    return "\n".join(["a0: &a0 [x]", *lines])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (aliases(8, 9), "more than 100,000 values, aliases written out"),
        (aliases(60, 1), "nested too deeply"),
        ("a: &a [*a]", "nested too deeply, or an alias holds itself"),
        ("[" * 100_000, "nested too deeply"),
        (f"x: [{', '.join(['1'] * 200_000)}]", "more than 100,000 values"),
        (f"x: {'1' * 2_000_000}", "larger than 1 MiB"),
    ],
    ids=["aliases", "a chain of aliases", "a circle", "brackets", "a list", "a value"],
)
def test_small_files_that_mean_much_are_refused_at_once(tmp_path, text, message):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    started = time.process_time()
    with pytest.raises(TrimError, match=message):
        load(path)
    assert time.process_time() - started < 2


def test_a_long_list_is_checked_in_linear_time(raw):
    started = time.process_time()
    levels = [i / 90_000 for i in range(90_000)]
    with pytest.raises(TrimError, match=r"levels: two of them are 0 % in tables"):
        check(changed(raw, levels, "evaluation", "levels"))
    assert (
        len(check(changed(raw, levels, "routers", "trim_thr", "thresholds")).routers["trim_thr"]["thresholds"])
        == 90_000
    )
    assert time.process_time() - started < 5


def test_pipes_and_devices_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(TrimError, match=f"{path}: a pipe or a device; write its content into a file"):
            load(path)


@pytest.mark.parametrize("content", ["x: é".encode("latin-1"), "shards: 1".encode("utf-16"), bytes(range(256)), b""])
def test_files_of_parameters_that_are_no_text_are_named(tmp_path, content):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(TrimError, match=r"params\.yaml.*(UTF-8|empty)"):
        load(path)


def test_local_files_and_folders_are_looked_for_before_work(raw, tmp_path, monkeypatch):
    from trim.experiment.soundness import check_surroundings

    monkeypatch.chdir(tmp_path)
    assert check_surroundings(check(raw)) == []
    (tmp_path / "p.jsonl").write_text('{"problem": "q", "answer": "1", "split": "test"}\n')
    for keys, value, message in (
        (("benchmarks", "mine"), {"path": "nowhere.jsonl"}, "benchmarks.mine.path: nowhere.jsonl: no such file"),
        (("benchmarks", "mine"), {"path": "p.jsonl"}, "fitted on mine, which has no validation problems"),
        (("calibration", "solutions"), "nowhere.jsonl", "calibration.solutions: nowhere.jsonl: No such file"),
        (("models", "weak", "path"), "nowhere", "models.weak.path: nowhere/config.json: No such file"),
        (("models", "prm", "path"), "embedded/weak", "models.prm.path: .*/weak: not a reward model: it lacks weights"),
        (("models", "strong", "path"), "embedded/prm", "models.strong.path: .*/prm: a reward model, where a language"),
    ):
        with pytest.raises(TrimError, match=message):
            check_surroundings(check(changed(raw, value, *keys)))


def test_routers_that_a_benchmark_cannot_have_are_named_before_work(raw, tmp_path, monkeypatch):
    from trim.experiment.soundness import check_surroundings

    monkeypatch.chdir(tmp_path)
    splits = [*["train"] * 29, "validation", "test"]
    lines = [{"problem": f"q{i}", "answer": "1", "split": split} for i, split in enumerate(splits)]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, lines)))
    small = yaml.safe_load((ROOT / "params.yaml").read_text()) | {
        "benchmarks": {"mine": {"path": "p.jsonl"}},
        "trees": [],
    }
    ends = {"always_weak": {}, "always_strong": {}}
    small["evaluation"]["baselines"] = ["always_weak"]
    planned = check(small | {"routers": ends | {"trim_pomdp": {"costs": [1, 2]}}})
    with pytest.raises(
        TrimError, match=r"routers.trim_pomdp: its POMDP is calibrated on .* mine, at least 30, .* are 29"
    ):
        check_surroundings(planned)
    compared = check(small | {"routers": ends | {"random": {}, "oracle": {}}})
    with pytest.raises(
        TrimError, match=r"routers.oracle: compares steps with reference solutions, which mine does not"
    ):
        check_surroundings(compared)
    with pytest.raises(
        TrimError, match=r"routers.oracle: compares steps with reference solutions, which mine does not"
    ):
        check(small | {"benchmarks": {"mine": {"hub": "math500"}}, "routers": ends | {"oracle": {}}})
