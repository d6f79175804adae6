"""The schema of what an audit of a dataset finds."""

from __future__ import annotations

from typing import Any

from pyimgano.workbench.schemas.building import (
    NUMBER,
    NUMBER_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    TEXTS,
    WHOLE,
    object_of,
    value,
    version,
)

__all__ = ["audit_schema"]

_LABEL = value(["integer", "null"], "0 good, 1 defective, null unknown.", enum=[0, 1, None])
_SPLIT = value(["string", "null"], enum=["train", "validation", "test", None])
_PLACE = {"image": TEXT, "category": TEXT_OR_NULL, "split": _SPLIT, "label": _LABEL}


def audit_schema(number: int) -> dict[str, Any]:
    """Return the schema of ``audit.json``."""
    boolean = value("boolean")
    member = object_of(
        {
            **_PLACE,
            "exact": value("boolean", "Whether it has the same bytes as the first."),
            "likeness": {**NUMBER_OR_NULL, "description": "To the first; null for another category."},
        }
    )
    duplicates = object_of(
        {
            "kind": value("string", enum=["exact", "near"]),
            "leak": value("boolean", "Whether it stands in two splits of one category."),
            "label_conflict": boolean,
            "images": value("array", items=member, minItems=2),
        }
    )
    kinds = ["unreadable", "constant", "size", "colours", "depth"]
    odd = object_of({**_PLACE, "kind": value("string", enum=kinds), "message": TEXT})
    ranked = object_of(
        {
            "image": TEXT,
            "split": _SPLIT,
            "rank": value("integer", minimum=1),
            "score": NUMBER,
            "z": value("number", "Robust standard deviations above the median of its category."),
        }
    )
    outliers = object_of(
        {
            "category": TEXT_OR_NULL,
            "images": value("integer", "How many were ranked; the first of them are listed.", minimum=0),
            "folds": WHOLE,
            "fitted_on": WHOLE,
            "ranked": value("array", items=ranked),
        }
    )
    model = object_of({"name": TEXT, "params": value("object"), "seed": WHOLE})
    return object_of(
        {
            "schema_version": version(number),
            "dataset": TEXT,
            "images": WHOLE,
            "settings": object_of({"likeness": NUMBER, "folds": WHOLE, "most": WHOLE, "top": WHOLE}),
            "model": {"anyOf": [model, {"type": "null"}]},
            "counts": object_of(dict.fromkeys(("exact_sets", "near_sets", "leaks", "label_conflicts", "odd"), WHOLE)),
            "duplicates": value("array", items=duplicates),
            "odd": value("array", items=odd),
            "outliers": value("array", items=outliers),
            "notes": TEXTS,
        }
    )
