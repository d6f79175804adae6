"""What is written down of a comparison: ``parity.json``, and what still holds of the calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyimgano.workbench.bundle.parity import MAP_TOLERANCE, SCORE_TOLERANCE, CategoryParity
from pyimgano.workbench.calibrate.card import CalibrationCard

__all__ = ["PARITY_SCHEMA", "parity_json", "what_holds"]

PARITY_SCHEMA = 1


def parity_json(
    parity: Sequence[CategoryParity], cards: Mapping[str, CalibrationCard], precision: str
) -> dict[str, Any]:
    """Return what ``parity.json`` holds.

    Parameters
    ----------
    parity : sequence of CategoryParity
    cards : mapping
        Category → the bundle's calibration card.
    precision : {"fp32", "fp16", "int8"}
    """
    equal = precision == "fp32"
    return {
        "schema_version": PARITY_SCHEMA,
        "precision": precision,
        "score_tolerance": SCORE_TOLERANCE if equal else None,
        "map_tolerance": MAP_TOLERANCE if equal else None,
        "categories": [
            {**compared.to_json(), "holds": what_holds(compared, cards[compared.category], precision)}
            for compared in parity
        ],
    }


def what_holds(compared: CategoryParity, card: CalibrationCard, precision: str) -> str:
    """Return in a sentence or two what the thresholds of the bundle are worth."""
    n, changed = len(compared.images), len(compared.changed)
    if precision == "fp32":
        moved = "".join(
            f" {one.name} was moved from {one.run:.9g} to {one.bundle:.9g}, within the tolerance, so that the held-out "
            "image that it lies at keeps its side."
            for one in compared.moved
        )
        return (
            f"Scores are the run's to {compared.score_difference:.1e} (relative), and all {n} decisions are the same: "
            f"what the calibration card promises holds.{moved}"
        )
    return (
        f"Thresholds are the run's, and were calibrated on its own scores, not on those of this {precision} graph, "
        f"which differ by up to {compared.score_difference:.2%}: what the calibration card promises (method "
        f"{card.method}) does not hold for it as it stands. {changed} of {n} decisions changed on the images that were "
        "compared."
    )
