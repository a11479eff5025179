"""Which source files a module's behaviour depends on."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parent


@cache
def _imports(module: str) -> frozenset[str]:
    found = set()
    for node in ast.walk(ast.parse(_file(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(name for name in found if name.split(".")[0] == _ROOT.name and _exists(name))


def _file(module: str) -> Path:
    path = _ROOT.parent / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _exists(module: str) -> bool:
    return _file(module).is_file()


def sources(*modules: str) -> list[Path]:
    """The files of `modules` and of everything in this package that they import, in order.

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
