"""A picture of each category, with what the bundle says of it: by which a user sees that it works where it is now."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.errors import CheckpointError
from pyimgano.core.files import dump_json
from pyimgano.core.images import as_rgb8, write_png
from pyimgano.workbench.bundle.contents import BundleContents
from pyimgano.workbench.bundle.inspection import Inspection, inspect_image
from pyimgano.workbench.bundle.names import EXPECTED_JSON, INPUT_PNG
from pyimgano.workbench.bundle.parity import MAP_TOLERANCE, SCORE_TOLERANCE, CategoryParity, score_difference

if TYPE_CHECKING:
    from pyimgano.workbench.inference.category import FittedCategory

__all__ = ["SAMPLES_FOLDER", "SAMPLE_SCHEMA", "TOLERANCES", "SampleOutcome", "run_sample", "write_sample"]

SAMPLES_FOLDER = "samples"
SAMPLE_SCHEMA = 1

TOLERANCES: Mapping[str, tuple[float, float]] = {
    "fp32": (SCORE_TOLERANCE, MAP_TOLERANCE),
    "fp16": (1e-2, 5e-2),
    "int8": (5e-2, 2e-1),
}
"""Precision → by how much score and map may differ on another machine: with 8 bits, processors round otherwise."""


@dataclass(frozen=True)
class SampleOutcome:
    """What became of a sample.

    Attributes
    ----------
    category : str
    score, expected : float
    difference, tolerance : float
        See :func:`~pyimgano.workbench.bundle.parity.score_difference`.
    decision, expected_decision : str
    problem : str or None
        What is not as expected.
    """

    category: str
    score: float
    expected: float
    difference: float
    tolerance: float
    decision: str
    expected_decision: str
    problem: Optional[str] = None

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as a JSON-friendly mapping."""
        return dataclasses.asdict(self)


def write_sample(
    bundle: Path, folder: str, fitted: FittedCategory, compared: CategoryParity, paths: Mapping[str, Path]
) -> None:
    """Write ``samples/<folder>/input.png`` and ``expected.json``.

    The picture is a compared image, as the pixels that the run read; among those that are decided ``"defective"`` the
    one that lies farthest from the threshold, so that no rounding decides about it.

    Parameters
    ----------
    fitted : FittedCategory
        The exported detector.
    paths : mapping
        Image → its file.
    """
    threshold = fitted.card.threshold
    same = [image for image in compared.images if not image.changed] or list(compared.images)
    chosen = max(same, key=lambda image: (image.exported_decision == "defective", abs(image.exported - threshold)))
    place = bundle / SAMPLES_FOLDER / folder
    place.mkdir(parents=True, exist_ok=True)
    image = as_rgb8(paths[chosen.image], value_range=fitted.value_range)
    write_png(image, place / INPUT_PNG)
    found = inspect_image(fitted, image)
    dump_json({"schema_version": SAMPLE_SCHEMA, "image": chosen.image, **_facts(found)}, place / EXPECTED_JSON)


def run_sample(contents: BundleContents, folder: str, category: str, fitted: FittedCategory) -> SampleOutcome:
    """Inspect a category's sample, and compare with what is expected.

    Raises
    ------
    CheckpointError
        When the bundle has no such sample, or its expectation is none.
    """
    name = f"{SAMPLES_FOLDER}/{folder}/{EXPECTED_JSON}"
    where = f"{contents.path}: {name}"
    expected = contents.json(name)
    if expected.get("schema_version") != SAMPLE_SCHEMA:
        raise CheckpointError("unknown schema version", where=where, allowed=str(SAMPLE_SCHEMA))
    try:
        score, decision, facts = float(expected["score"]), str(expected["decision"]), expected["map"]
        peak = None if facts is None else float(facts["max"])
        shape = None if facts is None else [int(side) for side in facts["shape"]]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"is damaged: {type(error).__name__}: {error}", where=where) from error
    found = inspect_image(fitted, as_rgb8(contents.folder / SAMPLES_FOLDER / folder / INPUT_PNG))
    tolerance, map_tolerance = TOLERANCES[contents.manifest.precision]
    difference = score_difference(score, found.score, fitted.card)
    problem: Optional[str] = None
    now = _facts(found)["map"]
    if not difference <= tolerance:
        problem = f"the score is {found.score:.9g}, and {score:.9g} is expected"
    elif found.decision != decision:
        problem = f"the decision is {found.decision!r}, and {decision!r} is expected"
    elif (now is None) != (peak is None) or (now is not None and now["shape"] != shape):
        problem = f"the map's shape is {None if now is None else now['shape']}, and {shape} is expected"
    elif now is not None and peak is not None and abs(now["max"] - peak) > map_tolerance * max(abs(peak), 1e-30):
        problem = f"the map's largest value is {now['max']:.9g}, and {peak:.9g} is expected"
    return SampleOutcome(category, found.score, score, difference, tolerance, found.decision, decision, problem)


def _facts(found: Inspection) -> dict[str, Any]:
    return {
        "score": found.score,
        "threshold": found.threshold,
        "decision": found.decision,
        "p_value": found.p_value,
        "regions": None if found.regions is None else [region.to_json() for region in found.regions],
        "map": None
        if found.map is None
        else {
            "shape": list(found.map.shape),
            "min": float(found.map.min()),
            "max": float(found.map.max()),
            "mean": float(found.map.mean(dtype="float64")),
        },
    }
