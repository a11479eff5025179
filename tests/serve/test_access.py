"""Names that the server is called by, pages that ask it, and paths that clients take by mistake."""

import gzip
import json
import re

import pytest
from fakes.serving import QUESTION, serving
from typer.testing import CliRunner

from trim.cli import app
from trim.errors import TrimError
from trim.serve.access import Access
from trim.serve.errors import ApiError
from trim.serve.settings import KEY

PAGE = "http://localhost:5173"
SECRET = "k" * 20


@pytest.fixture(scope="module")
def server():
    with serving(access=Access(("host.docker.internal",), (PAGE,))) as started:
        yield started


@pytest.fixture(scope="module")
def with_key():
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(KEY, SECRET)
        with serving() as started:
            yield started


def error(response):
    return response.json()["error"]["message"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "LOCALHOST", "[::1]:8000", "host.docker.internal:80"])
def test_names_of_this_machine_are_served(host):
    Access(("host.docker.internal",)).check(host, None)


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "[::1", "[zz]:80", "::1", "[", "a" * 9999],
)
def test_other_names_are_refused_with_a_cure(host):
    with pytest.raises(ApiError, match="--allow-host NAME") as refused:
        Access().check(host, None)
    assert refused.value.status == 403
    assert len(refused.value.message) < 250


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "", "http://[", "http://127.0.0.1:9000", "http://127.0.0.1:8000.evil.example"],
)
def test_pages_of_other_sites_are_refused_with_a_cure(origin):
    with pytest.raises(ApiError, match="--allow-origin ORIGIN") as refused:
        Access(origins=(PAGE,)).check("127.0.0.1:8000", origin)
    assert refused.value.status == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"hosts": ("http://a",)},
        {"hosts": ("a:80",)},
        {"hosts": ("",)},
        {"hosts": ("A",)},
        {"hosts": ("[",)},
        {"origins": ("*",)},
        {"origins": ("localhost:5173",)},
        {"origins": ("http://*.example",)},
        {"origins": ("http://localhost:5173/",)},
        {"origins": ("null",)},
        {"origins": ("http://[",)},
    ],
)
def test_what_is_no_host_and_no_origin_is_refused_at_the_start(wrong):
    ((name, (value,)),) = wrong.items()
    with pytest.raises(TrimError, match=re.escape(f"--allow-{name[:-1]} '{value}'")):
        Access(**wrong)
    result = CliRunner().invoke(app, ["serve", f"--allow-{name[:-1]}", value])
    assert result.exit_code != 0


def test_an_allowed_page_asks_as_a_browser_does(server):
    wanted = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    asked = server.client.options(
        "/v1/chat/completions", headers=wanted | {"Access-Control-Request-Headers": "authorization,x-stainless-os"}
    )
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == PAGE
    assert "x-stainless-os" in asked.headers["access-control-allow-headers"]
    answered = server.ask(headers={"Origin": PAGE, "Host": "host.docker.internal:8000"})
    assert answered.status_code == 200
    assert answered.headers["access-control-allow-origin"] == PAGE
    assert "x-trim-model" in answered.headers["access-control-expose-headers"].lower()
    other = server.ask(headers={"Origin": "http://localhost:5174"})
    assert other.status_code == 403
    assert "access-control-allow-origin" not in other.headers


def test_without_the_option_no_browser_lets_a_page_read(with_key):
    headers = {"Origin": PAGE, "Authorization": f"Bearer {SECRET}"}
    assert "access-control-allow-origin" not in with_key.ask(headers=headers).headers
    wanted = headers | {"Access-Control-Request-Method": "POST"}
    assert with_key.client.options("/v1/chat/completions", headers=wanted).status_code == 405


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "trim.example.org"},
        {"Host": "trim.example.org", "Origin": "https://trim.example.org"},
        {"Host": "127.0.0.1:8000", "Origin": "https://trim.example.org"},
    ],
)
def test_a_server_with_a_key_works_behind_a_proxy(with_key, headers):
    assert with_key.client.get("/", headers=headers).status_code == 200
    assert with_key.ask(headers=headers | {"Authorization": f"Bearer {SECRET}"}).status_code == 200
    assert with_key.ask(headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("path", "cure"),
    [
        ("/v1/responses", "/v1/chat/completions"),
        ("/v1/completions", "/v1/chat/completions"),
        ("/v1/v1/chat/completions", "use /v1/chat/completions; base_url ends in one /v1"),
        ("/v1/v1/responses", "/v1/chat/completions"),
        ("/chat/completions", "use /v1/chat/completions; base_url ends in one /v1"),
        ("/v1//chat/completions", "use /v1/chat/completions"),
        ("/v1/v1/models", "use /v1/models"),
        ("/models", "use /v1/models"),
        ("/v1/embeddings", "there are /v1/chat/completions, /v1/models, /v1/decision"),
        ("/v1", "there are /v1/chat/completions"),
        ("/" + "v1/" * 10_000, "there are /v1/chat/completions"),
    ],
)
def test_a_wrong_path_says_which_is_right(server, path, cure):
    for method in ("GET", "POST"):
        response = server.client.request(method, path)
        assert response.status_code == 404
        assert cure in error(response)
        assert len(error(response)) < 300


def test_every_model_of_the_list_is_found_by_its_id(server):
    listed = server.client.get("/v1/models").json()["data"]
    assert len(listed) > 10
    for model in listed:
        assert server.client.get(f"/v1/models/{model['id']}").json() == model


def test_a_compressed_body_is_refused_by_its_header(server):
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": QUESTION}]}).encode()
    response = server.client.post(
        "/v1/chat/completions", content=gzip.compress(body), headers={"Content-Encoding": "gzip"}
    )
    assert response.status_code == 415
    assert "Content-Encoding 'gzip'" in error(response)
    plain = server.client.post("/v1/chat/completions", content=body, headers={"Content-Encoding": "identity"})
    assert plain.status_code == 200
