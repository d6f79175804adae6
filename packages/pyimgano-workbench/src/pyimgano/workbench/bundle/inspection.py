"""One image from a camera, as an array, and what is found on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.errors import ImageError
from pyimgano.core.images import to_rgb8
from pyimgano.core.parameters import require
from pyimgano.workbench.records import PredictionRecord

if TYPE_CHECKING:
    import numpy as np

    from pyimgano.workbench.inference.category import FittedCategory
    from pyimgano.workbench.regions import Region

__all__ = ["Inspection", "inspect_image", "rgb8_of"]

COLORS = ("rgb", "bgr", "gray")
LAYOUTS = ("hwc", "chw")


@dataclass(frozen=True, eq=False)
class Inspection:
    """What is found on one image.

    Attributes
    ----------
    category : str or None
        None where the dataset had no categories.
    score : float
        Raw image score; higher is more anomalous.
    threshold : float
        The decision by score is ``"defective"`` where score ≥ threshold.
    review_threshold : float or None
        From here to the threshold it is ``"review"``.
    decision : str
        ``"good"``, ``"review"`` or ``"defective"``.
    p_value : float
        Share of the held-out good images (and this one) that score at least as high: in (0, 1].
    shape : (int, int)
        (H, W) of the image.
    map : ndarray, (h, w) float32, or None
        Raw anomaly map, processed as in the run, at the model's own resolution; None where the model has none.
    pixel_threshold : float or None
        A region is where the map, at the image's size, reaches it.
    regions : tuple of Region or None
        See :class:`~pyimgano.workbench.records.PredictionRecord`; None where there is no map.
    regions_left_out : int
        Regions beyond those that are listed.
    mask : ndarray, (H, W) bool, or None
        The pixels of the regions that count.
    overruled_by : str or None
        See :class:`~pyimgano.workbench.verdict.Verdict`.
    """

    category: Optional[str]
    score: float
    threshold: float
    review_threshold: Optional[float]
    decision: str
    p_value: float
    shape: tuple[int, int]
    map: Optional[np.ndarray] = None
    pixel_threshold: Optional[float] = None
    regions: Optional[tuple[Region, ...]] = None
    regions_left_out: int = 0
    mask: Optional[np.ndarray] = None
    overruled_by: Optional[str] = None

    @property
    def defective(self) -> bool:
        """Whether the decision is ``"defective"``."""
        return self.decision == "defective"

    def record(self, image: str = "image") -> PredictionRecord:
        """Return the same as a record, without pictures.

        Parameters
        ----------
        image : str
            What the record calls the image.
        """
        return PredictionRecord(
            image,
            category=self.category,
            score=self.score,
            threshold=self.threshold,
            decision=self.decision,
            p_value=self.p_value,
            overruled_by=self.overruled_by,
            regions=self.regions,
            regions_left_out=self.regions_left_out or None,
        )


def rgb8_of(
    image: np.ndarray,
    *,
    color: str = "rgb",
    layout: str = "hwc",
    value_range: Optional[tuple[float, float]] = None,
) -> np.ndarray:
    """Return an array of any of the formats as RGB uint8, (H, W, 3).

    Parameters
    ----------
    image : ndarray
        (H, W, 3) or, with ``layout="chw"``, (3, H, W). With ``color="gray"``: (H, W), (H, W, 1) or (1, H, W). uint8,
        uint16 or floating.
    color : {"rgb", "bgr", "gray"}
        Order of the channels; OpenCV's is ``"bgr"``.
    layout : {"hwc", "chw"}
        Where the channels stand.
    value_range : (float, float), optional
        See :func:`pyimgano.core.images.to_rgb8`.

    Raises
    ------
    ParameterError
        When ``color`` or ``layout`` is another.
    ImageError
        When the array has another shape or dtype.
    """
    import numpy as np

    require(color in COLORS, "color", color, " or ".join(map(repr, COLORS)))
    require(layout in LAYOUTS, "layout", layout, " or ".join(map(repr, LAYOUTS)))
    array = np.asarray(image)
    if array.ndim == 3 and layout == "chw":
        array = array.transpose(1, 2, 0)
    grey = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1)
    fits = grey if color == "gray" else array.ndim == 3 and array.shape[2] == 3
    if not fits:
        wanted = {"hwc": "(H, W, {})", "chw": "({}, H, W)"}[layout].format(1 if color == "gray" else 3)
        also = "(H, W) or " if color == "gray" else ""
        raise ImageError(
            f"shape {tuple(np.shape(image))} with color={color!r} and layout={layout!r}",
            where="image",
            allowed=f"{also}{wanted}",
        )
    if color == "bgr":
        array = array[..., ::-1]
    return to_rgb8(array, value_range=value_range, where="image")


def inspect_image(fitted: FittedCategory, image: np.ndarray) -> Inspection:
    """Return what is found on one image, RGB uint8 (H, W, 3), by the stages that score a run's test images.

    Raises
    ------
    PyimganoError
        When it cannot be scored.
    """
    import dataclasses

    # The values are pixels already: a run's range is for files.
    (scored,) = dataclasses.replace(fitted, value_range=None).stream([image], batch_size=1, on_error="raise")
    assert scored.score is not None
    verdict, card = fitted.judge(scored), fitted.card
    found: Any = verdict.found
    return Inspection(
        category=fitted.category,
        score=scored.score,
        threshold=card.threshold,
        review_threshold=card.review_threshold,
        decision=verdict.decision,
        p_value=card.p_value(scored.score),
        shape=(int(image.shape[0]), int(image.shape[1])),
        map=scored.map,
        pixel_threshold=card.pixel_threshold,
        regions=None if found is None else found.regions,
        regions_left_out=0 if found is None else found.left_out,
        mask=None if found is None else found.mask,
        overruled_by=verdict.overruled_by,
    )
