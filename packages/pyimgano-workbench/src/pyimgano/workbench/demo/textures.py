"""A dataset in MVTec's layout from scikit-image's photographs of brick, grass and gravel, with synthesised defects."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyimgano.core.errors import MissingDependencyError
from pyimgano.core.images import read_image, write_png
from pyimgano.core.seeding import generator
from pyimgano.workbench.demo.folder import write_once

if TYPE_CHECKING:
    import numpy as np

__all__ = ["TEXTURES", "write_textures"]

TEXTURES = ("brick", "grass", "gravel")
"""Photographs of 512×512 grey pixels; each becomes a category."""

DEFECT_KINDS = ("foreign", "scratch", "stain")

TILE = 56
"""Side of a tile in the photograph's pixels: 9 × 9 tiles that share no pixel."""

SIDE = 224
"""Side of an image that is written: a tile enlarged four times, to the size that the backbone works at."""

COUNTS = {"train": 25, "validation": 20, "good": 18, "defect": 6}
"""Tiles by use; ``defect`` is per kind. 20 held-out images support alpha = 0.05 (19 are needed)."""


def _photographs() -> dict[str, np.ndarray]:
    """Read the photographs from the installed scikit-image without importing it, which would take seconds."""
    spec = importlib.util.find_spec("skimage")
    folder = Path(spec.origin).parent / "data" if spec is not None and spec.origin else None
    missing = [name for name in TEXTURES if folder is None or not (folder / f"{name}.png").is_file()]
    if folder is None or missing:
        raise MissingDependencyError(
            "the demo's photographs come with scikit-image, which is not installed"
            if folder is None
            else f"this scikit-image does not carry {', '.join(missing)}",
            hint='pip install "pyimgano-workbench[demo]"',
        )
    return {name: read_image(folder / f"{name}.png") for name in TEXTURES}


def write_textures(root: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write the dataset, unless the same one is there already.

    Every photograph is cut into tiles that share no pixel; a tile is given to training, validation, test/good or a
    defect by lot, so a test image has no pixel in common with what a detector learns or calibrates on.

    Parameters
    ----------
    root : Path
        Folder to make; its parent must exist.
    seed : int
        Seed of the lots and of the defects.

    Returns
    -------
    dict
        What was written: ``dataset``, ``seed``, ``categories``, ``counts``.

    Raises
    ------
    MissingDependencyError
        When scikit-image is not installed.
    PyimganoError
        When ``root`` holds something else or cannot be written.
    """
    photographs = _photographs()
    facts = {"dataset": "textures", "seed": seed, "categories": list(TEXTURES), "counts": COUNTS, "tile": TILE}

    def write(folder: Path) -> None:
        for name in TEXTURES:
            _write_category(folder / name, name, photographs, seed)

    write_once(root, facts, write)
    return facts


def _write_category(folder: Path, name: str, photographs: dict[str, np.ndarray], seed: int) -> None:
    from pyimgano.core.creation import create_component

    photograph = photographs[name]
    donors = [photographs[other] for other in TEXTURES if other != name]
    corners = [
        (row, column)
        for row in range(0, photograph.shape[0] - TILE + 1, TILE)
        for column in range(0, photograph.shape[1] - TILE + 1, TILE)
    ]
    lots = iter(generator(seed, "demo", name, "tiles").permutation(len(corners)))

    def next_tile() -> np.ndarray:
        row, column = corners[int(next(lots))]
        return _enlarged(photograph[row : row + TILE, column : column + TILE])

    for part, key in (("train/good", "train"), ("validation/good", "validation"), ("test/good", "good")):
        for index in range(COUNTS[key]):
            _write(next_tile(), folder / part / f"{index:03d}.png")
    for kind in DEFECT_KINDS:
        defect = create_component("defects", kind)
        for index in range(COUNTS["defect"]):
            rng = generator(seed, "demo", name, kind, index)
            donor = donors[int(rng.integers(len(donors)))]
            top, left = (int(value) for value in rng.integers(donor.shape[0] - TILE + 1, size=2))
            donor_tile = _enlarged(donor[top : top + TILE, left : left + TILE])
            image, mask = defect(next_tile(), rng, donor=donor_tile)
            _write(image, folder / "test" / kind / f"{index:03d}.png")
            _write(mask.astype("uint8") * 255, folder / "ground_truth" / kind / f"{index:03d}_mask.png")


def _enlarged(tile: np.ndarray) -> np.ndarray:
    import cv2
    import numpy as np

    return np.asarray(cv2.resize(tile, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))


def _write(image: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(image, path)
