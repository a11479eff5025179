"""What a client is told when a request fails, in OpenAI's form."""

from __future__ import annotations

from typing import Any

from trim.errors import printable


class ApiError(Exception):
    """A request that fails.

    Attributes:
        status: HTTP status.
        message: one line for people.
        code: one word for programs.
        param: the parameter that is wrong, if one is.
        retry_after: seconds after which another try is worth while, None if none is.
    """

    def __init__(
        self, status: int, message: str, code: str, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, printable(" ".join(message.split())), code
        self.param, self.retry_after = param, retry_after

    def body(self) -> dict[str, Any]:
        """The error as JSON."""
        kind = {401: "authentication_error", 429: "rate_limit_error"}.get(
            self.status, "server_error" if self.status >= 500 else "invalid_request_error"
        )
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def refused(param: str, message: str) -> ApiError:
    """A parameter that is wrong, or that this server does not do."""
    return ApiError(400, f"{param}: {message}", "invalid_value", param)
