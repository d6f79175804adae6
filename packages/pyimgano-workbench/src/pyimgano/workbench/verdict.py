"""From an image's score and map to its regions and its decision: the same for a run's test images and for inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.errors import PyimganoError
from pyimgano.workbench.calibrate.card import CalibrationCard
from pyimgano.workbench.postprocess.processing import UNPROCESSED, PostProcess
from pyimgano.workbench.region_policy import NO_REGION, RegionPolicy
from pyimgano.workbench.regions import FoundRegions, find_regions

if TYPE_CHECKING:
    from pyimgano.workbench.scoring import ScoredImage

__all__ = ["Judge", "Verdict"]


@dataclass(frozen=True, eq=False)
class Verdict:
    """What is said of one image.

    Attributes
    ----------
    decision : str
        ``"good"``, ``"review"`` or ``"defective"``.
    found : FoundRegions or None
        Its regions; None where there is no map.
    overruled_by : str or None
        Where regions decide, the score reaches the threshold and no region is left: the rule that removed the one
        of the highest score, or ``"no-region"`` where there was none.
    """

    decision: str
    found: Optional[FoundRegions] = None
    overruled_by: Optional[str] = None

    def known(self) -> dict[str, Any]:
        """Return what a record says of it."""
        said: dict[str, Any] = {"decision": self.decision, "overruled_by": self.overruled_by}
        if self.found is not None:
            said.update(regions=self.found.regions, regions_left_out=self.found.left_out or None)
        return said


@dataclass(frozen=True, eq=False)
class Judge:
    """Says what an image's regions are, and whether it is defective.

    Attributes
    ----------
    card : CalibrationCard
        The thresholds.
    policy : RegionPolicy
        What counts as a region, and whether score or regions decide.
    processing : PostProcess
        What the image's score and map went through; where it has a region of interest, no region reaches beyond.
    """

    card: CalibrationCard
    policy: RegionPolicy
    processing: PostProcess = UNPROCESSED

    @property
    def needs_maps(self) -> bool:
        """Whether a decision cannot be made without anomaly maps."""
        return self.processing.active or self.policy.decides

    def regions(self, anomaly_map: Any, shape: tuple[int, int]) -> FoundRegions:
        """Return the regions of a processed map.

        Raises
        ------
        PyimganoError
            When there is no pixel threshold.
        """
        if self.card.pixel_threshold is None:
            raise PyimganoError("there is no pixel threshold: the model has no anomaly maps")
        return find_regions(
            anomaly_map,
            shape,
            self.card.pixel_threshold,
            self.policy,
            low=self.card.pixel_low_threshold,
            inside=self.processing.inside(shape),
        )

    def __call__(self, scored: ScoredImage) -> Verdict:
        """Return the verdict on a processed image that has a score.

        Where regions decide, an image is defective if and only if one is left. With a review band, any other image
        whose score reaches the review threshold goes to a person: also one whose regions were all removed.

        Raises
        ------
        PyimganoError
            When regions decide, and there is no map.
        """
        assert scored.score is not None
        found = None
        if scored.map is not None and scored.shape is not None and self.card.pixel_threshold is not None:
            found = self.regions(scored.map, scored.shape)
        by_score = self.card.decision(scored.score)
        if not self.policy.decides:
            return Verdict(by_score, found)
        if found is None:
            raise PyimganoError("regions decide, and the model gave no anomaly map")
        if found.kept:
            return Verdict("defective", found)
        overruled = (found.last_removed_by or NO_REGION) if by_score == "defective" else None
        review = self.card.review_threshold
        return Verdict("review" if review is not None and scored.score >= review else "good", found, overruled)
