"""A hub on the loopback address: serves datasets and models from memory, and can fail on purpose."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse


class FakeHub:
    """Repositories as {"datasets/OWNER/NAME": {path: content}}; `fail(path)` may give a status or "drop"."""

    def __init__(self, repositories, fail=lambda path, count: None):
        self.repositories, self.fail, self.seen = repositories, fail, Counter()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_HEAD(self):
                self.do_GET()

            def do_GET(self):
                hub.answer(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request):
        path = unquote(urlparse(request.path).path).strip("/")
        key = f"{request.command} {path}"
        self.seen[key] += 1
        failure = self.fail(path, self.seen[key])
        if failure == "drop":
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)
        elif failure:
            code = "GatedRepo" if failure == 403 else "RepoNotFound"
            self._send(request, failure, b"no", {"X-Error-Code": code} if failure in (401, 403, 404) else {})
        elif path.startswith("api/"):
            self._api(request, path.removeprefix("api/"))
        else:
            self._file(request, path)

    def _api(self, request, path):
        name = "/".join(path.split("/")[:3])
        files = self.repositories.get(name)
        if files is None:
            self._send(request, 404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        if "/tree/" in path:
            rows = [{"type": "file", "path": p, "size": len(c), "oid": "0" * 40} for p, c in files.items()]
            self._send(request, 200, json.dumps(rows).encode())
            return
        revision = path.rsplit("/", 1)[1]
        siblings = [{"rfilename": p, "size": len(c)} for p, c in files.items()]
        answer = {"id": name.split("/", 1)[1], "sha": revision, "siblings": siblings, "private": False}
        self._send(request, 200, json.dumps(answer).encode())

    def _file(self, request, path):
        name, _, rest = path.partition("/resolve/")
        revision, _, file = rest.partition("/")
        found = self.repositories.get(name if name.startswith("datasets/") else f"models/{name}", {}).get(file)
        if found is None:
            self._send(request, 404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        etag = {"ETag": f'"{hashlib.sha256(found).hexdigest()}"', "X-Repo-Commit": revision}
        self._send(request, 200, found, etag)

    @staticmethod
    def _send(request, status, body, headers=()):
        request.send_response(status)
        for name, value in dict(headers).items():
            request.send_header(name, value)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body)
