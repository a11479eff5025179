"""The server against `trim solve` on the same questions, and under a load that lasts."""

from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2 as httpx

from trim.problems.generated import generate
from trim.solve import Solution, Solver

MODEL = "trim-budget@0.2"


@contextmanager
def served(*arguments: str) -> Iterator[tuple[int, str]]:
    """A server process in an empty folder; gives its number and its address."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w+") as log:
        command = [Path(sys.executable).with_name("trim"), "serve", "--port", "0", *arguments]
        process = subprocess.Popen(command, cwd=folder, stderr=log)
        try:
            while not (found := re.search(r"http://[\d.]+:\d+", Path(log.name).read_text())):
                time.sleep(0.1)
            yield process.pid, found[0]
        finally:
            process.terminate()
            process.wait(60)


def questions(count: int, seed: int) -> list[str]:
    """Questions of the first benchmark."""
    return [problem.question for problem in generate("standard", {"test": count}, seed)]


async def _ask(client: httpx.AsyncClient, question: str) -> tuple[str, int]:
    body = {"model": MODEL, "messages": [{"role": "user", "content": question}]}
    answer = (await client.post("/v1/chat/completions", json=body)).json()
    return answer["choices"][0]["message"]["content"], answer["usage"]["completion_tokens"]


def load(url: str, asked: Sequence[str], clients: int) -> tuple[list[str], int, float]:
    """Texts, tokens and seconds of questions that clients ask one after another, each with one under way."""
    return asyncio.run(_load(url, asked, clients))


async def _load(url: str, asked: Sequence[str], clients: int) -> tuple[list[str], int, float]:
    texts, tokens = [""] * len(asked), 0
    start = time.perf_counter()
    async with httpx.AsyncClient(base_url=url, timeout=300, limits=httpx.Limits(max_connections=None)) as client:
        waiting = iter(range(len(asked)))

        async def one() -> None:
            nonlocal tokens
            for index in waiting:
                texts[index], written = await _ask(client, asked[index])
                tokens += written

        await asyncio.gather(*(one() for _ in range(clients)))
    return texts, tokens, time.perf_counter() - start


def solved(asked: Sequence[str], at_once: int) -> tuple[list[str], int, float]:
    """The same by `trim solve`, so many questions in one batch."""
    solver, solutions = Solver.load(), list[Solution]()
    solver(questions(2, 1))  # the models are loaded
    start = time.perf_counter()
    for first in range(0, len(asked), at_once):
        solutions += solver(asked[first : first + at_once])
    spent = time.perf_counter() - start
    steps = [step for solution in solutions for step in solution.steps]
    tokens = sum(step.tokens + (step.draft_tokens if step.writer == "strong" else 0) for step in steps)
    return ["\n\n".join(step.text for step in solution.steps) for solution in solutions], tokens, spent


def against_solve(url: str, asked: Sequence[str]) -> tuple[float, float]:
    """Tokens a second of 64 clients over those of `trim solve` in batches of 64, and of all in one batch."""
    texts, tokens, in_batches = solved(asked, 64)
    answers, served, spent = load(url, asked, 64)
    assert served == tokens and answers == texts
    return in_batches / spent, solved(asked, len(asked))[2] / spent


def metric(url: str, name: str) -> float:
    """A metric of a server, summed over its labels."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"{name}[ {{]", line))


def resident(process: int) -> float:
    """Resident memory in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1e3


def first_step(client: httpx.Client, question: str) -> float:
    """Seconds until a stream tells its first step; it is read to its end, so that the next one finds nobody there."""
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": question}]}
    start, told = time.perf_counter(), list[float]()
    with client.stream("POST", "/v1/chat/completions", json=body) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: {") and "step" in json.loads(line[6:]).get("trim", {}):
                told.append(time.perf_counter() - start)
    return told[0]


def bare_step(solver: Solver, question: str) -> float:
    """Seconds until `trim solve` has its first step."""
    start, first = time.perf_counter(), list[float]()
    solver([question], lambda episode: first or first.append(time.perf_counter() - start))
    return first[0]


async def _disturb(url: str, asked: Sequence[str], number: int, until: asyncio.Event) -> None:
    """A client that hangs up at some moment, reads slowly, or sends what is no request, again and again."""
    rng = random.Random(number)
    while not until.is_set():
        with suppress(OSError, httpx.HTTPError):
            kind = rng.choice(("hang up", "hang up", "hang up", "slow", "malformed", "huge", "half"))
            body = json.dumps(
                {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": rng.choice(asked)}]}
            )
            if kind in ("malformed", "huge"):
                content = body[: rng.randrange(len(body))] if kind == "malformed" else "x" * (4 << 20)
                async with httpx.AsyncClient(base_url=url, timeout=5) as client:
                    await client.post("/v1/chat/completions", content=content)
                continue
            host, port = url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
            sent = (head + body).encode()
            writer.write(sent[: rng.randrange(1, len(sent))] if kind == "half" else sent)
            await writer.drain()
            for _ in range(40 if kind == "slow" else 0):
                await reader.read(20)
                await asyncio.sleep(0.05)
            await asyncio.sleep(rng.random() * 0.5)
            writer.transport.abort()


def disturbed(url: str, asked: Sequence[str], clients: int, disturbers: int) -> tuple[list[str], float]:
    """Texts and seconds of questions that clients ask while others disturb."""

    async def work() -> tuple[list[str], float]:
        until = asyncio.Event()
        others = [asyncio.create_task(_disturb(url, questions(200, 33), i, until)) for i in range(disturbers)]
        await asyncio.sleep(1)
        texts, _, spent = await _load(url, asked, clients)
        until.set()
        await asyncio.gather(*others)
        return texts, spent

    return asyncio.run(work())
