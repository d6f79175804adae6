"""What detectors that compare an image with a few good ones have in common: which ones those are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Optional

import numpy as np

from pyimgano.core.batching import ImageBatches
from pyimgano.core.parameters import require
from pyimgano.models.backbone_detector import is_whole
from pyimgano.models.image_sample import some_images
from pyimgano.models.medoids import greedy_medoids
from pyimgano.models.reference_detector import ReferenceDetector

__all__ = ["TemplateDetector", "thumbnail"]

_THUMBNAIL = 32


class TemplateDetector(ReferenceDetector, ABC):
    """Base of detectors that keep some good images as templates and compare every image with each of them.

    The templates are medoids (:func:`~pyimgano.models.medoids.greedy_medoids`) of the good images shrunk to 32 × 32:
    the image that all others are nearest to first, then those that stand for what it does not. A medoid is an image as
    it was taken; a mean would be blurred where parts vary.

    Fitting reads the images once to shrink them, the chosen ones again, and with ``standardize`` all of them once more.

    Parameters
    ----------
    input_size, color, normalize, blur_sigma, map_sigma, top_fraction, standardize, max_images, seed, batch_size
        See :class:`~pyimgano.models.reference_detector.ReferenceDetector`.
    n_templates : int
        Templates; fewer where there are fewer different images. Time to score grows with them.

    Attributes
    ----------
    templates_ : ndarray, (k, h, w, 3) uint8
        RGB, the most central one first.
    template_places_ : ndarray, (k,) int64
        Their places among the images that it was fitted on.
    """

    n_templates: int
    templates_: np.ndarray
    template_places_: np.ndarray

    def validate(self) -> None:
        """Raise :class:`~pyimgano.core.errors.ParameterError` when a parameter is out of range."""
        super().validate()
        require(is_whole(self.n_templates, 1), "n_templates", self.n_templates, "a whole number, at least 1")

    @abstractmethod
    def _describe(self, values: np.ndarray) -> Any:
        """Return what an image is compared by: ``values`` is (h, w, C), see :meth:`_values`."""

    @abstractmethod
    def _likeness(self, image: Any, template: Any) -> np.ndarray:
        """Return how alike two described images are, at most 1, on a grid."""

    def _keep(self, images: ImageBatches, places: np.ndarray) -> np.ndarray:
        small = [thumbnail(self._values(image)) for image in some_images(images, places).images()]
        self.template_places_ = places[greedy_medoids(np.stack(small), self.n_templates)]
        self.templates_ = np.stack(list(some_images(images, self.template_places_).images()))
        self._describe_templates()
        return self.template_places_

    def _describe_templates(self) -> None:
        self._described = [self._describe(self._values(template)) for template in self.templates_]

    def _compare(self, image: np.ndarray, *, without: Optional[int] = None) -> np.ndarray:
        described = self._describe(self._values(image))
        best: Optional[np.ndarray] = None
        for index, template in enumerate(self._described):
            if index != without:
                likeness = self._likeness(described, template)
                best = likeness if best is None else np.maximum(best, likeness, out=best)
        assert best is not None  # what is compared without the only template is not compared
        return 1.0 - best

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, facts = super()._get_state()
        return {"templates": self.templates_, "template_places": self.template_places_, **arrays}, facts

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        super()._set_state(arrays, facts)
        self.templates_ = arrays["templates"]
        self.template_places_ = arrays["template_places"]
        self._describe_templates()


def thumbnail(values: np.ndarray) -> np.ndarray:
    """Return (h, w, C) float32 shrunk by area to at most 32 × 32, as one vector."""
    import cv2

    size = (min(_THUMBNAIL, values.shape[1]), min(_THUMBNAIL, values.shape[0]))
    small: np.ndarray = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    return small.ravel()
