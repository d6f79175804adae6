"""Defects that are spots of something on the surface: stain, oil, rust."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Optional

from pyimgano.workbench.defects.defect import DrawnDefect, Range
from pyimgano.workbench.defects.footprint import Footprint
from pyimgano.workbench.defects.outlines import fractal_noise, ragged_spot, spot
from pyimgano.workbench.defects.shapes import blob, soften
from pyimgano.workbench.defects.tones import apart, luminance, toned

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Oil", "Rust", "Stain"]


@dataclasses.dataclass(frozen=True)
class Stain(DrawnDefect):
    """A spot of one colour, dark or light, through which the texture shows weakly, as paint or ink leaves it.

    Its outline is drawn on the whole image (or the ROI's box), so its cost is that of the image.

    Parameters
    ----------
    size : (float, float), optional
        Radius, as a fraction of the image's shorter side.
    strength : (float, float), optional
        Opacity of the spot.
    severity : int
        1 to 5; 5, the default, is what the demo has.
    """

    size: Optional[Range] = None
    strength: Optional[Range] = None
    severity: int = 5

    levels: ClassVar = {
        "size": ((0.015, 0.03), (0.03, 0.055), (0.05, 0.09), (0.08, 0.14), (0.12, 0.20)),
        "strength": ((0.15, 0.3), (0.25, 0.42), (0.4, 0.6), (0.55, 0.75), (0.65, 0.85)),
    }
    limits: ClassVar = {"size": (0.01, 0.5), "strength": (0.01, 1.0)}

    def outline(self, area: np.ndarray, rng: np.random.Generator, inside: Optional[np.ndarray]) -> Footprint:
        """Draw an irregular round spot."""
        shape = (area.shape[0], area.shape[1])
        return Footprint.of_whole(
            blob(shape, rng, size=self.span("size"), roughness=0.4, edge=max(2.0, 0.03 * min(shape)))
        )

    def paint(
        self, area: np.ndarray, footprint: Footprint, rng: np.random.Generator, donor: Optional[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cover the surface with one colour."""
        import numpy as np

        surface = area[footprint.window]
        # What is light there gets a dark spot, and the other way round: a spot is never the colour of its place.
        colour = 25.0 if surface[footprint.mask].mean() > 127.5 else 230.0
        return np.full(surface.shape, colour), footprint.opacity * self.draw("strength", rng)


@dataclasses.dataclass(frozen=True)
class Oil(DrawnDefect):
    """A drop of oil: the surface below it is darker and smoother, with a darker rim and a soft reflection.

    Parameters
    ----------
    size : (float, float), optional
        Radius, as a fraction of the shorter side.
    strength : (float, float), optional
        How much of this is seen.
    severity : int
        1 to 5.
    """

    size: Optional[Range] = None
    strength: Optional[Range] = None
    severity: int = 3

    levels: ClassVar = {
        "size": ((0.02, 0.04), (0.035, 0.06), (0.055, 0.095), (0.09, 0.15), (0.14, 0.22)),
        "strength": ((0.25, 0.4), (0.35, 0.52), (0.5, 0.68), (0.65, 0.83), (0.8, 1.0)),
    }
    limits: ClassVar = {"size": (0.005, 0.5), "strength": (0.01, 1.0)}

    def outline(self, area: np.ndarray, rng: np.random.Generator, inside: Optional[np.ndarray]) -> Footprint:
        """Draw a smooth spot."""
        radius = max(2.0, self.draw("size", rng) * min(area.shape[:2]))
        opacity = spot(radius, rng, roughness=0.22, edge=max(1.5, 0.12 * radius), stretch=1.5)
        return Footprint.somewhere(opacity, (area.shape[0], area.shape[1]), rng)

    def paint(
        self, area: np.ndarray, footprint: Footprint, rng: np.random.Generator, donor: Optional[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Filter what is below it, and add the rim and the reflection."""
        import numpy as np

        surface = area[footprint.window].astype(np.float32)
        radius = max(footprint.opacity.shape) / 2.5
        smooth = soften(surface, max(1, round(0.06 * radius)))
        place = float(luminance(surface[footprint.mask].mean(axis=0)))
        tint = np.array([1.0, 0.93, 0.74], dtype=np.float32)
        # A film darkens what is light; on what is black only its sheen is seen.
        film = (0.4 * surface + 0.6 * smooth) * 0.52 * tint if place >= 50.0 else 1.4 * smooth + 26.0 * tint
        depth = soften(footprint.opacity, max(1, round(0.18 * radius)))
        rim = np.clip(1.0 - np.abs(depth - 0.55) / 0.3, 0.0, 1.0)[..., None]
        film = film * (1.0 - 0.3 * rim)
        rows, columns = np.mgrid[: depth.shape[0], : depth.shape[1]].astype(np.float32)
        turn = float(rng.uniform(0.0, 2.0 * np.pi))
        row = depth.shape[0] / 2.0 + 0.42 * radius * np.sin(turn)
        column = depth.shape[1] / 2.0 + 0.42 * radius * np.cos(turn)
        along = (rows - row) * np.cos(turn) - (columns - column) * np.sin(turn)
        towards = (rows - row) * np.sin(turn) + (columns - column) * np.cos(turn)
        gleam = np.exp(-((along / (0.3 * radius + 1.0)) ** 2) - (towards / (0.11 * radius + 1.0)) ** 2)
        film = film + 110.0 * gleam[..., None]
        return toned(film, area), footprint.opacity * np.float32(self.draw("strength", rng))


RUST = ((92.0, 44.0, 22.0), (168.0, 86.0, 34.0), (205.0, 130.0, 62.0))
"""Old, fresh and powdery rust."""


@dataclasses.dataclass(frozen=True)
class Rust(DrawnDefect):
    """A frayed patch of corrosion in several browns, with crumbs around it; in grey images several greys.

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
        "size": ((0.02, 0.035), (0.035, 0.06), (0.06, 0.1), (0.1, 0.16), (0.15, 0.24)),
        "strength": ((0.3, 0.45), (0.4, 0.6), (0.55, 0.75), (0.7, 0.88), (0.85, 1.0)),
    }
    limits: ClassVar = {"size": (0.005, 0.5), "strength": (0.01, 1.0)}

    def outline(self, area: np.ndarray, rng: np.random.Generator, inside: Optional[np.ndarray]) -> Footprint:
        """Draw a patch with a frayed border."""
        radius = max(2.0, self.draw("size", rng) * min(area.shape[:2]))
        return Footprint.somewhere(ragged_spot(radius, rng, fray=0.4), (area.shape[0], area.shape[1]), rng)

    def paint(
        self, area: np.ndarray, footprint: Footprint, rng: np.random.Generator, donor: Optional[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mix the browns by noise, and let the surface's own relief through."""
        import numpy as np

        surface = area[footprint.window].astype(np.float32)
        seen = surface[footprint.mask].mean(axis=0)
        place = float(luminance(seen))
        # All three move together, so that they stay apart from each other, too.
        middle = apart(RUST[1], place, 45.0)
        colours = [np.asarray(colour) * (middle / np.asarray(RUST[1], dtype=np.float32)) for colour in RUST]
        shape = (surface.shape[0], surface.shape[1])
        mixed = np.clip(0.5 + 0.35 * fractal_noise(shape, rng, period=4), 0.0, 1.0)[..., None]
        powder = np.clip(fractal_noise(shape, rng, period=6) - 1.0, 0.0, 1.0)[..., None]
        colour = colours[0] * (1.0 - mixed) + colours[1] * mixed
        colour = colour * (1.0 - powder) + colours[2] * powder
        relief = np.clip(luminance(surface) / max(place, 1.0), 0.5, 1.5)[..., None] ** 0.6
        return toned(colour * relief, area), footprint.opacity * np.float32(self.draw("strength", rng))
