"""The one way in which images are scored: for calibration, for evaluation and for inference."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Optional, cast

from pyimgano.core.batching import ImageBatches
from pyimgano.core.errors import PyimganoError
from pyimgano.core.images import as_rgb8

if TYPE_CHECKING:
    import numpy as np

    from pyimgano.core.contracts import Detector

__all__ = ["ScoredImage", "score_stream"]


BLOCK = 32
"""Batches that are read ahead of an input without a length."""

Change = Callable[["np.ndarray", Any], "np.ndarray"]
"""What is done to a decoded image, (H, W, 3) uint8, of an item of the input; keeps its size."""


@dataclass(frozen=True)
class ScoredImage:
    """One image's outcome: a score, or an error, never both.

    Attributes
    ----------
    index : int
        Position in the input.
    source : object
        The item of the input: a path, array or :class:`~pyimgano.core.contracts.Sample`.
    score : float or None
        Raw image score; None when there is an error.
    map : ndarray, (h, w) float32, or None
        Raw anomaly map at the model's own resolution.
    shape : (int, int) or None
        (H, W) of the source image; None when it could not be read.
    error : PyimganoError or None
        Why there is no score.
    """

    index: int
    source: Any
    score: Optional[float] = None
    map: Optional[np.ndarray] = None
    shape: Optional[tuple[int, int]] = None
    error: Optional[PyimganoError] = None


class _Decoded(Sequence[Any]):
    """Decodes on access, and remembers each source's size until it is asked for."""

    def __init__(
        self, sources: Sequence[Any], value_range: Optional[tuple[float, float]], change: Optional[Change] = None
    ) -> None:
        self.sources = sources
        self.value_range = value_range
        self.change = change
        self.shapes: dict[int, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: Any) -> Any:
        image = as_rgb8(_file_of(self.sources[index]), value_range=self.value_range, where=f"image {index}")
        self.shapes[index] = (int(image.shape[0]), int(image.shape[1]))
        return image if self.change is None else self.change(image, self.sources[index])


def _file_of(source: Any) -> Any:
    """Return the file (or array) of an item: a Sample has it as ``source``, others as ``path``."""
    if isinstance(source, (str, os.PathLike)) or hasattr(source, "dtype"):
        return source
    return getattr(source, "source", None) or getattr(source, "path", source)


def score_stream(
    detector: Detector,
    sources: Iterable[Any],
    *,
    batch_size: Optional[int] = None,
    value_range: Optional[tuple[float, float]] = None,
    maps: bool = True,
    on_error: str = "record",
    workers: Optional[int] = None,
    change: Optional[Change] = None,
) -> Iterator[ScoredImage]:
    """Score images one after the other, in constant memory; decoding overlaps with inference.

    Parameters
    ----------
    detector : Detector
        Fitted.
    sources : iterable of path-like, ndarray or Sample
        The images; also objects that have their file as ``source`` or ``path``. What is no sequence is read in
        blocks, so that it may be endless.
    batch_size : int, optional
        Images per call of the detector. Default: its own, else 8.
    value_range : (float, float), optional
        See :func:`pyimgano.core.images.to_rgb8`.
    maps : bool
        Whether to make anomaly maps where the model has them.
    on_error : {"record", "raise"}
        An image that cannot be read or scored becomes a :class:`ScoredImage` with its error, or ends the stream.
    workers : int, optional
        Reading threads.
    change : callable, optional
        ``change(image, item) -> image`` is applied to every decoded image, (H, W, 3) uint8, by the reading threads, and
        keeps its size. An :class:`~pyimgano.core.errors.ImageError` that it raises is that image's error.

    Yields
    ------
    ScoredImage
        One per source, in their order.
    """
    if on_error not in ("record", "raise"):
        raise ValueError(f"on_error is 'record' or 'raise', not {on_error!r}")
    # A detector of tiles fills batches of its own, and would otherwise have many large images decoded beside it.
    size = getattr(detector, "images_at_once", None) or batch_size or getattr(detector, "batch_size", None) or 8
    workers = workers or getattr(detector, "reading_workers", None)
    index = 0
    for block in _blocks(sources, size * BLOCK):
        for scored in _score_block(detector, block, size, value_range, maps, on_error, workers, change):
            yield dataclasses.replace(scored, index=index)
            index += 1


def _blocks(sources: Iterable[Any], size: int) -> Iterator[Sequence[Any]]:
    if hasattr(sources, "__len__") and hasattr(sources, "__getitem__"):
        yield cast("Sequence[Any]", sources)
        return
    iterator = iter(sources)
    while block := list(itertools.islice(iterator, size)):
        yield block


def _score_block(
    detector: Detector,
    sources: Sequence[Any],
    batch_size: int,
    value_range: Optional[tuple[float, float]],
    maps: bool,
    on_error: str,
    workers: Optional[int],
    change: Optional[Change],
) -> Iterator[ScoredImage]:
    decoded = _Decoded(sources, value_range, change)
    batches = ImageBatches(
        decoded,
        batch_size,
        prepare=getattr(detector, "prepare", None),
        workers=workers,
        keep_errors=on_error == "record",
    )
    index = 0
    for batch in batches:
        readable = [image for image in batch if not isinstance(image, PyimganoError)]
        outcomes = iter(_infer(detector, readable, maps=maps, on_error=on_error))
        for image in batch:
            source, shape = sources[index], decoded.shapes.pop(index, None)
            if isinstance(image, PyimganoError):
                yield ScoredImage(index, source, error=image)
            else:
                score, anomaly_map, error = next(outcomes)
                yield ScoredImage(index, source, score, anomaly_map, shape, error)
            index += 1


_Outcome = tuple[Optional[float], Optional["np.ndarray"], Optional[PyimganoError]]


def _infer(detector: Detector, images: list[Any], *, maps: bool, on_error: str) -> list[_Outcome]:
    """Score readable images; one that the model fails on costs the others of its batch nothing."""
    import numpy as np

    if not images:
        return []
    try:
        scores = detector.infer(images, maps=maps)
        for score in scores.image_scores:
            if not np.isfinite(score):
                raise PyimganoError(f"{type(detector).__name__} gave the score {score}")
        if maps and scores.maps is not None and not all(np.isfinite(one).all() for one in scores.maps):
            raise PyimganoError(f"{type(detector).__name__} gave an anomaly map that is not finite")
    except PyimganoError as error:
        if on_error == "raise":
            raise
        if len(images) == 1:
            return [(None, None, error)]
        return [outcome for image in images for outcome in _infer(detector, [image], maps=maps, on_error=on_error)]
    found = scores.maps if maps and scores.maps is not None else [None] * len(images)
    return [
        (float(score), None if one is None else np.asarray(one, dtype=np.float32), None)
        for score, one in zip(scores.image_scores, found)
    ]
