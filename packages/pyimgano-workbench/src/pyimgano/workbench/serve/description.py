"""What the service says of itself: the parts of its OpenAPI document that are ours, and a page that shows it."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from pyimgano.core.files import dumps_json
from pyimgano.workbench.schemas.drift import window_schema
from pyimgano.workbench.schemas.records import per_image_schema
from pyimgano.workbench.serve.failures import ERROR_SCHEMA
from pyimgano.workbench.serve.uploads import FIELD, RAW_TYPES

__all__ = ["DRIFT", "INSPECTION", "MODEL", "REQUEST_BODY", "STATUS", "docs_page", "responses"]

REQUEST_BODY: Mapping[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    FIELD: {"type": "string", "format": "binary", "minLength": 1, "description": "The file."}
                },
                "required": [FIELD],
                "additionalProperties": False,
            },
            "encoding": {FIELD: {"contentType": ", ".join(RAW_TYPES)}},
        },
        **{kind: {"schema": {"type": "string", "format": "binary", "minLength": 1}} for kind in RAW_TYPES},
    },
}

INSPECTION: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "repeated": {"type": "boolean", "description": "Whether the record was there before, by its id."},
        "record": {**per_image_schema(), "description": "With score and decision."},
        "map": {
            "anyOf": [
                {"type": "null"},
                {
                    "type": "object",
                    "properties": {
                        "type": {"type": "string", "enum": ["image/png", "image/tiff"]},
                        "base64": {"type": "string", "contentEncoding": "base64"},
                    },
                    "required": ["type", "base64"],
                    "additionalProperties": False,
                },
            ],
        },
    },
    "required": ["repeated", "record", "map"],
    "additionalProperties": False,
}

STATUS: Mapping[str, Any] = {
    "type": "object",
    "properties": {"status": {"type": "string", "enum": ["ok", "ready"]}},
    "required": ["status"],
    "additionalProperties": False,
}

_NUMBER_OR_NULL = {"type": ["number", "null"]}

MODEL: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "model": {"type": "string"},
        "maps": {"type": "boolean", "description": "Whether there are anomaly maps."},
        "max_bytes": {"type": "integer", "minimum": 1},
        "max_pixels": {"type": "integer", "minimum": 1},
        "categories": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "threshold": {"type": "number"},
                    "review_threshold": _NUMBER_OR_NULL,
                    "pixel_threshold": _NUMBER_OR_NULL,
                    "alpha": {"type": "number"},
                },
                "required": ["name", "threshold", "review_threshold", "pixel_threshold", "alpha"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["model", "maps", "max_bytes", "max_pixels", "categories"],
    "additionalProperties": False,
}

_WHOLE = {"type": "integer", "minimum": 0}

DRIFT: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "categories": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {
                    "window": {**_WHOLE, "description": "Images that are compared at once."},
                    "alpha": {"type": "number", "description": "Probability of a false alarm in a window, at most."},
                    "gathered": {**_WHOLE, "description": "Images in the window that is being filled."},
                    "windows": {**_WHOLE, "description": "Windows that were compared."},
                    "alarms": {**_WHOLE, "description": "Of them, those that drifted."},
                    "expected_false_alarms": {"type": "number", "minimum": 0},
                    "latest": {"anyOf": [{"type": "null"}, window_schema()]},
                },
                "required": ["window", "alpha", "gathered", "windows", "alarms", "expected_false_alarms", "latest"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["categories"],
    "additionalProperties": False,
}

_WHY = {
    400: "The form is broken, or the connection ended.",
    401: "The key is missing or wrong.",
    408: "The body took too long to arrive.",
    409: "The id is that of another image.",
    413: "The body is larger than is taken.",
    415: "The content type is none that is taken.",
    422: "The image cannot be read, claims too many pixels or does not fit; or a parameter is not valid.",
    429: "As many requests wait as may; Retry-After says for how long, in seconds.",
    500: "A fault of the model or the service.",
    503: "Not ready, or the record cannot be written.",
}


def responses(schema: Mapping[str, Any], description: str, *errors: int) -> dict[int, dict[str, Any]]:
    """Return the answers of an operation for its OpenAPI description: 200, and the errors."""

    def content(body: Mapping[str, Any]) -> dict[str, Any]:
        return {"application/json": {"schema": body}}

    answers: dict[int, dict[str, Any]] = {200: {"description": description, "content": content(schema)}}
    for status in errors:
        answers[status] = {"description": _WHY[status], "content": content(ERROR_SCHEMA)}
        if status in (429, 503):
            header = {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}
            answers[status]["headers"] = {"Retry-After": {**header, "required": False}}
    return answers


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "h2{border-top:1px solid #ccc;padding-top:1rem}code,pre{font:14px/1.4 monospace;background:#f4f4f4}"
    "pre{padding:.5rem;overflow:auto}td,th{text-align:left;vertical-align:top;padding:.2rem 1rem .2rem 0}"
)


def docs_page(document: Mapping[str, Any]) -> str:
    """Return an OpenAPI document as a page of HTML that needs no script and loads nothing."""
    said = html.escape
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{said(document['info']['title'])}</title><style>{_STYLE}</style>",
        f"<h1>{said(document['info']['title'])} {said(document['info']['version'])}</h1>",
        f"<p>{said(document['info'].get('description', ''))}</p>",
        "<p>For programs: <a href=openapi.json>openapi.json</a></p>",
    ]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts.append(f"<h2><code>{method.upper()} {said(path)}</code></h2>")
            parts.append(f"<p><b>{said(operation.get('summary', ''))}</b></p>")
            parts.append(f"<p>{said(operation.get('description', ''))}</p>")
            rows = [
                (f"?{one['name']}=", one.get("description", ""), dumps_json(one["schema"]))
                for one in operation.get("parameters", ())
            ]
            rows += [(kind, "body", "") for kind in operation.get("requestBody", {}).get("content", ())]
            rows += [(status, one["description"], "") for status, one in operation["responses"].items()]
            parts.append("<table>")
            parts += [
                f"<tr><th>{said(first)}<td>{said(text)}<td><code>{said(more)}</code>" for first, text, more in rows
            ]
            parts.append("</table>")
            body = operation["responses"].get("200", {}).get("content", {}).get("application/json")
            if body is not None:
                parts.append(
                    f"<details><summary>Answer</summary><pre>{said(dumps_json(body['schema'], indent=2))}</pre>"
                )
                parts.append("</details>")
    return "\n".join(parts)
