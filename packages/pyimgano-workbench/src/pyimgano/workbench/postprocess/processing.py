"""One image's score and map, as the model gave them, become those that are calibrated, judged and measured."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.errors import ImageError, PyimganoError
from pyimgano.workbench.postprocess.roi import Roi
from pyimgano.workbench.postprocess.rules import MapRule
from pyimgano.workbench.render.maps import map_at
from pyimgano.workbench.scoring import ScoredImage

if TYPE_CHECKING:
    import numpy as np

__all__ = ["TOP_SHARE", "UNPROCESSED", "PostProcess"]

TOP_SHARE = 0.01
"""Of the pixels that count, those that the image score "top-mean" is the mean of."""


@dataclasses.dataclass(frozen=True, eq=False)
class PostProcess:
    """What happens to the score and the map of an image, the same in calibration, evaluation and inference.

    Attributes
    ----------
    rules : tuple of MapRule
        Applied to the model's map in their order, at the map's own resolution.
    roi : Roi or None
        What counts; None: all.
    border : int
        Pixels of the source image at each of its edges that do not count.
    image_score : {"model", "max", "top-mean"}
        The model's own score; or the maximum of the processed map, brought to the image's size, over the pixels that
        count; or the mean of the highest ``top_share`` of these.
    top_share : float
        In (0, 1].
    """

    rules: tuple[MapRule, ...] = ()
    roi: Optional[Roi] = None
    border: int = 0
    image_score: str = "model"
    top_share: float = TOP_SHARE
    _known: dict[tuple[int, int], np.ndarray] = dataclasses.field(default_factory=dict, init=False, repr=False)

    @property
    def active(self) -> bool:
        """Whether it changes anything; if so, it needs maps."""
        return bool(self.rules) or self.roi is not None or self.border > 0 or self.image_score != "model"

    @property
    def restricted(self) -> bool:
        """Whether there are pixels that do not count."""
        return self.roi is not None or self.border > 0

    def part(self, shape: tuple[int, ...]) -> str:
        """Return what counts of an image of (H, W) pixels in a few words: the same where it is the same pixels."""
        from pyimgano.core.files import sha256_bytes

        inside = self.inside(shape)
        if inside is None:
            return "all"
        return f"{int(inside.sum())} of {inside.size} pixels ({sha256_bytes(inside.tobytes())[:12]})"

    def inside(self, shape: tuple[int, ...]) -> Optional[np.ndarray]:
        """Return the pixels of an image that count, (H, W) bool; None where all do. Not to be written to.

        Raises
        ------
        ImageError
            When the region of interest is for images of another size, or nothing is left of the image.
        """
        import numpy as np

        if not self.restricted:
            return None
        key = (int(shape[0]), int(shape[1]))
        found = self._known.get(key)
        if found is None:
            found = np.ones(key, np.bool_) if self.roi is None else self.roi.inside(key).copy()
            if self.border:
                framed = np.zeros(key, np.bool_)
                framed[self.border : key[0] - self.border, self.border : key[1] - self.border] = True
                found &= framed
            if not found.any():
                within = "" if self.roi is None else " and the region of interest"
                raise ImageError(f"a border of {self.border} pixels{within} leaves nothing of {key[1]}×{key[0]} pixels")
            while len(self._known) >= 4:  # a product has images of one size, or of few
                self._known.pop(next(iter(self._known)), None)
            self._known[key] = found
        return found

    def inside_map(self, map_shape: tuple[int, ...], shape: tuple[int, int]) -> Optional[np.ndarray]:
        """Return the same at a map's own resolution: where at least half of a pixel counts, or else any of it."""
        import cv2
        import numpy as np

        inside = self.inside(shape)
        if inside is None or inside.shape == tuple(map_shape):
            return inside
        size = (int(map_shape[1]), int(map_shape[0]))
        share = cv2.resize(inside.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        found = np.asarray(share >= 0.5)
        return found if found.any() else np.asarray(share > 0)

    def stream(self, scored: Iterable[ScoredImage], *, on_error: str = "record") -> Iterator[ScoredImage]:
        """Process what :func:`~pyimgano.workbench.scoring.score_stream` yields; an image that does not fit is an error.

        Parameters
        ----------
        scored : iterable of ScoredImage
            With maps, where this is active.
        on_error : {"record", "raise"}
            An image that cannot be processed loses its score and gets its error, or ends the stream.
        """
        for one in scored:
            try:
                yield self(one)
            except PyimganoError as error:
                if on_error == "raise":
                    error.where = error.where or str(getattr(one.source, "id", one.source))
                    raise
                yield dataclasses.replace(one, score=None, map=None, error=error)

    def __call__(self, scored: ScoredImage) -> ScoredImage:
        """Return an image with the score and the map that count; one without a score is left as it is.

        Raises
        ------
        ImageError
            When the image does not fit to the region of interest, or to what a rule has learned.
        PyimganoError
            When the model gave no map, or a rule one that is not finite.
        """
        import numpy as np

        if not self.active or scored.score is None:
            return scored
        if scored.map is None or scored.shape is None:
            raise PyimganoError("the model gave no anomaly map to process")
        values = scored.map
        for rule in self.rules:
            values = rule(values, scored.shape)
        if not np.isfinite(values).all():
            raise PyimganoError("the processed anomaly map is not finite")
        self.inside(scored.shape)  # an image that does not fit has no score, whatever that is made of
        score = scored.score if self.image_score == "model" else self._score(values, scored.shape)
        return dataclasses.replace(scored, score=score, map=values)

    def _score(self, anomaly_map: np.ndarray, shape: tuple[int, int]) -> float:
        import numpy as np

        values = self._counting(anomaly_map, shape)
        if self.image_score == "max":
            return float(values.max())
        count = max(1, math.ceil(self.top_share * values.size))
        return float(np.partition(values, values.size - count)[values.size - count :].mean(dtype=np.float64))

    def _counting(self, anomaly_map: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Return the values of the pixels that count, (n,) float32, at the image's size."""
        full, inside = map_at(anomaly_map, shape), self.inside(shape)
        return full.ravel() if inside is None else full[inside]

    def summary(self, scored: ScoredImage) -> tuple[Optional[float], Optional[float]]:
        """Return maximum and median of a processed map, over the pixels that count; None without a map.

        The maximum is that of the map at the image's size, where regions are looked for; without any processing that
        of the map as it is.
        """
        import numpy as np

        if scored.map is None or scored.shape is None:
            return None, None
        if not self.active:
            return float(scored.map.max()), float(np.median(scored.map))
        inside = self.inside_map(scored.map.shape, scored.shape)
        usual = float(np.median(scored.map if inside is None else scored.map[inside]))
        if self.image_score == "max" and scored.score is not None:
            return scored.score, usual
        return float(self._counting(scored.map, scored.shape).max()), usual

    def shown(self, anomaly_map: np.ndarray, shape: tuple[int, int], low: Optional[float]) -> np.ndarray:
        """Return a map in which what does not count has the value ``low``, at the image's size; else as it is."""
        import numpy as np

        inside = self.inside(shape)
        if inside is None or low is None:
            return anomaly_map
        return np.where(inside, map_at(anomaly_map, shape), np.float32(low))

    def to_json(self) -> dict[str, Any]:
        """Return what a report says of it beside its rules, JSON-friendly."""
        known: dict[str, Any] = {
            "roi": None if self.roi is None else self.roi.to_json(),
            "border": self.border,
            "image_score": self.image_score,
        }
        return {**known, "top_share": self.top_share} if self.image_score == "top-mean" else known


UNPROCESSED = PostProcess()
"""Leaves scores and maps as they are."""
