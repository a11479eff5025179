"""Plain English: habits of foreign prose, counted per 1,000 words of docstrings, messages and documents."""

import ast
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import pytest
from conftest import ROOT

HABITS = {
    "what": re.compile(r"\bwhat\b", re.I),
    "told": re.compile(r"\btold\b", re.I),
    "stands": re.compile(r"\bstands?\b", re.I),
    "others": re.compile(
        r"\btell(?:s|ing)?\b(?:\s+\S+){0,6}?\s+apart\b|\bfor nothing\b|\bdear\b"
        r"|\bnobody\b|\bsomebody\b|\bwhoever\b|\b(?:is|are) (?:not )?to be \w+e[dn]\b",
        re.I,
    ),
}
# Per 1,000 words of each part. Ceilings only fall: after a rewrite, `python tests/test_words.py` prints the new table.
CEILINGS = {
    "documents": (0.2, 0.0, 0.1, 0.0),
    "snakemake_logger_plugin_trim": (0.0, 0.0, 0.0, 0.0),
    "tools": (0.0, 0.0, 0.0, 0.0),
    "tools/pretrain": (1.0, 0.0, 0.0, 0.0),
    "trim": (0.0, 0.0, 0.0, 0.0),
    "trim/answers": (0.0, 0.0, 0.0, 0.0),
    "trim/audit": (1.2, 0.0, 0.0, 0.0),
    "trim/cli": (0.0, 0.0, 0.0, 0.0),
    "trim/engine": (0.3, 0.0, 0.0, 0.0),
    "trim/evaluation": (0.0, 0.0, 0.0, 0.0),
    "trim/experiment": (0.0, 0.0, 0.0, 0.0),
    "trim/ledger": (0.0, 0.0, 0.0, 0.0),
    "trim/models": (0.2, 0.0, 0.0, 0.0),
    "trim/page": (0.0, 0.0, 0.0, 0.0),
    "trim/pomdp": (0.0, 0.0, 0.0, 0.0),
    "trim/problems": (0.8, 0.0, 0.0, 0.0),
    "trim/reading": (0.0, 0.0, 0.0, 0.0),
    "trim/report": (0.0, 0.0, 0.0, 0.0),
    "trim/reward_models": (0.0, 0.0, 0.0, 0.0),
    "trim/rl": (0.0, 0.0, 0.0, 0.0),
    "trim/routers": (0.0, 0.0, 0.0, 0.0),
    "trim/serve": (0.3, 0.0, 0.0, 0.0),
    "trim/stages": (0.0, 0.0, 0.0, 0.0),
    "trim/studies": (0.0, 0.0, 0.0, 0.5),
    "trim/verifiers": (0.0, 0.0, 0.0, 0.0),
}
# Docstrings that begin with What, Whether, Of or All.
OPENINGS = 1
_OPENING = re.compile(r"(?:What|Whether|Of|All)\b")
_WORD = re.compile(r"[A-Za-z][\w'-]*")
_SHOWN = 10  # of the worst places


class Text(NamedTuple):
    """A piece of prose and where it begins."""

    part: str
    path: str
    line: int
    text: str
    docstring: bool = False


def _part(path: str) -> str:
    """The package of a module, "documents" for a document."""
    if not path.endswith(".py"):
        return "documents"
    folders = path.split("/")[:-1]
    return "/".join(folders[:2])


def _strings(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """String constants; an f-string is one, with an ellipsis for each value in it."""
    if isinstance(node, ast.JoinedStr):
        yield node, "".join(str(v.value) if isinstance(v, ast.Constant) else "…" for v in node.values)
        for value in node.values:
            if isinstance(value, ast.FormattedValue):
                yield from _strings(value.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node, node.value
    else:
        for inner in ast.iter_child_nodes(node):
            yield from _strings(inner)


def _of_module(path: str, source: str) -> Iterator[Text]:
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and ast.get_docstring(node)
    }
    for node, text in _strings(tree):
        docstring = id(node) in docstrings
        if docstring or (" " in text and len(_WORD.findall(text)) >= 3):
            yield Text(_part(path), path, node.lineno, text, docstring)


def _of_document(path: str, source: str) -> Text:
    """The prose of a document: no code, no generated table, no comment, no address; lines keep their numbers."""
    for pattern in (r"^```.*?^```", r"<!-- ([\w ]+) -->.*?<!-- end \1 -->", r"<!--.*?-->", r"`[^`]*`", r"\]\([^)]*\)"):
        source = re.sub(pattern, lambda m: " … " + "\n" * m[0].count("\n"), source, flags=re.DOTALL | re.MULTILINE)
    return Text(_part(path), path, 1, source)


@cache
def texts() -> list[Text]:
    """All prose of the project."""
    found = []
    for package in ("trim", "snakemake_logger_plugin_trim", "tools"):
        for path in sorted((ROOT / package).rglob("*.py")):
            found += _of_module(str(path.relative_to(ROOT)), path.read_text())
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "config/README.md", *(ROOT / "docs").glob("*.md")]
    return found + [_of_document(str(path.relative_to(ROOT)), path.read_text()) for path in sorted(documents)]


@cache
def rates() -> dict[str, tuple[float, ...]]:
    """Habits per 1,000 words of each part, in the order of `HABITS`, rounded up to a tenth."""
    words, counts = Counter(), defaultdict(Counter)
    for text in texts():
        words[text.part] += len(_WORD.findall(text.text))
        for name, habit in HABITS.items():
            counts[text.part][name] += len(habit.findall(text.text))
    return {p: tuple(math.ceil(1e4 * counts[p][name] / words[p]) / 10 for name in HABITS) for p in sorted(words)}


def places(part: str, habit: str) -> list[str]:
    """File, line and sentence of each use of a habit in a part, those of the files that use it most first."""
    found = defaultdict(list)
    for text in texts():
        for match in HABITS[habit].finditer(text.text) if text.part == part else ():
            line = text.line + text.text.count("\n", 0, match.start())
            before = re.split(r"[.;!?]\s|\n\n|\n- ", text.text[: match.start()])[-1]
            after = re.split(r"[.;!?](?:\s|$)|\n\n|\n- ", text.text[match.start() :])[0]
            found[text.path].append(f"{text.path}:{line}: {' '.join((before + after).split())[:200]}")
    return [place for path in sorted(found, key=lambda p: -len(found[p])) for place in found[path]]


@pytest.mark.parametrize("part", sorted(CEILINGS))
def test_no_habit_grows(part):
    for habit, rate, ceiling in zip(HABITS, rates()[part], CEILINGS[part]):
        worst = "\n".join(places(part, habit)[:_SHOWN])
        assert rate <= ceiling, f"{part}: {habit!r} {rate} times in 1,000 words, at most {ceiling}:\n{worst}"


def test_every_part_has_its_ceilings():
    assert set(rates()) == set(CEILINGS)


def test_docstrings_begin_with_a_noun_or_a_verb():
    found = [t for t in texts() if t.docstring and _OPENING.match(t.text)]
    worst = "\n".join(f"{t.path}:{t.line}: {t.text.splitlines()[0]}" for t in found[:_SHOWN])
    assert len(found) <= OPENINGS, f"{len(found)} docstrings begin with What, Whether, Of or All:\n{worst}"


if __name__ == "__main__":
    import sys

    for part, values in rates().items():
        print(f'    "{part}": {values},')
    print(f"OPENINGS = {sum(t.docstring and bool(_OPENING.match(t.text)) for t in texts())}")
    for part in sys.argv[1:]:
        print(*[place for habit in HABITS for place in places(part, habit)], sep="\n")
        print(
            *[
                f"{t.path}:{t.line}: {t.text}"
                for t in texts()
                if t.part == part and t.docstring and _OPENING.match(t.text)
            ],
            sep="\n",
        )
