"""How much of a defect must be found for it to count as found: ``defects_config.json`` of MVTec LOCO AD and AutoVI.

Where a logical defect lies is a matter of opinion: of a missing part the whole empty place is marked, and finding some
of it is enough. So these datasets state, per kind of defect, the pixels from which on the overlap is saturated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.contracts import Sample
from pyimgano.core.errors import DatasetError, ImageError, PyimganoError
from pyimgano.core.files import load_json
from pyimgano.core.images import decode_image, read_bytes
from pyimgano.datasets.roles import MASKS

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "DEFECTS_CONFIG",
    "DefectRegion",
    "DefectRule",
    "defects_config",
    "load_region",
    "load_regions",
    "read_defects_config",
]

DEFECTS_CONFIG = "defects_config.json"
"""In a category's folder, beside ``ground_truth``."""

KEYS = "a list of {defect_name, pixel_value, saturation_threshold, relative_saturation}"


@dataclass(frozen=True)
class DefectRule:
    """One entry of a ``defects_config.json``.

    Attributes
    ----------
    name : str
        Kind of defect.
    pixel_value : int
        What its pixels are in a mask, 1 to 255.
    threshold : float
        Saturation threshold: a share of the region where ``relative``, else pixels.
    relative : bool
        Which of the two.
    """

    name: str
    pixel_value: int
    threshold: float
    relative: bool

    def saturation(self, area: int) -> int:
        """Return how many pixels of a region of ``area`` must be found: at least 1, at most all of them.

        A share is rounded down, as MVTec's evaluation code does.
        """
        wanted = int(self.threshold * area) if self.relative else int(self.threshold)
        return max(1, min(wanted, area))


@dataclass(frozen=True)
class DefectRegion:
    """One defect of an image.

    Attributes
    ----------
    name : str
        Kind of defect, as the config names it.
    mask : ndarray, (H, W) bool
        Its pixels; they need not be connected.
    saturation : int
        Pixels that must be found.
    """

    name: str
    mask: np.ndarray
    saturation: int


def defects_config(sample: Sample) -> Optional[Path]:
    """Return the config that says what a sample's masks mean; None where there is none, or no mask."""
    for parent in sample.masks[0].parents if sample.masks else ():
        if parent.name.lower() in MASKS:
            path = parent.parent / DEFECTS_CONFIG
            return path if path.is_file() else None
    return None


def read_defects_config(path: Path) -> dict[int, DefectRule]:
    """Return pixel value → rule.

    Raises
    ------
    DatasetError
        When the file is not a config; it names the entry and the key.
    """
    try:
        entries = load_json(path)
    except PyimganoError as error:
        raise DatasetError(error.message, where=error.where, allowed=KEYS) from error
    if not isinstance(entries, list):
        raise DatasetError(f"a {type(entries).__name__}", where=str(path), allowed=KEYS)
    rules: dict[int, DefectRule] = {}
    for number, entry in enumerate(entries):
        rule = _rule(entry, f"{path}: [{number}]")
        known = rules.setdefault(rule.pixel_value, rule)
        if known != rule:
            raise DatasetError(
                f"{rule.pixel_value} stands for {known.name!r} and for {rule.name!r}",
                where=f"{path}: [{number}].pixel_value",
                allowed="one entry per pixel value",
            )
    return rules


def load_regions(sample: Sample, shape: tuple[int, int], rules: Mapping[int, DefectRule]) -> list[DefectRegion]:
    """Return the defects of a sample, one per mask file.

    Parameters
    ----------
    sample : Sample
        A good one has none.
    shape : (int, int)
        (H, W) of its decoded image.
    rules : mapping
        Of its category, see :func:`read_defects_config`.

    Raises
    ------
    ImageError
        When a mask cannot be read, is not grey, or has another size than its image.
    DatasetError
        When a mask does not hold exactly one value beside 0, or one that the config does not list.
    """
    return [load_region(path, sample, shape, rules) for path in sample.masks]


def load_region(path: Path, sample: Sample, shape: tuple[int, int], rules: Mapping[int, DefectRule]) -> DefectRegion:
    """Return the defect of one of a sample's mask files; see :func:`load_regions`."""
    import numpy as np

    where = str(path)
    data = read_bytes(path)
    values = decode_image(data, where=where)
    if values.ndim != 2 or values.dtype != np.uint8:
        raise ImageError("the mask is not grey with 8 bits: its values say which defect it is", where=where)
    if values.shape != tuple(shape):
        raise ImageError(
            f"the mask has {values.shape[1]}×{values.shape[0]} pixels, its image {sample.source} {shape[1]}×{shape[0]}",
            where=where,
            allowed="a mask of the image's own size",
        )
    found = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    found = found[found > 0]
    if found.size != 1:
        listed = ", ".join(map(str, found[:5])) + (", …" if found.size > 5 else "")
        raise DatasetError(
            f"the mask holds the values {listed}" if found.size else "the mask is black",
            where=where,
            allowed="one value beside 0: a file is one defect",
        )
    rule = rules.get(int(found[0]))
    if rule is None:
        raise DatasetError(
            f"the mask holds the value {found[0]}, which {DEFECTS_CONFIG} does not list",
            where=where,
            allowed=[f"{value} ({known.name})" for value, known in sorted(rules.items())] or "nothing: it is empty",
        )
    mask = values != 0
    return DefectRegion(rule.name, mask, rule.saturation(int(mask.sum())))


def _rule(entry: Any, where: str) -> DefectRule:
    if not isinstance(entry, Mapping):
        raise DatasetError(f"a {type(entry).__name__}", where=where, allowed=KEYS)
    for key in ("defect_name", "pixel_value", "saturation_threshold", "relative_saturation"):
        if key not in entry:
            raise DatasetError(f"no {key}", where=where, allowed=KEYS)
    name, value, threshold, relative = (
        entry[key] for key in ("defect_name", "pixel_value", "saturation_threshold", "relative_saturation")
    )

    def require(holds: bool, key: str, allowed: str) -> None:
        if not holds:
            raise DatasetError(f"{entry[key]!r}", where=f"{where}.{key}", allowed=allowed)

    require(isinstance(name, str) and bool(name), "defect_name", "a name")
    require(type(value) is int and 1 <= value <= 255, "pixel_value", "a whole number from 1 to 255")
    require(isinstance(relative, bool), "relative_saturation", "true or false")
    number = type(threshold) in (int, float)
    if relative:
        require(number and 0.0 < threshold <= 1.0, "saturation_threshold", "a share of the region, in (0, 1]")
    else:
        whole = number and threshold >= 1 and float(threshold).is_integer()
        require(whole, "saturation_threshold", "a whole number of pixels, at least 1")
    return DefectRule(name, value, float(threshold), relative)
