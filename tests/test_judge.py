"""The judge of answers: equal values, refused ones, hostile text, kept verdicts."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trim.judge
from trim.draws import Draws
from trim.judge import Judge, number
from trim.problems import Problem
from trim.stages.answers import check_answers, perturb


def judged(gold, found, tolerance=0.0, judge=None):
    problem = Problem("p", "q", gold, "test", tolerance=tolerance)
    (verdict,) = (judge or Judge(Draws())).right([problem], [rf"So it is \boxed{{{found}}}."])
    return verdict


@given(st.integers(-(10**12), 10**12), st.integers(-20, 20))
def test_a_number_has_one_value_however_it_is_written(n, power):
    value = n * Fraction(10) ** power
    for text in (f"{n}e{power}", rf"{n} \times 10^{{{power}}}", rf"${n}\cdot 10^{{{power}}}$"):
        assert number(text) == value
    assert judged(f"{n}e{power}", rf"{n} \times 10^{{{power}}}")
    assert not judged(f"{n}e{power}", f"{n + 1}e{power}")


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
        ("45", r"45\text{ minutes}"),
        (r"10\%", "0.1"),
        ("0.1", r"10\%"),
        (r"11,\! 111", "11111"),
        (r"90^\circ", "90"),
        ("x = 5", "5"),
        (r"\text{(C)}", "C"),
        ("52_8", "52_{8}"),
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
    ],
)
def test_unequal_answers(gold, found):
    assert not judged(gold, found)


def test_tolerance_is_relative_and_holds_for_expressions_too():
    assert judged("1.6", "1.59", 0.01)
    assert not judged("1.6", "1.5", 0.01)
    assert judged(r"\frac{1}{3}", "0.333", 0.01)
    assert judged("1.6e-19", r"1.602 \times 10^{-19}", 0.01)


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


def test_what_takes_too_long_is_wrong_and_the_next_is_judged():
    judge = Judge(Draws(), limit=3)
    assert not judged("x + 10", "9^{9^{9^{9^9}}}", judge=judge)
    assert judged("x+1", "1+x", judge=judge)


def test_a_verdict_is_kept_in_the_store(tmp_path, monkeypatch):
    assert judged("x+1", "1+x", judge=Judge(Draws((), tmp_path / "j.sqlite")))
    monkeypatch.setattr(trim.judge, "_pool", lambda: pytest.fail("judged again"))
    again = Draws((), tmp_path / "j.sqlite")
    assert judged("x+1", "1+x", judge=Judge(again))
    assert again.export(tmp_path / "layer.parquet") == 1
    assert judged("x+1", "1+x", judge=Judge(Draws([tmp_path / "layer.parquet"])))


def test_no_box_no_answer():
    assert Judge(Draws()).right([Problem("p", "q", "1", "test")], ["it is 1"]) == [False]


@given(st.text(min_size=1, max_size=20))
def test_a_perturbed_answer_is_another_one(answer):
    assert perturb(answer) != answer


def test_the_check_of_a_benchmark_lists_what_goes_wrong(tmp_path):
    path = tmp_path / "b.jsonl"
    records = [
        {"problem": "a", "answer": "7", "solution": r"First 3, then \boxed{7}"},
        {"problem": "b", "answer": r"\frac{1}{2}", "solution": r"Half: \boxed{0.5}"},
        {"problem": "c", "answer": "3", "solution": r"\boxed{4}"},
    ]
    path.write_text("\n".join(map(json.dumps, records)))
    checks = {check.kind: check for check in check_answers(path)}
    assert [checks[kind].total for kind in ("itself", "own solution", "perturbed")] == [3, 3, 3]
    assert not checks["itself"].failures
    assert not checks["perturbed"].failures
    assert [(answer, held) for _, answer, held in checks["own solution"].failures] == [("3", "4")]
