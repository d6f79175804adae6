"""The light taken out of an image: its colour, and how unevenly it falls."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Optional, TypeVar

from pyimgano.core.errors import DatasetError
from pyimgano.core.parameters import require

if TYPE_CHECKING:
    import numpy as np

__all__ = ["FlatField", "WhiteBalance"]

W = TypeVar("W", bound="WhiteBalance")
F = TypeVar("F", bound="FlatField")

FIELD = 64
"""Rows and columns that a field is learned with: light has no finer structure than that."""


@dataclasses.dataclass
class WhiteBalance:
    """Brings the mean colour of every image to one: grey, or that of the good images.

    Each channel is multiplied by a gain, 1 on average, so that the mean of the image's channels have the wanted ratios.
    The brightness stays. A defect that covers a good part of the image in one colour shifts its mean, too.

    Parameters
    ----------
    to : {"good", "grey"}
        The mean colour of the good images, or grey (the grey-world assumption).
    limit : float
        Greatest gain, and 1 / the smallest; above 1.
    """

    to: str = "good"
    limit: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        require(self.to in ("good", "grey"), "to", self.to, "good, grey")
        require(self.limit > 1.0, "limit", self.limit, "above 1")
        self.ratios_: Optional[np.ndarray] = None

    @property
    def learns(self) -> bool:
        """Whether :meth:`fit` reads the images."""
        return self.to == "good"

    def fit(self: W, images: Iterable[np.ndarray]) -> W:
        """Learn the mean colour of the good images."""
        import numpy as np

        if self.learns:
            means = [image.reshape(-1, 3).mean(axis=0) for image in images]
            if not means:
                raise DatasetError("no good images to learn the colour of the light from")
            mean = np.mean(means, axis=0)
            self.ratios_ = np.maximum(mean, 1.0) / max(1.0, float(mean.mean()))
        return self

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, Optional[np.ndarray]]:
        """Return the image in the wanted colour of light, and None: nothing was moved."""
        import cv2
        import numpy as np

        wanted = np.ones(3) if self.ratios_ is None else self.ratios_
        mean = np.maximum(image.reshape(-1, 3).mean(axis=0), 1.0)
        gains = np.clip(wanted * mean.mean() / mean, 1.0 / self.limit, self.limit)
        table = np.clip(np.rint(np.arange(256.0)[:, None] * gains), 0, 255).astype(np.uint8)
        return cv2.LUT(image, table.reshape(1, 256, 3)), None

    def get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the ratios that were learned."""
        return ({} if self.ratios_ is None else {"ratios": self.ratios_}), {}

    def set_state(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Take back what :meth:`get_state` returned."""
        self.ratios_ = arrays.get("ratios")


@dataclasses.dataclass
class FlatField:
    """Divides by how the light falls, which is learned from good images that show the same view.

    The field is the mean of the good images, in 64 × 64 cells, blurred over some cells so that the part's own pattern
    does not stay in it, and divided by its mean. Where the light falls otherwise than on the good images, this does not
    even it out: see ``homomorphic``.

    Parameters
    ----------
    smooth : float
        Standard deviation of the blur, as a fraction of the field's side: 0 to 0.5. The smaller, the more of the
        part's own pattern is divided away.
    limit : float
        Greatest gain; above 1.
    """

    learns: ClassVar[bool] = True

    smooth: float = 0.1
    limit: float = 4.0

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        require(0.0 <= self.smooth <= 0.5, "smooth", self.smooth, "0 to 0.5")
        require(self.limit > 1.0, "limit", self.limit, "above 1")
        self.field_: Optional[np.ndarray] = None

    def fit(self: F, images: Iterable[np.ndarray]) -> F:
        """Learn the field from good images."""
        import cv2
        import numpy as np

        total, count = np.zeros((FIELD, FIELD)), 0
        for image in images:
            grey = image.mean(axis=2, dtype=np.float32)
            total += cv2.resize(grey, (FIELD, FIELD), interpolation=cv2.INTER_AREA)
            count += 1
        if count == 0:
            raise DatasetError("no good images to learn the field of the light from")
        field = total / count
        if self.smooth > 0:
            field = cv2.GaussianBlur(field, (0, 0), self.smooth * FIELD, borderType=cv2.BORDER_REFLECT)
        self.field_ = np.asarray(field / max(1e-3, float(field.mean())), dtype=np.float32)
        return self

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, Optional[np.ndarray]]:
        """Return the image under even light, and None: nothing was moved."""
        import cv2
        import numpy as np

        if self.field_ is None:
            raise DatasetError("the field of the light was not learned", hint="fit before")
        height, width = image.shape[:2]
        field = cv2.resize(self.field_, (width, height), interpolation=cv2.INTER_LINEAR)
        gain = 1.0 / np.maximum(field, np.float32(1.0 / self.limit))
        changed = cv2.multiply(image, cv2.merge([gain, gain, gain]), dtype=cv2.CV_8U)
        return np.asarray(changed, dtype=np.uint8).reshape(image.shape), None

    def get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the field that was learned."""
        return ({} if self.field_ is None else {"field": self.field_}), {}

    def set_state(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Take back what :meth:`get_state` returned."""
        self.field_ = arrays.get("field")
