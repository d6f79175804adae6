"""The JSON Schema of what ``pyimgano runs compare --json`` prints."""

from __future__ import annotations

from typing import Any

from pyimgano.workbench.schemas.building import NUMBER, TEXT, TEXTS, WHOLE, object_of, value

__all__ = ["comparison_schema", "difference_schema"]


def difference_schema() -> dict[str, Any]:
    """Return the schema of one metric of two models."""
    number_or_null = value(["number", "null"])
    interval = value(["array", "null"], items=NUMBER, minItems=2, maxItems=2)
    delong = value(["object", "null"], "DeLong's test of an AUROC, beside the bootstrap.", additionalProperties=True)
    changed = ("confidence", "interval_method", "p_method", "reason", "only_a", "only_b", "delong")
    return object_of(
        {
            "a": number_or_null,
            "b": number_or_null,
            "difference": value(["number", "null"], "b - a; null where it is not defined, and 'reason' says why."),
            "n": value("object", additionalProperties=WHOLE),
            "better": value(["string", "null"], enum=["higher", "lower", None]),
            "verdict": value("string", enum=["better", "worse", "not shown", "not tested", "not compared"]),
            "interval": interval,
            "p": value(["number", "null"], minimum=0, maximum=1),
            "confidence": NUMBER,
            "interval_method": value("string", enum=["paired bootstrap", "bonett-price"]),
            "p_method": value("string", enum=["paired bootstrap", "mcnemar"]),
            "reason": TEXT,
            "only_a": value("integer", "Images that count in A and not in B.", minimum=0),
            "only_b": value("integer", "Images that count in B and not in A.", minimum=0),
            "delong": delong,
        },
        optional=changed,
        description="One metric of both runs.",
    )


def comparison_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12), without its title."""
    number_or_null, text_or_null = value(["number", "null"]), value(["string", "null"])
    pair = value("array", "Value in A, value in B; null where a side has none.", minItems=2, maxItems=2)
    differences = value("object", "Metric -> difference.", additionalProperties={"$ref": "#/$defs/difference"})
    run = object_of(
        {
            "run": TEXT,
            **dict.fromkeys(("finished", "recipe", "preset", "model", "dataset"), text_or_null),
            **dict.fromkeys(("seed", "n_test"), value(["integer", "null"])),
            "errors": value(["object", "null"]),
        }
    )
    by_defect = {
        "type": "object",
        "properties": {"n": WHOLE},
        "required": ["n"],
        "additionalProperties": {"$ref": "#/$defs/difference"},
    }
    category = object_of(
        {
            "name": TEXT,
            "same_images": value("boolean"),
            **dict.fromkeys(("n_compared", "n_good", "n_defective"), WHOLE),
            **dict.fromkeys(("only_a", "only_b", "relabelled"), TEXTS),
            "metrics": differences,
            "by_defect": value("object", additionalProperties=by_defect),
        }
    )
    side = object_of({"score": NUMBER, "threshold": number_or_null, "decision": text_or_null})
    flip = object_of(
        {
            "image": TEXT,
            "category": TEXT,
            "label": value(["integer", "null"], enum=[0, 1, None]),
            "defect": text_or_null,
            "change": value("string", "What B's decision is to A's.", enum=["worse", "better", "changed"]),
            "a": side,
            "b": side,
        }
    )
    only = object_of({"categories": TEXTS, "images": WHOLE})
    check = object_of(
        {
            "metric": TEXT,
            "margin": NUMBER,
            "category": value(["string", "null"], "Null for the mean over the categories."),
            **dict.fromkeys(("a", "b", "difference"), number_or_null),
            "passed": value("boolean"),
            "reason": TEXT,
        }
    )
    properties = {
        "schema_version": value("integer", const=1),
        "a": run,
        "b": run,
        "same_images": value("boolean", "Whether both were tested on the same images, by content."),
        "n_compared": WHOLE,
        "only_a": only,
        "only_b": only,
        "seed": WHOLE,
        "resamples": WHOLE,
        "verdicts": value("object", "Metric -> sentence.", additionalProperties=TEXT),
        "metrics": differences,
        "categories": value("array", items=category),
        "flip_counts": object_of(dict.fromkeys(("worse", "better", "changed"), WHOLE)),
        "flips": value("array", "Images whose decision differs.", items=flip),
        "errors": value(
            "array",
            "Images that a run has no score for.",
            items=object_of({"category": TEXT, "image": TEXT, "a": text_or_null, "b": text_or_null}),
        ),
        "config": value("object", "Dotted key -> [A, B].", additionalProperties=pair),
        "environment": value("object", "Name -> [A, B].", additionalProperties=pair),
        "notes": TEXTS,
        "regressions": value("array", "What --fail-on-regression found.", items=check),
    }
    return {**object_of(properties), "$defs": {"difference": difference_schema()}}
