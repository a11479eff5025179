"""Parameters are honoured or refused by name."""

import json

import pytest

from trim.serve.errors import ApiError
from trim.serve.requests import _WITHOUT_EFFECT, ChatRequest, DecisionRequest, read
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
        ({"stop": [""]}, "stop"),
        ({"stop": "a" * 501}, "stop"),
        ({"metadata": {"a": "b" * 513}}, "metadata"),
        ({"metadata": {str(i): "b" for i in range(17)}}, "metadata"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_everything": True}}, "stream_options"),
        ({"model": 7}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "system", "content": "x"}]}, "messages"),
        ({"presence_penalty": 0.1}, "presence_penalty"),
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


@pytest.mark.parametrize(("name", "values"), _WITHOUT_EFFECT.items())
def test_values_without_effect_are_taken(name, values):
    for value in values:
        assert chat(**{name: value}).model == "auto"


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
