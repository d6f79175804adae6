"""The schema of what stands beside records that were written in shards."""

from __future__ import annotations

from typing import Any

from pyimgano.workbench.schemas.building import TEXT_OR_NULL, TEXTS, WHOLE, object_of, value, version

__all__ = ["shards_schema"]


def shards_schema(number: int) -> dict[str, Any]:
    """Return the schema of the ``predictions.json`` of a folder of shards."""
    counts = dict.fromkeys(("images", "good", "review", "defective", "errors"), WHOLE)
    sha256 = value("string", pattern="^[0-9a-f]{64}$")
    shard = object_of(
        {
            "file": value("string", "Its records, in this folder."),
            "first": value("integer", "Number of its first image among all, from 0.", minimum=0),
            "sha256": {**sha256, "description": "Of the file."},
            **counts,
        },
        description="Shards in the order of their images; one after the other they are the records of one process.",
    )
    models = object_of(
        {
            "kind": value("string", enum=["run", "bundle"]),
            "fingerprint": {**sha256, "description": "Of the run, or of the bundle's manifest."},
            "category": {**TEXT_OR_NULL, "description": "The one that was given for all images."},
        },
        description="What scored the images.",
    )
    return object_of(
        {
            "schema_version": version(number),
            "models": models,
            **counts,
            "notes": {**TEXTS, "description": "What folders and patterns held that is no image."},
            "shards": value("array", items=shard),
        }
    )
