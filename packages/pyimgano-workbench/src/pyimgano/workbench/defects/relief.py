"""Defects that change the surface's shape, seen by the light that falls on it: dent, pit."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Optional

from pyimgano.workbench.defects.defect import DrawnDefect, Range
from pyimgano.workbench.defects.footprint import Footprint
from pyimgano.workbench.defects.outlines import spot
from pyimgano.workbench.defects.shapes import soften
from pyimgano.workbench.defects.tones import directed_light

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Dent", "Pit"]

RAMP = 1.7
"""Width of a dent's flank, as a fraction of the radius at half its ramp."""
EDGE = 1.0 / 6.0
"""Where along the ramp, from outside, a flank shaped like a cosine is half as steep as at its steepest."""
SHAPE = 0.3868528
"""log(1/2) / log(EDGE): the power that makes an opacity of one half of it."""


@dataclasses.dataclass(frozen=True)
class Dent(DrawnDefect):
    """A hollow: one flank lies in the shade, the other faces the light, and the texture in it is drawn together.

    The mask is where the flank is at least half as steep as at its steepest, and the floor that it surrounds.

    Parameters
    ----------
    size : (float, float), optional
        Radius, as a fraction of the shorter side.
    contrast : (float, float), optional
        Change of brightness of the steepest flank, in grey levels of 255.
    severity : int
        1 to 5.
    """

    size: Optional[Range] = None
    contrast: Optional[Range] = None
    severity: int = 3

    levels: ClassVar = {
        "size": ((0.025, 0.045), (0.04, 0.065), (0.06, 0.1), (0.09, 0.14), (0.13, 0.2)),
        "contrast": ((12.0, 20.0), (18.0, 30.0), (28.0, 45.0), (42.0, 62.0), (58.0, 85.0)),
    }
    limits: ClassVar = {"size": (0.005, 0.5), "contrast": (1.0, 255.0)}

    def outline(self, area: np.ndarray, rng: np.random.Generator, inside: Optional[np.ndarray]) -> Footprint:
        """Draw a smooth hollow."""
        radius = max(2.0, self.draw("size", rng) * min(area.shape[:2]))
        inner = radius / (1.0 + RAMP * (0.5 - EDGE))
        ramp = soften(spot(inner, rng, roughness=0.08, edge=RAMP * inner, stretch=1.35), round(0.12 * inner))
        ramp /= max(float(ramp.max()), 1e-6)
        return Footprint.somewhere(ramp**SHAPE, (area.shape[0], area.shape[1]), rng)

    def paint(
        self, area: np.ndarray, footprint: Footprint, rng: np.random.Generator, donor: Optional[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Shade the flanks and draw the texture towards the middle."""
        import numpy as np

        depth = 0.5 - 0.5 * np.cos(np.pi * footprint.opacity ** (1.0 / SHAPE))
        surface = area[footprint.window].astype(np.float32)
        bent = _drawn_together(surface, depth)
        light = directed_light(-depth, float(rng.uniform(0.0, 2.0 * np.pi)))
        contrast = self.draw("contrast", rng)
        shaded = bent + contrast * (light - 0.2 * depth)[..., None]
        return shaded, (footprint.opacity > 0.0).astype(np.float32)


def _drawn_together(surface: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Return a surface seen through its own slopes: each pixel shows what lies some way outwards (bilinear)."""
    import numpy as np

    if min(depth.shape) < 2:
        return surface
    down, right = np.gradient(depth)
    reach = 0.035 * max(depth.shape) / max(float(np.hypot(down, right).max()), 1e-6)
    rows, columns = np.mgrid[: depth.shape[0], : depth.shape[1]].astype(np.float32)
    rows = np.clip(rows - reach * down, 0.0, depth.shape[0] - 1.0)
    columns = np.clip(columns - reach * right, 0.0, depth.shape[1] - 1.0)
    top = np.minimum(rows.astype(int), depth.shape[0] - 2)
    left = np.minimum(columns.astype(int), depth.shape[1] - 2)
    down_share, right_share = (rows - top)[..., None], (columns - left)[..., None]
    upper = surface[top, left] * (1.0 - right_share) + surface[top, left + 1] * right_share
    lower = surface[top + 1, left] * (1.0 - right_share) + surface[top + 1, left + 1] * right_share
    return np.asarray(upper * (1.0 - down_share) + lower * down_share, dtype=np.float32)


@dataclasses.dataclass(frozen=True)
class Pit(DrawnDefect):
    """Small deep holes, one or a cluster: dark inside, with a bright rim where the light meets the far wall.

    Parameters
    ----------
    size : (float, float), optional
        Radius of a hole, as a fraction of the shorter side.
    contrast : (float, float), optional
        Grey levels of 255 that the inside is darker.
    count : (float, float), optional
        Number of holes, rounded.
    severity : int
        1 to 5.
    """

    size: Optional[Range] = None
    contrast: Optional[Range] = None
    count: Optional[Range] = None
    severity: int = 3

    levels: ClassVar = {
        "size": ((0.006, 0.010), (0.009, 0.014), (0.012, 0.019), (0.017, 0.026), (0.022, 0.036)),
        "contrast": ((20.0, 30.0), (28.0, 42.0), (38.0, 58.0), (52.0, 78.0), (72.0, 105.0)),
        "count": ((1.0, 1.0), (1.0, 2.0), (1.0, 3.0), (2.0, 5.0), (4.0, 8.0)),
    }
    limits: ClassVar = {"size": (0.001, 0.3), "contrast": (1.0, 255.0), "count": (1.0, 50.0)}

    def outline(self, area: np.ndarray, rng: np.random.Generator, inside: Optional[np.ndarray]) -> Footprint:
        """Scatter holes of different sizes around a point."""
        import numpy as np

        side = min(area.shape[:2])
        holes = []
        for _ in range(round(self.draw("count", rng))):
            radius = max(1.3, self.draw("size", rng) * side)
            holes.append(spot(radius, rng, roughness=0.15, edge=max(1.2, 0.5 * radius), stretch=1.3))
        reach = 0.0 if len(holes) == 1 else 0.7 * len(holes) ** 0.5 * max(max(hole.shape) for hole in holes)
        places = [(float(np.sqrt(rng.uniform())) * reach, float(rng.uniform(0.0, 2.0 * np.pi))) for _ in holes]
        centres = [(round(away * np.sin(turn)), round(away * np.cos(turn))) for away, turn in places]
        half = max(max(abs(row), abs(column)) + max(hole.shape) // 2 for (row, column), hole in zip(centres, holes))
        opacity = np.zeros((2 * half + 1, 2 * half + 1), dtype=np.float32)
        for (row, column), hole in zip(centres, holes):
            top, left = half + row - hole.shape[0] // 2, half + column - hole.shape[1] // 2
            window = opacity[top : top + hole.shape[0], left : left + hole.shape[1]]
            np.maximum(window, hole, out=window)
        return Footprint.somewhere(opacity, (area.shape[0], area.shape[1]), rng)

    def paint(
        self, area: np.ndarray, footprint: Footprint, rng: np.random.Generator, donor: Optional[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Darken the inside, most under the wall towards the light, and light the far rim."""
        import numpy as np

        surface = area[footprint.window].astype(np.float32)
        contrast = self.draw("contrast", rng)
        wall = max(1, round(0.25 * self.span("size")[0] * min(area.shape[:2])))
        light = directed_light(-soften(footprint.opacity, wall), float(rng.uniform(0.0, 2.0 * np.pi)))
        # The wall towards the light lies in its own shade, the far one and its rim catch it.
        hollow = contrast * footprint.opacity * (0.55 * light - 0.75)
        # In a black surface a hole is seen by its rim alone, and by what gathers in it.
        if float(surface[footprint.mask].mean()) < 0.5 * contrast:
            hollow = -hollow
        rim = 0.6 * contrast * np.clip(light, 0.0, 1.0) * (1.0 - footprint.opacity)
        return surface + (hollow + rim)[..., None], (footprint.opacity > 0.0).astype(np.float32)
