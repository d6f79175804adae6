"""What the anomaly maps are worth where the dataset says how much of a defect must be found (MVTec LOCO AD, AutoVI)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.contracts import Sample
from pyimgano.workbench.evaluate import MapSpool, Metric, SproResults, spro_metrics

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

__all__ = ["evaluate_saturation"]

NAMELESS = "defective"
"""Kind of defect of an image of which the dataset names none."""


def evaluate_saturation(
    limits: Sequence[float],
    samples: Sequence[Sample],
    known: Sequence[int],
    shapes: Sequence[Any],
    spool: MapSpool,
    *,
    restricted: bool = False,
) -> SproResults:
    """Measure saturated per-region overlap at ground-truth resolution; no results where nothing saturates.

    Parameters
    ----------
    limits : sequence of float
        False-positive rates to integrate up to.
    samples, shapes : sequence
        The test images and their (H, W), in the same order.
    known : sequence of int
        Positions of the images that have a map, and whose defective pixels are known.
    spool : MapSpool
        Their maps, by position.
    restricted : bool
        Whether only a part of the images counts: how much of a defect must be found is said of whole images, so the
        metrics are not defined then.

    Raises
    ------
    DatasetError
        When a ``defects_config.json`` is malformed, or a mask is not explained by it.
    ImageError
        When a mask cannot be read, or has another size than its image.
    """
    from pyimgano.datasets import defects_config, load_regions, read_defects_config
    from pyimgano.workbench.render import map_at

    configs = {index: defects_config(samples[index]) for index in known if samples[index].masks}
    rules = {path: read_defects_config(path) for path in set(configs.values()) if path is not None}
    if not rules:
        return SproResults({})
    if restricted:
        reason = "saturation is defined for whole images, and postprocess leaves a part out"
        undefined = Metric.undefined(reason, images=len(known))
        return SproResults({f"pixel_au_spro_{limit:g}": undefined for limit in limits})
    # An image whose masks no config explains can count neither way.
    explained = [index for index in known if index not in configs or configs[index] is not None]
    kinds = [(samples[index].defect or NAMELESS) if index in configs else None for index in explained]

    def load(position: int) -> tuple[np.ndarray, list[tuple[np.ndarray, int]]]:
        index = explained[position]
        path: Optional[Path] = configs.get(index)
        regions = [] if path is None else load_regions(samples[index], shapes[index], rules[path])
        found = [(region.mask, region.saturation) for region in regions]
        return map_at(spool.read(index), shapes[index]), found

    return spro_metrics(load, kinds, limits=limits, left_out=len(known) - len(explained))
