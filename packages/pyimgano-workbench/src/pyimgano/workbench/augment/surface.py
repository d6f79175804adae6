"""Drifts of what lies on or around the part without being it: dirt, dust, another background."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Optional

from pyimgano.workbench.augment.augmentation import Change
from pyimgano.workbench.augment.fields import side_of, sign, smooth_field
from pyimgano.workbench.augment.values import ENCODING, is_grey, multiplied, towards

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Background", "Dust"]

LINT = 215.0
"""Grey level of dust that lies in focus."""


def stamp(canvas: np.ndarray, place: tuple[float, float], radius: float, strength: float, soft: float) -> None:
    """Put a round speck on a canvas where it is stronger than what is there.

    Parameters
    ----------
    canvas : ndarray, (H, W) float32
        Opacities; changed.
    place : (float, float)
        Row and column of the middle.
    radius, soft : float
        Of the speck, and the width of its edge, in pixels.
    strength : float
        Opacity in its middle.
    """
    import numpy as np

    row, column = place
    reach = int(radius + soft) + 2
    top, left = max(0, int(row) - reach), max(0, int(column) - reach)
    window = canvas[top : int(row) + reach + 1, left : int(column) + reach + 1]
    if window.size == 0:
        return
    rows = np.arange(top, top + window.shape[0], dtype=np.float32)[:, None] - np.float32(row)
    columns = np.arange(left, left + window.shape[1], dtype=np.float32) - np.float32(column)
    ramp = np.clip(
        (np.float32(radius + soft / 2) - np.sqrt(rows * rows + columns * columns)) / np.float32(soft), 0.0, 1.0
    )
    np.maximum(window, np.float32(strength) * ramp * ramp * (3.0 - 2.0 * ramp), out=window)


class Dust(Change):
    """Dirt on the lens and dust on the part.

    A third of the specks are out of focus: round, soft, 1.5 to 4 % of the shorter side in radius; they only take light.
    The others lie in focus: small light-grey grains of 0.3 to 0.8 %, and some of them fibres of 4 to 10 %.

    Parameters
    ----------
    severity : int
        Specks: 8, 16, 28, 44 or 66; light that one on the lens takes: up to 30, 40, 50, 60 or 70 %.
    """

    levels: ClassVar[Mapping[str, tuple[float, ...]]] = MappingProxyType(
        {"specks": (8.0, 16.0, 28.0, 44.0, 66.0), "light in %": (30.0, 40.0, 50.0, 60.0, 70.0)}
    )

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import numpy as np

        height, width = image.shape[:2]
        side = side_of(image.shape)
        taken = np.zeros((height, width), dtype=np.float32)
        covered = np.zeros((height, width), dtype=np.float32)
        for number in range(int(self._level("specks"))):
            place = (rng.uniform(0.0, height), rng.uniform(0.0, width))
            if number % 3 == 0:
                radius = rng.uniform(0.015, 0.04) * side
                strength = self._level("light in %") / 100.0 * rng.uniform(0.6, 1.0)
                stamp(taken, place, radius, strength, max(1.0, 1.2 * radius))
            else:
                radius = max(0.5, rng.uniform(0.003, 0.008) * side)
                fibre = number % 4 == 1
                self._lint(covered, place, radius, rng.uniform(0.04, 0.1) * side if fibre else 0.0, rng)
        dimmed = multiplied(image, (1.0 - taken) ** (1.0 / ENCODING))
        return towards(dimmed, LINT, covered)

    def _lint(
        self, canvas: np.ndarray, place: tuple[float, float], radius: float, length: float, rng: np.random.Generator
    ) -> None:
        """Put a grain on the canvas, or a bent fibre of so many pixels."""
        import numpy as np

        strength = rng.uniform(0.5, 0.9)
        if length == 0.0:
            stamp(canvas, place, radius, strength, 1.0)
            return
        radius *= 0.6
        direction, bend = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(-2.5, 2.5)
        row, column = place
        steps = max(2, int(length / max(radius, 0.7)))
        for step in range(steps):
            stamp(canvas, (row, column), radius, strength, 1.0)
            angle = direction + bend * step / steps
            row += length / steps * np.sin(angle)
            column += length / steps * np.cos(angle)


TOLERANCE = 16
"""Greatest difference to the background's colour, in grey levels of each channel of the slightly blurred image."""

AT_BORDER = 0.5
"""Share of the border's pixels that the background must take: it surrounds the part."""

THICKNESS = 0.04
"""Least thickness of a background, as a fraction of the shorter side: thinner strips belong to the part."""

PIECES = 4
"""Connected pieces that a background may have: of a part that touches all sides, the corners. Patterns leave more."""

LEAST = 0.03
"""Share of the image that a background takes at least."""

OBJECT = 0.05
"""Share of the image that the greatest connected piece of the rest takes at least: without it there is no object, and
what looks like a background is a surface that fills the image."""


def background_of(image: np.ndarray) -> Optional[np.ndarray]:
    """Return how much each pixel belongs to the background of an image.

    That is the surface of nearly one colour that surrounds the part: pixels within :data:`TOLERANCE` of the border
    pixels' median colour, after a mean over 3 × 3 pixels against noise; in pieces no thinner than :data:`THICKNESS`
    that reach the border.

    Parameters
    ----------
    image : ndarray, (H, W, 3) uint8

    Returns
    -------
    ndarray, (H, W) float32, or None
        In [0, 1]: 1 up to half the tolerance, falling to 0. None where it would take less than half of the border's
        pixels (:data:`AT_BORDER`) or 3 % of the image (:data:`LEAST`), or be in more than four pieces
        (:data:`PIECES`), and where the rest has no connected piece of at least 5 % (:data:`OBJECT`): no part.
    """
    import cv2
    import numpy as np

    shape = image.shape[:2]
    smooth = cv2.blur(image, (3, 3), borderType=cv2.BORDER_REFLECT_101).reshape(image.shape)
    colour = np.median(np.concatenate(_border(smooth)), axis=0)
    away = cv2.absdiff(smooth, np.broadcast_to(np.rint(colour).astype(np.uint8), image.shape).copy())
    difference = away.reshape(image.shape).max(axis=2)
    alike = (difference <= TOLERANCE).astype(np.uint8)
    kernel = np.ones((2 * round(THICKNESS / 2 * side_of(shape)) + 1,) * 2, dtype=np.uint8)
    thick = cv2.morphologyEx(alike, cv2.MORPH_OPEN, kernel)
    count, labels = cv2.connectedComponents(thick, connectivity=4)
    reaching = np.zeros(count, dtype=bool)
    reaching[np.concatenate(_border(labels.reshape(shape)))] = True
    reaching[0] = False
    background = reaching[labels].reshape(shape)
    if reaching.sum() > PIECES or np.concatenate(_border(background)).mean() < AT_BORDER:
        return None
    rest = cv2.connectedComponentsWithStats((~background).astype(np.uint8), connectivity=4)[2]
    largest = rest[1:, cv2.CC_STAT_AREA].max(initial=0)
    if background.mean() < LEAST or largest < OBJECT * background.size:
        return None
    likeness = np.clip(2.0 - difference * np.float32(2.0 / TOLERANCE), 0.0, 1.0)
    # One soft pixel between part and background, as the optics leave it.
    cover = cv2.blur((background * likeness).astype(np.float32), (3, 3), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(cover, dtype=np.float32).reshape(shape)


def _border(pixels: np.ndarray) -> list[np.ndarray]:
    """Return the four lines of pixels along the border."""
    return [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]


class Background(Change):
    """Another background: the uniform surface around the part becomes lighter or darker, tinted, and slightly uneven.

    The background is what :func:`background_of` finds: pixels of nearly one colour that are connected with the border.
    Its own noise stays. **An image without such a background is returned as it is**: a texture that fills the image, a
    close-up, a cluttered scene. A grey image stays grey.

    Parameters
    ----------
    severity : int
        Change of the background's mean: 12, 25, 42, 65 or 95 grey levels, towards the side with room (by lot where
        there is room on both); the tint is up to a third, the unevenness a sixth of it.
    """

    levels: ClassVar[Mapping[str, tuple[float, ...]]] = MappingProxyType(
        {"grey levels": (12.0, 25.0, 42.0, 65.0, 95.0)}
    )

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import cv2
        import numpy as np

        cover = background_of(image)
        change = self._level("grey levels")
        direction, tint = sign(rng), rng.uniform(-1.0, 1.0, size=3)
        if cover is None:
            return image.copy()
        mean = float(image[cover > 0.5].mean())
        if mean + change > 255.0 or mean - change < 0.0:
            direction = 1.0 if mean < 127.5 else -1.0
        tint = np.zeros(3) if is_grey(image) else (tint - tint.mean()) / 3.0
        uneven = np.clip(smooth_field(image.shape, rng, cells=4), -2.0, 2.0) / 6.0
        colours = [cover * np.float32(change) * (np.float32(direction + part) + uneven) for part in tint]
        added: np.ndarray = cv2.add(image, cv2.merge(colours), dtype=cv2.CV_8U)
        return added.reshape(image.shape)
