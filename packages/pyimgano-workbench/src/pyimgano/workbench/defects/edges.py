"""Defects at the edge of a part: worn edges, and a piece that is missing."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Optional

from pyimgano.workbench.defects.defect import DrawnDefect, Range
from pyimgano.workbench.defects.footprint import Footprint
from pyimgano.workbench.defects.outlines import fractal_noise, spot
from pyimgano.workbench.defects.shapes import soften
from pyimgano.workbench.defects.tones import directed_light, luminance

if TYPE_CHECKING:
    import numpy as np

__all__ = ["EdgeWear", "MissingPart"]

COARSE = 192
"""Pixels of the shorter side at which edges are looked for: finer ones are texture."""


def _part_edges(area: np.ndarray, inside: Optional[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels of a part's edge, (n, 2) rows and columns, and the directions across it, (n, 2).

    They are the ROI's border where there is one, else the strongest edges of the image.
    """
    import numpy as np

    step = max(1, min(area.shape[:2]) // COARSE)
    picked = (slice(step // 2, None, step), slice(step // 2, None, step))
    if inside is not None:
        # What lies behind the border of the box is not the part.
        framed = soften(np.pad(inside[picked].astype(np.float32), 3), 1)
        down, right = (side[3:-3, 3:-3] for side in np.gradient(framed))
        border = inside[picked] & (np.hypot(down, right) > 0.1)
    else:
        grey = soften(luminance(area[picked]), 2)
        if min(grey.shape) < 2:
            return np.zeros((0, 2), dtype=int), np.zeros((0, 2))
        down, right = np.gradient(grey)
        strength = np.hypot(down, right)
        border = strength >= max(float(np.quantile(strength, 0.93)), 1.0)
    found = np.argwhere(border) * step + step // 2
    across = np.stack([down[border], right[border]], axis=1)
    across /= np.maximum(np.hypot(*across.T), 1e-6)[:, None]
    return np.minimum(found, np.array(area.shape[:2]) - 1), across


@dataclasses.dataclass(frozen=True)
class EdgeWear(DrawnDefect):
    """Chips along an edge, where the coating is worn off and lighter material shows (darker on a light part).

    The edge is the ROI's border where there is a ROI, else one of the strongest edges of the image, else its border.

    Parameters
    ----------
    length : (float, float), optional
        Of the worn stretch, as a fraction of the shorter side.
    width : (float, float), optional
        Of a chip, as a fraction of the shorter side.
    contrast : (float, float), optional
        Change of brightness in grey levels of 255.
    severity : int
        1 to 5.
    """

    length: Optional[Range] = None
    width: Optional[Range] = None
    contrast: Optional[Range] = None
    severity: int = 3

    levels: ClassVar = {
        "length": ((0.05, 0.09), (0.08, 0.15), (0.14, 0.25), (0.22, 0.38), (0.35, 0.6)),
        "width": ((0.008, 0.014), (0.012, 0.02), (0.017, 0.028), (0.024, 0.04), (0.034, 0.055)),
        "contrast": ((18.0, 30.0), (28.0, 42.0), (40.0, 60.0), (55.0, 78.0), (72.0, 105.0)),
    }
    limits: ClassVar = {"length": (0.01, 1.0), "width": (0.001, 0.3), "contrast": (1.0, 255.0)}

    def outline(self, area: np.ndarray, rng: np.random.Generator, inside: Optional[np.ndarray]) -> Footprint:
        """Put chips beside each other along a stretch of an edge."""
        import numpy as np

        shape = (area.shape[0], area.shape[1])
        side = min(shape)
        reach = max(2.0, self.draw("length", rng) * side / 2.0)
        edge, across = _part_edges(area, inside)
        if len(edge) == 0:
            edge = np.stack([np.zeros(shape[1], dtype=int), np.arange(shape[1])], axis=1)
            across = np.tile([1.0, 0.0], (shape[1], 1))
        chosen = int(rng.integers(len(edge)))
        middle, width = edge[chosen], max(1.3, self.draw("width", rng) * side)
        # One stretch: neither another edge that runs beside it nor one that crosses it.
        away = edge - middle
        beside = np.abs(away @ across[chosen]) <= width + 0.1 * reach
        parallel = np.abs(across @ across[chosen]) >= 0.7
        near = edge[(np.hypot(*away.T) <= reach) & beside & parallel]
        count = int(np.clip(5.0 * reach / width, 4, 90))
        half = int(np.ceil(reach + 2.5 * width)) + 2
        opacity = np.zeros((2 * half + 1, 2 * half + 1), dtype=np.float32)
        for place in near[rng.integers(len(near), size=count)]:
            # The chips get smaller towards the ends of the stretch.
            far = float(np.hypot(*(place - middle))) / reach
            radius = max(1.2, 0.5 * width * float(rng.uniform(0.4, 1.2)) * (1.0 - 0.6 * far))
            chip = spot(radius, rng, roughness=0.4, edge=1.2, stretch=1.6)
            strays = rng.normal(0.0, 0.25 * width, 2)
            row, column = (int(v) for v in np.rint(place - middle + half + strays))
            top, left = max(0, row - chip.shape[0] // 2), max(0, column - chip.shape[1] // 2)
            window = opacity[top : top + chip.shape[0], left : left + chip.shape[1]]
            np.maximum(window, chip[: window.shape[0], : window.shape[1]], out=window)
        placed = Footprint(opacity, int(middle[0]) - half, int(middle[1]) - half).clipped(shape)
        return placed if inside is None or not placed.within(inside).mask.any() else placed.within(inside)

    def paint(
        self, area: np.ndarray, footprint: Footprint, rng: np.random.Generator, donor: Optional[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Replace the surface by rough bare material."""
        import numpy as np

        surface = area[footprint.window].astype(np.float32)
        seen = surface[footprint.mask].mean(axis=0)
        contrast = self.draw("contrast", rng)
        sign = 1.0 if float(luminance(seen)) + contrast <= 250.0 else -1.0
        rough = fractal_noise((surface.shape[0], surface.shape[1]), rng, period=8, octaves=3)
        light = directed_light(footprint.opacity, float(rng.uniform(0.0, 2.0 * np.pi)))
        bare = seen + sign * contrast
        grain = 0.2 * contrast * rough + 0.3 * contrast * light
        return 0.75 * bare + 0.25 * (surface + sign * contrast) + grain[..., None], footprint.opacity


def _background(area: np.ndarray, inside: Optional[np.ndarray]) -> Optional[np.ndarray]:
    """Return the colour that surrounds the part, (3,) float32; None where nothing of one colour does."""
    import numpy as np

    if inside is not None and float(inside.mean()) < 0.99:
        around = area[~inside]
    else:
        rim = max(1, min(area.shape[:2]) // 50)
        strips = (area[:rim], area[-rim:], area[:, :rim], area[:, -rim:])
        around = np.concatenate([strip.reshape(-1, 3) for strip in strips])
    middle = np.median(around, axis=0).astype(np.float32)
    near = np.abs(around - middle).max(axis=1) <= 20.0
    return middle if float(near.mean()) >= 0.9 else None


@dataclasses.dataclass(frozen=True)
class MissingPart(DrawnDefect):
    """A piece is gone: what lies around the part shows in its place, or a plain ground with the shade of a broken edge.

    Where the ROI's surroundings, or the rim of the image, are of one colour, that is the background; the piece then is
    one of what differs from it. Elsewhere the colours around the piece run into it.

    Parameters
    ----------
    size : (float, float), optional
        Radius, as a fraction of the shorter side.
    strength : (float, float), optional
        Opacity.
    severity : int
        1 to 5.
    """

    size: Optional[Range] = None
    strength: Optional[Range] = None
    severity: int = 3

    levels: ClassVar = {
        "size": ((0.02, 0.035), (0.035, 0.055), (0.055, 0.09), (0.085, 0.14), (0.13, 0.21)),
        "strength": ((0.55, 0.7), (0.65, 0.8), (0.75, 0.9), (0.85, 0.95), (0.95, 1.0)),
    }
    limits: ClassVar = {"size": (0.005, 0.5), "strength": (0.01, 1.0)}

    def outline(self, area: np.ndarray, rng: np.random.Generator, inside: Optional[np.ndarray]) -> Footprint:
        """Draw a piece with an angular outline, on the part where there is a background."""
        import numpy as np

        shape = (area.shape[0], area.shape[1])
        radius = max(2.0, self.draw("size", rng) * min(shape))
        placed = Footprint.somewhere(_shard(radius, rng), shape, rng)
        colour = _background(area, inside)
        if colour is None:
            return placed
        part = np.abs(area - colour).max(axis=2) > 30.0
        if inside is not None:
            part &= inside
        if not part.any():
            return placed
        moved = placed.moved_into(part, rng)
        return dataclasses.replace(moved, content=np.broadcast_to(colour, (*moved.opacity.shape, 3)))

    def paint(
        self, area: np.ndarray, footprint: Footprint, rng: np.random.Generator, donor: Optional[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Show the background, or what the surroundings run into."""
        import numpy as np

        shape = footprint.opacity.shape
        noise = soften(rng.standard_normal(shape), 1)[..., None] * 4.0
        strength = np.float32(self.draw("strength", rng))
        if footprint.content is not None:
            return footprint.content + noise, footprint.opacity * strength
        light = directed_light(-soften(footprint.opacity, 2), float(rng.uniform(0.0, 2.0 * np.pi)))
        ground = _run_in(area, footprint)
        return 0.72 * ground + 45.0 * light[..., None] + noise, footprint.opacity * strength


def _shard(radius: float, rng: np.random.Generator) -> np.ndarray:
    """Return the opacity of a polygon of five to eight corners at different distances from the middle."""
    import numpy as np

    corners = int(rng.integers(5, 9))
    turns = (np.arange(corners) + rng.uniform(-0.3, 0.3, corners)) * (2.0 * np.pi / corners)
    reaches = radius * rng.uniform(0.75, 1.3, corners)
    points = np.stack([reaches * np.sin(turns), reaches * np.cos(turns)], axis=1)
    half = int(np.ceil(reaches.max())) + 2
    rows, columns = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    away = np.full(rows.shape, np.inf, dtype=np.float32)
    angle = np.arctan2(rows, columns)
    for index, (start, end) in enumerate(zip(points, np.roll(points, -1, axis=0))):
        # Each side counts in its own sector: the polygon is a star around its middle, not convex.
        low, span = turns[index], (turns[(index + 1) % corners] - turns[index]) % (2.0 * np.pi)
        sector = (angle - low) % (2.0 * np.pi) <= span
        normal = np.array([end[1] - start[1], start[0] - end[0]])
        normal = normal / max(float(np.hypot(*normal)), 1e-6)
        signed = (rows - start[0]) * normal[0] + (columns - start[1]) * normal[1]
        if float(-start @ normal) > 0.0:
            signed = -signed
        away[sector] = -signed[sector]
    return np.asarray(np.clip(away / 1.2 + 0.5, 0.0, 1.0), dtype=np.float32)


def _run_in(area: np.ndarray, footprint: Footprint) -> np.ndarray:
    """Return (h, w, 3) float32: the colours around the footprint, run into it."""
    import cv2
    import numpy as np

    height, width = footprint.opacity.shape
    margin = max(3, min(height, width) // 6)
    top, left = max(0, footprint.top - margin), max(0, footprint.left - margin)
    around = area[top : footprint.top + height + margin, left : footprint.left + width + margin]
    known = np.ones(around.shape[:2], dtype=np.float32)
    inner = (
        slice(footprint.top - top, footprint.top - top + height),
        slice(footprint.left - left, footprint.left - left + width),
    )
    known[inner] = footprint.opacity <= 0.02
    # What is as smooth as this needs few pixels.
    step = max(1, min(around.shape[:2]) // 48)
    weight = known[::step, ::step]
    colours = around[::step, ::step].astype(np.float32) * weight[..., None]
    mean = colours.sum(axis=(0, 1)) / max(float(weight.sum()), 1.0)
    radius = max(1, max(height, width) // (3 * step))
    share = soften(weight, radius)[..., None]
    spread = np.where(share > 1e-3, soften(colours, radius) / np.maximum(share, 1e-4), mean)
    size = (around.shape[1], around.shape[0])
    large = cv2.resize(np.ascontiguousarray(spread, dtype=np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(large[inner], dtype=np.float32)
