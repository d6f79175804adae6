"""What a client is told when it does not get what it asked for: always the same shape, and never a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from starlette.requests import Request
from starlette.responses import Response

from pyimgano.core.errors import PyimganoError
from pyimgano.core.files import dumps_json

__all__ = ["ERROR_SCHEMA", "ServiceError", "error_response", "json_response"]

ERROR_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "string", "description": "What kind of error, for programs."},
                "message": {"type": "string", "description": "What was wrong, for people."},
                "allowed": {"type": ["string", "null"], "description": "What would have been accepted."},
                "hint": {"type": ["string", "null"], "description": "What to do next."},
            },
            "required": ["code", "message", "allowed", "hint"],
            "additionalProperties": False,
        }
    },
    "required": ["error"],
    "additionalProperties": False,
}
"""Of the body of every answer but those with a status of 2xx."""

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class ServiceError(PyimganoError):
    """Why a request is not answered with a record.

    Parameters
    ----------
    status : int
        HTTP status.
    code : str
        For programs; stays as it is from version to version.
    headers : mapping, optional
        Further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        allowed: Optional[str] = None,
        hint: Optional[str] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> None:
        super().__init__(message, allowed=allowed, hint=hint)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})


def json_response(text: str, status: int = 200, headers: Optional[Mapping[str, str]] = None) -> Response:
    """Return an answer whose body is the JSON ``text``."""
    data = text.encode("utf-8", "backslashreplace")
    return Response(data, status, {**_HEADERS, **(headers or {})}, "application/json")


def error_response(error: ServiceError) -> Response:
    """Return the answer that tells of an error."""
    told = {"code": error.code, "message": error.message, "allowed": error.allowed, "hint": error.hint}
    return json_response(dumps_json({"error": told}), error.status, error.headers)


async def told(_: Request, error: Exception) -> Response:
    """Answer a request that raised a :class:`ServiceError`."""
    assert isinstance(error, ServiceError)
    return error_response(error)
