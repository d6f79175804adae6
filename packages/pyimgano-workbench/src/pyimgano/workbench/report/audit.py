"""The page of an audit: contact sheets of copies, and of the good images that look most unlike the others."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.batching import read_ahead
from pyimgano.core.contracts import Sample
from pyimgano.core.errors import ImageError
from pyimgano.core.images import as_rgb8
from pyimgano.workbench.render.overlay import MapScale, overlay
from pyimgano.workbench.render.small_pictures import encode_jpeg, shrink
from pyimgano.workbench.report.page import write_page

if TYPE_CHECKING:
    import numpy as np

    from pyimgano.workbench.audit import Audit

__all__ = ["write_audit_report"]

SIDE = 200
SETS, MEMBERS = 60, 6
"""Sets of copies with pictures, and pictures of each."""


def write_audit_report(audit: Audit, output: Path) -> Path:
    """Write the page.

    Parameters
    ----------
    audit : Audit
        What was found.
    output : Path
        The HTML file; its folder must exist.

    Raises
    ------
    StorageError
        When the page cannot be written.
    """
    write_page(output, title=f"Audit of {audit.name}", scripts=("audit.js",), blocks=_blocks(audit))
    return output


def _blocks(audit: Audit) -> Iterator[tuple[str, Any]]:
    yield "audit", {**audit.to_json(), "shown_sets": SETS, "shown_members": MEMBERS}
    # Once more read, and drawn by the reading threads: only what the page shows is kept.
    members = [(sample, None, None) for found in audit.duplicates[:SETS] for sample in found.samples[:MEMBERS]]
    yield "copies", dict(_pictures(members, audit.value_range))
    for index, ranking in enumerate(audit.rankings):
        scale = None if ranking.map_scale is None else MapScale.between(*ranking.map_scale)
        yield (
            f"outliers-{index}",
            dict(
                _pictures(
                    [(one.sample, one.map, scale) for one in ranking.ranked[: audit.settings.top]], audit.value_range
                )
            ),
        )
    readable = [(odd.sample, None, None) for odd in audit.oddities if odd.kind != "unreadable"]
    yield "odd", dict(_pictures(readable[:SETS], audit.value_range))


_Wanted = tuple[Sample, Optional["np.ndarray"], Optional[MapScale]]


def _pictures(
    wanted: Sequence[_Wanted], value_range: Optional[tuple[float, float]]
) -> Iterator[tuple[str, list[Optional[str]]]]:
    """Yield id → [image, heat-map] as base64; a file that can no longer be read has none."""

    def draw(index: int) -> list[Optional[str]]:
        sample, anomaly_map, scale = wanted[index]
        try:
            small = shrink(as_rgb8(sample.source, value_range=value_range), SIDE)
        except ImageError:
            return [None, None]
        heat = None
        if anomaly_map is not None and scale is not None:
            heat = _text(shrink(overlay(small, anomaly_map, scale), SIDE), sample)
        return [_text(small, sample), heat]

    for (sample, _, _), found in zip(wanted, read_ahead(draw, len(wanted), ahead=8)):
        yield sample.id, found


def _text(picture: np.ndarray, sample: Sample) -> str:
    return base64.b64encode(encode_jpeg(picture, sample.source)).decode("ascii")
