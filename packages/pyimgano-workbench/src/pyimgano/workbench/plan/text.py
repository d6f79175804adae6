"""A plan as lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from pyimgano.workbench.plan.plan import CategoryPlan, RunPlan

__all__ = ["plan_lines"]


def plan_lines(plan: RunPlan) -> Iterator[str]:
    """Yield the lines of a plan: per category what will be done, then what is needed, then the sum."""
    preset = f", preset {plan.preset}" if plan.preset else ""
    yield f"plan: {plan.model} by the recipe {plan.recipe}{preset}"
    yield f"calibration: {plan.calibration}"
    for category in plan.categories:
        yield from _category(category)
    if len(plan.categories) > 1:
        yield f"in all: {_about(plan.seconds)}; peak memory {_size(plan.peak_bytes)}"


def _category(plan: CategoryPlan) -> Iterator[str]:
    images = plan.images
    held_out = f"scored in {images['folds']} folds" if images["folds"] else f"{images['calibration']} held out"
    yield (
        f"{plan.name}: {images['fit']} good images to fit on, {held_out}, test "
        f"{images['test_good']} good + {images['test_defective']} defective"
    )
    estimate = plan.estimate
    if estimate is None:
        yield f"  time and memory: not estimated: {plan.not_estimated}"
        return
    learned = f"  the fitted detector takes {_size(estimate.state_bytes)}"
    if estimate.bank is not None and estimate.patches is not None:
        rows, dimension = estimate.bank
        learned += f": {rows:,} of {estimate.patches:,} patches, {dimension} numbers each"
    if estimate.steps is not None:
        learned += f", after {estimate.steps:,} training steps"
    yield learned
    yield (
        f"  fit {_about(plan.fit_seconds)}, calibration {_about(plan.calibration_seconds)}, test "
        f"{_about(plan.test_seconds)}; peak memory {_size(plan.peak_bytes)}"
    )


def _about(seconds: Optional[float]) -> str:
    if seconds is None:
        return "not estimated"
    if seconds < 1.0:
        return "below 1 s"
    if seconds < 100.0:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 6000.0 else f"about {seconds / 3600:.1f} h"


def _size(count: Optional[int]) -> str:
    if count is None:
        return "not estimated"
    if count < 10**6:
        return f"{max(1, round(count / 10**3))} kB"
    return f"{count / 10**6:.0f} MB" if count < 10**9 else f"{count / 10**9:.1f} GB"
