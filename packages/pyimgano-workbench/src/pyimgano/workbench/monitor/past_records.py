"""Drift in records of earlier inference: all windows at once, with one promise over all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.batching import read_ahead
from pyimgano.core.errors import ConfigError, ImageError, UnknownNameError
from pyimgano.core.names import unknown_name_hint
from pyimgano.workbench.monitor.image_statistics import image_statistics
from pyimgano.workbench.monitor.reference import SCORE, Reference
from pyimgano.workbench.monitor.windows import (
    LEAST_WINDOW,
    DriftSettings,
    ImageWindow,
    WindowReport,
    compare_window,
    compared,
)
from pyimgano.workbench.records import PredictionRecord
from pyimgano.workbench.runs.naming import DEFAULT_CATEGORY

__all__ = ["DRIFT_SCHEMA", "PastDrift", "compare_records"]

DRIFT_SCHEMA = 1


@dataclasses.dataclass(frozen=True)
class PastDrift:
    """What all windows of some records say.

    Attributes
    ----------
    categories : mapping of str to tuple of WindowReport
        In the order of the records.
    alpha : float
        Probability of any false alarm in all of them together.
    tests : int
        Among how many tests it is shared.
    scored, errors, too_few : int
        Records with a score, records with an error, and of the scored ones those of categories that have too few to be
        compared.
    images : bool
        Whether images were measured beside the scores.
    """

    categories: Mapping[str, tuple[WindowReport, ...]]
    alpha: float
    tests: int
    scored: int
    errors: int
    too_few: int
    images: bool

    @property
    def drift(self) -> bool:
        """Whether any window drifted."""
        return any(window.drift for windows in self.categories.values() for window in windows)

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        return {
            "schema_version": DRIFT_SCHEMA,
            "drift": self.drift,
            "alpha": self.alpha,
            "tests": self.tests,
            "records": {"scored": self.scored, "errors": self.errors, "too_few": self.too_few},
            "images": self.images,
            "categories": {name: [window.to_json() for window in windows] for name, windows in self.categories.items()},
        }


def compare_records(
    records: Iterable[PredictionRecord],
    references: Mapping[str, Reference],
    settings: DriftSettings,
    *,
    images: Optional[Path] = None,
    value_range: Optional[tuple[float, float]] = None,
) -> PastDrift:
    """Compare records, in windows of each category in their order, with what the detectors were calibrated on.

    A category's records are shared out to as many windows of at least ``settings.window`` as there can be, equal in
    size up to one record; fewer are one window.

    Parameters
    ----------
    references : mapping
        Category → its reference. With one, records need not name it.
    settings : DriftSettings
        ``alpha`` holds for all windows of all categories together here: where all images come independently from the
        distribution of the calibration's good images, there is any alarm with probability at most alpha (Bonferroni
        over all tests).
    images : Path, optional
        Folder that the names of the records are relative to: the images are measured, too.
    value_range : (float, float), optional
        How images are read.

    Raises
    ------
    UnknownNameError
        When a record names a category that there is no reference for.
    ConfigError
        When it names none of several, or no category has 20 scored records.
    ImageError
        When an image cannot be read now.
    """
    by_category: dict[str, list[PredictionRecord]] = {}
    errors = scored = 0
    for record in records:
        if record.score is None:
            errors += 1
            continue
        scored += 1
        by_category.setdefault(_category(record, references), []).append(record)
    too_few = sum(len(found) for found in by_category.values() if len(found) < LEAST_WINDOW)
    enough = {name: found for name, found in by_category.items() if len(found) >= LEAST_WINDOW}
    if not enough:
        raise ConfigError(
            f"too few records with a score: {scored}", where="RECORDS", allowed=f"at least {LEAST_WINDOW} of a category"
        )
    windows = {name: _windows(found, settings.window, images, value_range) for name, found in enough.items()}
    tests = sum(
        len(compared(references[name], window.values, window.n)) + (settings.expected_rejects is not None)
        for name, found in windows.items()
        for window in found
    )
    return PastDrift(
        {
            name: tuple(
                compare_window(references[name], window, settings, number=number, tests=tests)
                for number, window in enumerate(found, 1)
            )
            for name, found in windows.items()
        },
        settings.alpha,
        tests,
        scored,
        errors,
        too_few,
        images is not None,
    )


def _category(record: PredictionRecord, references: Mapping[str, Reference]) -> str:
    name = record.category or DEFAULT_CATEGORY
    if name in references:
        return name
    if record.category is None and len(references) == 1:
        return next(iter(references))
    if record.category is None:
        raise ConfigError(
            "the record names no category, and there are several", where=record.image, allowed=", ".join(references)
        )
    raise UnknownNameError(
        f"no category {name!r}",
        where=record.image,
        allowed=", ".join(references),
        hint=unknown_name_hint(name, references),
    )


def _windows(
    records: list[PredictionRecord],
    size: int,
    images: Optional[Path],
    value_range: Optional[tuple[float, float]],
) -> list[ImageWindow]:
    count = max(1, len(records) // size)
    bounds = [len(records) * number // count for number in range(count + 1)]
    measured = _measured(records, images, value_range) if images is not None else ({} for _ in records)
    found = []
    pairs = iter(zip(records, measured))
    for start, end in zip(bounds, bounds[1:]):
        window = ImageWindow()
        for _ in range(end - start):
            record, statistics = next(pairs)
            assert record.score is not None
            window.add(record.image, record.decision, {SCORE: record.score, **statistics})
        found.append(window)
    return found


def _measured(
    records: list[PredictionRecord], images: Path, value_range: Optional[tuple[float, float]]
) -> Iterable[Mapping[str, float]]:
    from pyimgano.core.images import read_image

    def measure(index: int) -> Mapping[str, float]:
        path = images / records[index].image
        try:
            return image_statistics(read_image(path, value_range=value_range))
        except ImageError as error:
            error.hint = error.hint or "without --images, scores alone are compared"
            raise

    return read_ahead(measure, len(records), ahead=8)
