"""Requests that are no requests: one answer in one line, and the next client is served as before."""

import json
import socket
import threading
import time
from contextlib import suppress

import pytest
from fakes.serving import QUESTION, serving


@pytest.fixture(scope="module")
def server():
    with serving() as started:
        yield started


def sent_raw(server, data, ends=True):
    """The status that raw bytes are answered with, and the answer; None if there is none."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        with suppress(ConnectionError):
            connection.sendall(data)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        with suppress(ConnectionError):
            while part := connection.recv(1 << 16):
                answer += part
    return (int(answer.split()[1]) if answer else None), answer


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ("Host: [::1", 403),
        ("Host: [zz]:80", 403),
        ("Host: 127.0.0.1\r\nOrigin: http://[", 403),
        ("Host: 127.0.0.1\r\nX: " + "a" * (1 << 20), 431),
        ("Host: 127.0.0.1\r\n" + "\r\n".join(f"X{i}: a" for i in range(20_000)), 431),
        ("Host: 127.0.0.1\r\nX: " + "a" * 30_000, 200),
    ],
)
def test_heads_are_read_up_to_a_limit(server, lines, status):
    head = f"GET /v1/models HTTP/1.1\r\nConnection: close\r\n{lines}\r\n\r\n"
    assert sent_raw(server, head.encode(), ends=False)[0] == status
    assert server.client.get("/health/ready").status_code == 200


def test_bytes_that_are_no_body_have_a_limit_wherever_they_are(server):
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert sent_raw(server, head + b"1;" + b"x" * 100_000)[0] == 431
    assert sent_raw(server, head + b"1\r\nx\r\n0\r\nTrailer: " + b"x" * 100_000)[0] in (400, 431)
    assert sent_raw(server, b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n")[0] == 431


def test_many_small_requests_on_a_connection_are_no_large_head(server):
    one = b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 1000 + b"\r\n\r\n"
    last = one.replace(b"Host", b"Connection: close\r\nHost")
    assert sent_raw(server, one * 100 + last, ends=False)[1].count(b"HTTP/1.1 200") == 101


def test_who_hangs_up_while_sending_is_counted_as_gone(server, caplog):
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc"
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head)
    for _ in range(100):
        if 'status="499"' in server.client.get("/metrics").text:
            break
        time.sleep(0.05)
    assert 'status="499"' in server.client.get("/metrics").text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"draft": "1 " * 20_000}, "draft"),
        ({"draft": "1 " * 4000}, "messages"),
        ({"draft": "1", "steps": [{"text": "1 " * 20_000}]}, "steps"),
        ({"draft": "1", "steps": [{"text": "1", "writer": "strong", "draft": "1 " * 20_000}]}, "steps"),
        ({"draft": "1", "steps": [{"text": "1"}] * 30}, "steps"),
        ({"draft": "1", "steps": [{"text": "1 " * 100}] * 29}, "messages"),
    ],
)
def test_a_solution_that_no_model_would_write_gets_no_verdict(server, more, param):
    body = {"model": "trim-thr@0.9", "messages": [{"role": "user", "content": QUESTION}]} | more
    response = server.client.post("/v1/decision", json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


def test_one_large_request_does_not_stop_the_others(server):
    body = {"messages": [{"role": "user", "content": QUESTION}]}
    large = [
        ("/v1/decision", body | {"model": "trim-thr@0.9", "draft": "1 " * 100_000}),
        ("/v1/chat/completions", body | {"model": "always-weak", "stop": "a" * 250_000}),
        ("/v1/chat/completions", body | {"model": "always-weak", "stop": ["ab" * 250] * 4, "seed": 1}),
    ]
    server.ask()
    for path, content in large:
        thread = threading.Thread(target=server.client.post, args=(path,), kwargs={"content": json.dumps(content)})
        thread.start()
        began = time.monotonic()
        assert server.ask().status_code == 200
        assert time.monotonic() - began < 5
        thread.join()
