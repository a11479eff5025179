"""The manifest against the folder: bench/attack.py has hostile ones."""

import pytest
import yaml

from trim.audit.recompute import _texts_apart
from trim.audit.sealed import unchanged
from trim.errors import TrimError
from trim.files import read_sealed, write_sealed, write_text
from trim.stages.manifest import make_manifest


def run(folder):
    for name in ("metrics.json", "summary.csv", "tables/main.md"):
        write_text(folder / name, name)
    write_text(folder / "params.yaml", yaml.safe_dump({"evaluation": {"bootstrap": 20}, "shards": 1}))
    make_manifest(folder)


def faults(folder):
    return [check.what for check in unchanged(folder) if check.outcome == "fail"]


def test_a_file_that_was_added_or_left_out_of_the_manifest_is_named(tmp_path):
    run(tmp_path)
    assert faults(tmp_path) == []
    manifest = read_sealed(tmp_path / "manifest.json")
    del manifest["files"]["metrics.json"]
    manifest["files"]["/dev/zero"] = "0"
    write_sealed(tmp_path / "manifest.json", manifest)
    write_text(tmp_path / "tables/more.csv", "more")
    assert faults(tmp_path) == ["/dev/zero", "metrics.json", "tables/more.csv"]


def test_what_is_made_after_a_run_is_no_fault(tmp_path):
    run(tmp_path)
    for name in ("serving/store.sqlite", "validation/standard.json"):
        write_text(tmp_path / name, "later")
    assert faults(tmp_path) == []
    assert [check.what for check in unchanged(tmp_path) if check.outcome == "not recorded"] == [
        "validation/standard.json"
    ]


def test_parameters_are_known_by_the_values_that_results_depend_on(tmp_path):
    run(tmp_path)
    write_text(tmp_path / "params.yaml", yaml.safe_dump({"shards": 2, "evaluation": {"bootstrap": 20}}))
    assert faults(tmp_path) == []
    write_text(tmp_path / "params.yaml", yaml.safe_dump({"evaluation": {"bootstrap": 21}}))
    assert faults(tmp_path) == ["params.yaml"]


def test_texts_are_compared_by_their_words_and_numbers():
    assert _texts_apart('{"apgr": 0.9}', '{"apgr": 0.9000000001}') == ""
    assert _texts_apart('{"apgr": 0.999}', '{"apgr": 0.9}') == "0.999 found, 0.9 made again"
    assert _texts_apart('{"apgr": 0.9}', '{"aiq": 0.9}')


@pytest.mark.parametrize("text", ["5", "[a, b]"])
def test_parameters_of_another_form_are_one_line(tmp_path, text):
    run(tmp_path)
    write_text(tmp_path / "params.yaml", text)
    for work in (make_manifest, faults):
        with pytest.raises(TrimError, match=r"params\.yaml: holds no parameters"):
            work(tmp_path)
