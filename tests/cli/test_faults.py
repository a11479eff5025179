"""Commands met by hostile input, full disks and closed pipes: one line, never a traceback; and the attack in small."""

import os
import subprocess
import sys

import pandas as pd
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from trim.errors import TrimError, printable
from trim.report.tables import markdown, write

sys.path.insert(0, str(ROOT / "bench"))
from attack import ATTACKS, attack


@pytest.mark.parametrize("kind", ATTACKS, ids=lambda kind: kind.__name__)
def test_an_attack_is_survived(kind):
    outcomes, broken = attack(kind, 60, seed=1)
    assert not broken
    assert outcomes.total() == 60


def trim(*command, cwd, stdin=subprocess.DEVNULL, **more):
    return subprocess.run(
        [sys.executable, "-c", "from trim.cli import main; main()", *command],
        cwd=cwd,
        stdin=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        env=os.environ | more,
    )


def one_line(done, status=2):
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    *progress, last = done.stderr.splitlines()
    assert last.startswith("trim: ")
    assert not [line for line in progress if not line[0].isdigit()]
    return last


@pytest.mark.slow
def test_commands_without_results_or_parameters_say_so(tmp_path):
    for command in (["check"], ["tables"], ["report"], ["audit"], ["solve", "q", "--params", "params.yaml"], ["plan"]):
        assert "params.yaml: No such file" in one_line(trim(*command, cwd=tmp_path))
    params = ["--params", str(ROOT / "params.yaml")]
    for command in (
        ["tables"],
        ["figures"],
        ["report"],
        ["study", "claims"],
        ["audit", "--no-lineage"],
    ):
        said = one_line(trim(*command, *params, cwd=tmp_path))
        assert "results/" in said or "no results" in said, said
    assert "results/tables/main.csv" in one_line(trim("show", cwd=tmp_path))


def test_no_question_and_no_standard_input(tmp_path):
    closed = subprocess.run(
        ["bash", "-c", f"exec 0<&-; {sys.executable} -c 'from trim.cli import main; main()' solve"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert "no question" in one_line(closed)
    assert "not UTF-8" in one_line(trim("solve", "a\udcff", cwd=ROOT))
    (tmp_path / "q").write_bytes(b"\xff\xfe\xff")
    assert "UTF-8" in one_line(trim("solve", "--file", str(tmp_path / "q"), cwd=ROOT))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount a small disk")
def test_a_full_disk_is_named(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no mounts here")
    try:
        params = ["--params", str(ROOT / "params.yaml")]
        said = one_line(
            trim("problems", "--benchmark", "standard", "--out", str(disk / "p.parquet"), *params, cwd=ROOT)
        )
        assert "p.parquet" in said
        assert "No space left on device" in said
    finally:
        subprocess.run(["umount", disk], check=True)


def test_the_unexpected_is_one_line_and_the_rest_is_there_for_who_asks(tmp_path):
    code = "import trim.cli as c; c.app = lambda: 1 / 0; c.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    said = one_line(done, status=1)
    assert "ZeroDivisionError" in said
    assert "TRIM_TRACEBACK=1" in said
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"TRIM_TRACEBACK": "1"}
    )
    assert "Traceback" in done.stderr


def test_what_users_and_models_write_moves_no_terminal(tmp_path):
    hostile = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m"
    path = tmp_path / "main.csv"
    (tmp_path / "tables").mkdir()
    row = {
        "benchmark": hostile + "[bold]b[/bold]",
        "split": "test",
        "weak": "0.1",
        "strong": "0.9",
        "router": "[red]r[/red]",
        "acc@20": 1,
    }
    pd.DataFrame([row]).to_csv(tmp_path / "tables/main.csv", index=False)
    done = trim("show", "--results", str(tmp_path), cwd=tmp_path, FORCE_COLOR="", TERM="dumb")
    assert done.returncode == 0, done.stderr
    assert not set("\x1b\x07\u202e\x9b") & set(done.stdout)
    assert "[bold]b[/bold]" in done.stdout
    assert "[red]r[/red]" in done.stdout
    path.write_text("x")
    said = one_line(trim("check", "--params", f"{tmp_path}/\x1b[31mno.yaml", cwd=tmp_path))
    assert "\x1b" not in said


@given(st.text())
def test_printable_text_is_printable(text):
    assert all(c.isprintable() or c in "\n\t" for c in printable(text))
    assert str(TrimError(text)).replace(" ", "").isprintable()


def test_a_question_of_a_megabyte_is_not_printed_whole():
    assert len(printable("a" * 1_000_000)) < 3000


TITLES = [
    "Δ, π and ≈",
    "50 % & #1_{x}^2 $ ~ \\end{tabular}",
    "日本語 😀",
    "\\input{/etc/passwd}",
    "<script>alert(1)</script>",
]


def test_tables_of_any_title_compile(tmp_path):
    from shutil import which

    paths = write(tmp_path, "main", pd.DataFrame({"router": TITLES, "Δ": range(len(TITLES))}))
    assert "<script>" not in markdown(pd.DataFrame({"router": TITLES}))
    if not which("pdflatex"):
        pytest.skip("pdflatex is not here")
    (table,) = (path for path in paths if path.suffix == ".tex")
    document = r"\documentclass{article}\usepackage[utf8]{inputenc}\usepackage{booktabs,amssymb}\begin{document}"
    (tmp_path / "d.tex").write_text(document + table.read_text() + r"\end{document}", encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "-no-shell-escape", "d.tex"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "d.pdf").stat().st_size
