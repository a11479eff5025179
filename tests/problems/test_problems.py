import csv
import gzip
import io
import itertools
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trim.answers import boxed, number
from trim.engine.judge import AnswerJudge
from trim.engine.store import Draws
from trim.errors import TrimError
from trim.problems import Problem, read_problems, write_problems
from trim.problems.checks import first_error, follows, is_right_step, result
from trim.problems.generated import FAMILIES, apply, generate, misapply, training_stream, write_step
from trim.problems.jsonl import read_jsonl
from trim.steps import SEPARATOR, is_degenerate, join, split

SIZES = {"train": 60, "validation": 20, "test": 20}


@pytest.mark.parametrize("family", FAMILIES)
def test_reference_steps_pass_their_own_check(family):
    for problem in generate(family, SIZES, 3):
        assert first_error(problem, problem.reference) == -1
        assert AnswerJudge(Draws()).right([problem], [problem.reference[-1]]) == [True]


@pytest.mark.parametrize("family", FAMILIES)
def test_generation_is_deterministic_and_test_does_not_depend_on_train(family):
    first = generate(family, SIZES, 3)
    assert first == generate(family, SIZES, 3)
    assert first != generate(family, SIZES, 4)
    other = generate(family, SIZES | {"train": 5}, 3)
    assert [p for p in first if p.split == "test"] == [p for p in other if p.split == "test"]


def test_no_question_stands_twice_in_the_shipped_benchmarks(params):
    for source in params.benchmarks.values():
        questions = [p.question for p in generate(source.family, source.sizes.model_dump(), source.seed)]
        assert len(questions) == len(set(questions)) == sum(source.sizes.model_dump().values())


def test_training_problems_leave_out_what_is_held_out():
    stream = training_stream(0, {"standard": 1.0}, set())
    first = [next(stream).question for _ in range(20)]
    held_out = set(first[::2])
    again = training_stream(0, {"standard": 1.0}, held_out)
    assert [next(again).question for _ in range(10)] == first[1::2]


@given(st.integers(0, 99), st.sampled_from("+-*"), st.integers(1, 99))
def test_a_wrong_number_anywhere_in_a_step_is_found(left, sign, right):
    step = write_step(left, sign, right)
    problem = Problem("p", "q", "1", "test", (step, "0 + 1 = 1, \\boxed{1}"))
    assert is_right_step(problem, 0, step)
    result = apply(left, sign, right)
    wrong = step.rsplit(" = ", 1)[0] + f" = {(result + 1) % 100}"
    assert not is_right_step(problem, 0, wrong)
    assert not is_right_step(problem, 0, step.split(" = ")[0])
    assert not is_right_step(problem, 0, step + f", \\boxed{{{result}}}")
    assert not is_right_step(problem, 2, step)


@given(st.lists(st.text(max_size=20).filter(lambda s: SEPARATOR not in s and not s.startswith("\n")), max_size=6))
def test_split_undoes_join(steps):
    steps = [s.rstrip("\n") for s in steps]
    steps = [s for s in steps if not is_degenerate(s)]
    assert list(split(join(steps))) == steps


@pytest.mark.parametrize("text", ["", "   ", "---", "***", "\n", "## ", "___", "- - -", "..."])
def test_rules_and_blanks_are_degenerate(text):
    assert is_degenerate(text)


@pytest.mark.parametrize("text", ["8 + 1 = 9", "x", "**Step 1**", "答"])
def test_words_and_numbers_are_content(text):
    assert not is_degenerate(text)


def test_boxed_takes_the_last_balanced_box():
    assert boxed(r"so \boxed{1}, hence \boxed{\frac{a}{b}}.") == r"\frac{a}{b}"
    assert boxed(r"\boxed{2} then \boxed{3") == "2"
    assert boxed("none") is None


@given(st.integers(-(10**9), 10**9))
def test_numbers_are_equal_however_they_are_written(n):
    assert number(f" ${n:,}$ ") == number(str(n)) == number(f"{n}.0") == n


def test_problems_round_trip(tmp_path):
    problems = generate("renamed", SIZES, 0)
    write_problems(tmp_path / "p.parquet", problems)
    assert read_problems(tmp_path / "p.parquet") == problems
    assert {p.split for p in read_problems(tmp_path / "p.parquet", "test")} == {"test"}


@settings(max_examples=20)
@given(st.text(max_size=30))
def test_any_bad_line_is_named(tmp_path_factory, line):
    path = tmp_path_factory.mktemp("bad") / "x.jsonl"
    path.write_text('{"problem": "1 + 1?", "answer": "2"}\n' + json.dumps(line) + "\n")
    with pytest.raises(TrimError, match=r"x\.jsonl:2: "):
        read_jsonl(path)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ("{", "not JSON"),
        ('{"answer": "2"}', "no text"),
        ('{"problem": "q"}', "no answer"),
        ('{"problem": "q", "answer": "2", "split": "dev"}', "split 'dev'"),
    ],
)
def test_bad_records_say_why(tmp_path, record, why):
    path = tmp_path / "x.jsonl"
    path.write_text(record)
    with pytest.raises(TrimError, match=f"x.jsonl:1: .*{why}"):
        read_jsonl(path)


@pytest.mark.parametrize(
    ("record", "answer"),
    [
        ({"problem": "q", "answer": "5", "solution": "long", "unique_id": "a"}, "5"),
        ({"ID": "1983-1", "problem": "q", "solution": "60", "split": "test"}, "60"),
        ({"problem": "q", "solution": "so \\boxed{1.6} cm", "idx": 0}, "1.6"),
        ({"id": 7, "question": "q", "final_answer": ["2", "3"], "solution": ["x"]}, "2, 3"),
        ({"question": "q", "answer": "work\n#### 18", "idx": 0}, "18"),
        ({"question": "q", "answer": 10**400}, f"1{'0' * 400}"),
        ({"question": "q", "answer": "1+1=2. So the answer is 2."}, "2"),
        ({"question": "q", "answer": r"It is $\boxed{2}$, as was shown."}, "2"),
        ({"question": "q", "solution": "Work.\n\nso $\\framebox{204}$ minutes"}, "204"),
        ({"question": "q", "solution": r"so $\framebox{204}$ minutes"}, "204"),
        ({"question": "q", "solution": "so the answer is 204."}, "204"),
    ],
)
def test_shapes_of_the_published_files(tmp_path, record, answer):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(record))
    (problem,) = read_jsonl(path, "test")
    assert (problem.answer, problem.split) == (answer, "test")


def written(tmp_path, *records):
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in records), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ({"split": "train"}, {"split": "test"}, "which is in train, this in test"),
        ({"split": "test"}, {"split": "test", "answer": "3"}, "with another answer"),
        ({"split": "test"}, {"split": "test", "answer": "2.5"}, "with another answer; leave one out"),
        ({"split": "test", "id": "a"}, {"split": "test", "id": "a", "problem": "other"}, "'a' is a duplicate"),
    ],
)
def test_a_question_stands_once(tmp_path, first, second, why):
    record = {"problem": "How much is 1 + 1?", "answer": "2"}
    with pytest.raises(TrimError, match=f"x.jsonl:2: .*{why}"):
        read_jsonl(written(tmp_path, record | first, record | second))


@pytest.mark.parametrize(
    "record",
    [
        '{"problem": "q", "answer": NaN}',
        {"problem": "q", "answer": True},
        {"problem": "q", "answer": [None]},
        {"problem": "q", "answer": {"a": 1}},
        {"problem": "q", "answer": "2", "reference": "one step"},
        {"problem": "q", "answer": "2", "reference": [1]},
        '{"problem": "q", "answer": "2", "answer": "3"}',
        "[" * 100_000,
        {"problem": "q\ud800", "answer": "2"},
        {"problem": "q", "answer": "\udfff"},
        {"problem": ["q"], "answer": "2"},
        {"problem": "q", "answer": "2", "split": ["test"]},
        {"problem": "q", "answer": [], "solution": ""},
        '{"problem": "q", "answer": 1e999}',
        {"problem": "q", "solution": "so \\boxed{}."},
    ],
)
def test_what_is_no_problem_is_refused_in_one_line(tmp_path, record):
    with pytest.raises(TrimError, match=r"x\.jsonl:1: ") as caught:
        read_jsonl(written(tmp_path, record))
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("record", "answer"),
    [
        ({"problem": "q", "answer": "", "solution": r"so \boxed{3}"}, "3"),
        ({"problem": "q", "answer": None, "final_answer": ["4"]}, "4"),
        ({"problem": "q", "solution": r"so $\boxed 2.5$."}, "2.5"),
        ({"problem": "q", "solution": r"so $\boxed\frac{1}{2}$."}, r"\frac{1}{2}"),
    ],
)
def test_the_answer_stands_where_something_stands(tmp_path, record, answer):
    assert read_jsonl(written(tmp_path, record), "test")[0].answer == answer


def as_table(delimiter):
    def write(rows):
        with io.StringIO(newline="") as text:
            writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
            return text.getvalue().encode()

    return write


def as_parquet(rows):
    with io.BytesIO() as content:
        pq.write_table(pa.Table.from_pylist(rows), content)
        return content.getvalue()


FORMS = {
    "x.jsonl": lambda rows: "\n".join(map(json.dumps, rows)).encode(),
    "x.json": lambda rows: json.dumps(rows, indent=1).encode(),
    "x.parquet": as_parquet,
    "x.csv": as_table(","),
    "x.tsv": as_table("\t"),
}
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(str.strip)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(questions=st.lists(TEXT, min_size=1, max_size=4, unique_by=lambda text: " ".join(text.split())))
def test_problems_are_the_same_in_every_form(tmp_path, name, packed, questions):
    rows = [{"id": str(i), "question": q, "answer": str(i), "split": "test"} for i, q in enumerate(questions)]
    content = FORMS[name](rows)
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(content) if packed else content)
    read = read_jsonl(path)
    assert [(p.id, p.question, p.answer) for p in read] == [(r["id"], r["question"], r["answer"]) for r in rows]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", b"question,answer\n1+1?,2\n", r"x\.jsonl:1: not JSON .*; .* its name ends with \.csv"),
        ("x.json", b'{\n "data": []\n}', r"x\.json:1: not JSON .* one JSON array"),
        ("x.json", b'[\n{"question": "q", "answer": "2"}\n', r"x\.json:3: not JSON"),
        ("x.csv", b"question,answer\nAdd 1, 2 and 3,6\n", r"x\.csv:2: 3 fields, where line 1 names 2; .*quotes"),
        ("x.csv", b"question,question\na,b\n", r"x\.csv:1: the column 'question' is there twice"),
        ("x.csv", b'question,answer\n"a"b,2\n', r"x\.csv:2: not a table"),
        ("x.csv", b"question;answer\na;2\n", r"x\.csv:2: no text in .*; the record has 'question;answer'"),
        ("x.json", b'[{"Body": "q", "Answer": 2}]', r"x\.json:1: no text in .*; the record has 'Body', 'Answer'"),
        ("x.jsonl", b'{"question": "q", "target": 2}', "no answer in .*; the record has 'question', 'target'"),
        ("x.jsonl.gz", gzip.compress(b'{"question": "q"}')[:-9], r"x\.jsonl\.gz: damaged gzip"),
        ("x.parquet", b"PAR1 and no more", r"x\.parquet: damaged Parquet"),
        ("x.jsonl", b'{"question": "q", "solution": "Add. Then go on. It is two."}', "no answer in"),
        ("x.jsonl", b'{"question": "q", "answer": "$$"}', "no answer in"),
        ("x.jsonl", b'{"question": "q", "answer": "\\\\boxed{ }"}', "no answer in"),
    ],
)
def test_files_of_other_forms_are_named_with_their_cure(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TrimError, match=message) as caught:
        read_jsonl(path)
    assert str(caught.value).isprintable()


def test_questions_that_differ_in_blanks_are_two(tmp_path):
    first, second = {"question": "Add 1 2 3.", "answer": "6"}, {"question": "Add 12 3.", "answer": "15"}
    assert len(read_jsonl(written(tmp_path, first, second))) == 2


@pytest.mark.parametrize("answer", ["2", "2.0", 2, r"\boxed{2}"])
def test_a_question_that_is_there_again_is_taken_once(tmp_path, caplog, answer):
    records = (
        {"question": "q q", "answer": "2"},
        {"question": "p", "answer": "1"},
        {"question": "q  q", "answer": answer},
    )
    assert [p.question for p in read_jsonl(written(tmp_path, *records))] == ["q q", "p"]
    assert "x.jsonl:3: the question of line 1 again with the same answer, taken once (1 in all)" in caplog.text


def test_answers_that_read_like_sentences_are_named(tmp_path, caplog):
    sentence = "Since the sum of both is two, no other number can be meant here."
    read_jsonl(
        written(
            tmp_path, {"question": "p", "answer": r"\text{all real numbers}"}, {"question": "q", "answer": sentence}
        )
    )
    assert "x.jsonl:2: the answer 'Since the sum" in caplog.text and "(1 of 2 do)" in caplog.text


def test_lines_end_at_newlines_and_a_byte_order_mark_is_none_of_the_text(tmp_path):
    path = tmp_path / "x.jsonl"
    record = json.dumps({"problem": "a\u2028b\u0085c", "answer": "2"}, ensure_ascii=False)
    path.write_bytes(b"\xef\xbb\xbf" + record.encode() + b"\r\n")
    (problem,) = read_jsonl(path, "test")
    assert problem.question == "a\u2028b\u0085c"


@pytest.mark.parametrize(
    "content", [b"\xff\xfe{\x00}\x00", '{"problem": "\xe4"}'.encode("latin-1"), bytes(range(256)) * 9]
)
def test_files_that_are_no_utf8_are_named(tmp_path, content):
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(TrimError, match=r"x\.jsonl.*UTF-8"):
        read_jsonl(path)


def test_a_mistaken_author_takes_nothing_less_n_for_n():
    assert write_step(40, "-", 7, misapply) == "40 - 7 = 47"
    assert write_step(40, "-", 27, misapply) == "40 - 27 = 20 - 7 = 27"
    assert write_step(41, "-", 7, misapply) == "41 - 7 = 34"
    for problem in itertools.islice(training_stream(0, {"standard": 1}, set(), mistaken=1), 200):
        value = None
        for index, step in enumerate(problem.reference):
            left = step.split(" ", 1)[0]
            assert value is None or left == value
            value = result(step)
            # Nothing but that mistake is made.
            assert follows(problem, index, step, left) or re.search(r"\d*0 - \d = ", step)


def test_problems_differ_in_length_and_difficulty():
    problems = generate("standard", {"test": 2000}, 0)
    lengths = np.array([len(p.reference) for p in problems])
    assert 7 <= lengths.mean() <= 9 and 3 <= lengths.std() <= 5
    hard = np.array([np.mean([bool(re.search(r" [%^] | \* \d\d", s)) for s in p.reference]) for p in problems])
    chance = hard.mean()
    assert hard.var() > 1.15 * np.mean(chance * (1 - chance) / lengths)  # more than if all were alike
