"""Reasons of servers for giving no step, in their words: finish reasons of replies, and refusals of requests.

Only a full context and a refused text concern a single problem, whose solution ends. Any other reason may concern the
server or the experiment. Words that are not listed here never let a step through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from trim.models.base import Usage

Ending = Literal["stop", "end", "cut", "full", "refused"]
Concern = Literal["full", "refused"]

_REASONS: dict[Ending, str] = {
    "stop": "stop stop_sequence load",  # at a stop text, or by itself
    "end": "eos eos_token end_turn complete",  # by itself
    "cut": "length max_tokens max_output_tokens model_length",
    "full": "model_context_window_exceeded context_window_exceeded context_length_exceeded",
    "refused": "content_filter refusal safety sensitive recitation blocklist prohibited_content spii",
}
FINISH_REASONS: dict[str, Ending] = {
    "": "stop",  # some servers do not say
    **{word: ending for ending, words in _REASONS.items() for word in words.split()},
}

# More tokens than the server's limit of output; its context may have room.
_LIMIT = (
    r"maximum value for .?max_|at most \d+ (?:completion|output) tokens|maximum allowed number of output tokens"
    r"|valid range of max_|max_(?:completion_|output_)?tokens.? must be"
)
_FULL = (
    r"context[_ ](?:length|window|size|limit)|maximum (?:context|prompt) length|exceeds? (?:the )?max(?:imum)? length"
    r"|(?<!array )(?<!list )too long|too many tokens|reduce the length|(?:exceeds?|over) the maximum number of tokens"
    r"|token limit"
    r"|inputs`? (?:tokens \+|must have less than)|range of input length"
)
# The account's, not the text's.
_ACCOUNT = r"per (?:minute|hour|day|month)|this (?:minute|hour|day|month)|rate.?limit|quota|\baccount\b|api.?key"
_MODERATED = r"content[_ -]?(?:filter|management|polic)|moderation|flagged"
_FILTER = (
    _MODERATED + r"|responsible ?ai|content exists risk|data_inspection|usage polic|prohibited[_ ]content"
    r"|safety (?:filter|setting|system|polic|reason)|(?:inappropriate|unsafe|sensitive|harmful) (?:content|text|word)"
)
# The first matching row counts: status, words of the server, and the concern; None is an error that ends the run.
_REFUSALS: tuple[tuple[tuple[int, ...], str, Concern | None], ...] = (
    ((400, 403, 413, 422, 451), _ACCOUNT, None),
    ((400, 413, 422), _LIMIT, None),
    ((400, 413, 422), _FULL, "full"),
    ((400, 422, 451), _FILTER, "refused"),
    ((403,), _MODERATED, "refused"),
    ((413,), "", "full"),
    ((422,), r"extra[_ ](?:forbidden|inputs|fields)|max_\w*tokens|not permitted|unsupported|unknown", None),
    ((422,), "", "refused"),
)
_CURES = (
    (_LIMIT, "lower generation.sampling.max_step_tokens"),
    (r"\bseed\b", "set server.seed: false to leave the seed out"),
    (r"\b(?:temperature|top_p|top_k)\b", "values that are null in generation.sampling are not sent"),
    (r"chat_template_kwargs", "leave `thinking` out"),
)


class NoStep(Exception):
    """No other try will give a step of this solution; other problems are not affected.

    Attributes:
        concern: see `concern`.
        usage: tokens billed for the reply, None for a refused request.
    """

    def __init__(self, concern: Concern, reason: str, usage: Usage | None = None) -> None:
        super().__init__(reason)
        self.concern, self.usage = concern, usage


def concern(status: int, message: str, parameters: Iterable[str] = ()) -> Concern | None:
    """The problem's own reason for a refusal, None if the request itself is at fault.

    Args:
        status: HTTP status.
        message: the server's words.
        parameters: names of the request's fields beside the text; a refusal of a text names none of them.
    """
    for statuses, words, reason in _REFUSALS:
        if status in statuses and re.search(words, message, re.IGNORECASE):
            named = not words and any(re.search(rf"\b{re.escape(name)}\b", message) for name in parameters)
            return None if named else reason
    return None


def cure(message: str) -> str:
    """The setting that cures a refused request, as the end of a message; empty if none is known."""
    return next((f"; {setting}" for words, setting in _CURES if re.search(words, message, re.IGNORECASE)), "")


def message(error: Any) -> str:
    """The words and the code of a server's error, in any form, in at most 300 characters."""
    code = ""
    if isinstance(error, Mapping):
        code = error["code"] if isinstance(error.get("code"), str) else ""
        error = error.get("message") or error.get("detail") or error
    text = " ".join(str(error).split())[:300]
    return text if not code or code in text else f"{text} ({code[:60]})"
