"""Defects that are lines: scratch, crack, fibre."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Optional

from pyimgano.workbench.defects.defect import DrawnDefect, Range
from pyimgano.workbench.defects.footprint import Footprint
from pyimgano.workbench.defects.outlines import drawn_line, wandering_line
from pyimgano.workbench.defects.shapes import curve
from pyimgano.workbench.defects.tones import apart, luminance, room_for_dark, toned

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Crack", "Fibre", "Scratch"]

THINNEST = 0.72
"""Half the width in pixels below which a line has gaps in its mask, between the pixels."""


@dataclasses.dataclass(frozen=True)
class Scratch(DrawnDefect):
    """A thin curved line, lighter or darker than the surface.

    Parameters
    ----------
    length : (float, float), optional
        Distance between the ends, as a fraction of the image's shorter side.
    width : (float, float), optional
        Width, as a fraction of the shorter side (at least 1.5 pixels are drawn).
    contrast : (float, float), optional
        Change of brightness in grey levels of 255; the sign is drawn by lot, the darker the image the more often light.
    severity : int
        1 to 5; 5, the default, is what the demo has.
    """

    length: Optional[Range] = None
    width: Optional[Range] = None
    contrast: Optional[Range] = None
    severity: int = 5

    levels: ClassVar = {
        "length": ((0.05, 0.12), (0.1, 0.22), (0.18, 0.38), (0.28, 0.55), (0.35, 0.75)),
        "width": ((0.002, 0.004), (0.003, 0.006), (0.005, 0.012), (0.012, 0.025), (0.025, 0.045)),
        "contrast": ((12.0, 25.0), (20.0, 40.0), (35.0, 65.0), (50.0, 85.0), (60.0, 100.0)),
    }
    limits: ClassVar = {"length": (0.01, 1.0), "width": (0.0, 0.5), "contrast": (1.0, 255.0)}

    def outline(self, area: np.ndarray, rng: np.random.Generator, inside: Optional[np.ndarray]) -> Footprint:
        """Draw a quadratic Bézier curve that thins out towards its ends."""
        shape = (area.shape[0], area.shape[1])
        width = max(1.5, self.draw("width", rng) * min(shape))
        return Footprint.of_whole(curve(shape, rng, length=self.span("length"), width=width))

    def paint(
        self, area: np.ndarray, footprint: Footprint, rng: np.random.Generator, donor: Optional[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Brighten or darken the surface."""
        import numpy as np

        # Towards the side with room: a light scratch on a white surface would not be there.
        sign = 1.0 if rng.uniform() < 1.0 - area.mean() / 255.0 else -1.0
        change = sign * self.draw("contrast", rng)
        return area[footprint.window].astype(np.float32) + change, footprint.opacity


@dataclasses.dataclass(frozen=True)
class Crack(DrawnDefect):
    """A jagged dark line with branches, finest at its ends; on a surface too dark for it a light one.

    Parameters
    ----------
    length : (float, float), optional
        Of the trunk, along it, as a fraction of the shorter side.
    width : (float, float), optional
        Of the trunk in its middle, as a fraction of the shorter side (at least 1.5 pixels are drawn).
    contrast : (float, float), optional
        Grey levels of 255 that the surface loses.
    branches : (float, float), optional
        Number of branches, rounded.
    severity : int
        1 to 5.
    """

    length: Optional[Range] = None
    width: Optional[Range] = None
    contrast: Optional[Range] = None
    branches: Optional[Range] = None
    severity: int = 3

    levels: ClassVar = {
        "length": ((0.07, 0.14), (0.12, 0.25), (0.22, 0.42), (0.35, 0.65), (0.55, 0.95)),
        "width": ((0.002, 0.003), (0.0025, 0.004), (0.0035, 0.005), (0.0045, 0.007), (0.006, 0.01)),
        "contrast": ((20.0, 35.0), (30.0, 50.0), (45.0, 75.0), (65.0, 95.0), (85.0, 130.0)),
        "branches": ((0.0, 1.0), (0.0, 2.0), (1.0, 3.0), (2.0, 4.0), (3.0, 6.0)),
    }
    limits: ClassVar = {"length": (0.01, 2.0), "width": (0.0, 0.2), "contrast": (1.0, 255.0), "branches": (0.0, 20.0)}

    def outline(self, area: np.ndarray, rng: np.random.Generator, inside: Optional[np.ndarray]) -> Footprint:
        """Draw a trunk and branches that leave it at 20° to 70°."""
        import numpy as np

        side = min(area.shape[:2])
        half = max(1.5, self.draw("width", rng) * side) / 2.0
        length = max(4.0, self.draw("length", rng) * side)
        trunk = wandering_line(length, rng, kink=0.6, memory=max(2.5, length / 22.0), jagged=True)
        lines, widths = [trunk], [half * (0.35 + 0.65 * np.sin(np.pi * np.linspace(0.08, 0.92, len(trunk))))]
        for _ in range(round(self.draw("branches", rng))):
            start = int(rng.integers(len(trunk) // 5, max(len(trunk) // 5 + 1, len(trunk) * 4 // 5)))
            ahead = trunk[min(len(trunk) - 1, start + 3)] - trunk[max(0, start - 3)]
            turn = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.35, 1.2)) + float(np.arctan2(ahead[0], ahead[1]))
            reach = length * float(rng.uniform(0.12, 0.4))
            branch = wandering_line(reach, rng, kink=0.5, memory=max(2.5, length / 22.0), start=turn, jagged=True)
            lines.append(trunk[start] + branch)
            widths.append(0.7 * widths[0][start] * np.linspace(1.0, 0.4, len(branch)))
        opacity, _ = drawn_line(np.concatenate(lines), np.maximum(np.concatenate(widths), THINNEST))
        return Footprint.somewhere(opacity, (area.shape[0], area.shape[1]), rng)

    def paint(
        self, area: np.ndarray, footprint: Footprint, rng: np.random.Generator, donor: Optional[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Darken the surface, unless it is too dark for that."""
        import numpy as np

        contrast = self.draw("contrast", rng)
        surface = area[footprint.window].astype(np.float32)
        sign = -1.0 if room_for_dark(surface, footprint.mask, contrast) else 1.0
        return surface + sign * contrast, footprint.opacity


FIBRES = ((30.0, 30.0, 32.0), (225.0, 222.0, 215.0), (60.0, 75.0, 130.0), (140.0, 50.0, 45.0))
"""Colours of hairs and threads: dark, undyed, blue, red."""


@dataclasses.dataclass(frozen=True)
class Fibre(DrawnDefect):
    """A curled hair or thread of even width that lies on the surface.

    Parameters
    ----------
    length : (float, float), optional
        Along the fibre, as a fraction of the shorter side.
    width : (float, float), optional
        As a fraction of the shorter side (at least 1.4 pixels are drawn).
    strength : (float, float), optional
        Opacity.
    severity : int
        1 to 5.
    """

    length: Optional[Range] = None
    width: Optional[Range] = None
    strength: Optional[Range] = None
    severity: int = 3

    levels: ClassVar = {
        "length": ((0.08, 0.15), (0.14, 0.26), (0.25, 0.45), (0.4, 0.7), (0.65, 1.1)),
        "width": ((0.002, 0.003), (0.0025, 0.004), (0.0035, 0.005), (0.0045, 0.007), (0.006, 0.01)),
        "strength": ((0.3, 0.45), (0.4, 0.6), (0.55, 0.75), (0.7, 0.9), (0.85, 1.0)),
    }
    limits: ClassVar = {"length": (0.01, 4.0), "width": (0.0, 0.2), "strength": (0.01, 1.0)}

    def outline(self, area: np.ndarray, rng: np.random.Generator, inside: Optional[np.ndarray]) -> Footprint:
        """Draw a line that curls softly."""
        import numpy as np

        side = min(area.shape[:2])
        half = max(1.4, self.draw("width", rng) * side) / 2.0
        length = max(4.0, self.draw("length", rng) * side)
        points = wandering_line(length, rng, kink=1.3, memory=length / rng.uniform(2.5, 5.0))
        opacity, _ = drawn_line(points, np.full(len(points), half))
        return Footprint.somewhere(opacity, (area.shape[0], area.shape[1]), rng)

    def paint(
        self, area: np.ndarray, footprint: Footprint, rng: np.random.Generator, donor: Optional[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Give the fibre a colour that is not that of its place."""
        import numpy as np

        surface = area[footprint.window]
        place = float(luminance(surface[footprint.mask].mean(axis=0)))
        colour = toned(apart(FIBRES[int(rng.integers(len(FIBRES)))], place, 70.0), area)
        strength = np.float32(self.draw("strength", rng))
        return np.broadcast_to(colour, surface.shape), footprint.opacity * strength
