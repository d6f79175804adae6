"""A dataset layout: one folder, and the inspector's verdict in each file's name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from pyimgano.core.contracts import Sample, Samples
from pyimgano.core.errors import DatasetError
from pyimgano.core.images import IMAGE_SUFFIXES

__all__ = ["VerdictNames"]

NAME = re.compile(r"(?P<lot>.+)-(?P<part>[^-]+)_(?P<verdict>OK|NG)")


class VerdictNames:
    """Reads ``<lot>-<part>_OK.*`` (good) and ``<lot>-<part>_NG.*`` (defective); the workbench makes the split.

    The lot is the group of an image: images of one lot never stand on both sides of a split.
    """

    def detect(self, root: Path) -> Optional[str]:
        """Return why ``root`` looks like this layout, or None. Looks at names alone."""
        found = _matches(root)
        verdicts = {match["verdict"] for _, match in found}
        if "OK" not in verdicts:
            return None
        return f"{len(found)} names end in _OK or _NG"

    def read(self, root: Path, *, categories: Optional[Sequence[str]] = None) -> Samples:
        """Return the samples below ``root``; the layout has no categories."""
        if categories:
            raise DatasetError("the layout plugin-template-verdicts has no categories", where=str(root))
        found = _matches(root)
        if not any(match["verdict"] == "OK" for _, match in found):
            raise DatasetError(
                "no image's name ends in _OK", where=str(root), allowed="<lot>-<part>_OK.png, <lot>-<part>_NG.png"
            )
        samples = tuple(
            Sample(path.name, path, label=int(match["verdict"] == "NG"), group=match["lot"]) for path, match in found
        )
        left_out = sum(path.suffix.lower() in IMAGE_SUFFIXES for path in root.iterdir()) - len(found)
        notes = (f"{left_out} images without a verdict are left out",) if left_out else ()
        return Samples(root, samples, notes)


def _matches(root: Path) -> list[tuple[Path, re.Match[str]]]:
    """Return the images with a verdict, by name, and what their names say."""
    if not root.is_dir():
        return []
    images = sorted(path for path in root.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    return [(path, match) for path in images for match in [NAME.fullmatch(path.stem)] if match]
