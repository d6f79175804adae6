"""Which images the post-processing learns from, and which part of a category's images counts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Optional

from pyimgano.core.contracts import Sample
from pyimgano.core.errors import CalibrationError, ConfigError
from pyimgano.core.names import unknown_name_hint
from pyimgano.workbench.postprocess.roi import Roi, is_table, roi_of
from pyimgano.workbench.postprocess.rules import create_rule, images_needed

if TYPE_CHECKING:
    from pyimgano.datasets import ContentHashes, GoodSplit
    from pyimgano.workbench.config import RunConfig

__all__ = ["category_roi", "check_roi_names", "share_normalisation"]


def check_roi_names(config: RunConfig, categories: Sequence[str]) -> None:
    """Refuse regions of interest for categories that there are not.

    Raises
    ------
    ConfigError
        Naming the nearest category. Where ``dataset.categories`` selects, nothing is known of the others.
    """
    roi = config.postprocess.roi
    if not isinstance(roi, Mapping) or is_table(roi) or config.dataset.categories is not None:
        return
    for name in roi:
        if name not in categories:
            raise ConfigError(
                f"the dataset has no category {name!r}",
                where="postprocess.roi",
                allowed=", ".join(categories),
                hint=unknown_name_hint(name, categories),
            )


def category_roi(config: RunConfig, category: str) -> Optional[Roi]:
    """Return what counts of a category's images; None where all does.

    Raises
    ------
    ConfigError, ImageError
        When the config's region of interest is none, or its image cannot be read.
    """
    value = roi_of(config.postprocess.roi, category)
    return None if value is None else Roi.from_config(value)


def share_normalisation(
    config: RunConfig, split: GoodSplit, *, needed: int, hashes: ContentHashes, where: str
) -> tuple[GoodSplit, tuple[Sample, ...]]:
    """Give the rules on maps that learn a share of the held-out good images; the calibration keeps the others.

    An image that both had seen would make the maps that the threshold is calibrated on too tame, so that new good
    images would be rejected more often than was promised. Groups and copies of an image stay on one side.

    Parameters
    ----------
    needed : int
        Images that the thresholds want.
    where : str
        The category, for the message.

    Returns
    -------
    GoodSplit
        With the images that are left for the calibration; as it came where no rule learns.
    tuple of Sample
        The images to learn from; empty where no rule learns.

    Raises
    ------
    CalibrationError
        When there are too few for the one or the other; it says how many are needed.
    """
    from pyimgano.datasets import take_share

    wanted = config.postprocess
    least = images_needed([create_rule(rule.name, rule.params) for rule in wanted.maps])
    if least == 0:
        return split, ()
    share, held = wanted.holdout, len(split.calibration)
    taken, rest = take_share(split.calibration, share, seed=config.seed, part="normalisation", hashes=hashes)
    if len(taken) < least or len(rest) < needed:
        if isinstance(share, int):
            total = max(share, least) + needed
        else:
            total = math.ceil(max(least / share, needed / (1.0 - share)))
        more = f"--set calibration.holdout={total}" if split.source == "hold-out" else f"{total} good validation images"
        raise CalibrationError(
            f"rules on maps (postprocess.maps) learn from at least {least} held-out good images, and the threshold "
            f"needs {needed} others; of the {held} held out, postprocess.holdout = {share:g} gives {len(taken)} to the "
            f"rules and leaves {len(rest)}",
            where=where,
            hint=f"use {more}, another postprocess.holdout, or a larger alpha",
        )
    note = (
        f"Of the {held} held-out good images postprocess.maps learns from {len(taken)}; {len(rest)} are left to "
        "calibrate on."
    )
    return dataclasses.replace(split, calibration=rest, notes=(*split.notes, note)), taken
