"""An OpenAI-compatible server on the loopback address that fails in every way a real one does."""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Heads of answers that break off, with what comes of their bodies.
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BROKEN = {
    "nothing": HEAD + b"Content-Length: 100\r\n\r\n",
    "short": HEAD + b'Content-Length: 5000\r\n\r\n{"choices": ',
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{",
    "no chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{",
    "reset": HEAD + b"Content-Length: 5000\r\n\r\n{",
    "endless": HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
}


class FakeServer:
    """Answers a chat by a hash of it; `faults` are used up one a request.

    A fault is a status, alone or with an answer, "drop", "truncate", "malformed", "empty", "gzip", "huge", "drip" (a
    byte now and then), one of `BROKEN`, an address to redirect to, a number of seconds to wait, the bytes of an answer,
    or an answer or a choice as a dictionary. A server that `trims` has a chat template that trims the open turn; one
    with a `context` refuses longer requests.
    """

    def __init__(self, faults=(), tag=None, trims=False, context=None, max_tokens="max_tokens"):
        self.faults, self.tag, self.trims, self.context = list(faults), tag, trims, context
        self.max_tokens = max_tokens
        self.answered, self.requests = [], []
        self.open = self.most_open = 0
        self.lock = threading.Lock()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if body.get("max_tokens") == 1 and "seed" not in body and "messages" in body:
                    return fake.probed(self, body)
                with fake.lock:
                    fake.requests.append((self.path, body, self.headers.get("Authorization")))
                    fake.open += 1
                    fake.most_open = max(fake.open, fake.most_open)
                    fault = fake.faults.pop(0) if fake.faults else None
                try:
                    fake.answer(self, body, fault)
                except (BrokenPipeError, ConnectionResetError):
                    pass
                finally:
                    with fake.lock:
                        fake.open -= 1

        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/v1"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def probed(self, request, body):
        turn = body["messages"][-1]["content"]
        length = len(turn.strip() if self.trims else turn)
        usage = {"prompt_tokens": length, "completion_tokens": 1}
        self._send(request, 200, json.dumps({"choices": [], "usage": usage}).encode())

    def refusal(self, body):
        """What a strict server says of a request that it cannot serve."""
        if self.max_tokens not in body and "messages" in body:
            return f"Unsupported parameter: 'max_tokens' is not supported here. Use '{self.max_tokens}' instead."
        length = len(str(body.get("messages") or body.get("prompt") or body.get("input")))
        if self.context and length + body.get(self.max_tokens, 0) > self.context:
            return f"This model's maximum context length is {self.context} tokens. However, you requested more."
        return None

    def answer(self, request, body, fault):
        if refused := self.refusal(body):
            self._send(request, 400, json.dumps({"error": {"message": refused}}).encode())
            return
        if isinstance(fault, str) and fault.startswith("http"):
            request.send_response(307)
            request.send_header("Location", fault)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if isinstance(fault, bytes):
            self._send(request, 200, fault)
            return
        if isinstance(fault, str) and fault in BROKEN:
            self._break_off(request, fault)
            return
        if isinstance(fault, tuple):
            self._send(request, fault[0], json.dumps(fault[1]).encode())
            return
        if fault == "drop":
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)
            return
        if type(fault) is int and fault >= 400:
            self._send(request, fault, json.dumps({"error": {"message": f"no: {request.headers}"}}).encode())
            return
        if isinstance(fault, float):
            time.sleep(fault)
        made = self._scores(body) if request.path == "/pooling" else self._text(request.path, body)
        if isinstance(fault, dict):
            made = fault if "usage" in fault or "error" in fault or not fault else {**made, "choices": [fault]}
        whole = json.dumps(made).encode()
        if fault == "gzip":
            self._send(request, 200, gzip.compress(b" " * 10_000_000 + whole), encoding="gzip")
            return
        if fault == "huge":
            whole += b" " * (70 << 20)
        if fault == "drip":
            request.send_response(200)
            request.send_header("Content-Length", str(len(whole)))
            request.end_headers()
            for byte in whole:
                request.wfile.write(bytes([byte]))
                request.wfile.flush()
                time.sleep(0.05)
            return
        if fault == "malformed":
            whole = whole[: len(whole) // 2]
        if fault == "empty":
            whole = b"{}"
        if fault == "truncate":
            request.close_connection = True
            self._send(request, 200, whole[:-20], len(whole))
            return
        self._send(request, 200, whole)
        with self.lock:
            self.answered.append(body)

    def _text(self, path, body):
        if "prompt_logprobs" in body:
            return self._likelihoods(body)
        if "logprobs" in body:
            return self._most_probable(body)
        asked = json.dumps([body.get("messages"), body.get("prompt"), body.get("seed")])
        word = hashlib.sha256(asked.encode()).hexdigest()[:6]
        choice = {"index": 0, "finish_reason": "stop", "stop_reason": "\n\n"}
        choice |= {"text": word} if path.endswith("/completions") and "prompt" in body else {
            "message": {"role": "assistant", "content": word}
        }  # fmt: skip
        usage = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
        return {"id": "x", "object": "o", "created": 0, "model": body["model"], "choices": [choice], "usage": usage}

    def _likelihoods(self, body):
        """Each token's log-probability is a hundredth of its negative id."""
        found = [None, *({str(token): {"logprob": -token / 100}} for token in body["prompt"][1:])]
        choice = {"index": 0, "finish_reason": "length", "text": "", "prompt_logprobs": found}
        usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": 1, "total_tokens": 0}
        return {"id": "x", "object": "o", "created": 0, "model": body["model"], "choices": [choice], "usage": usage}

    def _most_probable(self, body):
        """As many tokens of equal probability as the prompt is long, and one that has none."""
        most = {f"t{i}": -1.0 for i in range(len(body["prompt"]) % 7 + 1)} | {"none": -1e4}
        choice = {"index": 0, "finish_reason": "length", "text": "", "logprobs": {"top_logprobs": [most]}}
        usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": 1, "total_tokens": 0}
        return {"id": "x", "object": "o", "created": 0, "model": body["model"], "choices": [choice], "usage": usage}

    def _scores(self, body):
        tokens = body["input"]
        at = range(len(tokens)) if self.tag is None else [i for i, token in enumerate(tokens) if token == self.tag]
        return {"data": [{"data": [[0.0, i / 10] for i in at]}], "usage": {"prompt_tokens": len(tokens)}}

    @staticmethod
    def _break_off(request, fault):
        request.close_connection = True
        request.wfile.write(BROKEN[fault])
        request.wfile.flush()
        while fault == "endless":
            request.wfile.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        if fault == "reset":
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.connection.close()
        else:
            request.connection.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _send(request, status, body, length=None, encoding=None):
        request.send_response(status)
        if encoding:
            request.send_header("Content-Encoding", encoding)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(length or len(body)))
        request.end_headers()
        request.wfile.write(body)
        request.wfile.flush()
