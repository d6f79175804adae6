"""Settings that a dataset supports: above all an alpha that its good images can keep."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyimgano.core.conformal import images_needed
from pyimgano.core.contracts import Samples
from pyimgano.core.errors import DatasetError
from pyimgano.workbench.calibrate.few_images import ALPHAS, FEW_IMAGES, few_images_calibration

__all__ = ["Choice", "choose_settings"]

HOLDOUT = 0.2


@dataclass(frozen=True)
class Choice:
    """Settings for a config, and why.

    Attributes
    ----------
    settings : mapping
        Dotted key → value.
    notes : tuple of str
        What was found and why a setting is as it is, for people.
    """

    settings: Mapping[str, Any]
    notes: tuple[str, ...] = field(default=())


def choose_settings(samples: Samples, *, few: bool = False) -> Choice:
    """Return settings that a run on these samples can begin with.

    Parameters
    ----------
    samples : Samples
        With their splits assigned.
    few : bool
        Fit on all good images, and leave out one at a time to calibrate, however many there are; without it, only
        where there are at most :data:`~pyimgano.workbench.calibrate.few_images.FEW_IMAGES`.

    Raises
    ------
    DatasetError
        When there is a category without good training images.
    """
    categories: tuple[Any, ...] = samples.categories() or (None,)
    notes = list(samples.notes)
    smallest, held_out = math.inf, math.inf
    for category in categories:
        train = len(samples.select("train", 0, category))
        validation = len(samples.select("validation", 0, category))
        test = samples.select("test", None, category)
        if train == 0:
            raise DatasetError(
                "there are no good images to train on" + (f" in category {category!r}" if category else ""),
                where=str(samples.root),
                allowed="train/good, a flat folder of good images, or a manifest with label 0 and split train",
            )
        counts = f"{train} good for training, {validation} good for validation, "
        counts += f"{sum(s.label == 0 for s in test)} good and {sum(s.label == 1 for s in test)} defective for test"
        notes.append(f"{category}: {counts}." if category else f"{counts[0].upper()}{counts[1:]}.")
        smallest = min(smallest, train)
        held_out = min(held_out, validation or math.inf)
    settings, reason = _calibration(int(smallest), None if held_out == math.inf else int(held_out), few=few)
    return Choice(settings, (*notes, reason))


def _calibration(train: int, validation: Any, *, few: bool) -> tuple[dict[str, Any], str]:
    if validation is None and (few or train <= FEW_IMAGES):
        found = few_images_calibration(train)
        if found is not None:
            reason = (
                f"{train} good images are all fitted on, and each is scored by a model of the others: alpha = "
                f"{found['alpha']:g} needs {images_needed(found['alpha'])} of them."
            )
            return {f"calibration.{key}": value for key, value in found.items()}, reason
    for alpha in ALPHAS:
        needed = images_needed(alpha)
        settings: dict[str, Any] = {"calibration.alpha": alpha}
        if validation is not None:
            if validation >= needed:
                return settings, f"alpha = {alpha:g} needs {needed} held-out good images; validation has {validation}."
            continue
        # The least that a fraction can come to, however it is rounded.
        if math.floor(HOLDOUT * train) >= needed:
            settings["calibration.holdout"] = HOLDOUT
            return settings, f"alpha = {alpha:g} needs {needed} held-out good images: a fifth of {train} is enough."
        if needed <= train // 2:
            settings["calibration.holdout"] = needed
            return settings, f"alpha = {alpha:g} needs {needed} held-out good images, taken from the {train}."
    total = train if validation is None else validation
    reason = (
        f"{total} good images are too few for a guaranteed alpha of {ALPHAS[-1]:g} (it needs "
        f"{images_needed(ALPHAS[-1])} held-out ones): the threshold is their quantile, which guarantees nothing."
    )
    return {"calibration.method": "quantile", "calibration.alpha": ALPHAS[0]}, reason
