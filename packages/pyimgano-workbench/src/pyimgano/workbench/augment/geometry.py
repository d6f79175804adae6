"""Drifts of the position: the part, or the camera, lies, stands or moves otherwise than it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from pyimgano.workbench.augment.augmentation import Geometric, Move
from pyimgano.workbench.augment.fields import side_of, sign, smooth_curve

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ConveyorJitter", "Perspective", "Rotation", "Scale", "Shift", "by_matrix"]


def by_matrix(matrix: Sequence[Sequence[float]]) -> Move:
    """Return the movement by an affine (2 × 3) or projective (3 × 3) matrix on (x, y) in pixels."""

    def move(pixels: np.ndarray, interpolation: int) -> np.ndarray:
        import cv2
        import numpy as np

        size = (pixels.shape[1], pixels.shape[0])
        warp = cv2.warpAffine if len(matrix) == 2 else cv2.warpPerspective
        how = {"flags": interpolation, "borderMode": cv2.BORDER_REFLECT_101}
        warped: np.ndarray = warp(pixels, np.asarray(matrix, dtype=np.float64), size, **how)
        return warped.reshape(pixels.shape)

    return move


def about_centre(shape: tuple[int, int], linear: Sequence[Sequence[float]]) -> Move:
    """Return the movement by a linear 2 × 2 matrix around the middle of the image."""
    (a, b), (c, d) = linear
    x, y = (shape[1] - 1) / 2.0, (shape[0] - 1) / 2.0
    return by_matrix([[a, b, x - a * x - b * y], [c, d, y - c * x - d * y]])


class Rotation(Geometric):
    """The part lies turned around the middle of the image, clockwise or not by lot.

    Parameters
    ----------
    severity : int
        1, 2, 4, 7 or 12 degrees.
    """

    levels: ClassVar[Mapping[str, tuple[float, ...]]] = MappingProxyType({"degrees": (1.0, 2.0, 4.0, 7.0, 12.0)})

    def _move(self, shape: tuple[int, int], rng: np.random.Generator) -> Move:
        import numpy as np

        angle = np.deg2rad(sign(rng) * self._level("degrees"))
        cosine, sine = float(np.cos(angle)), float(np.sin(angle))
        return about_centre(shape, [[cosine, -sine], [sine, cosine]])


class Shift(Geometric):
    """The part lies elsewhere, in a direction drawn by lot; by whole pixels, so that nothing is blurred.

    Parameters
    ----------
    severity : int
        1, 2, 4, 7 or 12 % of the shorter side (at least one pixel).
    """

    levels: ClassVar[Mapping[str, tuple[float, ...]]] = MappingProxyType({"distance in %": (1.0, 2.0, 4.0, 7.0, 12.0)})

    def _move(self, shape: tuple[int, int], rng: np.random.Generator) -> Move:
        import numpy as np

        distance = max(1.0, self._level("distance in %") / 100.0 * side_of(shape))
        angle = rng.uniform(0.0, 2.0 * np.pi)
        down, right = round(distance * np.sin(angle)), round(distance * np.cos(angle))

        def move(pixels: np.ndarray, interpolation: int) -> np.ndarray:
            import cv2

            borders = (max(down, 0), max(-down, 0), max(right, 0), max(-right, 0))
            wide = cv2.copyMakeBorder(pixels, *borders, cv2.BORDER_REFLECT_101).reshape(
                -1, shape[1] + abs(right), *pixels.shape[2:]
            )
            top, left = max(-down, 0), max(-right, 0)
            return np.ascontiguousarray(wide[top : top + shape[0], left : left + shape[1]])

        return move


class Scale(Geometric):
    """The part is nearer to the camera or farther from it, by lot, or the lens was changed.

    Parameters
    ----------
    severity : int
        Larger by 2, 4, 7, 12 or 20 %, or smaller by that factor.
    """

    levels: ClassVar[Mapping[str, tuple[float, ...]]] = MappingProxyType({"zoom in %": (2.0, 4.0, 7.0, 12.0, 20.0)})

    def _move(self, shape: tuple[int, int], rng: np.random.Generator) -> Move:
        factor = (1.0 + self._level("zoom in %") / 100.0) ** sign(rng)
        return about_centre(shape, [[factor, 0.0], [0.0, factor]])


class Perspective(Geometric):
    """The camera is tilted, towards a side drawn by lot: what is farther away becomes smaller (keystone).

    Parameters
    ----------
    severity : int
        How much larger than in the middle things are shown where they are nearest, half the image's longer side away,
        and about how much smaller on the other side: 2, 4, 7, 11 or 16 %.
    """

    levels: ClassVar[Mapping[str, tuple[float, ...]]] = MappingProxyType({"keystone in %": (2.0, 4.0, 7.0, 11.0, 16.0)})

    def _move(self, shape: tuple[int, int], rng: np.random.Generator) -> Move:
        import numpy as np

        angle = rng.uniform(0.0, 2.0 * np.pi)
        half = max(max(shape) - 1, 1) / 2.0
        tilt = self._level("keystone in %") / 100.0 / half
        x, y = (shape[1] - 1) / 2.0, (shape[0] - 1) / 2.0
        to_centre = np.array([[1.0, 0.0, -x], [0.0, 1.0, -y], [0.0, 0.0, 1.0]])
        back = np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])
        tilted = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [tilt * np.cos(angle), tilt * np.sin(angle), 1.0]])
        return by_matrix((back @ tilted @ to_centre).tolist())


class ConveyorJitter(Geometric):
    """A belt that runs unevenly below a line-scan camera: rows shaken sideways, and taken too early or too late.

    The belt runs down the image. Each row is taken from another place, displaced along both axes by smooth noise with
    waves of about a tenth of the height.

    Parameters
    ----------
    severity : int
        Greatest displacement along each axis: 0.4, 0.8, 1.3, 2.0 or 3.0 % of the shorter side (at least half a pixel).
    """

    levels: ClassVar[Mapping[str, tuple[float, ...]]] = MappingProxyType({"reach in %": (0.4, 0.8, 1.3, 2.0, 3.0)})

    def _move(self, shape: tuple[int, int], rng: np.random.Generator) -> Move:
        import numpy as np

        height, width = shape
        reach = max(0.5, self._level("reach in %") / 100.0 * side_of(shape))
        sideways = reach * smooth_curve(height, rng, period=height / 10.0)
        along = np.arange(height, dtype=np.float32) + reach * smooth_curve(height, rng, period=height / 10.0)
        rows = np.repeat(along[:, None], width, axis=1).astype(np.float32)
        columns = (np.arange(width, dtype=np.float32) + sideways[:, None]).astype(np.float32)

        def move(pixels: np.ndarray, interpolation: int) -> np.ndarray:
            import cv2

            how = {"interpolation": interpolation, "borderMode": cv2.BORDER_REFLECT_101}
            moved: np.ndarray = cv2.remap(pixels, columns, rows, **how)
            return moved.reshape(pixels.shape)

        return move
