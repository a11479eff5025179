"""A part of params.yaml as a typed model, and messages for mistakes in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import core_schema

_SHOWN = 60  # characters of a value in a message

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Cost = Annotated[float, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


def _one_line(text: str) -> str:
    if not text.isprintable() or len(text) > 80:
        raise ValueError(f"{shown(text)} found, allowed: one line of at most 80 letters, digits and signs")
    return text


def _path(text: str) -> str:
    # Rules use it in inputs and outputs, where braces would be wildcards.
    if not text.isprintable() or not 0 < len(text) <= 1000 or set("{}") & set(text):
        raise ValueError(f"{shown(text)} found, allowed: a path without line breaks and braces")
    return text


class OneOf:
    """Marks a text as one of some names; the message for any other lists them."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        """As `Literal`, but for names known only at run time."""
        return core_schema.literal_schema(self.names)


# For tables and figures; markup in it is not interpreted.
Title = Annotated[str, AfterValidator(_one_line)]
# A file, a folder, or a name on the hub.
PathText = Annotated[str, AfterValidator(_path)]


class Section(BaseModel):
    """A part of params.yaml; unknown keys are refused.

    A list may be empty only if that is its default, and has no duplicates.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _as_it_is_meant(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        for name, value in data.items():
            field = cls.model_fields.get(name)
            if not field:
                continue
            if isinstance(value, bool) and not _allows(field.annotation, bool):
                raise ValueError(f"{name}: {str(value).lower()} found; a boolean is not allowed here")
            if isinstance(value, list | tuple) and _varies(field.annotation):
                if not value and field.default != ():
                    raise ValueError(f"{name}: an empty list; give one value at least")
                counts = Counter(item for item in value if isinstance(item, str | int | float))
                if twice := [item for item, count in counts.items() if count > 1]:
                    raise ValueError(f"{name}: {shown(twice[0])} is given twice; leave one out")
        return data


def _allows(annotation: Any, kind: type) -> bool:
    """True if an annotation allows a value of a type."""
    if annotation in (kind, Any):
        return True
    return get_origin(annotation) in (Union, UnionType, Annotated) and any(
        _allows(a, kind) for a in get_args(annotation)
    )


def _varies(annotation: Any) -> bool:
    """True if an annotation is a list of any length."""
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return any(_varies(a) for a in get_args(annotation))
    return get_origin(annotation) is tuple and Ellipsis in get_args(annotation)


def shown(value: Any) -> str:
    """A value for a message: short, in one line, without control characters."""
    if isinstance(value, str):
        head = value[:_SHOWN]
        return (repr(head) if head.isprintable() else ascii(head)) + ("…" if len(value) > _SHOWN else "")
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


# Allowed values, by pydantic's type of error.
_ALLOWED = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "literal_error": "{expected}",
    "too_short": "{min_length} values at least",
    "too_long": "{max_length} values at most",
    "string_pattern_mismatch": "text of the form {pattern}",
    "finite_number": "a finite number",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("string_type", "path_type"), "text"),
    **dict.fromkeys(("list_type", "tuple_type"), "a list"),
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type", "mapping_type"), "a section of keys and values"
    ),
}


def explain(error: ValidationError, above: tuple[str, ...] = ()) -> str:
    """The first mistake, in one line with the key, the value found and the values allowed."""
    mistake = error.errors()[0]
    # If several types are allowed, the location contains the name of each; keys are only text and indices.
    place = [
        part if isinstance(part, int) or len(part) <= _SHOWN else f"{part[:_SHOWN]}…"
        for part in above + mistake["loc"]
        if isinstance(part, int) or not part.startswith(("literal[", "tuple[", "constrained"))
    ]
    key = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}"
        for part in place
        if part not in ("[key]", "int", "float", "str")
    )
    key = key.lstrip(".")
    if mistake["type"] == "extra_forbidden":
        return f"{key}: unknown key; check its spelling"
    if mistake["type"] == "missing":
        unknown = [other["loc"][-1] for other in error.errors() if other["type"] == "extra_forbidden"]
        return f"{key}: missing" + (f"; {shown(unknown[0])} is an unknown key, check its spelling" if unknown else "")
    if mistake["type"] == "value_error":
        inner = str(mistake["ctx"]["error"])
        return f"{key}.{inner}" if key and inner.partition(":")[0].isidentifier() else f"{key}: {inner}".lstrip(": ")
    if place and place[-1] == "[key]":
        return f"{key}: not a name; allowed: lower-case letters, digits and _, a letter first, 64 at most"
    allowed = _ALLOWED.get(mistake["type"], "{}").format(mistake["msg"], **mistake.get("ctx", {}))
    return f"{key or 'the file'}: {shown(mistake['input'])} found, allowed: {allowed}"
