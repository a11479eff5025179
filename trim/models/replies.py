"""The next step in a server's answer: text, length, and reason to stop."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from trim.models.base import Draft, Stop, Usage
from trim.models.connection import Malformed, usage
from trim.models.refusals import FINISH_REASONS, Ending, NoStep, message
from trim.steps import SEPARATOR, first, is_degenerate, separated

_MARK = "(?:think|thinking|thought|thoughts|reasoning|seed:think|analysis|scratchpad)"
# Reasoning ends at the last of these; some templates open it in the prompt, so the reply contains only its end.
_CLOSING = re.compile(
    rf"</{_MARK}>|\[/THINK\]|◁/think▷|<\|end_thinking\|>|<\|end_of_thought\|>|<\|channel\|>final[^<]{{0,40}}<\|message\|>",
    re.IGNORECASE,
)
# Here unfinished reasoning begins, or the text ends (harmony, of gpt-oss).
_OPENING = re.compile(
    rf"<{_MARK}>|\[THINK\]|◁think▷|<\|(?:channel|start|end|return|start_thinking|begin_of_thought)\|>", re.IGNORECASE
)
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")  # keys beside the text, and types of its parts
# Marks of the end that some servers leave in the text.
_END = re.compile(r"(?:\s*(?:<\|(?:im_end|eot_id|endoftext|end_of_text)\|>|</s>|<end_of_turn>))+\s*\Z")
_LONGEST_TOKEN = 512  # characters

_HEADING = re.compile(r"\s*(?:#{1,6}\s.*|\*\*[^*\n]{1,80}\*\*:?|(?:Step\s+\d+\s*[.:]?))\s*")
_PREFACE = re.compile(
    r"\W*(?:(?:sure|certainly|of course|okay|ok|alright|great|absolutely)\b\W*)?"
    r"(?:(?:let['\u2019]s|let us|i['\u2019]ll|i will|we) (?:continue|proceed|go on)(?: (?:with|from) [a-z ]{1,40})?\W*"
    r"|(?:here is|here['\u2019]s|this is) (?:the |your )?(?:next|following) step[a-z ]{0,40}\W*"
    r"|(?:the )?(?:next|following) step[a-z ]{0,40}:\W*)?",
    re.IGNORECASE,
)
_LONGEST_PREFACE = 160
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)


class LostToReasoning(Exception):
    """A model's reasoning used up its tokens before any answer."""


def read_reply(answer: Any, api: str) -> Draft:
    """The draft in an answer; its tokens are those billed.

    Args:
        answer: parsed JSON.
        api: the interface used; see `trim.models.settings.Server`.

    Raises:
        Malformed: if it is not an answer of that interface, or is incomplete.
        NoStep: if the server gives no step for this text.
        LostToReasoning: if it contains only reasoning.
    """
    choice, billed = _choice(answer), usage(answer)
    inner = choice.get("message") if api != "completions" else choice
    if not isinstance(inner, Mapping):
        raise Malformed("an answer without a message")
    ending = _ending(choice, inner, billed)
    thinks = _thinks(inner, answer["usage"], billed)
    whole = _END.sub("", _text(inner, "text" if api == "completions" else "content", thinks))
    if len(whole) > _LONGEST_TOKEN * (billed.written + 1) or (whole.strip() and not billed.written):
        raise Malformed(f"an answer of {len(whole)} characters that is billed as {billed.written} tokens")
    *reasoning, reply = _CLOSING.split(whole)
    text, *rest = _OPENING.split(reply, maxsplit=1)
    if not text.strip() and (thinks or reasoning or rest):
        raise LostToReasoning
    text = separated(text.strip() if reasoning or rest else text)
    draft = _whole_reply(text, ending, choice) if api == "chat" else _continued(text, ending, choice)
    return draft._replace(tokens=billed.written, usage=billed)


def _choice(answer: Any) -> Mapping[str, Any]:
    choices = answer.get("choices") if isinstance(answer, Mapping) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        raise Malformed("an answer without choices")
    return choices[0]


def _ending(choice: Mapping[str, Any], inner: Mapping[str, Any], billed: Usage) -> Ending:
    """The ending of a reply, by its finish reason.

    Raises:
        Malformed: for an error, and for an unknown word, which may mean that the reply is broken.
        NoStep: for a refusal, and a full context.
    """
    if error := choice.get("error") or inner.get("error"):
        raise Malformed(f"the server says: {message(error)}")
    reason = choice.get("finish_reason")
    ending = FINISH_REASONS.get("" if reason is None else str(reason).lower())
    if refusal := inner.get("refusal"):
        raise NoStep("refused", message(refusal), billed)
    if ending is None:
        raise Malformed(f"an answer with finish_reason {str(reason)[:60]!r}, which is not known to end a text")
    if ending in ("full", "refused"):
        raise NoStep(ending, f"finish_reason {reason}", billed)
    return ending


def _thinks(inner: Mapping[str, Any], used: Mapping[str, Any], billed: Usage) -> bool:
    """True if there was reasoning beside the text: in the message, in its parts, or in the bill."""
    content, details = inner.get("content"), used.get("completion_tokens_details")
    parts = [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []
    return (
        any(inner.get(name) for name in _THOUGHTS)
        or any(part.get("type") in _THOUGHTS for part in parts)
        or bool(isinstance(details, Mapping) and details.get("reasoning_tokens"))
        or billed.written > used["completion_tokens"]
    )


def _text(inner: Mapping[str, Any], key: str, thinks: bool) -> str:
    """The text of a message, which can be stored: parts are joined, and halves of characters replaced.

    Raises:
        Malformed: if the interface's place for it is empty.
    """
    content = inner.get(key)
    if isinstance(content, list):
        content = "".join(map(_part, content))
    if not content and (inner.get("tool_calls") or inner.get("function_call")):
        raise Malformed("an answer that calls a tool")
    if content is None and (thinks or key in inner):
        content = ""
    if not isinstance(content, str):
        raise Malformed("an answer without text")
    return content.encode("utf-8", "replace").decode()


def _part(part: Any) -> str:
    kind = part.get("type", "text") if isinstance(part, Mapping) else None
    if kind in _THOUGHTS:
        return ""
    if kind not in ("text", "output_text") or not isinstance(part.get("text"), str):
        raise Malformed("an answer with a part that is no text")
    return str(part["text"])


def _whole_reply(text: str, ending: Ending, choice: Mapping[str, Any]) -> Draft:
    """The first paragraph of a reply to a request for one step, with a heading or a preface before it.

    A fenced block is one paragraph. A reply that stops by itself ends with its step. Only a reply that was cut within
    the step counts as cut.
    """
    text = _FENCED.sub(lambda block: block[0].replace(SEPARATOR, "\n"), text)
    steps = [piece.strip() for piece in text.split(SEPARATOR) if piece.strip() and not is_degenerate(piece)]
    if not steps:
        if choice.get("finish_reason") in (None, "", "load"):
            raise Malformed("an answer without text")
        return Draft("", 0, "length" if ending == "cut" else "end")
    count = next((i for i, piece in enumerate(steps) if not _introduces(piece)), len(steps) - 1) + 1
    whole = len(steps) > count or ending != "cut"
    return Draft("\n".join(steps[:count]), 0, "separator" if whole else "length")


def _introduces(piece: str) -> bool:
    """True for a paragraph that only announces a step."""
    return bool(_HEADING.fullmatch(piece)) or (len(piece) <= _LONGEST_PREFACE and bool(_PREFACE.fullmatch(piece)))


def _continued(text: str, ending: Ending, choice: Mapping[str, Any]) -> Draft:
    """A turn that was continued up to the separator, or to the end of the solution.

    vLLM and SGLang report the stop. Elsewhere a solution without its box goes on until no more text comes.
    """
    stop: Stop
    stops = [choice[key] for key in ("stop_reason", "matched_stop") if key in choice]
    if SEPARATOR in text:
        stop = "separator"
    elif ending == "cut":
        stop = "length"
    elif stops and choice.get("finish_reason") == "stop":
        stop = "separator" if stops[0] == SEPARATOR else "end"
    elif ending == "end" or not text.strip():
        stop = "end"
    else:
        stop = "separator"
    return Draft(first(text) if stop == "separator" else text, 0, stop)
