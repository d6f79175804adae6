"""The schemas of what a bundle holds."""

from __future__ import annotations

from typing import Any

from pyimgano.workbench.schemas.artifacts import fitted_models_schema
from pyimgano.workbench.schemas.building import (
    NUMBER,
    TEXT,
    TEXTS,
    WHOLE,
    object_of,
    pair_of,
    value,
    version,
)

__all__ = ["bundle_schema", "manifest_schema", "parity_schema", "sample_schema"]

_PRECISION = value("string", "Of the graphs.", enum=["fp32", "fp16", "int8"])
_DECISION = value("string", enum=["good", "review", "defective"])
_SHA256 = value("string", pattern="^[0-9a-f]{64}$")


def bundle_schema(number: int) -> dict[str, Any]:
    """Return the schema of ``bundle.json``."""
    return fitted_models_schema(
        number,
        {
            "folder": value("string", "Of the graph or the state, relative to this file."),
            "maps": value("boolean", "Whether there are anomaly maps."),
            "input_size": pair_of(WHOLE, "[height, width] of the graph's input; null without a graph.", null=True),
        },
    )


def manifest_schema(number: int) -> dict[str, Any]:
    """Return the schema of ``manifest.json``."""
    need = object_of({"module": TEXT, "distribution": TEXT, "extra": value(["string", "null"])})
    file = object_of({"sha256": _SHA256, "size": value("integer", "Bytes.", minimum=0)})
    return object_of(
        {
            "schema_version": version(number),
            "format": value("string", const="pyimgano-bundle"),
            "kind": value("string", "ONNX graphs, or what the model itself saved.", enum=["graph", "state"]),
            "precision": _PRECISION,
            "model": TEXT,
            "created_with": value("object", "Distribution -> version.", additionalProperties=TEXT),
            "requires": value("array", "What must be installed to run it.", items=need),
            "source": object_of(
                {
                    "run": TEXT,
                    "fingerprint": {**_SHA256, "description": "Over its config, report, artifacts and checkpoints."},
                    "dataset": TEXT,
                }
            ),
            "files": value("object", "Path -> what it is; every file but this one.", additionalProperties=file),
        }
    )


def parity_schema(number: int) -> dict[str, Any]:
    """Return the schema of ``parity.json``."""
    image = object_of(
        {
            "image": value("string", "Relative to the dataset."),
            "trained": value("number", "Score of the trained detector."),
            "exported": value("number", "Score of the exported one."),
            "difference": value("number", "Of the scores, relative.", minimum=0),
            "map_difference": value(["number", "null"], "Of the maps, relative to the largest value.", minimum=0),
            "decision": _DECISION,
            "exported_decision": _DECISION,
        }
    )
    moved = object_of({"name": TEXT, "run": NUMBER, "bundle": NUMBER})
    category = object_of(
        {
            "name": TEXT,
            "source": value("string", "Where the images are from.", enum=["held-out", "folder"]),
            "n_images": WHOLE,
            "score_difference": value("number", "The largest.", minimum=0),
            "map_difference": value(["number", "null"], "The largest; null without maps.", minimum=0),
            "changed_decisions": {**TEXTS, "description": "Images."},
            "moved_thresholds": value("array", "Moved within the tolerance, so that no decision changes.", items=moved),
            "images": value("array", items=image, minItems=1),
            "holds": value("string", "What the thresholds are worth."),
        }
    )
    return object_of(
        {
            "schema_version": version(number),
            "precision": _PRECISION,
            "score_tolerance": value(["number", "null"], "Null where differences are only reported."),
            "map_tolerance": value(["number", "null"], "Null where differences are only reported."),
            "categories": value("array", items=category, minItems=1),
        }
    )


def sample_schema(number: int) -> dict[str, Any]:
    """Return the schema of a sample's ``expected.json``."""
    values = dict.fromkeys(("min", "max", "mean"), NUMBER)
    anomaly_map = object_of({"shape": pair_of(WHOLE, "[height, width]"), **values})
    region = object_of(
        {
            "box": value("array", "x, y, width, height.", items=WHOLE, minItems=4, maxItems=4),
            "area": WHOLE,
            "score": NUMBER,
            "removed_by": TEXT,
        },
        optional=("removed_by",),
    )
    return object_of(
        {
            "schema_version": version(number),
            "image": value("string", "What the dataset called it."),
            "score": NUMBER,
            "threshold": NUMBER,
            "decision": _DECISION,
            "p_value": value("number", exclusiveMinimum=0, maximum=1),
            "regions": value(["array", "null"], items=region),
            "map": {"anyOf": [anomaly_map, {"type": "null"}]},
        }
    )
