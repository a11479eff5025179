"""Requests as clients send them: every parameter is honoured, or refused by its name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from trim.models.base import Prefix
from trim.section import explain, shown
from trim.serve.errors import ApiError, refused

Request = TypeVar("Request", bound=BaseModel)
Metadata = Annotated[  # with OpenAI's limits
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]
# What OpenAI's interface has and this server does not: only the value that changes nothing is taken.
_WITHOUT_EFFECT: dict[str, tuple[Any, ...]] = {
    "audio": (None,),
    "frequency_penalty": (None, 0),
    "function_call": (None, "none"),
    "functions": (None, []),
    "logit_bias": (None, {}),
    "logprobs": (None, False),
    "modalities": (None, ["text"]),
    "parallel_tool_calls": (None, True, False),
    "prediction": (None,),
    "presence_penalty": (None, 0),
    "reasoning_effort": (None,),
    "response_format": (None, {"type": "text"}),
    "service_tier": (None, "auto", "default"),
    "store": (None, True, False),
    "tool_choice": (None, "none"),
    "tools": (None, []),
    "top_logprobs": (None, 0),
    "web_search_options": (None,),
}
_MOST_STOPS = 4
_LONGEST_NAME = 100  # characters of an unknown parameter that are repeated
_LONGEST_STOP = 500  # characters


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Message(_Strict):
    """One turn of a conversation.

    Attributes:
        role: who speaks; a developer's turn is a system turn.
        content: the text, or a list of its parts.
        name: of who speaks; told to no model, and so refused.
    """

    role: Literal["system", "developer", "user", "assistant"]
    content: str
    name: None = None

    @field_validator("content", mode="before")
    @classmethod
    def _joined(cls, content: Any) -> Any:
        if not isinstance(content, list):
            return content
        for part in content:
            if not (isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)):
                raise ValueError("only parts of the type text can be read")
        return "\n".join(part["text"] for part in content)

    @property
    def turn(self) -> tuple[str, str]:
        """Role and text, as a chat template takes them."""
        return ("system" if self.role == "developer" else self.role), self.content


class StreamOptions(_Strict):
    """What a stream tells beside the text."""

    include_usage: bool = False
    include_obfuscation: bool = False


class TrimOptions(_Strict):
    """This server's own options, in the field `trim` of a request.

    Attributes:
        drafts: tell the text of drafts that are thrown away.
    """

    drafts: bool = False


class Conversation(_Strict):
    """What every request has.

    Attributes:
        model: the operating point; see `trim.serve.points`.
        messages: the conversation; the last turn is the user's question.
    """

    model: Annotated[str, Field(max_length=200)]
    messages: Annotated[tuple[Message, ...], Field(min_length=1, max_length=200)]

    @field_validator("messages")
    @classmethod
    def _ends_with_a_question(cls, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        if messages[-1].role != "user":
            raise ValueError("the last turn must be the user's; an answer that was begun cannot be continued")
        if any(message.role in ("system", "developer") for message in messages[1:]):
            raise ValueError("a system turn can only be the first")
        return messages

    def prefix(self, separator: str, temperature: float | None = None, top_p: float | None = None) -> Prefix:
        """The beginning of the solution."""
        *before, question = self.messages
        turns = tuple(message.turn for message in before)
        return Prefix(question.content, separator=separator, before=turns, temperature=temperature, top_p=top_p)


class ChatRequest(Conversation):
    """A request for an answer.

    Attributes:
        stream: send each step as it stands.
        stream_options: what the stream tells beside.
        max_tokens, max_completion_tokens: the answer ends before the step that passes it.
        temperature, top_p: in place of the experiment's.
        seed: another seed gives another answer; the same request always gives the same one.
        n: number of answers.
        stop: texts that the answer ends before.
        user, metadata: written into the record of the request.
        trim: this server's own options.
    """

    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    n: Annotated[int, Field(ge=1, le=16)] | None = None
    stop: tuple[Annotated[str, Field(min_length=1, max_length=_LONGEST_STOP)], ...] = Field((), max_length=_MOST_STOPS)
    user: Annotated[str, Field(max_length=500)] | None = None
    metadata: Metadata | None = None
    trim: TrimOptions = TrimOptions()

    @field_validator("stop", mode="before")
    @classmethod
    def _listed(cls, stop: Any) -> Any:
        if isinstance(stop, list):
            return tuple(stop)
        return () if stop is None else (stop,) if isinstance(stop, str) else stop

    @property
    def most_tokens(self) -> int | None:
        """Most tokens of the answer."""
        given = [limit for limit in (self.max_tokens, self.max_completion_tokens) if limit is not None]
        return min(given, default=None)


class StandingStep(_Strict):
    """A step that stands, for a verdict on the one after it.

    Attributes:
        text: the step.
        writer: who wrote it.
        draft: the weak draft that it took the place of, if it is the strong model's.
    """

    text: str
    writer: Literal["weak", "strong"] = "weak"
    draft: str | None = None


class DecisionRequest(Conversation):
    """A request for a verdict on a draft.

    Attributes:
        steps: the steps that stand.
        draft: the next step, as a weak model wrote it.
    """

    steps: Annotated[tuple[StandingStep, ...], Field(max_length=1000)] = ()
    draft: Annotated[str, Field(min_length=1)]


def read(body: bytes, cls: type[Request]) -> Request:
    """A request from its JSON.

    Raises:
        ApiError: if it is no JSON, or a parameter is wrong, unknown, or one that the server does not do.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "the body is no JSON in UTF-8", "invalid_json") from error
    if not isinstance(found, dict):
        raise ApiError(400, "the body is no JSON object", "invalid_json")
    if cls is ChatRequest:
        for name, allowed in _WITHOUT_EFFECT.items():
            if name in found and not any(found[name] == value for value in allowed):
                raise refused(name, f"{shown(found[name])} is not supported; leave it out")
        found = {name: value for name, value in found.items() if name not in _WITHOUT_EFFECT}
    try:
        return cls.model_validate_json(json.dumps(found), strict=True)
    except ValidationError as error:
        where = ".".join(str(part)[:_LONGEST_NAME] for part in error.errors()[0]["loc"]) or None
        raise ApiError(400, explain(error), "invalid_value", where) from error
