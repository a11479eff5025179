"""YAML as its writer meant it: what another reading would take for something else is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from trim.errors import TrimError
from trim.files import read_text

_DEPTH = 50
_BASE_60 = re.compile(r"[-+]?\d[\d_]*(?::[0-5]?\d)+(?:\.\d*)?")
_LEADING_ZERO = re.compile(r"[-+]?0\d+")
_TRUTH = ("true", "false")


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        TrimError: if it cannot be read, a key is given twice, or a value has a second meaning; one line that names
            file, line and cure.
    """
    text = read_text(path)
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
        if node is None:
            raise TrimError(f"{path}: empty; it holds no experiment")
        for line, fault in _faults(node, 0):
            raise TrimError(f"{path}:{line}: {fault}")
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise TrimError(f"{path}: not YAML ({' '.join(str(error).split())[:300]})") from error
    except (ValueError, OverflowError) as error:
        raise TrimError(f"{path}: holds a value that cannot be read ({str(error)[:200]})") from error
    except RecursionError as error:
        raise TrimError(f"{path}: nested too deeply") from error


def _faults(node: yaml.Node, depth: int) -> Iterator[tuple[int, str]]:
    """Lines and what is wrong there."""
    line = node.start_mark.line + 1
    if depth > _DEPTH:
        yield line, "nested too deeply"
        return
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    yield (
                        key.start_mark.line + 1,
                        f"the key {key.value!r} stands in line {seen[key.value]} already; leave one out",
                    )
                seen[key.value] = key.start_mark.line + 1
            yield from _faults(key, depth + 1)
            yield from _faults(value, depth + 1)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _faults(item, depth + 1)
    elif second := _second_meaning(node):
        yield line, f"{node.value} would be read as {second}; write true, false or a number, or put it in quotes"


def _second_meaning(node: yaml.Node) -> str | None:
    """What YAML 1.1 takes a plain value for, where that is not what it looks like."""
    if not isinstance(node, yaml.ScalarNode) or node.style:
        return None
    tag, text = node.tag.rpartition(":")[2], node.value
    if tag == "bool" and text.lower() not in _TRUTH:
        return "true or false"
    if tag in ("int", "float") and _BASE_60.fullmatch(text):
        return "a number to base 60"
    if tag == "int" and _LEADING_ZERO.fullmatch(text):
        return "a number to base 8"
    if tag == "float" and text.lower().lstrip("+-") in (".inf", ".nan"):
        return "no number at all"
    if tag == "timestamp":
        return "a date"
    return None
