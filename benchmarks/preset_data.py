"""The data sets that presets are measured on: whole, few images, defective ones among the good, small defects."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from pyimgano.core.files import atomic_open, dumps_json
from pyimgano.core.images import read_image, write_png
from pyimgano.core.seeding import generator
from pyimgano.datasets import read_dataset
from pyimgano.datasets.writing import without_marked, write_manifest
from pyimgano.workbench.demo.elpv import ELPV_MANIFEST, _data_folder, write_elpv
from pyimgano.workbench.demo.textures import write_textures

__all__ = ["DATASETS", "write_data"]

PLANTED = 20
"""Defective images among 200 training images: one in ten."""

DATASETS = {
    "elpv": "ELPV mono: 200 good solar cells to train on, 100 good and 100 defective to test",
    "elpv-noisy": f"ELPV mono, {PLANTED} of whose 200 training images are defective cells that nobody marked",
    "elpv-few-10": "ELPV mono, 10 good cells to train on",
    "elpv-few-5": "ELPV mono, 5 good cells to train on",
    "panels": "Four ELPV mono cells side by side, 600 × 600 pixels: 50 good to train on, 20 to calibrate on, 40 "
    "good and 40 with one defective cell to test",
    "textures": "Three textures with painted defects; of each 25 tiles to train on, 20 to calibrate on, 18 good and 18 "
    "defective to test",
    "textures-few": "The textures, 10 tiles of each to train on",
}
"""Name → what it is."""


def write_data(name: str, root: Path, seed: int) -> Path:
    """Write one of :data:`DATASETS` and return its root or manifest."""
    if name == "panels":
        return _panels(root, seed)
    if name.startswith("textures"):
        write_textures(root, seed=seed)
        return _few_tiles(root, 10) if name == "textures-few" else root
    write_elpv(root, seed=seed)
    manifest = root / ELPV_MANIFEST
    if name.startswith("elpv-few-"):
        return _few_cells(manifest, int(name.rpartition("-")[2]))
    return _noisy(manifest, seed) if name == "elpv-noisy" else manifest


def _rows(manifest: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]


def _write_rows(rows: list[dict[str, Any]], path: Path) -> Path:
    with atomic_open(path) as stream:
        stream.writelines(dumps_json(row) + "\n" for row in rows)
    return path


def _few_cells(manifest: Path, n: int) -> Path:
    rows = _rows(manifest)
    train = [row for row in rows if row["split"] == "train"]
    return _write_rows(train[:n] + [row for row in rows if row["split"] == "test"], manifest.with_name("few.jsonl"))


def _noisy(manifest: Path, seed: int) -> Path:
    """Put defective cells that are not tested on in the place of good training images."""
    rows = _rows(manifest)
    source = _data_folder()
    tested = {Path(row["image_path"]).name for row in rows}
    lines = [line.split() for line in (source / "labels.csv").read_text(encoding="utf-8").splitlines()]
    spare = sorted(p for p, probability, kind in lines if kind == "mono" and float(probability) == 1.0)
    spare = [path for path in spare if Path(path).name not in tested]
    chosen = generator(seed, "preset-data", "noisy").permutation(len(spare))[:PLANTED]
    train = [index for index, row in enumerate(rows) if row["split"] == "train"]
    for index, position in zip(train[-PLANTED:], chosen):
        name = f"images/{Path(spare[int(position)]).name}"
        shutil.copyfile(source / spare[int(position)], manifest.parent / name)
        rows[index] = {**rows[index], "image_path": name}
    return _write_rows(rows, manifest.with_name("noisy.jsonl"))


def _few_tiles(root: Path, n: int) -> Path:
    samples = read_dataset(root)
    dropped = [s.id for s in samples.samples if s.split == "validation"]
    for category in samples.categories():
        dropped += [s.id for s in samples.select("train", 0, category)[n:]]
    write_manifest(without_marked(samples, dropped), root / "few.jsonl")
    return root / "few.jsonl"


def _panels(root: Path, seed: int) -> Path:
    """Put four cells into each image; of a defective one, one cell is defective."""
    source = _data_folder()
    lines = [line.split() for line in (source / "labels.csv").read_text(encoding="utf-8").splitlines()]
    good, bad = (
        sorted(path for path, probability, kind in lines if kind == "mono" and float(probability) == wanted)
        for wanted in (0.0, 1.0)
    )
    rng = generator(seed, "preset-data", "panels")
    turn = iter([good[int(i)] for i in rng.permutation(len(good))])
    defective = iter([bad[int(i)] for i in rng.permutation(len(bad))])

    def panel(folder: Path, index: int, cells: list[str]) -> None:
        images = [read_image(source / cell) for cell in cells]
        folder.mkdir(parents=True, exist_ok=True)
        write_png(np.vstack([np.hstack(images[:2]), np.hstack(images[2:])]), folder / f"{index:03d}.png")

    for part, count in (("train/good", 50), ("validation/good", 20), ("test/good", 40)):
        for index in range(count):
            panel(root / part, index, [next(turn) for _ in range(4)])
    for index in range(40):
        cells = [next(turn) for _ in range(3)]
        cells.insert(int(rng.integers(4)), next(defective))
        panel(root / "test/cell", index, cells)
    return root
