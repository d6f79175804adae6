"""The schema of calibration cards."""

from __future__ import annotations

from typing import Any

from pyimgano.workbench.schemas.building import (
    NUMBER,
    NUMBER_OR_NULL,
    TEXT_OR_NULL,
    object_of,
    pair_of,
    value,
    version,
)

__all__ = ["calibration_cards_schema", "card_schema"]

CARD = {"$ref": "#/$defs/card"}


def card_schema(number: int) -> dict[str, Any]:
    """Return the schema of one card of version ``number``."""
    distribution = dict.fromkeys(("min", "q05", "q25", "median", "q75", "q95", "max", "mean"), NUMBER)
    distribution["sd"] = value(["number", "null"], "Null for one image.")
    properties = {
        "schema_version": version(number),
        "method": value("string", "A component of kind 'threshold'."),
        "params": value("object", "Of the method."),
        "alpha": value("number", "Overkill that was allowed.", exclusiveMinimum=0, exclusiveMaximum=1),
        "n": value("integer", "Number of good images whose scores the threshold rests on.", minimum=1),
        "source": value("string", "Where they come from.", enum=["validation", "hold-out", "cross"]),
        "threshold": value("number", "Defective is score >= threshold."),
        "review_alpha": value(["number", "null"], "Share of good images that may go to a person; null without."),
        "review_threshold": value(["number", "null"], "From here to the threshold: review. Null: no such band."),
        "guarantee": value("string", "What the threshold promises."),
        "interval": pair_of(NUMBER, "Overkill of new good images to expect, given these.", null=True),
        "confidence": value(["number", "null"], "Of the interval."),
        "interval_method": value(["string", "null"], "Law that the interval is from."),
        "interval_reason": value(["string", "null"], "Why there is no interval."),
        "details": value("object", "What the method fitted on the way."),
        "pixel_method": value(["string", "null"], "Null without maps, as all of pixel_*."),
        "pixel_params": value(["object", "null"]),
        "pixel_alpha": NUMBER_OR_NULL,
        "pixel_threshold": value(["number", "null"], "For the maxima of the maps; null without maps."),
        "pixel_low_threshold": value("number", "What regions extend to; absent without hysteresis."),
        "map_low": value(["number", "null"], "What the maps of good images usually show; null without maps."),
        "fingerprint": value("string", "SHA-256 over the ids and contents of these images."),
        "n_defects": value("integer", "Labelled defective images that took part.", minimum=0),
        "defects_fingerprint": {**TEXT_OR_NULL, "description": "SHA-256 over their ids and contents."},
        "n_normalisation": value("integer", "Held-out good images that rules on maps learned from.", minimum=1),
        "normalisation_fingerprint": value("string", "SHA-256 over their ids and contents."),
        "distribution": object_of(distribution, description="Of the scores."),
        "held_out_scores": value("array", "Sorted.", items=NUMBER),
    }
    optional = ("pixel_low_threshold", "n_normalisation", "normalisation_fingerprint")
    return object_of(properties, optional=optional, description="A threshold and its provenance.")


def calibration_cards_schema(number: int) -> dict[str, Any]:
    """Return the schema of ``calibration_card.json``, whose version is that of its cards."""
    cards = value("object", "Category -> its card.", additionalProperties=CARD)
    properties = {"schema_version": version(number), "categories": cards}
    return {**object_of(properties), "$defs": {"card": card_schema(number)}}
