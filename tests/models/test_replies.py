"""Replies and refusals of servers, in the words of many of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trim.models.connection import Malformed, usage
from trim.models.refusals import FINISH_REASONS, NoStep, concern, cure, message
from trim.models.replies import LostToReasoning, read_reply

APIS = ("chat", "prefill", "completions")
STEP = "6 x 7 = 42."


def reply(content=STEP, reason="stop", bill=None, choice=None, **beside):
    """An answer of a chat."""
    bill = {"prompt_tokens": 21, "completion_tokens": 10} | (bill or {})
    inner = {"role": "assistant", "content": content} | beside
    if content is ...:
        del inner["content"]
    return {"choices": [{"finish_reason": reason, "message": inner, "text": content} | (choice or {})], "usage": bill}


@given(st.one_of(st.text(max_size=12), st.integers(), st.booleans(), st.lists(st.integers())), st.sampled_from(APIS))
def test_no_reason_that_is_not_listed_gives_a_step(reason, api):
    if str(reason).lower() not in FINISH_REASONS:
        with pytest.raises(Malformed, match="finish_reason"):
            read_reply(reply(reason=reason), api)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("word", [*FINISH_REASONS, *map(str.upper, FINISH_REASONS), None])
def test_reasons_that_are_listed_give_what_they_say(word, api):
    ending = FINISH_REASONS[(word or "").lower()]
    if ending in ("full", "refused"):
        with pytest.raises(NoStep) as caught:
            read_reply(reply(reason=word), api)
        assert (caught.value.concern, caught.value.usage.written) == (ending, 10)
    else:
        draft = read_reply(reply(reason=word), api)
        assert draft.text == STEP
        assert (draft.stop == "length") == (ending == "cut")


@pytest.mark.parametrize("text", [STEP, ""])
@pytest.mark.parametrize(
    "reason", ["error", "abort", "insufficient_system_resource", "network_error", "tool_calls", "a new word"]
)
def test_a_reply_that_says_that_it_is_broken_is_no_step(text, reason):
    for api in APIS:
        with pytest.raises(Malformed, match=reason):
            read_reply(reply(text, reason), api)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply(choice={"error": {"code": 502, "message": "Provider disconnected"}}), "Provider disconnected"),
        (reply(error="overloaded"), "overloaded"),
        (reply(...), "without text"),
        (reply(7), "without text"),
        (reply(None, tool_calls=[{"id": "a"}]), "calls a tool"),
        (reply([{"type": "image", "text": STEP}]), "a part that is no text"),
        (reply([{"type": "text"}]), "a part that is no text"),
        (reply("x" * 10_000_000, bill={"completion_tokens": 4}), "10000000 characters that is billed as 4 tokens"),
    ],
)
def test_text_is_taken_from_its_own_place_only(answer, error):
    with pytest.raises(Malformed, match=error):
        read_reply(answer, "chat")


def test_a_refusal_is_no_step():
    with pytest.raises(NoStep, match="I can't help") as caught:
        read_reply(reply(None, refusal="I can't help with that."), "chat")
    assert caught.value.concern == "refused"


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    "reasoning",
    [
        "<think>\nOkay.\n\n42.\n</think>\n\n",
        "<think>\n\n</think>\n\n",
        "Okay, 6 times 7.\n\nThat is 42.\n</think>\n\n",
        "<thinking>Okay.</thinking>",
        "[THINK]Okay.\n\nIt is 42.[/THINK]",
        "◁think▷Okay.◁/think▷",
        "<THINK>Okay.</THINK>",
        "<seed:think>Okay.</seed:think>",
        "<|START_THINKING|>Okay.<|END_THINKING|>",
        "<|begin_of_thought|>Okay.\n\n42.<|end_of_thought|>\n\n",
        "<|channel|>analysis<|message|>Okay.\n\n42.<|end|><|start|>assistant<|channel|>final<|message|>",
    ],
)
def test_reasoning_is_no_step(reasoning, api):
    assert read_reply(reply(reasoning + STEP), api).text == STEP
    with pytest.raises(LostToReasoning):
        read_reply(reply(reasoning), api)


@pytest.mark.parametrize("mark", ["<|im_end|>", "</s>", "\n<|eot_id|>", "<end_of_turn>\n"])
def test_marks_of_the_end_that_a_server_leaves_are_no_text(mark):
    assert read_reply(reply(STEP + mark), "chat").text == STEP


def test_marks_of_the_end_are_no_text():
    assert read_reply(reply(f"<|channel|>final<|message|>{STEP}<|return|>"), "chat").text == STEP
    assert read_reply(reply(f"{STEP}<think>And"), "chat").text == STEP


@pytest.mark.parametrize("api", APIS)
def test_a_step_that_is_billed_as_nothing_is_malformed(api):
    with pytest.raises(Malformed, match="billed as 0 tokens"):
        read_reply(reply(STEP) | {"usage": {"prompt_tokens": 21, "completion_tokens": 0}}, api)


@pytest.mark.parametrize("kind", ["thinking", "reasoning"])
def test_reasoning_in_parts_is_no_step(kind):
    parts = [{"type": kind, kind: [{"type": "text", "text": "Okay."}]}, {"type": "text", "text": STEP}]
    assert read_reply(reply(parts), "chat").text == STEP
    with pytest.raises(LostToReasoning):
        read_reply(reply(parts[:1]), "chat")


@pytest.mark.parametrize(
    "bill",
    [
        {"completion_tokens": 0, "total_tokens": 81},
        {"completion_tokens": 0, "completion_tokens_details": {"reasoning_tokens": 60}},
        {"completion_tokens": 10, "total_tokens": 91, "completion_tokens_details": {"reasoning_tokens": 60}},
    ],
)
def test_a_reply_that_is_all_reasoning_is_lost_to_it(bill):
    for content in (..., "", None):
        with pytest.raises(LostToReasoning):
            read_reply(reply(content, "length", bill), "chat")
    assert usage(reply(bill=bill)).written >= 60


counts = st.integers(0, 10**6)


@given(counts, counts, st.none() | counts, st.none() | counts)
def test_no_token_of_the_total_goes_unbilled(read, written, total, reasoning):
    details = {} if reasoning is None else {"completion_tokens_details": {"reasoning_tokens": reasoning}}
    bill = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": total} | details
    billed = usage({"choices": [], "usage": bill})
    assert billed.read == read
    assert billed.written >= max(written, (total or 0) - read, reasoning or 0)
    assert billed.written in (written, (total or 0) - read, reasoning)


@pytest.mark.parametrize(
    "preface",
    [
        "Here is the next step:",
        "Here\u2019s the next step of the solution:",
        "Sure! Let's continue.",
        "Certainly!",
        "Okay, let us continue from where we left off:",
        "**Next step:**",
        "The next step is:",
        "### Step 3",
        "Step 3:",
    ],
)
def test_a_preface_is_part_of_its_step(preface):
    draft = read_reply(reply(f"{preface}\n\n{STEP}\n\nThen more."), "chat")
    assert draft.text == f"{preface}\n{STEP}"
    assert draft.stop == "separator"


@pytest.mark.parametrize(
    "step",
    [
        STEP,
        "Sure, the sum is 42.",
        "Okay, so we have a triangle with equal sides.",
        "Let us continue by factoring the polynomial.",
        "The next step is to factor the polynomial.",
    ],
)
def test_a_step_is_no_preface(step):
    assert read_reply(reply(f"{step}\n\nThen more."), "chat").text == step


def test_a_fenced_block_is_one_step():
    assert read_reply(reply("```\n6*7\n\n42\n```\n\nMore."), "chat").text == "```\n6*7\n42\n```"
    cut = read_reply(reply("```\n6*7\n\n42", "length"), "chat")
    assert (cut.text, cut.stop) == ("```\n6*7\n42", "length")


@given(st.text("\r\t \u00a0", max_size=3).filter(lambda blanks: "\r" not in blanks[:-1]), st.sampled_from(APIS))
def test_a_line_of_blanks_separates_steps(blanks, api):
    draft = read_reply(reply(f"{STEP}\n{blanks}\nThen add 1: 43."), api)
    assert (draft.text, draft.stop) == (STEP, "separator")
    assert read_reply(reply(f"{STEP}\r\n\r\nThen add 1: 43."), api).text == STEP


FULL = [
    (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4050 `inputs` tokens"),
    (400, "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576)."),
    (400, "Please reduce the length of the messages or completion. Current length is 9327 while limit is 8192"),
    (400, "prompt is too long: 210000 tokens > 200000 maximum"),
    (400, "This model's maximum context length is 900 tokens. However, you requested 512 output tokens"),
    (400, "'max_tokens' or 'max_completion_tokens' is too large: 512. This model's maximum context length is 900"),
    (400, "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"),
    (400, "the request exceeds the available context size (4096 tokens). try increasing the context size"),
    (400, "This model's maximum prompt length is 131072 but the request contains 537812 tokens."),
    (400, "Input is too long for requested model."),
    (400, "too many tokens: size limit exceeded by 11326 tokens"),
    (400, "Your request exceeded model token limit: 8192"),
    (400, "Range of input length should be [1, 30720]"),
    (400, "The input (5000 tokens) is longer than the model's context length (4096 tokens)."),
    (400, message({"message": "no", "code": "context_length_exceeded"})),
    (413, "Request Entity Too Large"),
]
REFUSED = [
    (400, "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."),
    (400, message({"message": "no", "code": "content_filter"})),
    (400, "Content Exists Risk"),
    (400, "Input data may contain inappropriate content. (data_inspection_failed)"),
    (400, "Invalid prompt: your prompt was flagged as potentially violating our usage policy."),
    (403, "Your chosen model requires moderation and your input was flagged"),
    (422, "the messages cannot be processed"),
    (400, "The system detected potentially unsafe or sensitive content in input or generation."),
]
ERRORS = [
    (400, "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the "
          "`context_window` for this model"),
    (400, "max_tokens is too large: 100000. This model supports at most 16384 completion tokens"),
    (400, "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for this model"),
    (400, "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]"),
    (422, "[{'type': 'extra_forbidden', 'loc': ['body', 'seed'], 'msg': 'Extra inputs are not permitted'}]"),
    (422, "`temperature` must be strictly positive"),
    (400, "Invalid value at 'generation_config.seed' (TYPE_INT32)"),
    (413, "Request too large for model on tokens per minute (TPM): Limit 6000, Requested 7000"),
    (400, "Invalid 'stop': array too long. Expected an array with maximum length 4"),
    (400, "API key expired; too many tokens used this month"),
    (400, "Your account was flagged"),
    (400, "no"),
    (401, "the content policy"),
    (403, "no"),
    (403, "this key has no access to the safety system"),
    (400, "the names of models are case sensitive"),
    (404, "no such model"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [(*case, found) for cases, found in ((FULL, "full"), (REFUSED, "refused"), (ERRORS, None)) for case in cases],
)
def test_a_refusal_concerns_one_problem_only_if_it_says_so(status, said, expected):
    assert concern(status, said, ["temperature", "seed", "max_tokens"]) == expected


@given(st.sampled_from(["temperature", "top_p", "seed", "stop", "max_tokens"]), st.sampled_from([400, 422]))
def test_a_refusal_of_a_parameter_is_an_error(name, status):
    assert concern(status, f"Input validation error: `{name}` is wrong", [name]) is None


def test_the_message_of_an_error_names_its_cure():
    assert "server.seed: false" in cure("Extra inputs are not permitted: seed")
    assert "max_step_tokens" in cure("the valid range of max_tokens is [1, 8192]")
    assert "thinking" in cure("unknown field chat_template_kwargs")
    assert cure("no such model") == ""
