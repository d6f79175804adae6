"""Real solar cells, copied from the installed package ``elpv-dataset``, with a manifest of one split."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

from pyimgano.core.errors import MissingDependencyError
from pyimgano.core.files import atomic_open, dumps_json
from pyimgano.workbench.demo.folder import write_once

__all__ = ["ELPV_MANIFEST", "elpv_split", "write_elpv"]

ELPV_MANIFEST = "elpv-mono.jsonl"

COUNTS = {"train": 200, "good": 100, "defect": 100}


def _data_folder() -> Path:
    spec = importlib.util.find_spec("elpv_dataset")
    folder = Path(spec.origin).parent / "data" if spec is not None and spec.origin else None
    if folder is None or not (folder / "labels.csv").is_file():
        raise MissingDependencyError(
            "the solar cells come with the package elpv-dataset (CC BY-NC-SA 4.0), which is not installed",
            hint="pip install elpv-dataset",
        )
    return folder


def elpv_split(folder: Path, *, seed: int = 0) -> dict[str, list[str]]:
    """Return the split of the monocrystalline cells: ``train``, ``good`` and ``defect``, as paths below ``folder``.

    Good cells have the defect probability 0, defective ones 1; what lies between is left out. With
    ``default_rng(seed)`` the sorted good ones are permuted (200 to train, the next 100 to test), then the sorted
    defective ones (100 to test).
    """
    import numpy as np

    good: list[str] = []
    defective: list[str] = []
    for line in (folder / "labels.csv").read_text(encoding="utf-8").splitlines():
        path, probability, kind = line.split()
        if kind == "mono" and float(probability) in (0.0, 1.0):
            (good if float(probability) == 0.0 else defective).append(path)
    rng = np.random.default_rng(seed)
    good_order = rng.permutation(len(good))
    defective_order = rng.permutation(len(defective))
    good, defective = sorted(good), sorted(defective)
    end = COUNTS["train"] + COUNTS["good"]
    return {
        "train": [good[i] for i in good_order[: COUNTS["train"]]],
        "good": [good[i] for i in good_order[COUNTS["train"] : end]],
        "defect": [defective[i] for i in defective_order[: COUNTS["defect"]]],
    }


def write_elpv(root: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a folder with the images of one split and their manifest, unless the same one is there already.

    The images are copied (some 25 MB), so that their names in records and reports are the same on every machine.

    Parameters
    ----------
    root : Path
        Folder to make.
    seed : int
        Seed of the split (see :func:`elpv_split`).

    Returns
    -------
    dict
        What was written: ``dataset``, ``seed``, ``categories``, ``counts``.

    Raises
    ------
    MissingDependencyError
        When elpv-dataset is not installed.
    PyimganoError
        When ``root`` holds something else or cannot be written.
    """
    source = _data_folder()
    split = elpv_split(source, seed=seed)
    facts = {"dataset": "elpv", "seed": seed, "categories": ["mono"], "counts": COUNTS}

    def write(folder: Path) -> None:
        lines = []
        (folder / "images").mkdir()
        for part, label in (("train", 0), ("good", 0), ("defect", 1)):
            for path in split[part]:
                image = f"images/{Path(path).name}"
                shutil.copyfile(source / path, folder / image)
                row = {
                    "image_path": image,
                    "label": label,
                    "split": "train" if part == "train" else "test",
                    "category": "mono",
                }
                lines.append(dumps_json(row) + "\n")
        with atomic_open(folder / ELPV_MANIFEST) as stream:
            stream.writelines(lines)

    write_once(root, facts, write)
    return facts
