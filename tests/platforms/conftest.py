"""Small photographs of two parts whose names differ in case only, listed in a manifest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

CATEGORIES = ("Bolt", "bolt")


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 8 + 3 + 3 squares of gravel for each part, and ``manifest.jsonl``; the defective ones are painted."""
    import skimage.data

    from pyimgano.core.images import write_png

    folder = tmp_path_factory.mktemp("parts")
    gravel = skimage.data.gravel()
    rng = np.random.default_rng(0)
    rows = []
    for category in CATEGORIES:
        for split, label, count in (("train", "good", 8), ("test", "good", 3), ("test", "defective", 3)):
            for _ in range(count):
                y, x = rng.integers(0, 512 - 48, 2)
                image = np.repeat(gravel[y : y + 48, x : x + 48, None], 3, axis=2)
                if label == "defective":
                    image[10:25, 10:25] = 255
                name = f"{len(rows):02d}.png"
                write_png(image, folder / name)
                row = {"image_path": name, "category": category, "split": split, "label": label}
                rows.append({**row, "defect": "Kratzer ü 好"} if label == "defective" else row)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    (folder / "manifest.jsonl").write_bytes("".join(lines).encode("utf-8"))
    return folder
