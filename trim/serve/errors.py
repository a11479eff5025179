"""Errors of requests, in OpenAI's form."""

from __future__ import annotations

from typing import Any

from trim.errors import printable


class ApiError(Exception):
    """A request that fails.

    Attributes:
        status: HTTP status.
        message: one line for people.
        code: one word for programs.
        param: the wrong parameter, if any.
        retry_after: seconds until another try makes sense, None if it never does.
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
    """The error for a parameter that is wrong or not supported."""
    return ApiError(400, f"{param}: {message}", "invalid_value", param)
