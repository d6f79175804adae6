"""Small images with an obvious defect, for the contract checks. They prove the contract, not a model's quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyimgano.core.seeding import generator

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CheckImages", "make_check_images"]


@dataclass(frozen=True)
class CheckImages:
    """Images of one part: (H, W, 3) uint8 arrays.

    Attributes
    ----------
    train, good, defective : list of ndarray
        Good images to fit on, other good ones, and images with a bright square where no good image is bright.
    """

    train: list[np.ndarray]
    good: list[np.ndarray]
    defective: list[np.ndarray]

    @property
    def test(self) -> list[np.ndarray]:
        """Good and defective images."""
        return [*self.good, *self.defective]


def make_check_images(
    *, seed: int = 0, size: int = 72, train: int = 14, good: int = 5, defective: int = 4
) -> CheckImages:
    """Return woven-looking images (two gratings, brightness and noise vary), some with a bright square."""
    import numpy as np

    rng = generator(seed, "check-images")
    y, x = np.mgrid[0:size, 0:size].astype(np.float64)

    def weave() -> np.ndarray:
        phase, gain = rng.uniform(0, 0.6), rng.uniform(0.9, 1.1)
        pattern = 40 * np.sin(x / 3.0 + phase) + 30 * np.sin(y / 4.0 - phase)
        rgb = 105 * gain + np.stack([pattern, 0.8 * pattern, 0.6 * pattern], axis=-1)
        return np.clip(rgb + rng.normal(0, 3, rgb.shape), 0, 255).astype(np.uint8)

    def with_defect() -> np.ndarray:
        image = weave()
        top, left = (int(v) for v in rng.integers(8, size - 28, 2))
        image[top : top + 20, left : left + 20] = 255 - image[top : top + 20, left : left + 20] // 8
        return image

    return CheckImages(
        [weave() for _ in range(train)], [weave() for _ in range(good)], [with_defect() for _ in range(defective)]
    )
