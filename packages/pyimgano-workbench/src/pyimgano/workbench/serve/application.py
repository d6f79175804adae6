"""The routes of the service."""

from __future__ import annotations

import contextlib
import hmac
import math
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Optional

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.security import APIKeyHeader
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from pyimgano.core.errors import PyimganoError
from pyimgano.core.files import dumps_json
from pyimgano.workbench.inference.inspecting import Inspector
from pyimgano.workbench.inference.sources import Source
from pyimgano.workbench.monitor.monitors import DriftMonitors
from pyimgano.workbench.serve import metrics as exposition
from pyimgano.workbench.serve.answers import AnswerBook
from pyimgano.workbench.serve.bodies import MapKind, inspection_body, picture_of, unscored
from pyimgano.workbench.serve.description import (
    DRIFT,
    INSPECTION,
    MODEL,
    REQUEST_BODY,
    STATUS,
    docs_page,
    responses,
)
from pyimgano.workbench.serve.failures import ServiceError, error_response, json_response, told
from pyimgano.workbench.serve.inspection_queue import Answer, InspectionQueue, Job
from pyimgano.workbench.serve.metrics import Metrics
from pyimgano.workbench.serve.settings import ServeSettings
from pyimgano.workbench.serve.uploads import drain, read_image_body

__all__ = ["make_application"]

_ABOUT = (
    "Inspects images: a score, a threshold, a decision and regions for each. An answer of status 200 is a verdict; any "
    "other answer is none."
)


_PARAMETERS = frozenset(("category", "id", "name", "map", "regions"))


class _Service:
    """What the routes share."""

    def __init__(
        self,
        inspector: Inspector,
        settings: ServeSettings,
        drift: DriftMonitors,
        book: Optional[AnswerBook],
    ) -> None:
        self.inspector = inspector
        self.models = inspector.models
        self.settings = settings
        self.drift = drift
        self.book = book
        self.waiting = 0
        self.stopping = False
        self.metrics = Metrics(
            {"model": self.models.model},
            waiting=lambda: self.waiting,
            limit=settings.queue,
            drift=drift.state,
        )
        self.queue = InspectionQueue(inspector, book=book, drift=drift, inspected=self.metrics.inspected)

    def close(self) -> None:
        """End when everything that was accepted is answered."""
        self.stopping = True
        self.queue.close()
        self.inspector.close()
        if self.book is not None:
            self.book.close()

    def check_key(self, request: Request) -> None:
        """Refuse a request without the key; both of the ways in which it may be sent are good."""
        if self.settings.key is None:
            return
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        given = request.headers.get("x-api-key") or (token.strip() if kind.lower() == "bearer" else "")
        if not hmac.compare_digest(given.encode("latin-1", "replace"), self.settings.key):
            raise ServiceError(
                401,
                "unauthorised",
                "the key is missing or wrong",
                allowed="the header X-API-Key, or Authorization: Bearer",
                headers={"WWW-Authenticate": "Bearer"},
            )

    def check_request(self, category: Optional[str], id: Optional[str], picture: MapKind) -> None:
        """Refuse, before the body is read, what cannot be answered."""
        try:
            self.models.choose(Source("the image", Path("image"), category))
        except PyimganoError as error:
            raise ServiceError(
                422, "invalid_query", error.message, allowed=error.allowed, hint="the parameter 'category'"
            ) from error
        if id is not None and self.book is None:
            raise ServiceError(
                422,
                "invalid_query",
                "ids need records, which this service does not keep",
                hint="start it with --records",
            )
        if picture is not MapKind.none and not self.models.has_maps:
            raise ServiceError(422, "invalid_query", "the model has no anomaly maps", allowed="map=none")

    async def inspect(self, request: Request, job: dict[str, Any]) -> Answer:
        """Read the image of a request and have it inspected."""
        if self.waiting >= self.settings.queue:
            await drain(request, max_bytes=self.settings.max_bytes)
            seconds = max(1, math.ceil(self.waiting * self.queue.pace))
            raise ServiceError(
                429,
                "busy",
                f"{self.waiting} requests wait already",
                hint="send it again after Retry-After",
                headers={"Retry-After": str(seconds)},
            )
        self.waiting += 1
        try:
            upload = await read_image_body(
                request, max_bytes=self.settings.max_bytes, seconds=self.settings.read_seconds
            )
            name = job.pop("name") or upload.name or job["id"] or "image"
            return await self.queue.submit(Job(name, upload.data, **job))
        finally:
            self.waiting -= 1


def make_application(
    inspector: Inspector,
    settings: ServeSettings,
    *,
    drift: DriftMonitors,
    book: Optional[AnswerBook] = None,
) -> FastAPI:
    """Return the service as an ASGI application. It closes ``inspector`` and ``book`` when it ends.

    Parameters
    ----------
    inspector : Inspector
        Loaded.
    settings : ServeSettings
        Its limits; host and port do not matter here.
    drift : DriftMonitors
        See every image.
    book : AnswerBook, optional
        Keeps the records. Without it there are no ids.
    """
    from pyimgano.core.plugins import find_distribution_version

    service = _Service(inspector, settings, drift, book)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.stopping = True
        await run_in_threadpool(service.close)

    app = FastAPI(
        title="pyimgano",
        version=find_distribution_version("pyimgano-workbench") or "unknown",
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        # FastAPI answers /x/ by a redirect to /x; a client that posts would not follow it.
        redirect_slashes=False,
    )
    app.state.service = service
    app.add_exception_handler(ServiceError, told)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _fault)
    _add_inspection(app, service)
    _add_facts(app, service)
    _add_health(app, service)
    return app


def _secured(service: _Service) -> list[Any]:
    """Return what checks the key, and says so in the OpenAPI document where there is one."""

    async def check(request: Request) -> None:
        service.check_key(request)

    guards = [Depends(check)]
    if service.settings.key is not None:
        guards.append(Depends(APIKeyHeader(name="X-API-Key", auto_error=False)))
    return guards


def _errors(service: _Service, *errors: int) -> tuple[int, ...]:
    return errors if service.settings.key is None else (401, *errors)


def _add_inspection(app: FastAPI, service: _Service) -> None:
    categories = service.inspector.categories

    @app.post(
        "/v1/inspect",
        dependencies=_secured(service),
        summary="Inspect one image",
        operation_id="inspect",
        response_class=Response,
        responses=responses(INSPECTION, "The record.", *_errors(service, 400, 408, 409, 413, 415, 422, 429, 500, 503)),
        openapi_extra={"requestBody": REQUEST_BODY},
    )
    async def inspect(
        request: Request,
        category: Optional[str] = Query(
            None if len(categories) == 1 else ...,
            description="Of the image; needed where the model has several.",
            json_schema_extra={"enum": categories},
        ),
        id: Optional[str] = Query(
            None,
            pattern="^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$",
            description="What the client calls this image. Sent again, it is answered with the same record.",
        ),
        name: Optional[str] = Query(
            None, min_length=1, max_length=255, description="What the record calls the image; default: its file's name."
        ),
        map: MapKind = Query(
            MapKind.none, description="png: the image with its heat-map; tiff: the raw map, 32-bit float, source size."
        ),
        regions: bool = Query(True, description="Whether the answer lists the regions; the record that is kept does."),
    ) -> Response:
        """Send the image as the body, or as the file `image` of a form."""
        started = time.perf_counter()
        status = 500
        try:
            _check_names(request)
            service.check_request(category, id, map)
            job = {"name": name, "category": category, "id": id, "maps": map is not MapKind.none}
            answer = await service.inspect(request, job)
            if answer.failed:
                raise unscored(answer)
            picture = None
            if answer.inspected is not None and map is not MapKind.none:
                picture = await run_in_threadpool(picture_of, answer.inspected, map)
            status = 200
            return json_response(inspection_body(answer, picture, regions))
        except ServiceError as error:
            status = error.status
            raise
        finally:
            service.metrics.answered(status, time.perf_counter() - started)


def _check_names(request: Request) -> None:
    """Refuse a parameter that is misspelt: it would be passed over, and the answer be to another question."""
    unknown = [name for name in request.query_params if name not in _PARAMETERS]
    if unknown:
        raise ServiceError(
            422, "invalid_query", f"unknown parameter {unknown[0]!r}", allowed=", ".join(sorted(_PARAMETERS))
        )


def _add_facts(app: FastAPI, service: _Service) -> None:
    models, settings = service.models, service.settings

    @app.get(
        "/v1/model",
        dependencies=_secured(service),
        summary="What is served",
        operation_id="model",
        response_class=Response,
        responses=responses(MODEL, "Model, categories and limits.", *_errors(service)),
    )
    async def model() -> Response:
        cards = {name: models.card(name) for name in service.inspector.categories}
        known = {
            "model": models.model,
            "maps": models.has_maps,
            "max_bytes": settings.max_bytes,
            "max_pixels": settings.max_pixels,
            "categories": [
                {
                    "name": name,
                    "threshold": card.threshold,
                    "review_threshold": card.review_threshold,
                    "pixel_threshold": card.pixel_threshold,
                    "alpha": card.alpha,
                }
                for name, card in cards.items()
            ],
        }
        return json_response(dumps_json(known))

    @app.get(
        "/v1/drift",
        dependencies=_secured(service),
        summary="Whether images and scores still look like those of the calibration",
        operation_id="drift",
        response_class=Response,
        responses=responses(DRIFT, "State of each category's monitor.", *_errors(service)),
    )
    async def drift() -> Response:
        return json_response(dumps_json({"categories": service.drift.state()}))

    @app.get("/metrics", dependencies=_secured(service), include_in_schema=False)
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=exposition.CONTENT_TYPE)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return Response(docs_page(app.openapi()), headers=headers, media_type="text/html")


def _add_health(app: FastAPI, service: _Service) -> None:
    @app.get(
        "/healthz",
        summary="Whether the process answers",
        operation_id="healthz",
        response_class=Response,
        responses=responses(STATUS, "It does."),
    )
    async def healthz() -> Response:
        return json_response('{"status":"ok"}')

    @app.get(
        "/readyz",
        summary="Whether images can be inspected",
        operation_id="readyz",
        response_class=Response,
        responses=responses(STATUS, "They can.", 503),
    )
    async def readyz() -> Response:
        if service.stopping or not service.queue.alive:
            raise ServiceError(503, "not_ready", "the service is stopping")
        if not service.queue.writable:
            raise ServiceError(503, "not_ready", "records cannot be written: is the disk full?")
        return json_response('{"status":"ready"}')


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    allowed = ", ".join(request.app.state.service.inspector.categories) if place == "category" else None
    return error_response(ServiceError(422, "invalid_query", f"{place}: {first['msg']}", allowed=allowed))


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "not_allowed"}.get(error.status_code, "refused")
    return error_response(ServiceError(error.status_code, code, str(error.detail), headers=error.headers))


async def _fault(_: Request, error: Exception) -> Response:
    return error_response(ServiceError(500, "internal", f"a fault of the service: {type(error).__name__}"))
