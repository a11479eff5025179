"""What a server's answer says of the next step: text, length, and why it stopped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from trim.models.base import Draft, Stop
from trim.models.connection import Malformed, usage
from trim.steps import SEPARATOR, first, is_degenerate

_THOUGHT = re.compile(r"\s*<think>.*?</think>\s*", re.DOTALL)
_UNFINISHED_THOUGHT = re.compile(r"\s*<think>(?!.*</think>)", re.DOTALL)
_HEADING = re.compile(r"\s*(?:#{1,6}\s.*|\*\*[^*\n]{1,80}\*\*:?|(?:Step\s+\d+\s*[.:]?))\s*")
_CUT = ("length", "max_tokens", "model_length")
_ENDED = ("eos", "eos_token", "end_turn")


class LostToReasoning(Exception):
    """A model thought until its tokens were used up, and said nothing."""


def read_reply(answer: Any, api: str) -> Draft:
    """The draft that an answer holds; its tokens are those that it is billed for.

    Args:
        answer: parsed JSON.
        api: that was asked; see `trim.models.settings.Server`.

    Raises:
        Malformed: if it is not an answer of that interface.
        LostToReasoning: if there is only reasoning in it.
    """
    choice = _choice(answer)
    message = choice.get("message") if api != "completions" else choice
    if not isinstance(message, Mapping):
        raise Malformed("an answer without a message")
    text = _text(message.get("text") if api == "completions" else message.get("content"))
    thought = any(message.get(key) for key in ("reasoning_content", "reasoning", "thinking"))
    if _UNFINISHED_THOUGHT.match(text):
        text, thought = "", True
    elif api == "chat" and _THOUGHT.match(text):
        text, thought = _THOUGHT.sub("", text, count=1), True
    reason = str(choice.get("finish_reason") or "").lower()
    if not text.strip() and thought:
        raise LostToReasoning
    draft = _whole_reply(text, reason) if api == "chat" else _continued(text, reason, choice)
    billed = usage(answer)
    return draft._replace(tokens=billed.written, usage=billed)


def _choice(answer: Any) -> Mapping[str, Any]:
    choices = answer.get("choices") if isinstance(answer, Mapping) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        raise Malformed("an answer without choices")
    return choices[0]


def _text(content: Any) -> str:
    """A text that can be stored: parts are joined, and halves of characters replaced."""
    if isinstance(content, list) and all(isinstance(part, Mapping) for part in content):
        content = "".join(part["text"] for part in content if isinstance(part.get("text"), str))
    if content is None:
        return ""
    if not isinstance(content, str):
        raise Malformed("an answer without text")
    return content.encode("utf-8", "replace").decode()


def _whole_reply(text: str, reason: str) -> Draft:
    """The first paragraph of a reply that was asked for one step, with a heading before it.

    A reply that stops of itself ends with its step. Only one that was cut within the step is cut.
    """
    steps = [piece.strip() for piece in text.split(SEPARATOR) if piece.strip() and not is_degenerate(piece)]
    if not steps:
        if reason in ("", "load"):
            raise Malformed("an answer without text")
        return Draft("", 0, "length" if reason in _CUT else "end")
    count = next((i for i, piece in enumerate(steps) if not _HEADING.fullmatch(piece)), len(steps) - 1) + 1
    whole = len(steps) > count or reason not in _CUT
    return Draft("\n".join(steps[:count]), 0, "separator" if whole else "length")


def _continued(text: str, reason: str, choice: Mapping[str, Any]) -> Draft:
    """A turn that was continued up to the separator, or to the end of the solution.

    vLLM and SGLang tell which stop it was. Elsewhere a solution without its box goes on, until nothing more is said.
    """
    stop: Stop
    told = [choice[key] for key in ("stop_reason", "matched_stop") if key in choice]
    if SEPARATOR in text:
        stop = "separator"
    elif reason in _CUT:
        stop = "length"
    elif told and reason == "stop":
        stop = "separator" if told[0] == SEPARATOR else "end"
    elif reason in _ENDED or not text.strip():
        stop = "end"
    else:
        stop = "separator"
    return Draft(first(text) if stop == "separator" else text, 0, stop)
