"""Parity: an exported detector beside the trained one, image by image."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.errors import PyimganoError
from pyimgano.workbench.bundle.held_out import NamedImage
from pyimgano.workbench.calibrate.card import CalibrationCard
from pyimgano.workbench.render.maps import map_at

if TYPE_CHECKING:
    from pyimgano.workbench.inference.category import FittedCategory
    from pyimgano.workbench.scoring import ScoredImage

__all__ = [
    "MAP_TOLERANCE",
    "SCORE_TOLERANCE",
    "CategoryParity",
    "ImageParity",
    "MovedThreshold",
    "compare_category",
    "moved_thresholds",
    "score_difference",
]

SCORE_TOLERANCE = 1e-4
"""Largest difference of a score, relative to the trained detector's."""
MAP_TOLERANCE = 1e-3
"""Largest difference of a map's pixel, relative to the largest magnitude in the trained detector's map."""

_CHUNK = 16
"""Images that both detectors score in one stretch: so many maps lie in memory."""


@dataclass(frozen=True)
class ImageParity:
    """One image under both detectors.

    Attributes
    ----------
    image : str
    trained, exported : float
        Scores.
    difference : float
        Of the scores, see :func:`score_difference`.
    map_difference : float or None
        Of the maps, relative to the largest magnitude in the trained detector's; None without maps.
    decision, exported_decision : str
    trained_peak, exported_peak : float or None
        Largest values of the maps at the image's size; None without maps.
    """

    image: str
    trained: float
    exported: float
    difference: float
    map_difference: Optional[float]
    decision: str
    exported_decision: str
    trained_peak: Optional[float] = None
    exported_peak: Optional[float] = None

    @property
    def changed(self) -> bool:
        """Whether the decision is another."""
        return self.decision != self.exported_decision

    def to_json(self) -> dict[str, Any]:
        """Return what ``parity.json`` says of the image."""
        return {
            "image": self.image,
            "trained": self.trained,
            "exported": self.exported,
            "difference": self.difference,
            "map_difference": self.map_difference,
            "decision": self.decision,
            "exported_decision": self.exported_decision,
        }


@dataclass(frozen=True)
class MovedThreshold:
    """A threshold that was moved within the tolerance, so that an image whose score it lies at keeps its decision.

    Attributes
    ----------
    name : str
        Field of the calibration card.
    run, bundle : float
        Before and after.
    """

    name: str
    run: float
    bundle: float


@dataclass(frozen=True)
class CategoryParity:
    """One category's images under both detectors.

    Attributes
    ----------
    category : str
    source : {"held-out", "folder"}
    images : tuple of ImageParity
    moved : tuple of MovedThreshold
    """

    category: str
    source: str
    images: tuple[ImageParity, ...]
    moved: tuple[MovedThreshold, ...] = ()

    @property
    def score_difference(self) -> float:
        """The largest of the scores' differences."""
        return max(image.difference for image in self.images)

    @property
    def map_difference(self) -> Optional[float]:
        """The largest of the maps' differences; None without maps."""
        return max((image.map_difference for image in self.images if image.map_difference is not None), default=None)

    @property
    def changed(self) -> tuple[ImageParity, ...]:
        """The images whose decision is another."""
        return tuple(image for image in self.images if image.changed)

    def require_equal(self) -> None:
        """Refuse an exported detector that does not give the trained one's scores, maps and decisions.

        Raises
        ------
        PyimganoError
            It names the image that differs most, and says by how much.
        """
        worst = max(self.images, key=lambda image: image.difference)
        if not worst.difference <= SCORE_TOLERANCE:
            raise self._unequal(
                f"the score of {worst.image} is {worst.exported:.9g}, that of the trained detector "
                f"{worst.trained:.9g}: a difference of {worst.difference:.2g}",
                f"a relative difference up to {SCORE_TOLERANCE:g}",
            )
        mapped = [image for image in self.images if image.map_difference is not None]
        worst = max(mapped, key=lambda image: image.map_difference or 0.0, default=worst)
        if worst.map_difference is not None and not worst.map_difference <= MAP_TOLERANCE:
            raise self._unequal(
                f"the map of {worst.image} differs from that of the trained detector by {worst.map_difference:.2g} of "
                "its largest value",
                f"a difference up to {MAP_TOLERANCE:g}",
            )
        self.require_decisions()

    def require_decisions(self) -> None:
        """Refuse an exported detector that decides otherwise.

        Raises
        ------
        PyimganoError
            It names the images.
        """
        if self.changed:
            shown = "; ".join(
                f"{one.image}: {one.decision} → {one.exported_decision} (score {one.trained:.6g} → {one.exported:.6g})"
                for one in self.changed[:5]
            )
            more = f"; and {len(self.changed) - 5} more" if len(self.changed) > 5 else ""
            raise self._unequal(f"{len(self.changed)} of {len(self.images)} decisions change: {shown}{more}", None)

    def _unequal(self, message: str, allowed: Optional[str]) -> PyimganoError:
        return PyimganoError(
            f"the exported detector is not the trained one: {message}",
            where=f"category {self.category!r}",
            allowed=allowed,
        )

    def to_json(self) -> dict[str, Any]:
        """Return what ``parity.json`` says of the category."""
        return {
            "name": self.category,
            "source": self.source,
            "n_images": len(self.images),
            "score_difference": self.score_difference,
            "map_difference": self.map_difference,
            "changed_decisions": [image.image for image in self.changed],
            "moved_thresholds": [dataclasses.asdict(moved) for moved in self.moved],
            "images": [image.to_json() for image in self.images],
        }


def score_difference(trained: float, exported: float, card: CalibrationCard) -> float:
    """Return |exported − trained| / max(|trained|, sd of the held-out scores).

    Where a score is near 0, as a log-likelihood's may be, a difference is measured by how far good images spread.
    """
    scale = max(abs(trained), card.distribution.get("sd") or 0.0, 1e-30)
    return abs(exported - trained) / scale


def compare_category(
    category: str,
    trained: FittedCategory,
    exported: FittedCategory,
    images: Sequence[NamedImage],
    *,
    source: str,
    advance: Optional[Callable[[int], Any]] = None,
) -> CategoryParity:
    """Score images with both detectors.

    Parameters
    ----------
    category : str
    trained, exported : FittedCategory
        Each with the card that its decisions follow from.
    images : sequence of NamedImage
    source : {"held-out", "folder"}
    advance : callable, optional
        Called with the number of images done.

    Raises
    ------
    PyimganoError
        When the two do not fail on the same images, or none can be scored.
    """
    found = []
    for named, first, second in _pairs(trained, exported, images):
        if (first.error is None) != (second.error is None):
            error = first.error or second.error
            who = "trained" if first.error is not None else "exported"
            raise PyimganoError(
                f"the {who} detector alone fails on {named.id}: {error}", where=f"category {category!r}"
            )
        if first.error is None:
            found.append(_image_parity(named, first, second, trained, exported))
        if advance is not None:
            advance(1)
    if not found:
        raise PyimganoError("none of the images can be scored", where=f"category {category!r}")
    return CategoryParity(category, source, tuple(found))


def _pairs(
    trained: FittedCategory, exported: FittedCategory, images: Sequence[NamedImage]
) -> Iterator[tuple[NamedImage, ScoredImage, ScoredImage]]:
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK]
        paths = [named.path for named in chunk]
        yield from zip(chunk, trained.stream(paths), exported.stream(paths))


def _image_parity(
    named: NamedImage, first: ScoredImage, second: ScoredImage, trained: FittedCategory, exported: FittedCategory
) -> ImageParity:
    import numpy as np

    assert first.score is not None
    assert second.score is not None
    where = named.id
    if (first.map is None) != (second.map is None):
        raise PyimganoError("one of the two detectors gives an anomaly map, the other none", where=where)
    difference: Optional[float] = None
    if first.map is not None and second.map is not None:
        if first.map.shape != second.map.shape:
            raise PyimganoError(f"the maps have the shapes {first.map.shape} and {second.map.shape}", where=where)
        scale = max(float(np.abs(first.map).max()), 1e-30)
        difference = float(np.abs(second.map - first.map).max()) / scale
    return ImageParity(
        named.id,
        first.score,
        second.score,
        score_difference(first.score, second.score, trained.card),
        difference,
        trained.judge(first).decision,
        exported.judge(second).decision,
        _peak(first, trained),
        _peak(second, exported),
    )


def _peak(scored: ScoredImage, fitted: FittedCategory) -> Optional[float]:
    """Return the largest value that regions are looked for in: at the image's size, where it counts."""
    if scored.map is None or scored.shape is None:
        return None
    values, inside = map_at(scored.map, scored.shape), fitted.processing.inside(scored.shape)
    return float(values.max() if inside is None else values[inside].max())


def moved_thresholds(parity: CategoryParity, card: CalibrationCard) -> tuple[MovedThreshold, ...]:
    """Return how thresholds must be moved for every image to keep its side of them; () where that is not possible.

    A calibrated threshold lies as close above a held-out image's score as numbers can. A graph computes in float32 and
    in another order, so this one score may come to lie on the other side of it, by a millionth. A threshold is moved by
    at most the tolerance of scores, to the nearest place between the images that keeps each on its side.
    """
    scores = [(image.trained, image.exported) for image in parity.images]
    peaks = [
        (image.trained_peak, image.exported_peak)
        for image in parity.images
        if image.trained_peak is not None and image.exported_peak is not None
    ]
    found = []
    for name, pairs in (("threshold", scores), ("review_threshold", scores), ("pixel_threshold", peaks)):
        threshold = getattr(card, name)
        if threshold is None:
            continue
        place = _between(pairs, threshold)
        if place is not None and place != threshold:
            if abs(place - threshold) > SCORE_TOLERANCE * max(abs(threshold), card.distribution.get("sd") or 0.0):
                return ()
            found.append(MovedThreshold(name, threshold, place))
    return tuple(found)


def _between(pairs: Iterable[tuple[float, float]], threshold: float) -> Optional[float]:
    """Return the nearest threshold that leaves every exported value on the side of its trained one, or None."""
    below, above = -math.inf, math.inf
    for trained, exported in pairs:
        if trained < threshold:
            below = max(below, exported)
        else:
            above = min(above, exported)
    if below >= above:
        return None
    if below >= threshold:
        # Decisions and regions compare with ≥, maps as float32: the next float32 is on the right side of both.
        import numpy as np

        up = float(np.nextafter(np.float32(below), np.float32(np.inf)))
        return up if below < up <= above else None
    return min(threshold, above)
