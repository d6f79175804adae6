"""Which folder names mean what; all compared in lower case."""

from __future__ import annotations

__all__ = ["GOOD", "LABELS", "MASKS", "MASK_SUFFIXES", "PRIVATE", "SPLITS"]

SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
    "test_public": "test",
}
"""Folder → split."""

PRIVATE = ("test_private", "test_private_mixed")
"""Folders of MVTec AD 2 whose labels only the evaluation server knows."""

GOOD = ("good", "normal", "ok")
"""Folders of good images."""

MASKS = ("ground_truth", "groundtruth", "gt", "masks", "mask")
"""Folders that hold no images but their masks."""

LABELS = ("label", "labels")
"""Folders of masks beside images (DAGM). Beside class folders they are a class: a defect of a printed label."""

MASK_SUFFIXES = ("_mask", "", "_gt", "_label")
"""What follows the image's stem in the stem of its mask, the most specific first."""
