"""Write what the guides of ``docs/how-to`` take for granted: ``parts/``, ``panels/`` and the run ``runs/first``.

::

    python tools/guide_data.py /tmp/guides

The images are real solar cells of the package elpv-dataset.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from pyimgano.core.images import read_image, write_png
from pyimgano.workbench.demo.elpv import ELPV_MANIFEST, write_elpv


def write_guide_data(home: Path) -> None:
    """Write both data sets as a user would lay them out, and train on the first.

    ``parts`` has 100 good cells to train on, 20 good and 20 defective ones to test; ``panels`` four cells in each image
    of 600 × 600 pixels: 40 good to train on, 5 good and 5 with one defective cell to test.
    """
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary, "elpv")
        write_elpv(source, seed=0)
        rows = [json.loads(line) for line in (source / ELPV_MANIFEST).read_text(encoding="utf-8").splitlines()]
        good, other, bad = (
            [source / row["image_path"] for row in rows if (row["split"], row["label"]) == wanted]
            for wanted in (("train", 0), ("test", 0), ("test", 1))
        )
        for folder, images in (("train/good", good[:100]), ("test/good", other[:20]), ("test/crack", bad[:20])):
            (home / "parts" / folder).mkdir(parents=True)
            for image in images:
                shutil.copy(image, home / "parts" / folder)
        cells = iter(good + other[20:])
        for folder, count in (("train/good", 40), ("test/good", 5)):
            for index in range(count):
                _write_panel(home / "panels" / folder / f"{index:03d}.png", [next(cells) for _ in range(4)])
        for index in range(5):
            panel = [next(cells) for _ in range(3)]
            panel.insert(index % 4, bad[20 + index])
            _write_panel(home / "panels/test/crack" / f"{index:03d}.png", panel)
    train = [sys.executable, "-m", "pyimgano.cli", "train", "--dataset", "parts", "--preset", "fast"]
    subprocess.run([*train, "--set", "output.name=first"], cwd=home, check=True)


def _write_panel(path: Path, cells: list[Path]) -> None:
    images = [read_image(cell) for cell in cells]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(np.vstack([np.hstack(images[:2]), np.hstack(images[2:])]), path)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    write_guide_data(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
