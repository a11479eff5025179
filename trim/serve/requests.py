"""Requests of clients: every parameter is honoured, or refused by its name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from trim.models.base import Prefix
from trim.section import explain, shown
from trim.serve.errors import ApiError, refused

Request = TypeVar("Request", bound=BaseModel)
Metadata = Annotated[  # with OpenAI's limits
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]
# Unsupported parameters, with the values at which they change no answer; any other value is refused.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "audio": (),
    "best_of": (1,),
    "frequency_penalty": (0,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "min_p": (0,),
    "modalities": (["text"],),
    "prediction": (),
    "presence_penalty": (0,),
    "reasoning_effort": ("none",),
    "repetition_penalty": (1,),
    "response_format": ({"type": "text"},),
    "service_tier": ("auto", "default"),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_k": (0, -1),
    "top_logprobs": (0,),
    "verbosity": ("medium",),
    "web_search_options": (),
}
# Parameters of other servers' caches, accounts and tools: they change no answer at any value.
_UNREAD = ("parallel_tool_calls", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "store")
# The same for a message, which may be an answer of this server or of another one.
_NEUTRAL_IN_MESSAGE: dict[str, tuple[Any, ...]] = {"audio": (), "function_call": (), "refusal": (), "tool_calls": ([],)}
_UNREAD_IN_MESSAGE = ("annotations", "name", "provider_specific_fields", "reasoning", "reasoning_content")
_MOST_STOPS = 4
_LONGEST_NAME = 100  # characters of an unknown parameter in a message
_LONGEST_STOP = 500  # characters


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Message(_Strict):
    """One turn of a conversation.

    Attributes:
        role: the speaker; a developer's turn is a system turn.
        content: the text, or a list of its parts.
    """

    role: Literal["system", "developer", "user", "assistant"]
    content: str

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
    """Options of a stream; unsupported ones affect no answer, and are ignored.

    Attributes:
        include_usage: send the usage in one more chunk at the end, without choices.
    """

    model_config = ConfigDict(extra="ignore")

    include_usage: bool = False


class TrimOptions(_Strict):
    """This server's own options, in the field `trim` of a request.

    Attributes:
        drafts: include the text of discarded drafts.
    """

    drafts: bool = False


class Conversation(_Strict):
    """The common part of all requests.

    Attributes:
        model: the operating point; see `trim.serve.points`.
        messages: the conversation; the last turn is the user's question.
    """

    model: Annotated[str, Field(max_length=200)]
    messages: Annotated[tuple[Message, ...], Field(min_length=1, max_length=200)]

    @field_validator("messages")
    @classmethod
    def _ends_with_a_question(cls, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        *before, question = messages
        if question.role != "user":
            raise ValueError("the last turn must be the user's; an unfinished answer cannot be continued")
        roles = [role for role, _ in (message.turn for message in messages)]
        if "system" in roles[_leading(roles) :]:
            raise ValueError("a system turn after other turns; put it first, or write it as the user's")
        # Editors and forms leave line breaks there, which would change the model's answer.
        return (*before, question.model_copy(update={"content": question.content.rstrip()}))

    def prefix(self, separator: str, temperature: float | None = None, top_p: float | None = None) -> Prefix:
        """The beginning of the solution; several system turns become one, since chat templates take only one."""
        *before, (_, question) = (message.turn for message in self.messages)
        count = _leading([role for role, _ in before])
        system = [("system", "\n\n".join(text for _, text in before[:count]))] if count else []
        turns = (*system, *before[count:])
        return Prefix(question, separator=separator, before=turns, temperature=temperature, top_p=top_p)


def _leading(roles: Sequence[str]) -> int:
    """Number of system turns at the beginning."""
    return next((index for index, role in enumerate(roles) if role != "system"), len(roles))


class ChatRequest(Conversation):
    """A request for an answer.

    Attributes:
        stream: send each step once it is accepted.
        stream_options: options of the stream.
        max_tokens, max_completion_tokens: the answer ends before the step that exceeds it; -1 is no limit.
        temperature, top_p: replace the experiment's.
        seed: another seed gives another answer; the same request always gives the same one.
        n: number of answers.
        stop: the answer ends before any of these texts; empty ones are ignored.
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
    stop: tuple[Annotated[str, Field(max_length=_LONGEST_STOP)], ...] = Field((), max_length=_MOST_STOPS)
    user: Annotated[str, Field(max_length=500)] | None = None
    metadata: Metadata | None = None
    trim: TrimOptions = TrimOptions()

    @field_validator("stop", mode="before")
    @classmethod
    def _listed(cls, stop: Any) -> Any:
        texts = [stop] if isinstance(stop, str) else stop
        return tuple(text for text in texts if text != "") if isinstance(texts, list) else stop

    @field_validator("max_tokens", "max_completion_tokens", mode="before")
    @classmethod
    def _limit(cls, limit: Any) -> Any:
        return None if limit == -1 else limit

    @property
    def most_tokens(self) -> int | None:
        """Maximum of tokens of the answer."""
        given = [limit for limit in (self.max_tokens, self.max_completion_tokens) if limit is not None]
        return min(given, default=None)


class StandingStep(_Strict):
    """An accepted step, for a verdict on the one after it.

    Attributes:
        text: the step.
        writer: its writer.
        draft: the weak draft that it replaced, if it is the strong model's.
    """

    text: str
    writer: Literal["weak", "strong"] = "weak"
    draft: str | None = None


class DecisionRequest(Conversation):
    """A request for a verdict on a draft.

    Attributes:
        steps: the accepted steps.
        draft: the next step, written by a weak model.
    """

    steps: Annotated[tuple[StandingStep, ...], Field(max_length=1000)] = ()
    draft: Annotated[str, Field(min_length=1)]


def read(body: bytes, cls: type[Request]) -> Request:
    """A request from its JSON. A null equals a missing parameter, and 1.0 equals 1.

    Raises:
        ApiError: if it is no JSON, or a parameter is wrong, unknown or not supported.
    """
    try:
        given = json.loads(body, object_pairs_hook=_without_nulls, parse_float=_number)
        json.dumps(given, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise refused(_torn(given), "half of a character (a lone surrogate); send whole characters") from None
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "the body is no JSON in UTF-8", "invalid_json") from error
    if not isinstance(given, dict):
        raise ApiError(400, "the body is no JSON object", "invalid_json")
    if cls is ChatRequest:
        given = _meant(given, _NEUTRAL, _UNREAD)
    if isinstance(given.get("messages"), list):
        given["messages"] = [
            _meant(message, _NEUTRAL_IN_MESSAGE, _UNREAD_IN_MESSAGE, f"messages[{index}].")
            for index, message in enumerate(given["messages"])
        ]
    try:
        return cls.model_validate_json(json.dumps(given), strict=True)
    except ValidationError as error:
        where = ".".join(str(part)[:_LONGEST_NAME] for part in error.errors()[0]["loc"]) or None
        raise ApiError(400, explain(error), "invalid_value", where) from error


def _without_nulls(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in pairs if value is not None}


def _number(text: str) -> float:
    """A number with a point or an exponent; an integer if it is whole and small enough."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2**63 else value


def _meant(given: Any, neutral: Mapping[str, Sequence[Any]], unread: Sequence[str], place: str = "") -> Any:
    """A section without parameters that change no answer."""
    if not isinstance(given, dict):
        return given
    for name, values in neutral.items():
        if name in given and given[name] not in values:
            raise refused(f"{place}{name}", f"{shown(given[name])} is not supported; leave it out")
    return {name: value for name, value in given.items() if name not in neutral and name not in unread}


def _torn(given: Any) -> str:
    """The place of a text, or of a key's section, with half of a character."""
    left: list[tuple[str, Any]] = [("", given)]
    for place, value in left:
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                return place.lstrip(".")[:100] or "the body"
        elif isinstance(value, Mapping):
            left += [(place, key) for key in value]  # before the values, whose places name them
            left += [(f"{place}.{key if key.isidentifier() else shown(key)}", inner) for key, inner in value.items()]
        elif isinstance(value, list):
            left += [(f"{place}[{index}]", inner) for index, inner in enumerate(value)]
    raise AssertionError("all texts are whole")
