"""A DVC experiment in a folder of its own makes again only what differs from the workspace."""

import os
from base64 import urlsafe_b64encode

import pytest

from trim.errors import TrimError
from trim.stages.checkout import take_over

LONG = "results/studies/" + "x" * 200 + ".csv"


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A workspace with results and Snakemake's records of them, and a checkout with the same results."""
    workspace, checkout = tmp_path / "work", tmp_path / "work/.dvc/tmp/exps/x"
    for root in (workspace, checkout):
        for name in ("results/a.csv", "results/b.csv", "results/training/r/x/y.tsv", LONG, "results/.gitignore"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(name)
    for time, name in enumerate(("results/a.csv", "results/b.csv", "results/training/r", LONG), 1000):
        record = urlsafe_b64encode(name.encode()).decode()
        path = workspace / ".snakemake/metadata" / (f"@{record[:250]}/{record[250:]}" if record[250:] else record)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"record of {name}")
        for file in (workspace / name).rglob("*") if (workspace / name).is_dir() else [workspace / name]:
            os.utime(file, (time, time))
    monkeypatch.setenv("DVC_STAGE", "evaluation")
    monkeypatch.setenv("DVC_ROOT", str(workspace))
    return workspace, checkout


def records(root):
    return sorted(p.relative_to(root) for p in (root / ".snakemake/metadata").rglob("*") if p.is_file())


def test_what_is_the_same_keeps_its_record_and_its_time(folders):
    workspace, checkout = folders
    take_over(checkout)
    assert records(checkout) == records(workspace)
    for name in ("results/a.csv", "results/b.csv", "results/training/r/x/y.tsv", LONG):
        assert (checkout / name).stat().st_mtime == (workspace / name).stat().st_mtime < 2000


@pytest.mark.parametrize("name", ["results/a.csv", "results/training/r/x/y.tsv"])
def test_what_differs_is_made_again(folders, name):
    _, checkout = folders
    (checkout / name).write_text("another run's")
    (checkout / "results/unknown.csv").write_text("without a record")
    take_over(checkout)
    assert not (checkout / name).exists() and not (checkout / "results/unknown.csv").exists()
    assert len(records(checkout)) == 3
    assert (checkout / "results/b.csv").exists() and (checkout / "results/.gitignore").exists()


def test_without_records_it_is_refused_in_one_line(folders):
    workspace, checkout = folders
    (workspace / ".snakemake").rename(workspace / "elsewhere")
    with pytest.raises(
        TrimError, match=r"run `snakemake --touch --cores all` in the workspace, or `dvc exp run` without"
    ):
        take_over(checkout)
    assert (checkout / "results/a.csv").exists()


@pytest.mark.parametrize("variable", ["DVC_STAGE", "DVC_ROOT"])
def test_elsewhere_nothing_is_done(folders, monkeypatch, variable):
    _, checkout = folders
    (checkout / "results/a.csv").write_text("mine")
    monkeypatch.delenv(variable)
    take_over(checkout)
    assert (checkout / "results/a.csv").exists() and not (checkout / ".snakemake").exists()


def test_it_is_done_once(folders):
    _, checkout = folders
    take_over(checkout)
    (checkout / "results/new.csv").write_text("made since")
    take_over(checkout)
    assert (checkout / "results/new.csv").exists()
