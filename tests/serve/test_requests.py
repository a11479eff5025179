"""Parameters are honoured or refused by name."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trim.serve.answers import message
from trim.serve.errors import ApiError
from trim.serve.requests import (
    _NEUTRAL,
    _NEUTRAL_IN_MESSAGE,
    _UNREAD,
    _UNREAD_IN_MESSAGE,
    ChatRequest,
    DecisionRequest,
    read,
)
from trim.steps import ChatFormat

ASKED = {"model": "auto", "messages": [{"role": "user", "content": "How much is 1 + 1?"}]}


def chat(**more):
    return read(json.dumps(ASKED | more).encode(), ChatRequest)


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"temperature": "0.5"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 1.5}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"seed": "7"}, "seed"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": "a" * 501}, "stop"),
        ({"metadata": {"a": "b" * 513}}, "metadata"),
        ({"metadata": {str(i): "b" for i in range(17)}}, "metadata"),
        ({"stop": [["a"]]}, "stop"),
        ({"max_tokens": -2}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options"),
        ({"model": 7}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "system", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": None}]}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"presence_penalty": 0.1}, "presence_penalty"),
        ({"repetition_penalty": 1.1}, "repetition_penalty"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"top_k": 20}, "top_k"),
        ({"prediction": {"type": "content"}}, "prediction"),
        ({"logprobs": True}, "logprobs"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"best_of": 2}, "best_of"),
        ({"trim": {"draft": True}}, "trim"),
    ],
)
def test_what_is_wrong_is_refused_by_its_name(wrong, param):
    with pytest.raises(ApiError) as error:
        chat(**wrong)
    assert error.value.status == 400
    assert error.value.param.split(".")[0] == param
    assert param in error.value.message
    assert error.value.body()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(("name", "values"), [*_NEUTRAL.items(), *((name, ["x", 1, {}]) for name in _UNREAD)])
def test_parameters_that_change_no_answer_are_taken(name, values):
    for value in (None, *values):
        assert chat(**{name: value}) == chat()


@pytest.mark.parametrize("name", [*ChatRequest.model_fields, "audio", "unknown"])
def test_a_null_is_a_parameter_that_is_left_out(name):
    if name in ASKED:
        with pytest.raises(ApiError, match=f"{name}: missing"):
            chat(**{name: None})
    else:
        assert chat(**{name: None}) == chat()


@pytest.mark.parametrize(
    "same",
    [
        {"stop": []},
        {"stop": ""},
        {"stop": [""]},
        {"max_tokens": -1},
        {"max_completion_tokens": -1},
        {"stream_options": {"continuous_usage_stats": True}},
        {"metadata": None},
        {"trim": {"drafts": None}},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "How much is 1 + 1?"}]}]},
        *({"messages": [{"role": "user", "content": f"How much is 1 + 1?{end}"}]} for end in ("\n", " ", "\r\n\n\t")),
    ],
)
def test_what_says_nothing_is_left_out(same):
    request = chat(**same)
    assert request.messages == chat().messages
    assert request.most_tokens is None
    assert (request.stop, request.trim, request.metadata) == ((), chat().trim, None)


@pytest.mark.parametrize("name", ["n", "seed", "max_tokens", "max_completion_tokens", "temperature", "top_p"])
def test_a_whole_number_may_have_a_point(name):
    assert chat(**{name: 1.0}) == chat(**{name: 1})
    with pytest.raises(ApiError, match=name):
        chat(**{name: 1e300})


@given(st.fixed_dictionaries({}, optional={name: st.sampled_from([None, *v]) for name, v in _NEUTRAL.items() if v}))
def test_any_of_them_together_change_no_answer(more):
    assert chat(**more) == chat()


TEXTS = st.text(st.characters(categories=None), max_size=5) | st.sampled_from(["\ud800", "x" * 10_000, "\x1b[31m"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from([*ChatRequest.model_fields, *_NEUTRAL, *_UNREAD, "content", "role", "x" * 10_000]), VALUES)
def test_any_value_is_read_or_refused_in_one_short_line(name, value):
    turn = ASKED["messages"][0] | ({name: value} if name in ("content", "role") else {})
    more = {"messages": [turn]} if name in ("content", "role") else {name: value}
    try:
        chat(**more)
    except ApiError as error:
        assert error.status == 400
        assert len(error.message) < 500
        assert error.message.isprintable()
        json.dumps(error.body(), ensure_ascii=False).encode()


BEFORE = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}]


@pytest.mark.parametrize(
    ("name", "values"), [*_NEUTRAL_IN_MESSAGE.items(), *((name, ["x", [], {}]) for name in _UNREAD_IN_MESSAGE)]
)
def test_an_answer_can_be_given_back(name, values):
    for value in (None, *values):
        for index in range(3):
            turns = [turn | ({name: value} if index == i else {}) for i, turn in enumerate(BEFORE)]
            assert chat(messages=turns) == chat(messages=BEFORE)


@pytest.mark.parametrize("field", [{"tool_calls": [{"id": "1"}]}, {"refusal": "No."}, {"audio": {"id": "1"}}, {"x": 1}])
def test_a_turn_that_holds_more_than_text_is_refused_by_its_place(field):
    with pytest.raises(ApiError) as error:
        chat(messages=[BEFORE[0], BEFORE[1] | field, BEFORE[2]])
    assert error.value.message.startswith(f"messages[1].{next(iter(field))}: ")


def test_a_message_of_this_server_is_taken_back():
    answer = message(0, "x", "stop")["message"]
    assert chat(messages=[BEFORE[0], answer, BEFORE[2]]) == chat(messages=BEFORE)


def test_system_turns_at_the_beginning_are_one_and_later_ones_are_refused_with_a_cure():
    one, two = ({"role": role, "content": text} for role, text in (("system", "Be short."), ("developer", "Be kind.")))
    question = ASKED["messages"]
    joined = {"role": "system", "content": "Be short.\n\nBe kind."}
    assert chat(messages=[one, two, *question]).prefix("\n\n") == chat(messages=[joined, *question]).prefix("\n\n")
    for turns in ([*BEFORE, one, *question], [one, *BEFORE[:2], two, *question]):
        with pytest.raises(ApiError, match="a system turn after other turns; put it first"):
            chat(messages=turns)


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "\udfff"}]}]},
            "messages[0].content[0].text",
        ),
        ({"stop": ["a", "b\ud83d"]}, "stop[1]"),
        ({"metadata": {"two words": "\ud800"}}, "metadata.'two words'"),
        ({"metadata": {"\ud800": "x"}}, "metadata"),
        ({"\ud800": {"a": "\ud800"}}, "the body"),
    ],
)
def test_half_of_a_character_is_refused_by_its_place(given, place):
    with pytest.raises(ApiError) as error:
        chat(**given)
    assert error.value.status == 400
    assert error.value.message == f"{place}: half of a character (a lone surrogate); send whole characters"


def test_both_halves_of_a_character_are_a_character():
    body = json.dumps(ASKED | {"user": "😀"}).encode()
    assert b"\\ud83d\\ude00" in body
    assert read(body, ChatRequest).user == "😀"


@pytest.mark.parametrize("depth", [150, 400, 600, 900, 990])
def test_what_is_nested_deeply_is_refused_without_being_repeated(depth):
    for inner in ('"x"', '"\\ud800"'):
        body = f'{{"model": "auto", "messages": [{{"role": "user", "content": {"[" * depth}{inner}{"]" * depth}}}]}}'
        with pytest.raises(ApiError) as error:
            read(body.encode(), ChatRequest)
        assert error.value.status == 400
        assert len(error.value.message) < 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000, b'{"model": NaN}'])
def test_what_is_no_request_is_refused(body):
    with pytest.raises(ApiError) as error:
        read(body, ChatRequest)
    assert error.value.status == 400


def test_a_long_name_is_not_repeated_whole():
    with pytest.raises(ApiError) as error:
        chat(**{"k" * 200_000: 1})
    assert len(json.dumps(error.value.body())) < 1000


def test_stops_and_limits_have_two_forms():
    assert chat(stop="x").stop == ("x",)
    assert chat(stop=None).stop == ()
    assert chat(max_tokens=7, max_completion_tokens=5).most_tokens == 5


def test_a_conversation_is_a_prefix():
    turns = [
        {"role": "developer", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d"},
    ]
    prefix = chat(messages=turns).prefix("\n\n", 0.5)
    assert prefix.before == (("system", "Be short."), ("user", "a\nb"), ("assistant", "c"))
    assert (prefix.question, prefix.temperature, prefix.top_p) == ("d", 0.5, None)


def test_a_decision_needs_a_draft():
    with pytest.raises(ApiError, match="draft"):
        read(json.dumps(ASKED).encode(), DecisionRequest)


def test_a_format_of_its_own_system_turn_keeps_it():
    before = [("system", "theirs"), ("user", "a"), ("assistant", "b")]
    plain, own = ChatFormat(""), ChatFormat("", system="ours")
    assert [turn["content"] for turn in plain.messages("q", before=before)] == ["theirs", "a", "b", "q"]
    assert [turn["content"] for turn in own.messages("q", before=before)] == ["ours", "a", "b", "q"]
