"""What an answer carries: the record as it was kept, and the map as a picture where one was asked for."""

from __future__ import annotations

import base64
import enum
import json
from typing import Optional

from pyimgano.core.files import dumps_json
from pyimgano.workbench.inference.inspecting import Inspected
from pyimgano.workbench.serve.failures import ServiceError
from pyimgano.workbench.serve.inspection_queue import Answer

__all__ = ["MapKind", "inspection_body", "picture_of", "unscored"]


class MapKind(str, enum.Enum):
    """What picture of the anomaly map an answer carries."""

    none = "none"
    png = "png"
    tiff = "tiff"


def inspection_body(answer: Answer, picture: Optional[str], regions: bool) -> str:
    """Return the JSON of an answer; ``picture`` is that of its map."""
    line = answer.line.decode("utf-8")
    if not regions:
        record = json.loads(line)
        line = dumps_json({key: value for key, value in record.items() if key not in ("regions", "regions_left_out")})
    repeated = "true" if answer.repeated else "false"
    return f'{{"repeated":{repeated},"record":{line},"map":{picture or "null"}}}'


def unscored(answer: Answer) -> ServiceError:
    """Return the error of an image that could not be scored; the same for the first time and for a repeated id."""
    return ServiceError(422, "invalid_image", str(json.loads(answer.line)["error"]))


def picture_of(inspected: Inspected, kind: MapKind) -> str:
    """Return the map of an inspected image as JSON."""
    import cv2
    import numpy as np

    from pyimgano.workbench.render import MapScale, map_at, overlay

    scored, fitted, image, verdict = inspected.scored, inspected.fitted, inspected.image, inspected.verdict
    if scored is None or scored.map is None or scored.shape is None or fitted is None or image is None:
        raise ServiceError(500, "internal", "the model gave no anomaly map")
    card = fitted.card
    if kind is MapKind.tiff:
        values = fitted.processing.shown(map_at(scored.map, scored.shape), scored.shape, card.map_low)
        ok, encoded = cv2.imencode(".tiff", values, [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    else:
        assert card.map_low is not None
        assert card.pixel_threshold is not None
        scale = MapScale.between(card.map_low, card.pixel_threshold)
        found = None if verdict is None or verdict.found is None else verdict.found.mask
        drawn = overlay(image, scored.map, scale, found=found, inside=fitted.processing.inside(scored.shape))
        ok, encoded = cv2.imencode(".png", np.ascontiguousarray(drawn[..., ::-1]))
    if not ok:
        raise ServiceError(500, "internal", "the map cannot be encoded")
    return dumps_json({"type": f"image/{kind.value}", "base64": base64.b64encode(encoded.tobytes()).decode("ascii")})
