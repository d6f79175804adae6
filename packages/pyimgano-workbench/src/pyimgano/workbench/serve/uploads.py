"""The image in a request: read within limits, as it arrives."""

from __future__ import annotations

import asyncio
from typing import Any, Optional

from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from pyimgano.workbench.serve.failures import ServiceError

__all__ = ["FIELD", "RAW_TYPES", "Upload", "drain", "read_image_body"]

FIELD = "image"
"""Of a form: the file."""

RAW_TYPES = (
    "image/png",
    "image/jpeg",
    "image/bmp",
    "image/tiff",
    "image/webp",
    "image/jp2",
    "image/x-portable-anymap",
    "application/octet-stream",
)
"""Content types of a body that is the image. They are not compared with what the file turns out to be."""

_FORM_EXTRA = 1 << 16
"""Bytes that a form may have beside its file."""


class Upload:
    """An image file that has come in.

    Attributes
    ----------
    data : bytes
        The file.
    name : str or None
        What the client calls it.
    """

    def __init__(self, data: bytes, name: Optional[str] = None) -> None:
        self.data = data
        self.name = name


async def read_image_body(request: Request, *, max_bytes: int, seconds: float) -> Upload:
    """Return the image that a request brings, as its body or as the field ``image`` of a form.

    Raises
    ------
    ServiceError
        415, 413, 408, 400 or 422; the limit of bytes holds while they arrive, whatever the headers say.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    form = kind == "multipart/form-data"
    if not form and not kind.startswith("image/") and kind != "application/octet-stream":
        raise ServiceError(
            415,
            "unsupported_type",
            f"the content type is {kind or 'not given'!r}",
            allowed="image/*, application/octet-stream, multipart/form-data",
        )
    limited = _Limited(request, max_bytes + (_FORM_EXTRA if form else 0), max_bytes)
    limited.check_declared()
    try:
        read = _read_form(limited, max_bytes) if form else _read_raw(limited)
        upload = await asyncio.wait_for(read, seconds)
    except asyncio.TimeoutError:
        raise ServiceError(408, "too_slow", f"the body did not arrive within {seconds:g} s") from None
    except ClientDisconnect:
        raise ServiceError(400, "incomplete", "the connection ended before the body did") from None
    if not upload.data:
        raise ServiceError(422, "invalid_image", "the file is empty")
    return upload


async def drain(request: Request, *, max_bytes: int) -> None:
    """Read a body that nobody wants and forget it, so that the client is there to hear why; at most for 5 s."""
    limited = _Limited(request, max_bytes, max_bytes)

    async def read() -> None:
        while await limited.part() is not None:
            pass

    try:
        limited.check_declared()
        await asyncio.wait_for(read(), 5.0)
    except (asyncio.TimeoutError, ServiceError, ClientDisconnect):
        return


class _Limited:
    """Passes on a request's body and refuses more than there may be."""

    def __init__(self, request: Request, limit: int, told: int) -> None:
        self.request = request
        self._receive = request.receive
        self._limit = limit
        self._told = told
        self._seen = 0
        self._ended = False

    def check_declared(self) -> None:
        """Refuse a body whose header says that it is too large."""
        declared = self.request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self._limit:
            raise self._too_large()

    def _too_large(self) -> ServiceError:
        # What has not been read would be taken for the next request.
        headers = {"Connection": "close"}
        return ServiceError(
            413, "too_large", "the body is too large", allowed=f"at most {self._told} bytes", headers=headers
        )

    async def receive(self) -> Any:
        """As ASGI's ``receive``."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            if self._seen > self._limit:
                raise self._too_large()
        return message

    async def part(self) -> Optional[bytes]:
        """Return the next bytes; None at the end."""
        if self._ended:
            return None
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self._ended = not message.get("more_body", False)
        part: bytes = message.get("body", b"")
        return part


async def _read_raw(limited: _Limited) -> Upload:
    parts = []
    while (part := await limited.part()) is not None:
        parts.append(part)
    return Upload(b"".join(parts))


async def _read_form(limited: _Limited, max_bytes: int) -> Upload:
    request = Request(limited.request.scope, limited.receive)
    try:
        async with request.form(max_files=1, max_fields=4) as form:
            file = form.get(FIELD)
            if not isinstance(file, UploadFile):
                raise ServiceError(422, "invalid_form", f"the form has no file {FIELD!r}", allowed=f"a file {FIELD!r}")
            data = await file.read()
            name = file.filename
    except HTTPException as error:
        raise ServiceError(400, "invalid_form", str(error.detail)) from error
    except FormParserError as error:  # older versions of starlette pass it on
        raise ServiceError(400, "invalid_form", str(error)) from error
    if len(data) > max_bytes:
        raise ServiceError(413, "too_large", "the file is too large", allowed=f"at most {max_bytes} bytes")
    return Upload(data, name)
