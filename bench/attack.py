"""What hostile or damaged input does: every case is refused in one readable line, or read as what it is.

    python bench/attack.py                # the table of docs/attacks.md; exit status 1 if anything broke
    python bench/attack.py --count 100    # fewer cases of each kind

A case breaks if it raises anything but the one exception meant for users, if the message is more than a line or
would move a terminal, if it takes longer than ten seconds, or if a damaged file is read as another value.
"""

from __future__ import annotations

import argparse
import atexit
import copy
import gzip
import io
import json
import logging
import os
import queue
import random
import socket
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from trim.answers import boxed, equal, is_boxed, is_open, normalise, number
from trim.answers.algebra import compare
from trim.audit.answers import NEAR_MISSES, REWRITINGS
from trim.audit.sealed import unchanged
from trim.engine.store import Draw, Draws
from trim.errors import TrimError, printable
from trim.evaluation.published import published_model
from trim.experiment.load import load
from trim.files import read_arrays, read_sealed, write_arrays, write_sealed
from trim.models.backends.openai import ServedLM
from trim.models.base import Prefix
from trim.models.connection import Malformed
from trim.models.refusals import FINISH_REASONS, NoStep
from trim.models.replies import LostToReasoning, read_reply
from trim.models.settings import Model, Sampling, Server
from trim.pomdp.model import StepModel
from trim.problems.jsonl import read_jsonl
from trim.rng import digest
from trim.stages.manifest import make_manifest
from trim.steps import PLAIN

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 10.0  # seconds of one case
Case = Callable[[], str]  # says "refused" or "read"; anything raised breaks

ODD: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2**63,
    10**30,
    1e308,
    -1e-308,
    "",
    " ",
    "yes",
    "1:30",
    "nan",
    "\u202etitle",
    "\x1b[31mred",
    "[bold]x[/bold]",
    "$(touch X)",
    "; rm -rf .",
    "'\"`",
    "../../etc/passwd",
    "{x}",
    "a" * 300,
    "\ud800",
    "\0",
    [],
    [[]],
    {},
    {"a": 1},
    [None],
    [1, 1],
    ["a", "a"],
    [float("inf")],
    [True],
    "😀" * 100,
    "processbench/$(touch X)",
    {"type": []},
    [0.2, 0.201],
]


def refused(error: Exception) -> str:
    """That a message for users is one.

    Raises:
        AssertionError: if it is more than a line, or not fit for a terminal.
    """
    line = str(error)
    assert line and line.isprintable(), f"a message that is no line: {line[:80]!r}"
    assert len(line) < 4000, "a message of many thousand characters"
    return "refused"


def _places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield above
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, (*above, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _places(inner, (*above, index))


def parameter_files(stream: random.Random, folder: Path) -> Case:
    """params.yaml with a value replaced, removed or renamed, or its bytes damaged."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    raw, content = yaml.safe_load(text), text.encode()
    match stream.randrange(4):
        case 0:
            places = [place for place in _places(raw) if place]
            place, value = stream.choice(places), stream.choice(ODD)
            found = copy.deepcopy(raw)
            section = found
            for key in place[:-1]:
                section = section[key]
            if stream.random() < 0.8:
                section[place[-1]] = value
            else:
                del section[place[-1]]
            try:
                content = yaml.safe_dump(found, allow_unicode=True).encode("utf-8", "surrogatepass")
            except yaml.YAMLError:
                content = repr(found).encode("utf-8", "surrogatepass")
        case 1:
            lines = text.splitlines()
            lines.insert(stream.randrange(len(lines)), stream.choice(lines))
            content = "\n".join(lines).encode()
        case 2:
            content = bytearray(content)
            for _ in range(stream.randint(1, 20)):
                content[stream.randrange(len(content))] = stream.randrange(256)
            content = bytes(content)
        case _:
            content = stream.choice(
                [
                    text.encode("utf-16"),
                    content[: stream.randrange(len(content))],
                    b"",
                    bytes(99),
                    b"[" * 9999,
                    b"? " * 999,
                    b"a: &a [*a]",
                    b"- 1",
                    b"!!python/object/apply:os.system ['touch X']",
                    b"\xef\xbb\xbf" + content,
                ]
            )
    path = folder / "params.yaml"
    path.write_bytes(content)

    def case() -> str:
        try:
            load(path)
        except TrimError as error:
            return refused(error)
        return "read"

    return case


def _json_text(stream: random.Random, value: Any) -> str:
    text = json.dumps(value, ensure_ascii=stream.random() < 0.5)
    return text if stream.random() < 0.7 else text[: stream.randrange(len(text) + 1)]


def records(stream: random.Random, folder: Path) -> Case:
    """Files of problems with odd values, odd bytes and odd ends of lines."""
    lines = []
    for _ in range(stream.randint(1, 4)):
        record = {
            "problem": f"How much is {stream.randrange(9)} + 1?",
            "answer": "2",
            "split": "test",
            "solution": r"\boxed{2}",
        }
        for key in stream.sample(list(record), stream.randint(0, 2)):
            record[key] = stream.choice(ODD)
        if stream.random() < 0.1:
            lines.append("[" * stream.choice([5, 100_000]))
        lines.append(
            _json_text(stream, record) if stream.random() < 0.9 else stream.choice(["NaN", "null", "1", '"x"', "{}"])
        )
    path = folder / "problems.jsonl"
    path.write_bytes(stream.choice(["\n", "\r\n", "\u2028", "\n\n"]).join(lines).encode("utf-8", "surrogatepass"))

    def case() -> str:
        try:
            read_jsonl(path)
        except TrimError as error:
            return refused(error)
        return "read"

    return case


def parameter_bombs(stream: random.Random, folder: Path) -> Case:
    """params.yaml that is small and means much, is endless, or is no file."""
    name, count = stream.choice(["budgets", "levels", "baselines"]), stream.choice([1_000, 200_000])
    levels, width = stream.choice([(8, 9), (40, 2), (500, 1)]), stream.randint(1, 9)
    inner = "x" if stream.random() < 0.5 else "{a: 1}"
    bomb = [f"a0: &a0 [{', '.join([inner] * width)}]"]
    bomb += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * levels[1])}]" for i in range(1, levels[0])]
    text = stream.choice(
        [
            "\n".join(bomb),
            f"evaluation: {{{name}: [{', '.join(f'{i / count}' for i in range(count))}]}}",
            f"evaluation: {{{name}: [{', '.join(['1'] * count)}]}}",
            "[" * count,
            "- " * count,
            "{a: " * count,
            f"a: '{'x' * count}'",
            f"{'x' * count}: 1",
            "a: &a {b: [*a]}",
            "&a [*a, *a]",
        ]
    )
    path = folder / "bomb.yaml"
    path.unlink(missing_ok=True)
    if stream.random() < 0.1:
        os.mkfifo(path)
    else:
        path.write_text(text, encoding="utf-8")
    chosen = Path("/dev/zero") if stream.random() < 0.1 else path

    def case() -> str:
        try:
            load(chosen)
        except TrimError as error:
            return refused(error)
        return "read"

    return case


def problem_files(stream: random.Random, folder: Path) -> Case:
    """Files of problems as arrays, tables, Parquet and gzip, whole or damaged, under the name of any of these."""
    rows = [{"question": f"{n} + 1?", "answer": f"{n + 1}", "split": "test"} for n in range(stream.randint(1, 4))]
    if stream.random() < 0.3:
        stream.choice(rows)[stream.choice(["question", "answer", "solution"])] = str(stream.choice(ODD))
    parquet = io.BytesIO()
    table = [{key: value.encode("utf-8", "replace").decode() for key, value in row.items()} for row in rows]
    pq.write_table(pa.Table.from_pylist(table), parquet)
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    content = bytearray(
        stream.choice(
            [
                json.dumps(rows, indent=stream.choice([None, 1])).encode(),
                json.dumps({"data": rows}, indent=1).encode(),
                "\n".join(map(json.dumps, rows)).encode(),
                "\n".join(lines).encode("utf-8", "surrogatepass"),
                parquet.getvalue(),
                b"[" * 100_000,
            ]
        )
    )
    for _ in range(stream.choice([0, 0, 1, 5])):
        content[stream.randrange(len(content))] = stream.randrange(256)
    packed = gzip.compress(bytes(content)) if stream.random() < 0.3 else bytes(content)
    path = folder / stream.choice(["x.jsonl", "x.json", "x.csv", "x.tsv", "x.parquet", "x.csv.gz", "x"])
    path.write_bytes(packed[: stream.randrange(len(packed))] if stream.random() < 0.2 else packed)

    def case() -> str:
        try:
            read_jsonl(path)
        except TrimError as error:
            return refused(error)
        return "read"

    return case


ENDS = ["error", "abort", "tool_calls", "content_filter", "SAFETY", "stop ", "STOP", "length", "network_error", 1, True]
PIECES = [
    "</think>",
    "<think>",
    "[THINK]",
    "<|channel|>final<|message|>",
    "<|end|>",
    "```",
    "\r\n\r\n",
    "\n \n",
    "Sure!",
]


def server_answers(stream: random.Random, folder: Path) -> Case:
    """Answers of servers with values replaced or missing, words for their end, and marks in their texts."""
    text = "".join(stream.choices(["a", "a", "b\n\n", *PIECES], k=stream.randint(1, 4)))
    choice = {
        "finish_reason": stream.choice(ENDS) if stream.random() < 0.3 else "stop",
        "stop_reason": None,
        "message": {"content": text, "reasoning_content": None, "refusal": None},
        "text": text,
    }
    answer: Any = {"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}
    for _ in range(stream.randint(0, 3)):
        place = stream.choice(list(_places(answer)))
        if not place:
            answer = copy.deepcopy(stream.choice(ODD))
            break
        section = answer
        for key in place[:-1]:
            section = section[key]
        section[place[-1]] = copy.deepcopy(stream.choice(ODD))
    api = stream.choice(["chat", "prefill", "completions"])

    def case() -> str:
        try:
            draft = read_reply(answer, api)
        except (Malformed, NoStep, LostToReasoning):
            return "refused"
        assert isinstance(draft.text, str) and draft.text.encode() is not None and 0 <= draft.tokens <= 10**8
        reason, total = answer["choices"][0].get("finish_reason"), answer["usage"].get("total_tokens") or 0
        assert reason is None or reason.lower() in FINISH_REASONS, f"a step that ended with {reason!r}"
        assert draft.tokens >= total - answer["usage"]["prompt_tokens"], "thought tokens that are not billed"
        assert "\n\n" not in draft.text or draft.stop != "separator", "two steps as one"
        return "read"

    return case


@cache
def _moving() -> tuple[queue.SimpleQueue[tuple[bytes, str]], ServedLM]:
    """A model behind a server that answers each request with the bytes that come next, and ends them in some way."""
    answers: queue.SimpleQueue[tuple[bytes, str]] = queue.SimpleQueue()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            client, _ = listener.accept()
            with client, suppress(OSError):
                client.recv(1 << 16)
                content, end = answers.get()
                client.sendall(content)
                while end == "endless":
                    client.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
                if end == "reset":
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    threading.Thread(target=serve, daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    server = Server(url=url, api="chat", retries=0, timeout=5)
    costs = dict.fromkeys(("price_in", "price_out", "latency_per_call", "latency_per_token", "latency_per_read"), 1)
    model = Model(backend="openai", path="m", server=server, **costs)
    return answers, ServedLM(model, Sampling(max_step_tokens=8), PLAIN)


def moving_answers(stream: random.Random, folder: Path) -> Case:
    """Bodies that break off, are reset, do not end, or are not what their heads say; every success is billed."""
    body = json.dumps(
        {
            "choices": [{"finish_reason": "stop", "message": {"content": "a"}}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2},
        }
    ).encode()
    end = stream.choices(["close", "reset", "endless"], [60, 38, 2])[0]
    length = stream.choice([len(body), len(body), 0, 1, 5000, 10**12, -1, "x"])
    kind = b"Transfer-Encoding: chunked" if end == "endless" else f"Content-Length: {length}".encode()
    if end != "endless" and stream.random() < 0.3:
        kind, body = b"Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    more = stream.choice([b"", b"", b"", b"", b"\r\nContent-Encoding: gzip", b"\r\nContent-Encoding: br"])
    head = b"HTTP/1.1 200 OK\r\n" + kind + more + b"\r\n\r\n"
    content = bytearray(head + (b"" if end == "endless" else body))
    for _ in range(stream.choice([0, 0, 0, 1, 5])):
        content[stream.randrange(len(content))] = stream.randrange(256)
    billed = content.startswith(head) and end != "reset" and length not in (-1, "x")
    content = content[: stream.randrange(len(content)) if stream.random() < 0.3 else len(content)]
    billed &= len(content) >= len(head)

    def case() -> str:
        answers, model = _moving()
        spent = model._connection._ledger.spent
        answers.put((bytes(content), end))
        outcome = "read"
        try:
            model.next_steps([Prefix("q")], [digest(b"")])
        except TrimError as error:
            outcome = refused(error)
        assert not billed or model._connection._ledger.spent > spent, "a success that is not billed"
        return outcome

    return case


SIGNS = [
    "\\",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ",",
    "=",
    "<",
    "%",
    "^",
    "_",
    "$",
    " ",
    "~",
    "\\frac",
    "\\text{",
    "\\boxed{",
    "\\left",
    "½",
    "π",
    "°",
    "3",
    "12",
    ".5",
    "e9",
    "x",
    "cm",
    "\\pm",
    "\\infty",
    "\\cup",
    "\x00",
    "\u202e",
    "\ud800",
    "\n\n",
    "\\sqrt",
    "10^{9}",
    "!",
    "&",
    "\\\\",
    "\\begin{pmatrix}",
    "\\end{pmatrix}",
    "\\begin{cases}",
    "\\end{cases}",
    "\\text{A, D}",
    "\\text{ for }",
    "\\in",
    "\\mathbb{Z}",
    "\\approx",
    "|",
    "i",
    " a.m.",
]


def answers(stream: random.Random, folder: Path) -> Case:
    """Answers made of pieces of LaTeX."""
    gold, found = ("".join(stream.choices(SIGNS, k=stream.randint(1, 25))) for _ in range(2))
    if stream.random() < 0.2:  # the longest that is read
        words = stream.choices([*SIGNS, "for ", "all ", "numbers ", "and "], k=stream.randint(1, 6))
        found = ("".join(words) * 1000)[:1000]

    def case() -> str:
        number(found)
        boxed(found), is_boxed(found)
        assert equal(gold, gold) is bool(gold.strip()), f"{gold!r} is not itself"
        return "read" if equal(gold, found) is not False else "refused"

    return case


def _gold(stream: random.Random) -> str:
    """A right answer of a kind that rewritings and near misses are made of."""

    def n(largest: int = 999) -> int:
        return stream.randint(2, largest)

    def fraction() -> str:
        top, bottom = stream.sample(range(1, 99), 2)
        return f"{'-' * stream.randrange(2)}{top}/{bottom}"

    match stream.randrange(8):
        case 0:
            return str(n(10 ** stream.randint(1, 400)))
        case 1:
            top, bottom = stream.sample(range(1, 99), 2)
            return rf"\frac{{{top}}}{{{bottom}}}"
        case 2:
            return ", ".join(map(str, stream.sample(range(999), stream.randint(2, 5))))
        case 3:
            return f"({fraction()}, {n()})"
        case 4:
            rows, columns = stream.randint(1, 3), stream.randint(1, 3)
            inside = "\\\\ ".join(" & ".join(fraction() for _ in range(columns)) for _ in range(rows))
            return f"\\begin{{pmatrix}}{inside}\\end{{pmatrix}}"
        case 5:
            return f"{stream.choice('xyk')} = {fraction()}"
        case 6:
            return f"{n(50)}^{{{n()}}}"
        case _:
            return f"{n()}\\sqrt{{{n()}}} + {n()}"


def answer_kinds(stream: random.Random, folder: Path) -> Case:
    """An answer of each kind otherwise written, which must be equal, or a near miss of it, which must not."""
    gold = _gold(stream)
    right = stream.random() < 0.5
    changed = [change(gold) for change in (REWRITINGS if right else NEAR_MISSES).values()]
    found = stream.choice([text for text in changed if text and (right or normalise(text) != normalise(gold))])

    def case() -> str:
        assert bool(equal(gold, found, 0.0, compare)) is right, f"{found!r} against {gold!r}"
        return "read" if right else "refused"

    return case


def long_solutions(stream: random.Random, folder: Path) -> Case:
    """Boxes, open, closed and within one another, through 100 kB of a solution."""
    pieces = ["\\boxed{", "\\boxed ", "\\{", "\\}", "{", "}", "answer as ", "X", "3", ", ", "\\\\", "\n"]
    piece = "".join(stream.choices(pieces, weights=[5] + [1] * (len(pieces) - 1), k=stream.randint(1, 6)))
    text = piece * (100_000 // len(piece))

    def case() -> str:
        return "refused" if boxed(text) is None or not is_boxed(text) or is_open(text) else "read"

    return case


def _flipped(stream: random.Random, path: Path) -> None:
    content = bytearray(path.read_bytes())
    place = stream.randrange(len(content))
    content[place] ^= 1 << stream.randrange(8)
    path.write_bytes(bytes(content) if stream.random() < 0.9 else bytes(content[:place]))


def networks(stream: random.Random, folder: Path) -> Case:
    """One bit of a network's file flipped, or the file cut."""
    arrays = {name: np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32) for name in "ab"}
    path = folder / "network.safetensors"
    write_arrays(path, arrays, {"epoch": 3})
    _flipped(stream, path)

    def case() -> str:
        try:
            found, metadata = read_arrays(path)
        except TrimError as error:
            return refused(error)
        assert metadata == {"epoch": 3} and all((found[name] == arrays[name]).all() for name in arrays), (
            "read as another"
        )
        return "read"

    return case


def calibrations(stream: random.Random, folder: Path) -> Case:
    """One bit of a calibration flipped, or the file cut."""
    path, model = folder / "single.json", published_model()
    model.save(path)
    _flipped(stream, path)

    def case() -> str:
        try:
            found = StepModel.load(path)
        except TrimError as error:
            return refused(error)
        assert all((value == getattr(found, name)).all() for name, value in model.arrays().items()), "read as another"
        return "read"

    return case


def layers(stream: random.Random, folder: Path) -> Case:
    """One bit of a layer of draws flipped, or the file cut."""
    path = folder / "layer.parquet"
    made = [(digest(bytes([i])), Draw(i, f"step {i}", "separator", None)) for i in range(50)]
    draws = Draws()
    draws.put(made)
    draws.export(path)
    _flipped(stream, path)

    def case() -> str:
        try:
            found = Draws([path]).get([key for key, _ in made])
        except TrimError as error:
            return refused(error)
        assert all(one == draw for one, (_, draw) in zip(found, made, strict=True)), "read as another"
        return "read"

    return case


NAMES: list[Any] = [
    "/dev/zero",
    "../outside.csv",
    "a/../summary.csv",
    "\0",
    "summary.csv\0",
    "\ud800",
    ".",
    "a" * 5000,
    "",
]


def manifests(stream: random.Random, folder: Path) -> Case:
    """A run's manifest sealed again with other contents, or pipes and devices among the results."""
    results = folder / f"{stream.random()}"
    (results / "tables").mkdir(parents=True)
    for name in ("summary.csv", "tables/main.md"):
        (results / name).write_text(name)
    make_manifest(results)
    found = read_sealed(results / "manifest.json")
    files, lie = found["files"], stream.randrange(7)
    if lie == 0:
        found["files"] = stream.choice(ODD)
    elif lie == 1:
        files[stream.choice(NAMES)] = stream.choice([files["summary.csv"], *ODD])
    elif lie == 2:
        files[stream.choice(list(files))] = stream.choice(ODD)
    elif lie == 3:
        del files[stream.choice(list(files))]
    elif lie == 4:
        os.mkfifo(results / "tables" / "more.csv")
    elif lie == 5:
        (results / "summary.csv").unlink()
        (results / "summary.csv").symlink_to(stream.choice(["/dev/zero", "nowhere", "summary.csv"]))
    write_sealed(results / "manifest.json", found)

    def case() -> str:
        try:
            faults = [f"{check.what}: {check.detail}" for check in unchanged(results) if check.outcome == "fail"]
        except TrimError as error:
            return refused(error)
        assert bool(faults) == (lie < 6), "a lie that passes" if lie < 6 else f"named without need: {faults}"
        for fault in faults:
            refused(TrimError(printable(fault, 400)))
        return "refused" if faults else "read"

    return case


def terminal_texts(stream: random.Random, folder: Path) -> Case:
    """Texts of models on a terminal."""
    text = "".join(
        chr(
            stream.choice(
                [
                    stream.randrange(0x20),
                    stream.randrange(0x7F, 0xA0),
                    stream.randrange(0x2028, 0x2070),
                    stream.randrange(0x110000),
                ]
            )
        )
        for _ in range(stream.randint(1, 3000))
    )

    def case() -> str:
        shown = printable(text)
        assert all(c.isprintable() or c in "\n\t" for c in shown), "something that a terminal obeys"
        return "read"

    return case


@cache
def _serving() -> tuple[str, int]:
    """Address of a server of the embedded models, in threads of this process until it ends."""
    from trim.serve.server import Options, _listen, _Server, http_config, make_api

    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    api, listening = make_api(Options(store=None, params=ROOT / "params.yaml")), _listen("127.0.0.1", 0)
    server = _Server(http_config(api, 1, log_level="critical"))
    threads = [
        threading.Thread(target=api.scheduler.run, daemon=True),
        threading.Thread(target=server.run, args=([listening],), daemon=True),
    ]
    for thread in threads:
        thread.start()

    def stop() -> None:
        server.should_exit = True
        for thread in threads:
            thread.join(10)

    atexit.register(stop)
    return listening.getsockname()[:2]


def _answered(request: bytes, patience: float = LIMIT) -> tuple[int, bytes]:
    """Status and body of the answer to raw bytes; 0 if there was none, after which the client hangs up."""
    with socket.create_connection(_serving(), timeout=patience) as connection:
        answer = b""
        with suppress(ConnectionError):
            connection.sendall(request)
        with suppress(ConnectionError, TimeoutError):
            while part := connection.recv(1 << 16):
                answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, body


def _hostile_body(stream: random.Random, decision: bool) -> bytes:
    question = "Start with 60, add 90, multiply by 41, add 4, subtract 8."
    body: Any = {"model": "always-weak", "messages": [{"role": "user", "content": question}]}
    more = {"draft": "60 + 90 = 50", "steps": [{"text": "1"}]} if decision else {"stop": "x", "max_tokens": 1, "n": 1}
    body |= more | {"metadata": {"a": "b"}, "user": "u"}
    for _ in range(stream.randint(0, 2)):
        place = stream.choice([place for place in _places(body) if place])
        section = body
        for key in place[:-1]:
            section = section[key]
        section[place[-1]] = stream.choice(
            [*copy.deepcopy(ODD), stream.choice("a1 \n😀") * stream.choice([10**3, 10**5, 2 * 10**5])]
        )
    if stream.random() < 0.2:
        body[stream.choice([odd for odd in ODD if isinstance(odd, str)]) * stream.choice([1, 300])] = 1
    return _json_text(stream, body).encode("utf-8", "surrogatepass")


def hostile_requests(stream: random.Random, folder: Path) -> Case:
    """Requests to the server with odd values, heads and bytes; the next client is answered."""
    _serving()
    decision = stream.random() < 0.3
    body = _hostile_body(stream, decision)
    odd = stream.choice(["", "Host: [::1", "Origin: http://[", "Authorization: Bearer", "Content-Encoding: br"])
    odd = stream.choice(
        [odd, odd, f"X: {'a' * stream.choice([10, 10**5, 10**6])}", "X: a\r\n" * stream.choice([10, 10**5])]
    )
    path = "/v1/decision" if decision else "/v1/chat/completions"
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(body)}\r\n{odd}"
    request = bytearray(head.strip().encode() + b"\r\n\r\n" + body)
    damaged = stream.random() < 0.2
    if damaged:
        for _ in range(stream.randint(1, 9)):
            request[stream.randrange(min(200, len(request)))] = stream.randrange(256)
    if damaged and stream.random() < 0.5:
        del request[stream.randrange(len(request)) :]

    def case() -> str:
        status, answer = _answered(bytes(request), 0.3 if damaged else LIMIT)
        assert status < 500, f"{status}: {answer[:200]!r}"
        live, _ = _answered(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert live == 200, "the next client is not answered"
        if status == 200:
            return "read"
        return refused(Exception(json.loads(answer)["error"]["message"])) if answer[:1] == b"{" else "refused"

    return case


ATTACKS = (
    parameter_files,
    parameter_bombs,
    records,
    problem_files,
    server_answers,
    moving_answers,
    answers,
    answer_kinds,
    long_solutions,
    networks,
    calibrations,
    layers,
    manifests,
    terminal_texts,
    hostile_requests,
)


def attack(kind: Callable[[random.Random, Path], Case], count: int, seed: int = 0) -> tuple[Counter[str], list[str]]:
    """What became of so many cases of a kind, and what was said of those that broke."""
    outcomes: Counter[str] = Counter()
    broken = []
    with tempfile.TemporaryDirectory() as folder:
        for index in range(count):
            case = kind(random.Random(f"{kind.__name__} {seed} {index}"), Path(folder))
            started = time.perf_counter()
            try:
                outcome = case()
                assert time.perf_counter() - started < LIMIT, f"{time.perf_counter() - started:.0f} s"
            except Exception as error:
                outcome = "broken"
                broken.append(f"{kind.__name__} {index}: {type(error).__name__}: {printable(str(error), 200)}")
            outcomes[outcome] += 1
    return outcomes, broken


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="cases of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the cases")
    asked = parser.parse_args()
    print("| what | tried | refused in one line | read as what it is | broke |\n| --- | --- | --- | --- | --- |")
    everything = []
    for kind in ATTACKS:
        outcomes, broken = attack(kind, asked.count, asked.seed)
        cells = (outcomes[key] for key in ("refused", "read", "broken"))
        print(f"| {kind.__name__.replace('_', ' ')} | {asked.count} | {' | '.join(map(str, cells))} |", flush=True)
        everything += broken
    print(*everything, sep="\n", file=sys.stderr)
    return 1 if everything else 0


if __name__ == "__main__":
    sys.exit(main())
