"""Strict YAML: values that YAML 1.1 would read with another meaning are refused."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from trim.errors import TrimError
from trim.files import read_text

_LARGEST = 1 << 20  # bytes
_VALUES = 100_000  # with aliases written out; the largest experiment of this package has 800
_DEPTH = 50
_BASE_60 = re.compile(r"[-+]?\d[\d_]*(?::[0-5]?\d)+(?:\.\d*)?")
_LEADING_ZERO = re.compile(r"[-+]?0\d+")
_TRUTH = ("true", "false")


class _Extent(NamedTuple):
    """Values in a node, and levels below it, with every alias written out."""

    values: float
    depth: float


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        TrimError: if it cannot be read, is too large, a key is given twice, or a value is ambiguous; one line with the
            file, the line and the cure.
    """
    text = read_text(path, _LARGEST)
    try:
        _check_extent(path, _as_written(text))
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
        if node is None:
            raise TrimError(f"{path}: empty; it holds no experiment")
        _check_extent(path, _extent(node, {}))
        for line, fault in _faults(node, set()):
            raise TrimError(f"{path}:{line}: {fault}")
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise TrimError(f"{path}: not YAML ({' '.join(str(error).split())[:300]})") from error
    except (ValueError, OverflowError) as error:
        raise TrimError(f"{path}: holds a value that cannot be read ({str(error)[:200]})") from error
    except RecursionError as error:
        raise TrimError(f"{path}: nested too deeply") from error


def _check_extent(path: Path, extent: _Extent) -> None:
    if extent.depth > _DEPTH:
        raise TrimError(f"{path}: nested too deeply, or an alias holds itself")
    if extent.values > _VALUES:
        raise TrimError(f"{path}: more than {_VALUES:,} values, aliases written out; is this the right file?")


def _as_written(text: str) -> _Extent:
    """The extent of a text, aliases counted as one; reading stops at the limits."""
    values = depth = deepest = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        values += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        deepest = max(deepest, depth)
        if values > _VALUES or deepest > _DEPTH:
            break
    return _Extent(values, deepest)


def _inner(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [inner for pair in node.value for inner in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _extent(node: yaml.Node, known: dict[yaml.Node, _Extent]) -> _Extent:
    """The extent of a node; computed once, however many aliases lead to it."""
    if node not in known:
        known[node] = _Extent(math.inf, math.inf)  # while it is open: an alias to it is a cycle
        below = [_extent(inner, known) for inner in _inner(node)]
        known[node] = _Extent(1 + sum(e.values for e in below), 1 + max((e.depth for e in below), default=0))
    return known[node]


def _faults(node: yaml.Node, seen: set[yaml.Node]) -> Iterator[tuple[int, str]]:
    """Lines and their faults."""
    if node in seen:
        return
    seen.add(node)
    if isinstance(node, yaml.MappingNode):
        yield from _twice(node)
    for inner in _inner(node):
        yield from _faults(inner, seen)
    if second := _second_meaning(node):
        line = node.start_mark.line + 1
        yield line, f"{node.value} would be read as {second}; write true, false or a number, or put it in quotes"


def _twice(node: yaml.MappingNode) -> Iterator[tuple[int, str]]:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            line = key.start_mark.line + 1
            if key.value in lines:
                yield line, f"the key {key.value!r} is already in line {lines[key.value]}; leave one out"
            lines[key.value] = line


def _second_meaning(node: yaml.Node) -> str | None:
    """The type that YAML 1.1 gives a plain value, if it is not the apparent one; None otherwise."""
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
