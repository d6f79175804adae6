"""The page of a comparison: both runs side by side, from the files of both alone."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.errors import PyimganoError
from pyimgano.workbench.compare.comparison import CategoryComparison, Comparison
from pyimgano.workbench.report.page import write_page
from pyimgano.workbench.report.run import PICTURE_BUDGET
from pyimgano.workbench.stages.thumbnails import thumbnail_files

__all__ = ["write_comparison_report"]


def write_comparison_report(comparison: Comparison, output: Path, *, budget: int = PICTURE_BUDGET) -> Path:
    """Write the page.

    Parameters
    ----------
    comparison : Comparison
        See :func:`pyimgano.workbench.compare.compare_runs`.
    output : Path
        The HTML file; its folder must exist.
    budget : int
        Bytes of pictures of images whose decision changed, as base64. What is left out is stated in the page.

    Raises
    ------
    StorageError
        When the page cannot be written.
    PyimganoError
        When a picture cannot be read.
    """
    write_page(
        output,
        title=f"{comparison.b.name} against {comparison.a.name}",
        scripts=("compare.js",),
        blocks=_blocks(comparison, budget),
    )
    return output


def _blocks(comparison: Comparison, budget: int) -> Iterator[tuple[str, Any]]:
    pictures, note = _pictures(comparison, budget)
    yield "comparison", {**comparison.to_json(), "pictures": {"n": len(pictures), "note": note}}
    for index, part in enumerate(comparison.categories):
        yield f"scores-{index}", {side: _scores(part, side) for side in ("a", "b")}
    yield "pictures", pictures


def _scores(part: CategoryComparison, side: str) -> dict[str, Any]:
    records = [pair[0 if side == "a" else 1] for pair in part.matched.pairs]
    card: Mapping[str, Any] = getattr(part.matched, side).report.get("calibration") or {}
    return {
        "good": [record.score for record in records if record.label == 0],
        "defective": [record.score for record in records if record.label == 1],
        "unlabelled": [record.score for record in records if record.label is None],
        "threshold": card.get("threshold"),
        "review_threshold": card.get("review_threshold"),
        "held_out": card.get("held_out_scores") or [],
    }


def _pictures(comparison: Comparison, budget: int) -> tuple[dict[str, list[Optional[str]]], Optional[str]]:
    """Return position of a flip → [image, A's heat-map, B's heat-map] as base64, and what to say of those not there."""
    pictures: dict[str, list[Optional[str]]] = {}
    folders = {part.name: (part.matched.a.folder.path, part.matched.b.folder.path) for part in comparison.categories}
    kept = 0
    for index, flip in enumerate(comparison.flips):
        (image_a, map_a), (image_b, map_b) = (thumbnail_files(path, flip.image) for path in folders[flip.category])
        found = [_base64(image_a) or _base64(image_b), _base64(map_a), _base64(map_b)]
        if not any(found):
            continue
        kept += 1
        budget -= sum(len(one or "") for one in found)
        if budget >= 0:
            pictures[str(index)] = found
    if len(pictures) == len(comparison.flips):
        return pictures, None
    note = f"{len(pictures)} of {len(comparison.flips)} images have a picture here; the runs have kept {kept}"
    return pictures, f"{note} (output.thumbnails)."


def _base64(path: Path) -> Optional[str]:
    try:
        return base64.b64encode(path.read_bytes()).decode("ascii")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PyimganoError(f"cannot read: {error.strerror or error}", where=str(path)) from error
