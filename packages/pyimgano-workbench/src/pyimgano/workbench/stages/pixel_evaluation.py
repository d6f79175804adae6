"""What the anomaly maps of a category's test set are worth."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.contracts import Sample
from pyimgano.workbench.evaluate import MapSpool, Metric, pixel_metrics, proportion, undefined_pixel_metrics
from pyimgano.workbench.progress import Progress
from pyimgano.workbench.records import PredictionRecord
from pyimgano.workbench.region_policy import RegionPolicy
from pyimgano.workbench.stages.spro_evaluation import evaluate_saturation
from pyimgano.workbench.stages.tally import RegionTally
from pyimgano.workbench.verdict import Judge

if TYPE_CHECKING:
    import numpy as np

    from pyimgano.workbench.config import RunConfig

__all__ = ["PixelEvaluation", "evaluate_pixels"]


@dataclass(frozen=True)
class PixelEvaluation:
    """Pixel-level results of one category.

    Attributes
    ----------
    metrics : dict of str to Metric
        Over all test images whose defective pixels are known.
    curves : dict
        ``"roc"``, ``"pr"`` and ``"pro"``: lists of [x, y, threshold], thinned; empty where not defined.
    by_defect : dict of str to dict of str to Metric
        Kind of defect → what is known of its pixels: ``region_recall`` where there is a pixel threshold, and
        ``au_spro_<limit>`` where overlaps saturate.
    """

    metrics: dict[str, Metric]
    curves: dict[str, Any] = field(default_factory=dict)
    by_defect: dict[str, dict[str, Metric]] = field(default_factory=dict)


def evaluate_pixels(
    config: RunConfig,
    category: str,
    samples: Sequence[Sample],
    records: Sequence[PredictionRecord],
    shapes: Sequence[Any],
    spool: MapSpool,
    judge: Judge,
    tally: RegionTally,
    progress: Progress,
) -> PixelEvaluation:
    """Measure the anomaly maps at ground-truth resolution.

    Where there is a region of interest or a border, pixels that do not count are none of the metrics', and of a defect
    only what counts; each metric then says so (``inside``).

    Parameters
    ----------
    samples, records, shapes : sequence
        The test images, their records, and their (H, W), in the same order.
    spool : MapSpool
        Their maps, by position.
    judge : Judge
        The thresholds, and which pixels count.
    tally : RegionTally
        How many regions of each image count.
    """
    from pyimgano.datasets import load_mask
    from pyimgano.workbench.render import map_at

    limits = config.evaluation.aupro_limits
    if config.evaluation.pixel is False:
        return PixelEvaluation(undefined_pixel_metrics("switched off by evaluation.pixel = false", limits))
    scored = [index for index, record in enumerate(records) if record.score is not None]
    if not scored:
        return PixelEvaluation(undefined_pixel_metrics("no test image was scored", limits, {"images": 0}))
    if not any(spool.has(index) for index in scored):
        return PixelEvaluation(undefined_pixel_metrics("the model has no anomaly maps", limits))
    # An image whose defective pixels are not known can count neither way.
    known = [index for index in scored if spool.has(index) and (samples[index].masks or samples[index].label == 0)]
    defective = [bool(samples[index].masks) for index in known]

    processing, policy = judge.processing, judge.policy

    def load(position: int) -> tuple[np.ndarray, ...]:
        index = known[position]
        mask = load_mask(samples[index], shapes[index])
        assert mask is not None
        loaded = map_at(spool.read(index), shapes[index]), mask
        inside = processing.inside(shapes[index])
        return loaded if inside is None else (*loaded, inside)

    def regions_of(position: int) -> int:
        return tally.kept[known[position]] or 0

    simple = not processing.restricted and policy == RegionPolicy(policy.min_area, policy.limit)
    with progress.stage(f"{category}: pixel metrics"):
        pixels = pixel_metrics(
            load,
            defective,
            limits=limits,
            threshold=judge.card.pixel_threshold,
            left_out=len(scored) - len(known),
            mode=config.evaluation.pixel_mode,
            min_area=policy.min_area,
            regions_of=None if simple else regions_of,
        )
        if processing.restricted and known:
            pixels = dataclasses.replace(pixels, metrics=_of_a_part(pixels.metrics, processing.part(shapes[known[0]])))
        if not any(defective):  # false regions on good images need no masks
            undefined = undefined_pixel_metrics("no test image has a ground-truth mask", limits, {"images": len(known)})
            name = "pixel_false_regions_per_good_image"
            return PixelEvaluation({**undefined, name: pixels.metrics[name]})
        saturated = evaluate_saturation(limits, samples, known, shapes, spool, restricted=processing.restricted)
    by_defect = _region_recall([samples[index].defect for index in known], pixels.region_counts)
    for kind, measured in saturated.by_defect.items():
        by_defect.setdefault(kind, {}).update(measured)
    return PixelEvaluation({**pixels.metrics, **saturated.metrics}, pixels.curves, by_defect)


def _of_a_part(metrics: dict[str, Metric], part: str) -> dict[str, Metric]:
    """Say of each metric that it is one of the pixels that count."""
    return {
        name: dataclasses.replace(metric, facts={**metric.facts, "inside": part}) for name, metric in metrics.items()
    }


def _region_recall(
    kinds: Sequence[Optional[str]], region_counts: dict[int, tuple[int, int]]
) -> dict[str, dict[str, Metric]]:
    """Return, per kind of defect, the share of its regions that the pixel threshold finds."""
    totals: dict[str, tuple[int, int]] = {}
    for position, (found, count) in region_counts.items():
        kind = kinds[position]
        if kind is not None:
            before = totals.get(kind, (0, 0))
            totals[kind] = before[0] + found, before[1] + count
    return {kind: {"region_recall": proportion(*totals[kind], "regions")} for kind in sorted(totals)}
