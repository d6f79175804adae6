"""The contract kit passes a detector that keeps the contract, and names each rule that one breaks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pyimgano.core.detector import BaseDetector
from pyimgano.core.testing import check_detector, parametrize_with_checks


class MeanImage(BaseDetector):
    """Distance to the mean training image; a real detector for aligned parts."""

    def __init__(self, size: int = 24, seed: int = 0) -> None:
        self.size = size
        self.seed = seed

    def prepare(self, image: np.ndarray) -> np.ndarray:
        import cv2

        if image.shape[:2] == (self.size, self.size):
            return image
        return cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_AREA)

    def _fit(self, images: Any) -> None:
        self.mean_ = np.mean([image for batch in images for image in batch], axis=0, dtype=np.float64)

    def _infer_batch(self, batch: Any, *, maps: bool) -> Any:
        found = np.abs(np.stack(batch) - self.mean_).mean(axis=-1).astype(np.float32)
        return found.reshape(len(found), -1).max(axis=1), found if maps else None

    def _get_state(self) -> Any:
        return {"mean": self.mean_}, {}

    def _set_state(self, arrays: Any, facts: Any) -> None:
        self.mean_ = arrays["mean"]


@parametrize_with_checks({"mean-image": MeanImage}, batch_tolerance=0.0)
def test_sound_detector_passes_each_check(check: Any) -> None:
    check()


class BatchMean(MeanImage):
    def _infer_batch(self, batch: Any, *, maps: bool) -> Any:
        scores, found = super()._infer_batch(batch, maps=maps)
        return scores - scores.mean(), found


class Inverted(MeanImage):
    def _infer_batch(self, batch: Any, *, maps: bool) -> Any:
        scores, found = super()._infer_batch(batch, maps=maps)
        return -scores, found


class Forgetful(MeanImage):
    def _set_state(self, arrays: Any, facts: Any) -> None:
        self.mean_ = np.round(arrays["mean"])


class Hoarding(MeanImage):
    def fit(self, X: Any, y: Any = None) -> Any:
        self._seen = [*getattr(self, "_seen", []), *X]
        return super().fit(self._seen, None)


class StrictlyAbove(MeanImage):
    def predict(self, X: Any) -> Any:
        labels = super().predict(X)
        labels[self.decision_function(X) == self.threshold_] = 0
        return labels


class Forgiving(MeanImage):
    def decision_function(self, X: Any) -> Any:
        readable = [x for x in X if isinstance(x, np.ndarray) or "whole" in str(x) or "bild" in str(x)]
        return super().decision_function(readable)


class NotANumber(MeanImage):
    def infer(self, X: Any, *, maps: bool = True) -> Any:
        found = super().infer(X, maps=maps)
        found.image_scores[:1] = np.nan
        return found


class Kwargs(MeanImage):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (BatchMean, "check_score_does_not_depend_on_batch"),
        (Inverted, "check_defects_score_higher"),
        (Forgetful, "check_save_and_load"),
        (Hoarding, "check_refit_equals_fresh_fit"),
        (StrictlyAbove, "check_labels_and_tie_rule"),
        (Forgiving, "check_unreadable_image_is_an_error"),
        (NotANumber, "check_scores_are_finite"),
        (Kwargs, "check_init_only_stores_parameters"),
    ],
)
def test_broken_detector_is_named_with_its_rule(broken: Any, rule: str) -> None:
    with pytest.raises(AssertionError, match=rule):
        check_detector(broken)


def test_expected_failure_that_passes_is_reported() -> None:
    with pytest.raises(AssertionError, match=r"was expected to fail \(no reason at all\) and passes"):
        check_detector(MeanImage, expected_failures={"check_fit_returns_self": "no reason at all"})


def test_unknown_expected_failure_is_refused() -> None:
    with pytest.raises(ValueError, match="check_nothing"):
        check_detector(MeanImage, expected_failures={"check_nothing": "typo"})
