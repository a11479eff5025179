"""`trim serve` as a process: starting, stopping, being killed."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress

import httpx2 as httpx
import pytest

from trim.problems.generated import generate

pytestmark = pytest.mark.slow

TRIM = [sys.executable, "-c", "from trim.cli import main; main()"]
QUESTIONS = [problem.question for problem in generate("long", {"test": 60}, 81)]


@contextmanager
def command(folder, *arguments):
    """A server process, once it listens, and a client of it."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    line = [*TRIM, "serve", "--port", "0", *arguments]
    process = subprocess.Popen(line, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        said = process.stderr.readline() + process.stderr.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert url, said + process.stderr.read()
        with httpx.Client(base_url=url[0], timeout=60) as client:
            yield process, client
    finally:
        process.kill()
        process.wait()


def body(question, **more):
    return {"model": "always-strong", "messages": [{"role": "user", "content": question}], **more}


def made(client):
    """Steps that models made so far."""
    found = re.findall(r"^trim_made_total.* ([\d.]+)$", client.get("/metrics").text, re.MULTILINE)
    return sum(map(float, found))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_under_way_is_finished_before_it_stops(tmp_path, number):
    with command(tmp_path) as (process, client):
        texts = {}

        def ask(index):
            with client.stream("POST", "/v1/chat/completions", json=body(QUESTIONS[index], stream=True)) as stream:
                texts[index] = "".join(stream.iter_text())

        threads = [threading.Thread(target=ask, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        while made(client) < 16:
            time.sleep(0.01)
        process.send_signal(number)
        for thread in threads:
            thread.join()
        assert all(text.endswith("data: [DONE]\n\n") for text in texts.values())
        assert process.wait(30) == 0
        assert "Traceback" not in process.stderr.read()


def test_after_a_kill_finished_steps_are_not_made_again(tmp_path):
    with command(tmp_path) as (process, client):
        wholes = [client.post("/v1/chat/completions", json=body(q)).json()["choices"] for q in QUESTIONS[:3]]
        threading.Thread(target=lambda: _quietly(client, body(QUESTIONS[5])), daemon=True).start()
        before = made(client)
        while made(client) < before + 3:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with command(tmp_path) as (_, client):
        for question, whole in zip(QUESTIONS, wholes):
            answer = client.post("/v1/chat/completions", json=body(question)).json()
            assert answer["choices"] == whole
        # Only the last steps of the one that was cut off are new.
        assert made(client) == 0
        last = client.post("/v1/chat/completions", json=body(QUESTIONS[5])).json()
        assert 0 < made(client) <= len(last["trim"]["steps"]) - 3


def _quietly(client, content):
    with suppress(httpx.HTTPError):
        client.post("/v1/chat/completions", json=content)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "TRIM_API_KEY"),
        (["--router", "nope"], "nope"),
        (["--router", "oracle"], "oracle"),
        (["--setting", "tau=7"], "trim-budget@0.2"),
        (["--keys", "missing.yaml"], "missing.yaml"),
        (["--params", "missing.yaml"], "missing.yaml"),
        (["--benchmark", "nope"], "nope"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, arguments, message):
    line = [*TRIM, "serve", *arguments]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_port_that_is_taken_is_told(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        line = [*TRIM, "serve", "--port", port, "--in-memory"]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"127.0.0.1:{port}" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_content_is_logged_only_when_asked(tmp_path):
    for arguments, logged in (([], False), (["--log-content"], True)):
        with command(tmp_path, *arguments) as (process, client):
            client.post("/v1/chat/completions", json=body(QUESTIONS[0]))
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            assert (json.dumps(QUESTIONS[0]) in process.stderr.read()) == logged
