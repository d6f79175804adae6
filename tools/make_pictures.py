"""Make the pictures of the site with the program itself: ``docs/_made/pictures``.

::

    python tools/make_pictures.py

`nox -s docs` runs it. The pictures show solar cells of the package elpv-dataset (CC BY-NC-SA 4.0), and are not
committed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from guide_data import write_guide_data

from pyimgano.core.images import read_image, write_png

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "_made"


def main() -> int:
    """Run the command line."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    pictures = FOLDER / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        write_guide_data(home)
        synthesize = ("--kinds", "scratch,stain,dent", "--count", "12", "--preview", "sheet.png")
        pyimgano(home, "synthesize", "parts/train/good", "--output", "practice", *synthesize)
        cells = sorted((home / "parts/test/good").iterdir())[:1]
        pyimgano(home, "augment", "preview", *map(str, cells), "-o", "drifts.png", "--drifts", "exposure,defocus,dust")
        pyimgano(home, "infer", "--from-run", "runs/first", "parts/test", "--output", "seen", "--overlays")
        overlays = home / "seen" / "overlays"
        write_png(side_by_side(home, overlays), pictures / "tutorial-cells.png")
        shutil.copy(home / "sheet.png", pictures / "synthesize-sheet.png")
        shutil.copy(home / "drifts.png", pictures / "drift-preview.png")
        shutil.copy(home / "runs/first/report.html", FOLDER / "report.html")
    return 0


def pyimgano(home: Path, *arguments: str) -> None:
    """Run a command in ``home``."""
    subprocess.run([sys.executable, "-m", "pyimgano.cli", *arguments], cwd=home, check=True)


def side_by_side(home: Path, overlays: Path) -> np.ndarray:
    """Return a good and a defective cell, each beside the overlay of ``infer``."""
    good = sorted((home / "parts/test/good").iterdir())[:1]
    bad = sorted((home / "parts/test/crack").iterdir())
    rows = []
    for cell in [*good, bad[3]]:
        overlay = next(path for path in overlays.iterdir() if path.name.endswith(cell.name))
        rows += [read_image(cell), read_image(overlay)[:300, :300]]
    gap = np.full((300, 8, 3), 255, np.uint8)
    return np.hstack([part for image in rows for part in (image, gap)][:-1])


if __name__ == "__main__":
    sys.exit(main())
