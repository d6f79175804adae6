"""What scores the images of one category: a fitted detector, its threshold, and what becomes of its maps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

from pyimgano.workbench.calibrate.card import CalibrationCard
from pyimgano.workbench.postprocess.processing import UNPROCESSED, PostProcess
from pyimgano.workbench.region_policy import RegionPolicy
from pyimgano.workbench.scoring import ScoredImage, score_stream
from pyimgano.workbench.verdict import Judge

__all__ = ["FittedCategory"]


@dataclass(frozen=True, eq=False)
class FittedCategory:
    """What scores the images of one category.

    Attributes
    ----------
    category : str or None
        What records say; None where the dataset had no categories.
    detector : Detector
        As it was saved by the run.
    card : CalibrationCard
        Threshold and held-out scores.
    value_range : (float, float) or None
        How the run read its images.
    policy : RegionPolicy
        Which regions of its maps count, as in the run.
    processing : PostProcess
        What becomes of its scores and maps, as in the run.
    """

    category: Optional[str]
    detector: Any
    card: CalibrationCard
    value_range: Optional[tuple[float, float]] = None
    policy: RegionPolicy = field(default_factory=RegionPolicy)
    processing: PostProcess = UNPROCESSED

    @property
    def judge(self) -> Judge:
        """What says which regions there are, and whether an image is defective."""
        return Judge(self.card, self.policy, self.processing)

    def stream(
        self,
        sources: Iterable[Any],
        *,
        batch_size: Optional[int] = None,
        maps: bool = True,
        on_error: str = "record",
        change: Optional[Callable[[Any, Any], Any]] = None,
    ) -> Iterator[ScoredImage]:
        """Score images as :func:`~pyimgano.workbench.scoring.score_stream` does, and process what it yields.

        Maps are made wherever a score or a decision needs them, also without ``maps``.
        """
        raw = score_stream(
            self.detector,
            sources,
            batch_size=batch_size,
            value_range=self.value_range,
            maps=maps or self.judge.needs_maps,
            on_error=on_error,
            change=change,
        )
        return self.processing.stream(raw, on_error=on_error)
