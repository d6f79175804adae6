"""The JSON Schema of what ``pyimgano runs compare --json`` prints."""

from __future__ import annotations

from typing import Any

__all__ = ["comparison_schema"]


def comparison_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12), without its title."""
    # Imported late: that module makes this schema known by its name.
    from pyimgano.workbench.schemas import NUMBER, TEXT, TEXTS, WHOLE, _object, _value

    number_or_null, text_or_null = _value(["number", "null"]), _value(["string", "null"])
    pair = _value("array", "Value in A, value in B; null where a side has none.", minItems=2, maxItems=2)
    interval = _value(["array", "null"], items=NUMBER, minItems=2, maxItems=2)
    delong = _value(["object", "null"], "DeLong's test of an AUROC, beside the bootstrap.", additionalProperties=True)
    changed = ("confidence", "interval_method", "p_method", "reason", "only_a", "only_b", "delong")
    difference = _object(
        {
            "a": number_or_null,
            "b": number_or_null,
            "difference": _value(["number", "null"], "b - a; null where it is not defined, and 'reason' says why."),
            "n": _value("object", additionalProperties=WHOLE),
            "better": _value(["string", "null"], enum=["higher", "lower", None]),
            "verdict": _value("string", enum=["better", "worse", "not shown", "not tested", "not compared"]),
            "interval": interval,
            "p": _value(["number", "null"], minimum=0, maximum=1),
            "confidence": NUMBER,
            "interval_method": _value("string", enum=["paired bootstrap", "bonett-price"]),
            "p_method": _value("string", enum=["paired bootstrap", "mcnemar"]),
            "reason": TEXT,
            "only_a": _value("integer", "Images that count in A and not in B.", minimum=0),
            "only_b": _value("integer", "Images that count in B and not in A.", minimum=0),
            "delong": delong,
        },
        optional=changed,
        description="One metric of both runs.",
    )
    differences = _value("object", "Metric -> difference.", additionalProperties={"$ref": "#/$defs/difference"})
    run = _object(
        {
            "run": TEXT,
            **dict.fromkeys(("finished", "recipe", "preset", "model", "dataset"), text_or_null),
            **dict.fromkeys(("seed", "n_test"), _value(["integer", "null"])),
            "errors": _value(["object", "null"]),
        }
    )
    by_defect = {
        "type": "object",
        "properties": {"n": WHOLE},
        "required": ["n"],
        "additionalProperties": {"$ref": "#/$defs/difference"},
    }
    category = _object(
        {
            "name": TEXT,
            "same_images": _value("boolean"),
            **dict.fromkeys(("n_compared", "n_good", "n_defective"), WHOLE),
            **dict.fromkeys(("only_a", "only_b", "relabelled"), TEXTS),
            "metrics": differences,
            "by_defect": _value("object", additionalProperties=by_defect),
        }
    )
    side = _object({"score": NUMBER, "threshold": number_or_null, "decision": text_or_null})
    flip = _object(
        {
            "image": TEXT,
            "category": TEXT,
            "label": _value(["integer", "null"], enum=[0, 1, None]),
            "defect": text_or_null,
            "change": _value("string", "What B's decision is to A's.", enum=["worse", "better", "changed"]),
            "a": side,
            "b": side,
        }
    )
    only = _object({"categories": TEXTS, "images": WHOLE})
    check = _object(
        {
            "metric": TEXT,
            "margin": NUMBER,
            "category": _value(["string", "null"], "Null for the mean over the categories."),
            **dict.fromkeys(("a", "b", "difference"), number_or_null),
            "passed": _value("boolean"),
            "reason": TEXT,
        }
    )
    properties = {
        "schema_version": _value("integer", const=1),
        "a": run,
        "b": run,
        "same_images": _value("boolean", "Whether both were tested on the same images, by content."),
        "n_compared": WHOLE,
        "only_a": only,
        "only_b": only,
        "seed": WHOLE,
        "resamples": WHOLE,
        "verdicts": _value("object", "Metric -> sentence.", additionalProperties=TEXT),
        "metrics": differences,
        "categories": _value("array", items=category),
        "flip_counts": _object(dict.fromkeys(("worse", "better", "changed"), WHOLE)),
        "flips": _value("array", "Images whose decision differs.", items=flip),
        "errors": _value(
            "array",
            "Images that a run has no score for.",
            items=_object({"category": TEXT, "image": TEXT, "a": text_or_null, "b": text_or_null}),
        ),
        "config": _value("object", "Dotted key -> [A, B].", additionalProperties=pair),
        "environment": _value("object", "Name -> [A, B].", additionalProperties=pair),
        "notes": TEXTS,
        "regressions": _value("array", "What --fail-on-regression found.", items=check),
    }
    return {**_object(properties), "$defs": {"difference": difference}}
