"""What is compared with: the held-out good images that the threshold was calibrated on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyimgano.core.batching import read_ahead
from pyimgano.core.errors import PyimganoError, RunError
from pyimgano.core.files import load_json
from pyimgano.workbench.monitor.image_statistics import STATISTICS, image_statistics

if TYPE_CHECKING:
    from pyimgano.workbench.calibrate.card import CalibrationCard

__all__ = [
    "IMAGE_STATISTICS",
    "IMAGE_STATISTICS_SCHEMA",
    "SCORE",
    "Reference",
    "load_image_statistics",
    "measure_images",
    "statistics_json",
]

IMAGE_STATISTICS = "image_statistics.json"
"""In a run's artifacts, and in a bundle."""

IMAGE_STATISTICS_SCHEMA = 1
SCORE = "score"

MOST_IMAGES = 500
"""That are measured of a category; of more, as many spread evenly."""


@dataclass(frozen=True)
class Reference:
    """The values that a window of images is compared with.

    Attributes
    ----------
    values : mapping of str to tuple of float
        Statistic → its values on the calibration images, sorted. ``"score"`` always; those of images
        (:data:`~pyimgano.workbench.monitor.STATISTICS`) where the run has recorded them.
    alpha : float
        Share of good images that the calibration allows to be rejected.
    """

    values: Mapping[str, tuple[float, ...]]
    alpha: float

    @classmethod
    def from_card(cls, card: CalibrationCard, statistics: Mapping[str, Sequence[float]]) -> Reference:
        """Return that of a calibration card, and of the statistics of its images; these may be empty."""
        known = {name: tuple(map(float, statistics[name])) for name in STATISTICS if name in statistics}
        return cls({SCORE: card.held_out_scores, **known}, card.alpha)


def measure_images(sources: Sequence[Any], value_range: Any = None) -> dict[str, Any]:
    """Return the statistics of images as ``artifacts/image_statistics.json`` keeps them of one category.

    Parameters
    ----------
    sources : sequence of path-like or Sample
        Of more than 500, as many spread evenly are read.
    value_range : (float, float), optional
        See :func:`pyimgano.core.images.to_rgb8`.

    Returns
    -------
    dict
        ``n`` and ``statistics``: name → sorted values.

    Raises
    ------
    ImageError
        When one cannot be read.
    """
    from pyimgano.core.images import as_rgb8

    count = min(len(sources), MOST_IMAGES)
    chosen = [sources[index * len(sources) // count] for index in range(count)]

    def measure(index: int) -> dict[str, float]:
        source = chosen[index]
        return image_statistics(as_rgb8(getattr(source, "source", source), value_range=value_range))

    found = list(read_ahead(measure, count, ahead=8))
    return {"n": count, "statistics": {name: sorted(one[name] for one in found) for name in STATISTICS}}


def statistics_json(categories: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, Any]:
    """Return what was loaded of some categories as an ``image_statistics.json`` of its own."""
    measured = {
        name: {"n": len(next(iter(values.values()))), "statistics": {key: list(part) for key, part in values.items()}}
        for name, values in categories.items()
        if values
    }
    return {"schema_version": IMAGE_STATISTICS_SCHEMA, "categories": measured}


def load_image_statistics(path: Path) -> dict[str, dict[str, tuple[float, ...]]]:
    """Read an ``image_statistics.json``: category → statistic → values; empty where there is none.

    Raises
    ------
    RunError
        When it is damaged, or of another version.
    """
    if not path.is_file():
        return {}
    try:
        data = load_json(path)
        version = data["schema_version"]
        if version != IMAGE_STATISTICS_SCHEMA:
            raise RunError(f"not of version {IMAGE_STATISTICS_SCHEMA}: {version!r}", where=str(path))
        return {
            name: {key: tuple(map(float, values)) for key, values in part["statistics"].items() if values}
            for name, part in data["categories"].items()
        }
    except RunError:
        raise
    except (PyimganoError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"is damaged: {getattr(error, 'message', None) or error}",
            where=str(path),
            hint="without this file only scores are compared",
        ) from error
