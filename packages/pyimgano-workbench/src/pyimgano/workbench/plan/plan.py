"""The plan of a run: its images by use, and what the model says that its fit will need."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.errors import PyimganoError
from pyimgano.core.estimates import Estimable, ResourceEstimate
from pyimgano.core.images import ImageSequence
from pyimgano.workbench.progress import Progress

if TYPE_CHECKING:
    from pyimgano.workbench.config import RunConfig
    from pyimgano.workbench.stages import RunData
    from pyimgano.workbench.stages.data import CategoryData

__all__ = ["PLAN_SCHEMA", "CategoryPlan", "RunPlan", "plan_run"]

PLAN_SCHEMA = 1

SAMPLE = 8
"""Images of a category that a model takes its measure on."""


@dataclass(frozen=True)
class CategoryPlan:
    """One category of a run.

    Attributes
    ----------
    name : str
    images : mapping
        ``fit``, ``calibration``, ``folds``, ``test_good``, ``test_defective``, ``test_unlabelled`` → number.
    estimate : ResourceEstimate or None
        Of one fit on all images of ``fit``.
    not_estimated : str or None
        Why there is none.
    fit_seconds, calibration_seconds, test_seconds : float or None
        Of the stages; the fits of folds belong to the calibration.
    peak_bytes : int or None
        What the process holds at its peak while this category is fitted.
    """

    name: str
    images: dict[str, int]
    estimate: Optional[ResourceEstimate]
    not_estimated: Optional[str]
    fit_seconds: Optional[float] = None
    calibration_seconds: Optional[float] = None
    test_seconds: Optional[float] = None
    peak_bytes: Optional[int] = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        needs = None
        if self.estimate is not None:
            found = asdict(self.estimate)
            found["bank"] = None if self.estimate.bank is None else list(self.estimate.bank)
            found["assumptions"] = list(self.estimate.assumptions)
            needs = {
                **found,
                "fit_seconds": _rounded(self.fit_seconds),
                "image_seconds": _rounded(self.estimate.image_seconds),
                "calibration_seconds": _rounded(self.calibration_seconds),
                "test_seconds": _rounded(self.test_seconds),
                "peak_bytes": self.peak_bytes,
            }
        return {"name": self.name, "images": self.images, "estimate": needs, "not_estimated": self.not_estimated}


@dataclass(frozen=True)
class RunPlan:
    """What a run will do.

    Attributes
    ----------
    recipe, model : str
    preset : str or None
    calibration : str
        How the thresholds are found, in words.
    categories : tuple of CategoryPlan
    """

    recipe: str
    preset: Optional[str]
    model: str
    calibration: str
    categories: tuple[CategoryPlan, ...]

    @property
    def seconds(self) -> Optional[float]:
        """Time of all stages of all categories; None when one of them is not known."""
        parts = [
            part
            for category in self.categories
            for part in (category.fit_seconds, category.calibration_seconds, category.test_seconds)
        ]
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None

    @property
    def peak_bytes(self) -> Optional[int]:
        """Memory at the peak: that of the greatest category; None when one is not known."""
        peaks = [category.peak_bytes for category in self.categories]
        known = [peak for peak in peaks if peak is not None]
        return max(known) if known and len(known) == len(peaks) else None

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        return {
            "schema_version": PLAN_SCHEMA,
            "recipe": self.recipe,
            "preset": self.preset,
            "model": self.model,
            "calibration": self.calibration,
            "categories": [category.to_json() for category in self.categories],
            "seconds": _rounded(self.seconds),
            "peak_bytes": self.peak_bytes,
        }


def plan_run(config: RunConfig, data: RunData, progress: Progress) -> RunPlan:
    """Say what a run will do, and ask its model what that will need. Nothing is fitted.

    Parameters
    ----------
    config : RunConfig
    data : RunData
        See :func:`pyimgano.workbench.stages.prepare_data`.
    progress : Progress
        Who listens while the model takes its measure on a few images of each category.
    """
    from pyimgano.workbench.plan.words import calibration_words

    plans = []
    with progress.stage("estimate time and memory", len(data.categories)) as advance:
        for part in data.categories:
            plans.append(_plan(config, part))
            advance(1)
    words = calibration_words(config.calibration.model_dump(mode="json"))
    return RunPlan(config.recipe, config.preset, config.model.name, words, tuple(plans))


def _plan(config: RunConfig, data: CategoryData) -> CategoryPlan:
    facts = data.to_json()
    images = {
        "fit": facts["n_fit"],
        "calibration": facts["n_calibration"],
        "folds": facts["n_folds"],
        **{f"test_{kind}": facts[f"n_test_{kind}"] for kind in ("good", "defective", "unlabelled")},
    }
    estimate, reason = _estimate(config, data)
    if estimate is None:
        return CategoryPlan(data.name, images, None, reason)
    fit, image = estimate.fit_seconds, estimate.image_seconds
    scored = len(data.calibration) + len(data.defects)
    fitting = None if fit is None else sum(fit * (1.0 - len(fold) / len(data.fit)) for fold in data.folds)
    scoring = None if image is None else image * scored
    base = peak_memory()
    return CategoryPlan(
        data.name,
        images,
        estimate,
        None,
        fit_seconds=fit,
        calibration_seconds=None if fitting is None or scoring is None else fitting + scoring,
        test_seconds=None if image is None else image * len(data.test),
        peak_bytes=None if base is None or estimate.working_bytes is None else base + estimate.working_bytes,
    )


def _estimate(config: RunConfig, data: CategoryData) -> tuple[Optional[ResourceEstimate], Optional[str]]:
    """Return what the model says, or why it says nothing."""
    from pyimgano.workbench.recipe import create_recipe
    from pyimgano.workbench.stages.fitting import create_detector

    recipe = create_recipe(config.recipe, config.recipe_params)
    if not getattr(recipe, "fits_once", False):
        return None, f"the recipe {config.recipe!r} does not say how often it fits"
    detector = create_detector(config)
    if not isinstance(detector, Estimable):
        return None, f"the model {config.model.name!r} has no rule for it"
    sources = [sample.source for sample in data.fit[:SAMPLE]]
    try:
        sample = ImageSequence(sources, value_range=config.dataset.value_range)
        copies = config.adapt.copies if config.adapt.drift_augment else 0
        return detector.resource_estimate(sample, (1 + copies) * len(data.fit)), None
    except PyimganoError as error:
        return None, str(error)


def peak_memory() -> Optional[int]:
    """Return the bytes that this process has held at its peak so far; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


def _rounded(seconds: Optional[float]) -> Optional[float]:
    return None if seconds is None else round(seconds, 3)
