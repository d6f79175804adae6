"""Real defects, cut out of images of their own line with their masks, and pasted into good ones."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Optional, Union

from pyimgano.core.errors import DatasetError, ImageError, ParameterError
from pyimgano.core.images import read_image, read_mask
from pyimgano.core.parameters import require
from pyimgano.workbench.defects.defect import DrawnDefect, Range
from pyimgano.workbench.defects.footprint import Footprint
from pyimgano.workbench.defects.shapes import soften
from pyimgano.workbench.defects.tones import toned

if TYPE_CHECKING:
    import numpy as np

__all__ = ["BLENDS", "DefectBank", "list_bank"]

BLENDS = ("poisson", "alpha")

HALO = 0.25
"""Opacity around a mask: Poisson blending keeps the contrast to the surface that the defect was cut from."""

MARGIN = 6
"""Width of that surface in pixels: OpenCV takes its own contrasts in the outer three of what is cloned."""

LAYOUT = "<name>.png with its mask as <name>_mask.png beside it, or in a folder masks"


def list_bank(folder: Union[str, os.PathLike[str]]) -> list[tuple[Path, Path]]:
    """Return the crops of a folder with their masks, sorted by name; nothing is decoded.

    Parameters
    ----------
    folder : path-like
        Crops ``<name>.png`` (any common image format) whose masks are ``<name>_mask.png`` beside them, or
        ``<name>.png`` or ``<name>_mask.png`` in the folder ``masks``.

    Raises
    ------
    DatasetError
        When there is no such folder, no crop in it, or a crop has no mask; it names the crop.
    """
    from pyimgano.datasets.listing import Omissions, list_folder, split_stem
    from pyimgano.datasets.masks import MaskFolder, masks_beside
    from pyimgano.datasets.roles import MASKS

    path = Path(folder).expanduser()
    if not path.is_dir():
        raise DatasetError("there is no such folder of defect crops", where=str(folder), allowed=LAYOUT)
    listing = list_folder(str(path), omissions=Omissions())
    beside = masks_beside(listing)
    own = {image: path / mask for mask, image in beside.items()}
    below = [
        MaskFolder.of(list_folder(str(path / name), omissions=Omissions()), name)
        for name in listing.find_folder(*MASKS)
    ]
    pairs = []
    for name in listing.images:
        if name in beside:
            continue
        found = own.get(name)
        for masks in below:
            inner = masks.find(split_stem(name))
            if found is None and inner is not None:
                found = Path(masks.path) / inner
        if found is None:
            raise DatasetError("this defect crop has no mask", where=str(path / name), allowed=LAYOUT)
        pairs.append((path / name, found))
    if not pairs:
        raise DatasetError("there is no defect crop in the folder", where=str(folder), allowed=LAYOUT)
    return pairs


@dataclasses.dataclass(frozen=True)
class DefectBank(DrawnDefect):
    """A real defect of a folder of crops with masks, mirrored or turned by lot, scaled, and pasted in.

    Parameters
    ----------
    folder : str
        Crops and masks, see :func:`list_bank`.
    blend : {"poisson", "alpha"}
        ``"poisson"`` brings the colours of the crop's border to those of the place (OpenCV's ``seamlessClone``);
        ``"alpha"`` pastes the pixels of the mask as they are. Windows below 5 pixels are always pasted.
    scale : (float, float), optional
        Size of the pasted crop, of its own; it is kept within nine tenths of the image, or of the ROI's box.
    severity : int
        1 to 5; at 3 the crops have about their own size.

    Raises
    ------
    DatasetError
        When the folder is none, or a crop has no mask; it names the file.

    References
    ----------
    P. Pérez, M. Gangnet, A. Blake, *Poisson Image Editing*, SIGGRAPH 2003.
    """

    folder: str
    blend: str = "poisson"
    scale: Optional[Range] = None
    severity: int = 3

    levels: ClassVar = {"scale": ((0.4, 0.6), (0.6, 0.8), (0.85, 1.15), (1.25, 1.6), (1.7, 2.2))}
    limits: ClassVar = {"scale": (0.05, 20.0)}

    def __post_init__(self) -> None:
        """Check the parameters and that every crop has a mask; nothing is decoded."""
        super().__post_init__()
        text = isinstance(self.folder, (str, os.PathLike)) and os.fspath(self.folder) != ""
        require(text, "folder", self.folder, "the path of a folder of defect crops and masks")
        require(self.blend in BLENDS, "blend", self.blend, ", ".join(BLENDS))
        list_bank(self.folder)

    def outline(self, area: np.ndarray, rng: np.random.Generator, inside: Optional[np.ndarray]) -> Footprint:
        """Draw a crop, turn it and bring it to size."""
        import cv2
        import numpy as np

        pairs = list_bank(self.folder)
        crop_path, mask_path = pairs[int(rng.integers(len(pairs)))]
        crop = read_image(crop_path)
        mask = read_mask(mask_path, shape=(crop.shape[0], crop.shape[1]))
        if not mask.any():
            raise ImageError("the mask of a defect crop is empty", where=str(mask_path))
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        crop, mask = np.rot90(crop, turns), np.rot90(mask, turns)
        if mirrored:
            crop, mask = crop[:, ::-1], mask[:, ::-1]
        room = min(0.9 * a / c for a, c in zip(area.shape[:2], crop.shape[:2]))
        scale = min(self.draw("scale", rng), room)
        size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
        how = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
        content = cv2.resize(np.ascontiguousarray(crop), size, interpolation=how)
        soft = cv2.resize(np.ascontiguousarray(mask, dtype=np.float32), size, interpolation=how)
        # A thin defect would vanish from a mask that is made small; its strongest pixels stay.
        solid = soft >= min(0.5, float(soft.max()))
        halo = soften(solid.astype(np.float32), MARGIN // 2) > 0.0
        opacity = np.where(solid, 1.0, np.where(halo, HALO, 0.0)).astype(np.float32)
        return Footprint.somewhere(opacity, (area.shape[0], area.shape[1]), rng, content=content)

    def paint(
        self, area: np.ndarray, footprint: Footprint, rng: np.random.Generator, donor: Optional[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Blend the crop in."""
        import numpy as np

        content = footprint.content
        if content is None:
            raise ParameterError("a footprint of a defect bank has its crop as content")
        shown = np.clip(np.rint(toned(content, area)), 0, 255).astype(np.uint8)
        if self.blend == "alpha" or min(footprint.opacity.shape) < 5:
            return shown.astype(np.float32), footprint.mask.astype(np.float32)
        chosen = footprint.opacity > 0.0
        cloned = _cloned(shown, area[footprint.window], chosen)
        return cloned.astype(np.float32), chosen.astype(np.float32)


def _cloned(content: np.ndarray, surface: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the content blended into a surface of the same size, (h, w, 3) uint8, where ``chosen``."""
    import cv2
    import numpy as np

    # The solver takes the colours around the mask for granted, and cannot where the mask touches the border.
    pad = 3
    around = ((pad, pad), (pad, pad), (0, 0))
    source, target = np.pad(content, around, mode="edge"), np.pad(surface, around, mode="edge")
    mask = np.pad(chosen.astype(np.uint8) * 255, pad)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    centre = (
        int(columns[0]) + (int(columns[-1]) - int(columns[0]) + 1) // 2,
        int(rows[0]) + (int(rows[-1]) - int(rows[0]) + 1) // 2,
    )
    cloned: np.ndarray = cv2.seamlessClone(source, target, mask, centre, cv2.NORMAL_CLONE)
    return cloned[pad:-pad, pad:-pad]
