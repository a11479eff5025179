"""The judge of answers: equal values, refused ones, hostile text, kept verdicts, and the process that compares."""

import json
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trim.answers import boxed, equal, is_boxed, normalise, number, worker
from trim.answers.algebra import compare
from trim.audit.answers import NEAR_MISSES, REWRITINGS, check_answers
from trim.engine.judge import AnswerJudge
from trim.engine.store import Draws
from trim.problems import Problem
from trim.steps import INSTRUCTION, is_final

CASES = [json.loads(line) for line in (Path(__file__).parent / "answers.jsonl").read_text().splitlines()]


def judged(gold, found, tolerance=0.0, judge=None):
    problem = Problem("p", "q", gold, "test", tolerance=tolerance)
    (verdict,) = (judge or AnswerJudge(Draws())).right([problem], [rf"So it is \boxed{{{found}}}."])
    return verdict


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['kind']}: {case['input']['gold']}"[:60])
def test_what_public_bug_reports_found(case):
    problem = Problem("p", "q", case["input"]["gold"], "test")
    assert AnswerJudge(Draws()).right([problem], [case["input"]["text"]]) == [case["expected"]]


UNITS = st.sampled_from(
    [
        r"\text{ m}",
        r"\text{ ergs/s}",
        r"\,\mu\mathrm{m}",
        r" \frac{\mathrm{m}}{\mathrm{s}}",
        " cm",
        r"^\circ",
        "°",
        r"\text{ square inches}",
        " (apples)",
    ]
)
STYLES = st.sampled_from(
    [
        "{}",
        r"\textbf{{{}}}",
        r"\mathbf{{{}}}",
        r"\color{{red}}{{{}}}",
        "**{}**",
        "${}$",
        "({})",
        r"x = {}",
        r"\approx {}",
        r"N \approx {}",
        r"\text{{The answer is }} {}",
        "{}.",
        "{},",
        r"\,{}~",
    ]
)


@given(st.integers(-(10**12), 10**12), st.integers(-40, 300))
def test_a_number_has_one_value_however_it_is_written(n, power):
    value = n * Fraction(10) ** power
    for text in (
        f"{n}e{power}",
        rf"{n} \times 10^{{{power}}}",
        rf"${n}\cdot 10^{{{power}}}$",
        rf"({n}\times10^{{{power}}})",
    ):
        assert number(text) == value
    assert equal(f"{n}e{power}", rf"{n} \times 10^{{{power}}}")
    assert equal(f"{n}e{power}", f"{n + 1}e{power}") is False


@given(st.integers(1, 10**9), st.integers(-30, 30), UNITS, STYLES)
def test_style_and_unit_do_not_change_a_value(n, power, unit, style):
    scientific = rf"{n}.5 \times 10^{{{power}}}"
    assume("(apples)" not in unit or style in ("{}", "${}$"))
    assert equal(f"{n}.5e{power}", style.format(scientific + unit), 0.0, compare)
    assert not equal(f"{n}.6e{power}", style.format(scientific + unit), 0.0, compare)


@given(
    st.lists(st.integers(0, 10**7), min_size=2, max_size=5, unique=True),
    st.sampled_from([", ", r" \text{ and } ", "; ", r",\ ", " or "]),
)
def test_a_list_is_its_values_in_any_order(values, mark):
    gold, found = ", ".join(map(str, values)), mark.join(map(str, reversed(values)))
    assert equal(gold, found)
    assert equal(gold, rf"\{{{found.replace('or', ',')}\}}")
    assert equal(gold, mark.join(map(str, values[:-1]))) is False
    assert equal(str(values[0]), found) is False
    assert equal(gold, mark.join(f"{v} \\text{{ cm}}" for v in values))
    assert equal(gold, mark.join(f"{v} \\text{{ cm}}" for v in [values[0] + 10**8, *values[1:]])) is False


@given(st.integers(1, 10**9), st.sampled_from([",", "{,}", r"\,", "~", " ", r",\!"]))
def test_groups_of_digits_are_one_number(n, mark):
    assert number(f"{n:,}".replace(",", mark)) == n


@given(st.integers(0, 500), st.integers(1, 30), st.integers(2, 31))
def test_a_mixed_number_is_a_sum(whole, top, bottom):
    assume(top < bottom)
    value = whole + Fraction(top, bottom)
    for text in (rf"{whole}\frac{{{top}}}{{{bottom}}}", f"{whole} {top}/{bottom}"):
        assert number(text) == value
    assert equal(rf"\frac{{{value.numerator}}}{{{value.denominator}}}", f"{whole} {top}/{bottom}")


@given(st.fractions(0, 100, max_denominator=1000))
def test_percent_signs(share):
    percent = rf"{float(share * 100)!r}\%"
    assert equal(percent, percent.replace(r"\%", r" \text{ percent}"))
    if share:
        assert not equal(percent, rf"{float(share)!r}\%") or share * 100 == share
        assert equal(
            rf"\frac{{{(share * 100).numerator}}}{{{(share * 100).denominator}}}\%",
            rf"\frac{{{share.numerator}}}{{{share.denominator}}}",
        )


@pytest.mark.parametrize("low", ["(", "["])
@pytest.mark.parametrize("high", [")", "]"])
def test_an_inequality_is_an_interval(low, high):
    signs = {"(": "<", "[": r"\le"}, {")": "<", "]": r"\leq"}
    text = f"-2 {signs[0][low]} x {signs[1][high]} 7"
    assert equal(f"{low}-2,7{high}", text)
    for other_low, other_high in (("(", ")"), ("[", "]"), ("(", "]"), ("[", ")")):
        assert bool(equal(f"{other_low}-2,7{other_high}", text)) == ((low, high) == (other_low, other_high))


@given(st.integers(1, 300), st.integers(1, 300))
def test_tiny_values_are_compared_by_their_size(n, m):
    assert bool(equal(rf"\frac{{1}}{{{n}!}}", rf"\frac{{1}}{{{m}!}}", 0.0, compare)) == (n == m or {n, m} == {0, 1})


@pytest.mark.parametrize(
    ("gold", "found"),
    [
        (r"\frac{1}{2}", "0.5"),
        (r"\sqrt{8}", r"2\sqrt{2}"),
        ("x^2+1", "1 + x^2"),
        ("1,3,5", "5, 3, 1"),
        ("$69$,$84$", "84, 69"),
        ("$(1,8,19), (2,7,13)$", "(2,7,13),(1,8,19)"),
        ("[0,1)", "[0, 1)"),
        (r"10\%", "0.1"),
        ("0.1", r"10\%"),
        (r"11,\! 111", "11111"),
        ("x = 5", "5"),
        (r"\text{(C)}", "C"),
        ("52_8", "52_{8}"),
        ("y=2x+1", "2x-y+1=0"),
        (r"0.\overline{3}", r"\frac13"),
        (r"2\pm\sqrt{3}", r"2+\sqrt 3, 2-\sqrt 3"),
        (r"(-\infty,1)\cup(2,\infty)", r"x<1 \text{ or } x>2"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\ 2\end{pmatrix}"),
        ("Evelyn", r"\text{evelyn}"),
        ("½", "0.5"),
        ("−3", "-3"),
        ("π/2", r"\frac{\pi}{2}"),
        (".35625", "0.35625"),
    ],
)
def test_equal_answers(gold, found):
    assert judged(gold, found)


@pytest.mark.parametrize(
    ("gold", "found"),
    [
        ("1,3,5", "1,3"),
        ("(2,4)", "(4,2)"),
        ("[0,1)", "[0,1]"),
        ("2n", "2m"),
        (r"\frac{1}{3}", "0.333"),
        ("52_8", "52_9"),
        ("11111111100", "11111111101"),
        ("1.6", "1.58"),
        ("3 cm, 5 cm", "3 cm, 7 cm"),
        (r"5\text{ cm}^2", r"5\text{ cm}^3"),
        (r"5\text{ kg}", r"5\text{ g}"),
        ("x=3, y=5", "x=5, y=3"),
        ("x < 3", "x > 3"),
        ("x^2+y=1", "x^2+y=2"),
        (".35625", "35625"),
        (r"\lfloor\frac{2n-1}{5}\rfloor", r"\lfloor\frac{2n-1}{6}\rfloor"),
        ("c e^{-2x}", "c e^{-3x}"),
        ("A", "(B) 12"),
    ],
)
def test_unequal_answers(gold, found):
    assert not judged(gold, found)


def test_tolerance_is_relative_and_holds_for_values_only():
    assert judged("1.6", "1.59", 0.01)
    assert not judged("1.6", "1.5", 0.01)
    assert judged(r"\frac{1}{3}", "0.333", 0.01)
    assert judged("1.6e-19", r"1.602 \times 10^{-19}", 0.01)
    assert judged(r"\sqrt{2}", "1.414", 0.001)
    assert not judged("200x", "201x", 0.01)


@pytest.mark.parametrize("huge", ["9999999999e300", "1" * 310, "1" * 900, "1e-9999", "-10^{9999}"])
def test_numbers_beyond_any_float_are_judged(huge):
    assert judged(huge, huge)
    assert not judged(huge, re.sub("[19]", "3", huge, count=1))
    assert not judged("x+1", huge)
    assert not judged(huge, "5", 0.01)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch /tmp/x')",
        "{" * 400 + "}" * 400,
        "1/0",
        "10^{99999999}",
        "\\frac{1}{0}",
        "\0",
        "é" * 5000,
    ],
)
def test_hostile_text_is_wrong_and_harmless(text):
    assert not judged("x+1", text)


@given(st.text(max_size=60), st.text(max_size=60))
@settings(deadline=None)
def test_no_text_breaks_the_reading(gold, found):
    normalise(gold)
    number(found)
    equal(gold, found)
    assert equal(gold, gold) is (bool(gold.strip()))
    is_boxed(found + "\\boxed{" + gold)
    boxed(found + "\\boxed " + gold)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (INSTRUCTION, None),
        (r"I will solve it and put the final answer in \boxed{}.", None),
        (r"\boxed{...}", None),
        (r"I present the final answer as \boxed{X}, where X is simplified.", None),
        (r"so $\boxed 2.5$.", "2.5"),
        (r"so $\boxed\frac{1}{2}$.", r"\frac{1}{2}"),
        (r"\boxed{2} and \boxed{3}", "2, 3"),
        (r"\boxed{2}, so in the end \boxed{3}", "3"),
        (r"\boxed{\left\{1,2\right.}", r"\left\{1,2\right."),
        (r"\boxed{0.5} = \boxed{x", "0.5"),
        (r"\fbox{7}", "7"),
    ],
)
def test_boxes(text, answer):
    assert boxed(text) == answer
    assert is_final(text) == (answer is not None)


@pytest.mark.slow
def test_what_takes_too_long_is_counted_not_kept_and_the_next_is_judged(caplog):
    draws = Draws()
    judge = AnswerJudge(draws, limit=0.5)
    assert not judged("x + 10", "9^{9^{9^{9^9}}}", judge=judge)
    assert len(judge.unfinished) == 1
    assert "counted as wrong" in caplog.text
    assert judged("x+1", "1+x", judge=judge)
    assert draws.get([judge._key("x + 10", "9^{9^{9^{9^9}}}", 0.0)]) == [None]


@pytest.mark.slow
def test_waiting_for_a_processor_is_not_computing():
    """The limit is on processor time: a process that is stopped meanwhile keeps its verdict."""
    asked = worker.Worker(1.0)
    assert asked.ask("x+1", "1+x", 0.0) == "equal"
    pid = asked._process.pid
    subprocess.run(["bash", "-c", f"kill -STOP {pid}; (sleep 3; kill -CONT {pid}) > /dev/null 2>&1 &"], check=True)
    assert asked.ask("x+2", "2+x", 0.0) == "equal"
    asked.stop()


SCRIPT = """
from trim.engine.store import Draws
from trim.engine.judge import AnswerJudge
from trim.problems import Problem
print(AnswerJudge(Draws()).right([Problem("p", "q", "x^2+1", "test")], [r"\\boxed{1+x^2}"]))
"""


@pytest.mark.parametrize("how", ["file", "standard input", "command"])
def test_it_runs_in_a_script_without_a_main_guard(tmp_path, how):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "sympy.py").write_text("raise AssertionError('the working folder stands in for a library')")
    command = {"file": ["script.py"], "standard input": ["-"], "command": ["-c", SCRIPT]}[how]
    done = subprocess.run([sys.executable, "-P", *command], cwd=tmp_path, capture_output=True, text=True, input=SCRIPT)
    assert done.stdout == "[True]\n", done.stderr


def test_a_worker_that_cannot_start_is_no_verdict(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="judge of answers cannot be started"):
        worker.Worker(1.0).ask("x", "y", 0.0)


def test_a_verdict_is_kept_in_the_store(tmp_path, monkeypatch):
    assert judged("x+1", "1+x", judge=AnswerJudge(Draws((), tmp_path / "j.sqlite")))
    monkeypatch.setattr(worker.Worker, "ask", lambda *_: pytest.fail("judged again"))
    again = Draws((), tmp_path / "j.sqlite")
    assert judged("x+1", "1+x", judge=AnswerJudge(again))
    assert again.export(tmp_path / "layer.parquet") == 1
    assert judged("x+1", "1+x", judge=AnswerJudge(Draws([tmp_path / "layer.parquet"])))


def test_no_box_no_answer():
    assert AnswerJudge(Draws()).right([Problem("p", "q", "1", "test")], ["it is 1"]) == [False]


@given(st.text(min_size=1, max_size=20))
def test_a_near_miss_is_another_answer(answer):
    for change in NEAR_MISSES.values():
        assert change(answer) != answer


@given(st.integers(-(10**9), 10**9), st.sampled_from(list(REWRITINGS)))
def test_a_rewriting_is_the_same_answer(n, kind):
    changed = REWRITINGS[kind](str(n))
    assert changed is None or equal(str(n), changed)


def test_the_check_of_a_benchmark_lists_what_goes_wrong(tmp_path):
    path = tmp_path / "b.jsonl"
    records = [
        {"problem": "a", "answer": "7", "solution": r"First 3, then \boxed{7}"},
        {"problem": "b", "answer": r"\frac{1}{2}", "solution": r"Half: \boxed{0.5}"},
        {"problem": "c", "answer": "3", "solution": r"\boxed{4}"},
    ]
    path.write_text("\n".join(map(json.dumps, records)))
    checks = {check.kind: check for check in check_answers(path)}
    assert [checks[kind].total for kind in ("itself", "own solution", "last number + 1", "a/b")] == [3, 3, 3, 1]
    assert {kind for kind, check in checks.items() if check.failures} == {"own solution"}
    assert [(answer, held) for _, answer, held in checks["own solution"].failures] == [("3", "4")]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("So the answer is $7$.", "7"),
        ("The answer is: 12\nand 13 is not.", "12"),
        ("We get 3, then 1,234.5 in all.", "1234.5"),
        ("It is -4 at last", "-4"),
        (r"The answer is 5, so \boxed{6}", "6"),
    ],
)
def test_an_answer_without_a_box_is_what_is_said_or_the_last_number(text, answer):
    problem = Problem("p", "q", answer, "test")
    assert AnswerJudge(Draws(), numbers=True).right([problem], [text]) == [True]
    assert AnswerJudge(Draws()).right([problem], [text]) == ["boxed" in text]
    assert AnswerJudge(Draws(), numbers=True).right([problem], ["nothing at all"]) == [False]
