"""Allowed host names of a server, and allowed origins of requests."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from trim.errors import TrimError
from trim.section import shown
from trim.serve.errors import ApiError

_NOWHERE = SplitResult("", "", "", "", "")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
_EXPOSED = ("Retry-After", *(f"X-Trim-{name}" for name in ("Model", "Request-Id", "Router", "Setting", "Strong-Share")))


@dataclass(frozen=True)
class Access:
    """Protects a server without a key from pages of other sites, which browsers allow to send requests to this machine.

    A server with a key needs no such protection: other sites' pages do not have the key.

    Attributes:
        hosts: names, beside those of this machine, in the Host header.
        origins: sites whose pages may send requests and read the answers, by CORS.

    Raises:
        TrimError: if a host is no name, or an origin is malformed.
    """

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for host in self.hosts:
            if host != _parts(f"//{host}").hostname:
                raise TrimError(f"--allow-host {shown(host)}: write the name alone, such as host.docker.internal")
        for origin in self.origins:
            scheme, host = _parts(origin)[:2]
            if not (scheme and host) or origin != f"{scheme}://{host}" or "*" in origin:
                raise TrimError(f"--allow-origin {shown(origin)}: write scheme and host, such as http://localhost:5173")

    @property
    def middleware(self) -> list[Middleware]:
        """The answers to browsers' preflight requests."""
        if not self.origins:
            return []
        cors = Middleware(
            CORSMiddleware,
            allow_origins=self.origins,
            allow_methods=("GET", "POST"),
            allow_headers=("*",),
            expose_headers=_EXPOSED,
            allow_private_network=True,
        )
        return [cors]

    def check(self, host: str, origin: str | None) -> None:
        """Refuse a request to a server without a key by its Host and Origin headers.

        Raises:
            ApiError: if it is for another machine, or from a page of another site.
        """
        if _parts(f"//{host}").hostname not in (*LOOPBACK, *self.hosts):
            cure = "`trim serve --allow-host NAME` or a key (TRIM_API_KEY) allows it"
            raise ApiError(403, f"host {shown(host)} is not this machine; {cure}", "forbidden")
        if origin is not None and origin not in self.origins and _parts(origin).netloc != host:
            cure = "`trim serve --allow-origin ORIGIN` or a key (TRIM_API_KEY) allows it"
            raise ApiError(403, f"a page of {shown(origin)} may not ask here; {cure}", "forbidden")


def _parts(address: str) -> SplitResult:
    """The parts of an address, all empty if it is none."""
    try:
        parts = urlsplit(address)
        return parts if parts.hostname else _NOWHERE
    except ValueError:
        return _NOWHERE
