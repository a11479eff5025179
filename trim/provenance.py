"""Source files on which a module's behaviour depends."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cache
from os.path import relpath
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parent
# A rule's parameters are recorded by their values.
_VALUES = ("params", "sections", "load", "soundness", "strict_yaml", "compose")
_NOT_FOLLOWED = frozenset(f"{_ROOT.name}.experiment.{name}" for name in _VALUES)


@cache
def _imports(module: str) -> frozenset[str]:
    found = set()
    for node in _behaviour(ast.parse(_file(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    packages = {_ROOT.name, module.split(".")[0]}
    own = {name for name in found if name.split(".")[0] in packages and _exists(name)}
    return frozenset(own - _NOT_FOLLOWED)


def _behaviour(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that affect behaviour: all but those for type checkers."""
    queue = [tree]
    while queue:
        node = queue.pop()
        yield node
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            queue += node.orelse
        else:
            queue += ast.iter_child_nodes(node)


def _file(module: str) -> Path:
    path = _ROOT.parent / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _exists(module: str) -> bool:
    return _file(module).is_file()


def sources(*modules: str) -> list[Path]:
    """The files of `modules` and of their imports in this package and their own, in order.

    Type-only imports do not count, nor do the modules that read parameters.

    Args:
        modules: dotted names, such as "trim.stages.fit".
    """
    seen: set[str] = set()
    queue = list(modules)
    while queue:
        module = queue.pop()
        if module not in seen:
            seen.add(module)
            queue += _imports(module)
    return sorted(map(_file, seen))


def digest_of(*modules: str, data: Sequence[str] = ()) -> str:
    """A digest of the source of `modules` and their imports, and of other files of the package.

    Args:
        modules: dotted names.
        data: paths in the package, such as "report/page.css".
    """
    state = hashlib.sha256()
    for path in [*sources(*modules), *(_ROOT / name for name in data)]:
        content = path.read_bytes()
        state.update(f"{relpath(path, _ROOT)} {len(content)} ".encode() + content)
    return state.hexdigest()[:16]


def digest_of_values(values: Any) -> str:
    """A short digest of JSON values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
