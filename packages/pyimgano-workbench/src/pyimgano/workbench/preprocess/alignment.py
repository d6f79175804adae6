"""Registration: every image is moved onto a template, so that aligned models see the part where they know it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Optional, TypeVar

from pyimgano.core.errors import DatasetError, ImageError
from pyimgano.core.parameters import require

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Align"]

A = TypeVar("A", bound="Align")

SIDE = 256
"""Shorter side, in pixels, at which images are registered; positions are then known to a tenth of such a pixel."""

CANDIDATES = 16
"""Good images that the template is chosen from."""


@dataclasses.dataclass
class Align:
    """Moves every image onto a template: one of the good images, that which is most like the others.

    A shift is found by phase correlation of the grey images under a Hann window; from it, the other movements are
    refined by maximising the enhanced correlation coefficient (ECC).

    An image that cannot be brought to the template is an error, and gets no score. What comes in at the border is the
    image mirrored there. Anomaly maps are moved back: they lie on the source image.

    Parameters
    ----------
    motion : {"shift", "euclidean", "affine"}
        What may differ: the place; the place and the angle; these, size and shear.
    min_correlation : float
        Least correlation with the template after the movement, 0 to 1: below it the image is refused.
    iterations : int
        Of ECC, at most.

    References
    ----------
    G. Evangelidis & E. Psarakis, *Parametric Image Alignment Using Enhanced Correlation Coefficient Maximization*, IEEE
    TPAMI, 2008. C. Kuglin & D. Hines, *The Phase Correlation Image Alignment Method*, 1975.
    """

    learns: ClassVar[bool] = True

    motion: str = "euclidean"
    min_correlation: float = 0.5
    iterations: int = 50

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        require(self.motion in ("shift", "euclidean", "affine"), "motion", self.motion, "shift, euclidean, affine")
        require(0.0 <= self.min_correlation < 1.0, "min_correlation", self.min_correlation, "at least 0, below 1")
        whole = isinstance(self.iterations, int) and not isinstance(self.iterations, bool)
        require(whole and self.iterations >= 1, "iterations", self.iterations, "a whole number, at least 1")
        self.template_: Optional[np.ndarray] = None

    def fit(self: A, images: Iterable[np.ndarray]) -> A:
        """Choose the template among the first good images."""
        import numpy as np

        candidates: list[np.ndarray] = []
        for image in islice(images, CANDIDATES):
            shape = candidates[0].shape if candidates else None
            candidates.append(_grey(image, shape))
        if not candidates:
            raise DatasetError("no good images to choose a template from")
        flat = np.stack([_standardised(candidate).ravel() for candidate in candidates])
        self.template_ = candidates[int((flat @ flat.T).sum(axis=1).argmax())]
        return self

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, Optional[np.ndarray]]:
        """Return the image on the template's place, and where its pixels were.

        Raises
        ------
        ImageError
            When it cannot be brought there.
        """
        import cv2
        import numpy as np

        if self.template_ is None:
            raise DatasetError("there is no template", hint="fit before")
        height, width = image.shape[:2]
        grey = _grey(image, self.template_.shape)
        small = self._register(grey)
        # From pixels of the small images to those of the image; the centre of the first pixel is (0, 0) in both.
        scale = np.array([width / grey.shape[1], height / grey.shape[0]])
        moved = small * np.array([[1.0, scale[0] / scale[1]], [scale[1] / scale[0], 1.0]])[:, [0, 1, 1]]
        moved[:, 2] = small[:, 2] * scale + 0.5 * (scale - 1.0) - moved[:, :2] @ (0.5 * (scale - 1.0))
        aligned = cv2.warpAffine(
            image,
            moved,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        return np.asarray(aligned, dtype=np.uint8).reshape(image.shape), moved

    def _register(self, grey: np.ndarray) -> np.ndarray:
        """Return where each pixel of the template is in a grey image of its size: (2, 3) float64."""
        import cv2
        import numpy as np

        template = self.template_
        assert template is not None
        height, width = template.shape
        window = cv2.createHanningWindow((width, height), cv2.CV_32F)
        shift, _ = cv2.phaseCorrelate(_standardised(template), _standardised(grey), window)
        found = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
        # A pattern that repeats has several places, and no part at all has none: stay where the likeness is greatest.
        if self._likeness(grey, found) < self._likeness(grey, np.eye(2, 3)):
            found = np.eye(2, 3)
        if self.motion != "shift":
            kind = cv2.MOTION_EUCLIDEAN if self.motion == "euclidean" else cv2.MOTION_AFFINE
            criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, self.iterations, 1e-5)
            try:
                _, refined = cv2.findTransformECC(
                    template, grey, found.astype(np.float32), kind, criteria, inputMask=None, gaussFiltSize=5
                )
            except cv2.error as error:
                raise ImageError(
                    "the image cannot be brought to the template: the registration does not converge",
                    hint="look at it; or set motion of the preprocess 'align' to 'shift'",
                ) from error
            found = refined.astype(np.float64)
        likeness = self._likeness(grey, found)
        if likeness < self.min_correlation:
            raise ImageError(
                f"the image does not show what the template shows: correlation {likeness:.2f}",
                allowed=f"at least min_correlation = {self.min_correlation:g} of the preprocess 'align'",
            )
        return found

    def _likeness(self, grey: np.ndarray, moved: np.ndarray) -> float:
        import cv2
        import numpy as np

        assert self.template_ is not None
        height, width = self.template_.shape
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        there = cv2.warpAffine(grey, moved, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
        return float(np.mean(_standardised(self.template_) * _standardised(there)))

    def get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the template."""
        return ({} if self.template_ is None else {"template": self.template_}), {}

    def set_state(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Take back what :meth:`get_state` returned."""
        self.template_ = arrays.get("template")


def _grey(image: np.ndarray, shape: Optional[tuple[int, ...]] = None) -> np.ndarray:
    """Return a grey image, (h, w) float32, of a shape, or whose shorter side has :data:`SIDE` pixels at most."""
    import cv2
    import numpy as np

    grey = image.mean(axis=2, dtype=np.float32)
    if shape is None:
        factor = min(1.0, SIDE / min(grey.shape))
        shape = (round(grey.shape[0] * factor), round(grey.shape[1] * factor))
    if grey.shape != shape:
        grey = cv2.resize(grey, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(grey, dtype=np.float32)


def _standardised(grey: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.asarray((grey - grey.mean()) / (grey.std() + 1e-6), dtype=np.float32)
