"""Write config/README.md: every key of params.yaml, from the typed models that check it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from trim.experiment.params import Params, RouterKeys
from trim.files import write_text
from trim.routers import registry

PATH = Path(__file__).parent.parent / "config" / "README.md"
HEAD = """# Configuration

An experiment is one file, `params.yaml`: benchmarks, models, routers and measurements. The one at the top of the
repository is the paper's main table on the embedded models; `trim experiment NAME` writes another, and Snakemake's
`--configfile workflow/experiments/NAME.yaml` lays one over it ([docs/experiments.md](../docs/experiments.md)).
`trim check` reads every key before any work.

These are all keys; `python docs/parameters.py` writes the tables from the code. A key without a default must be given.
"""
LIMITS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
Row = tuple[str, str, str, str]


def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """The description of each key, from the docstrings of a model and its bases."""
    found: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        text = re.sub(r"\s+", " ", (cls.__doc__ or "").partition("Attributes:")[2].partition("\n\n")[0])
        names = "|".join(map(re.escape, getattr(cls, "model_fields", {})))
        if not names:
            continue
        entry = rf"((?:{names})(?:, (?:{names}))*): (.*?)(?= (?:{names})(?:, (?:{names}))*: |$)"
        for keys, said in re.findall(entry, text):
            found |= dict.fromkeys(keys.split(", "), said.strip())
    return found


def sections(annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """The models in a key, with the text between it and their keys."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "", annotation
    elif get_origin(annotation) is dict:
        yield from ((".NAME", model) for _, model in sections(get_args(annotation)[1]))
    else:
        for inner in get_args(annotation):
            yield from sections(inner)


def allowed(schema: dict[str, Any], names: dict[str, Any]) -> str:
    """The allowed values, in a few words, from a JSON schema."""
    if "$ref" in schema:
        schema = names[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(allowed(s, names) for s in schema["anyOf"] if s.get("type") != "null"))
    if "enum" in schema or "const" in schema:
        return ", ".join(map(str, schema.get("enum", [schema.get("const")])))
    if schema.get("type") == "array":
        inner = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
        return f"list: {allowed(inner, names)}"
    words = {"number": "a number", "integer": "a whole number", "boolean": "true or false", "string": "text"}
    limits = [f"{word} {schema[key]:g}" for key, word in LIMITS.items() if key in schema]
    return ", ".join([words.get(str(schema.get("type")), "a section"), *limits])


def rows(model: type[BaseModel], prefix: str = "") -> Iterator[Row]:
    """Key, type, default and description of every key of a model and of the sections in it; equal ones once."""
    said, schema, seen = descriptions(model), model.model_json_schema(), {}
    for name, field in model.model_fields.items():
        if inner := list(sections(field.annotation)):
            for between, section in inner:
                if section in seen:
                    yield f"`{prefix}{name}`", "a section", "", f"as `{prefix}{seen[section]}`"
                else:
                    seen[section] = name
                    yield from rows(section, f"{prefix}{name}{between}.")
            continue
        known = field.default not in (PydanticUndefined, None, (), "")
        default = f"`{_shown(field.default)}`" if known else "" if field.is_required() else "empty"
        text = allowed(schema["properties"][name], schema.get("$defs", {}))
        yield f"`{prefix}{name}`", text, default, said.get(name, "")


def _shown(value: Any) -> str:
    """A default in YAML."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def table(found: Iterator[Row]) -> str:
    """Rows as Markdown."""
    lines = ["| key | allowed | default | meaning |", "|---|---|---|---|"]
    return (
        "\n".join(lines + ["| " + " | ".join(cell.replace("|", "or") for cell in row) + " |" for row in found]) + "\n"
    )


def page() -> str:
    """The whole page."""
    parts = [
        HEAD,
        "## The experiment\n",
        table(rows(Params)),
        "## Every router\n",
        table(rows(RouterKeys, "routers.NAME.")),
    ]
    for name, router in sorted(registry().items()):
        own = list(rows(router.Params, f"routers.{name}."))
        if own:
            parts += [f"## {router.title}: `type: {name}`\n", table(iter(own))]
    return "\n".join(parts)


if __name__ == "__main__":
    write_text(PATH, page())
