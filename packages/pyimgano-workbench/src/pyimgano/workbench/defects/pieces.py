"""Defects that are pieces of something pasted in: foreign, cutpaste and its scar, perlin-texture, tape."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Optional

from pyimgano.core.errors import ParameterError
from pyimgano.workbench.defects.defect import DrawnDefect, Range
from pyimgano.workbench.defects.footprint import Footprint
from pyimgano.workbench.defects.outlines import bar, fractal_noise
from pyimgano.workbench.defects.shapes import blob
from pyimgano.workbench.defects.tones import apart, luminance, toned

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CutPaste", "CutPasteScar", "Foreign", "PerlinTexture", "Tape"]


@dataclasses.dataclass(frozen=True)
class Foreign(DrawnDefect):
    """A piece of another image, brought to the brightness of the place and pasted in with soft edges.

    Its outline is drawn on the whole image (or the ROI's box), so its cost is that of the image.

    Parameters
    ----------
    size : (float, float), optional
        Radius, as a fraction of the image's shorter side.
    severity : int
        1 to 5; 5, the default, is what the demo has.

    References
    ----------
    C.-L. Li et al., *CutPaste: Self-Supervised Learning for Anomaly Detection and Localization*, CVPR 2021,
    arXiv 2104.04015, pastes a rectangle of the same image; this pastes a round piece of a donor.
    """

    size: Optional[Range] = None
    severity: int = 5

    levels: ClassVar = {"size": ((0.03, 0.05), (0.05, 0.08), (0.08, 0.11), (0.11, 0.16), (0.15, 0.22))}
    limits: ClassVar = {"size": (0.01, 0.5)}
    pastes: ClassVar = True

    def outline(self, area: np.ndarray, rng: np.random.Generator, inside: Optional[np.ndarray]) -> Footprint:
        """Draw an irregular round spot."""
        shape = (area.shape[0], area.shape[1])
        return Footprint.of_whole(blob(shape, rng, size=self.span("size"), roughness=0.3, edge=2.0))

    def paint(
        self, area: np.ndarray, footprint: Footprint, rng: np.random.Generator, donor: Optional[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Take a piece of the donor; a ParameterError says that there is none, or one smaller than the image."""
        import numpy as np

        height, width = area.shape[:2]
        if donor is None or donor.shape[0] < height or donor.shape[1] < width:
            raise ParameterError(
                "a foreign piece needs a donor", allowed=f"an image of at least {width}×{height} pixels"
            )
        row = int(rng.integers(donor.shape[0] - height + 1))
        column = int(rng.integers(donor.shape[1] - width + 1))
        surface, inside = area[footprint.window], footprint.mask
        piece = donor[row : row + height, column : column + width][footprint.window].astype(np.float32)
        # A piece that merely is brighter would be found by any threshold on grey levels.
        piece += surface[inside].mean(axis=0) - piece[inside].mean(axis=0)
        return piece, footprint.opacity


def _elsewhere(area: np.ndarray, footprint: Footprint, rng: np.random.Generator, *, places: int = 4) -> np.ndarray:
    """Return (h, w, 3) float32 of the same image: of some random places the one that differs most from this one."""
    import numpy as np

    surface = area[footprint.window].astype(np.float32)
    height, width = surface.shape[:2]
    best, most = surface, -1.0
    for _ in range(places):
        row = int(rng.integers(area.shape[0] - height + 1))
        column = int(rng.integers(area.shape[1] - width + 1))
        piece = area[row : row + height, column : column + width].astype(np.float32)
        differs = float(np.abs(piece - surface).mean())
        if differs > most:
            best, most = piece, differs
    return best


def _jittered(piece: np.ndarray, rng: np.random.Generator, by: float) -> np.ndarray:
    """Return a piece with its brightness and contrast changed by up to ``by``, a fraction; never by less than half."""
    factors = [1.0 + float(rng.choice([-1.0, 1.0]) * rng.uniform(by / 2.0, by)) for _ in range(2)]
    mean = piece.mean()
    jittered: np.ndarray = (mean + (piece - mean) * factors[0]) * factors[1]
    return jittered


@dataclasses.dataclass(frozen=True)
class CutPaste(DrawnDefect):
    """A rectangle of the same image at another place, with its brightness and contrast changed a little.

    Parameters
    ----------
    size : (float, float), optional
        Square root of the rectangle's area, as a fraction of the shorter side; its sides are as 0.3 to 3.3.
    severity : int
        1 to 5; 5 reaches the largest area of the paper, 15 % of the image.

    References
    ----------
    C.-L. Li et al., *CutPaste: Self-Supervised Learning for Anomaly Detection and Localization*, CVPR 2021,
    arXiv 2104.04015. Other than there, of four places to cut from the one that differs most is taken: a piece of a
    plain background on itself would be a mask without a defect.
    """

    size: Optional[Range] = None
    severity: int = 3

    levels: ClassVar = {"size": ((0.04, 0.07), (0.07, 0.11), (0.11, 0.17), (0.17, 0.26), (0.26, 0.39))}
    limits: ClassVar = {"size": (0.01, 0.7)}

    def outline(self, area: np.ndarray, rng: np.random.Generator, inside: Optional[np.ndarray]) -> Footprint:
        """Draw an upright rectangle with hard edges."""
        import numpy as np

        side = max(2.0, self.draw("size", rng) * min(area.shape[:2]))
        aspect = float(np.exp(rng.uniform(np.log(0.3), np.log(1.0 / 0.3)))) ** 0.5
        shape = (
            min(area.shape[0], max(1, round(side / aspect))),
            min(area.shape[1], max(1, round(side * aspect))),
        )
        return Footprint.somewhere(np.ones(shape, dtype=np.float32), (area.shape[0], area.shape[1]), rng)

    def paint(
        self, area: np.ndarray, footprint: Footprint, rng: np.random.Generator, donor: Optional[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Take the rectangle from elsewhere."""
        return _jittered(_elsewhere(area, footprint, rng), rng, 0.1), footprint.opacity


@dataclasses.dataclass(frozen=True)
class CutPasteScar(DrawnDefect):
    """A long thin turned piece of the same image at another place, its brightness and contrast changed.

    Parameters
    ----------
    length, width : (float, float), optional
        As fractions of the shorter side (at least 2 pixels wide).
    severity : int
        1 to 5.

    References
    ----------
    C.-L. Li et al., CutPaste, CVPR 2021, arXiv 2104.04015: of 256 pixels 10 to 25 long and 2 to 16 wide, turned by up
    to 45°; here by any angle, longer in the upper severities, and cut without turning its content.
    """

    length: Optional[Range] = None
    width: Optional[Range] = None
    severity: int = 3

    levels: ClassVar = {
        "length": ((0.04, 0.07), (0.06, 0.1), (0.1, 0.17), (0.16, 0.28), (0.25, 0.42)),
        "width": ((0.008, 0.012), (0.011, 0.017), (0.016, 0.026), (0.024, 0.038), (0.035, 0.06)),
    }
    limits: ClassVar = {"length": (0.01, 1.0), "width": (0.0, 0.5)}

    def outline(self, area: np.ndarray, rng: np.random.Generator, inside: Optional[np.ndarray]) -> Footprint:
        """Draw a turned rectangle."""
        import numpy as np

        side = min(area.shape[:2])
        length, width = self.draw("length", rng) * side, max(2.0, self.draw("width", rng) * side)
        opacity = bar(length, width, float(rng.uniform(0.0, np.pi)))
        return Footprint.somewhere(opacity, (area.shape[0], area.shape[1]), rng)

    def paint(
        self, area: np.ndarray, footprint: Footprint, rng: np.random.Generator, donor: Optional[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Take the piece from elsewhere."""
        return _jittered(_elsewhere(area, footprint, rng), rng, 0.2), footprint.opacity


@dataclasses.dataclass(frozen=True)
class PerlinTexture(DrawnDefect):
    """Regions of Perlin noise in which another texture shines through.

    Parameters
    ----------
    size : (float, float), optional
        Radius of the disc that the regions lie in, as a fraction of the shorter side.
    strength : (float, float), optional
        Opacity of the texture.
    severity : int
        1 to 5.

    References
    ----------
    V. Zavrtanik et al., *DRÆM*, ICCV 2021, section 3.2, thresholds noise over the whole image, and may leave it empty;
    here the regions lie in a disc, which gives them a size, and there is always one. The texture is the donor's, or the
    image's own from another place, mirrored.
    """

    size: Optional[Range] = None
    strength: Optional[Range] = None
    severity: int = 3

    levels: ClassVar = {
        "size": ((0.04, 0.07), (0.07, 0.11), (0.11, 0.17), (0.17, 0.26), (0.25, 0.38)),
        "strength": ((0.25, 0.4), (0.35, 0.52), (0.5, 0.68), (0.65, 0.83), (0.8, 1.0)),
    }
    limits: ClassVar = {"size": (0.01, 0.7), "strength": (0.01, 1.0)}
    pastes: ClassVar = True

    def outline(self, area: np.ndarray, rng: np.random.Generator, inside: Optional[np.ndarray]) -> Footprint:
        """Threshold noise that falls off towards the disc's border; the upper 45 % of the disc stay."""
        import numpy as np

        radius = max(2.0, self.draw("size", rng) * min(area.shape[:2]))
        half = int(np.ceil(radius))
        rows, columns = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
        away = np.hypot(rows, columns) / radius
        period = int(rng.integers(2, 5))
        field = fractal_noise(away.shape, rng, period=period, octaves=2) - 1.2 * away**2
        field[away > 1.0] = -10.0
        level = float(np.quantile(field[away <= 1.0], 0.55))
        opacity = np.clip((field - level) / 0.12 + 0.5, 0.0, 1.0)
        return Footprint.somewhere(opacity.astype(np.float32), (area.shape[0], area.shape[1]), rng)

    def paint(
        self, area: np.ndarray, footprint: Footprint, rng: np.random.Generator, donor: Optional[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Take the texture of the donor, or of another place."""
        import numpy as np

        height, width = footprint.opacity.shape
        texture = area if donor is None or donor.shape[0] < height or donor.shape[1] < width else donor
        row = int(rng.integers(texture.shape[0] - height + 1))
        column = int(rng.integers(texture.shape[1] - width + 1))
        down, across = (1 - 2 * int(side) for side in rng.integers(2, size=2))
        piece = texture[row : row + height, column : column + width][::down, ::across]
        strength = np.float32(self.draw("strength", rng))
        return toned(piece, area), footprint.opacity * strength


TAPES = ((196.0, 158.0, 104.0), (228.0, 226.0, 214.0), (52.0, 92.0, 168.0), (40.0, 40.0, 42.0), (222.0, 196.0, 60.0))
"""Parcel tape, clear tape, masking film, insulating tape in black and in yellow."""


@dataclasses.dataclass(frozen=True)
class Tape(DrawnDefect):
    """A strip of adhesive tape with straight sides, torn ends and creases, through which the surface shows.

    Parameters
    ----------
    length, width : (float, float), optional
        As fractions of the shorter side.
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
        "length": ((0.07, 0.11), (0.1, 0.17), (0.16, 0.26), (0.25, 0.38), (0.36, 0.6)),
        "width": ((0.03, 0.045), (0.04, 0.065), (0.06, 0.095), (0.09, 0.13), (0.12, 0.18)),
        "strength": ((0.3, 0.45), (0.4, 0.58), (0.55, 0.72), (0.7, 0.86), (0.84, 0.97)),
    }
    limits: ClassVar = {"length": (0.01, 1.0), "width": (0.01, 0.5), "strength": (0.01, 1.0)}

    def outline(self, area: np.ndarray, rng: np.random.Generator, inside: Optional[np.ndarray]) -> Footprint:
        """Draw a turned strip with teeth at its ends."""
        import numpy as np

        side = min(area.shape[:2])
        length, width = self.draw("length", rng) * side, self.draw("width", rng) * side
        opacity = bar(length, width, float(rng.uniform(0.0, np.pi)), tear=0.06 * width)
        return Footprint.somewhere(opacity, (area.shape[0], area.shape[1]), rng)

    def paint(
        self, area: np.ndarray, footprint: Footprint, rng: np.random.Generator, donor: Optional[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cover the surface with creased film."""
        import numpy as np

        surface = area[footprint.window].astype(np.float32)
        place = float(luminance(surface[footprint.mask].mean(axis=0)))
        colour = apart(TAPES[int(rng.integers(len(TAPES)))], place, 45.0)
        shape = (surface.shape[0], surface.shape[1])
        creases = fractal_noise(shape, rng, period=2, octaves=2)
        sheen = 1.0 + 0.06 * creases + 0.16 * np.clip(1.0 - np.abs(creases - 0.9) / 0.15, 0.0, 1.0)
        return toned(colour * sheen[..., None], area), footprint.opacity * np.float32(self.draw("strength", rng))
