"""A dataset layout: each part twice, as a good reference and as it left the line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from pyimgano.core.contracts import Sample, Samples
from pyimgano.core.errors import DatasetError
from pyimgano.core.images import IMAGE_SUFFIXES

__all__ = ["PairsReader"]


class PairsReader:
    """Reads ``<part>_ref.*`` (train, good), ``<part>_new.*`` (test), ``<part>_mask.*`` (the new one is defective)."""

    def detect(self, root: Path) -> Optional[str]:
        """Return why ``root`` looks like this layout, or None."""
        if not root.is_dir():
            return None
        found = _by_role(root)
        if found["ref"] and found["new"]:
            return f"{len(found['ref'])} files end in _ref and {len(found['new'])} in _new"
        return None

    def read(self, root: Path, *, categories: Optional[Sequence[str]] = None) -> Samples:
        """Return the samples below ``root``; the layout has no categories."""
        found = _by_role(root)
        if not found["ref"]:
            raise DatasetError("no file ends in _ref", where=str(root), allowed="<part>_ref.*, <part>_new.*")
        if categories:
            raise DatasetError("the layout acme-pairs has no categories", where=str(root))
        samples = [Sample(path.name, path, split="train", label=0) for path in found["ref"].values()]
        for part, path in found["new"].items():
            mask = found["mask"].get(part)
            masks = (mask,) if mask else ()
            samples.append(Sample(path.name, path, split="test", label=int(bool(masks)), masks=masks))
        alone = sorted(set(found["new"]) - set(found["ref"]))
        notes = (f"without a reference: {', '.join(alone)}",) if alone else ()
        return Samples(root, tuple(sorted(samples, key=lambda sample: sample.id)), notes)


def _by_role(root: Path) -> dict[str, dict[str, Path]]:
    """Return role → part → file."""
    found: dict[str, dict[str, Path]] = {"ref": {}, "new": {}, "mask": {}}
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        part, _, role = path.stem.rpartition("_")
        if part and role in found and path.suffix.lower() in IMAGE_SUFFIXES:
            found[role][part] = path
    return found
