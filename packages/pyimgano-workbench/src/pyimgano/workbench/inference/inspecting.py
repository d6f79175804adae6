"""Images that arrive one by one, as bytes: inspected some at a time, by the code that scores a run's test set.

What the hot folder and the service share. An image that cannot be read, fits not or makes the model fail gets a record
with its error, and never a verdict; the others of its batch are not touched by it.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from pyimgano.core.batching import default_workers
from pyimgano.core.errors import ImageError, PyimganoError
from pyimgano.core.images import decode_image, to_rgb8
from pyimgano.workbench.inference.category import FittedCategory
from pyimgano.workbench.inference.declared_size import MAX_PIXELS, check_pixels
from pyimgano.workbench.inference.models import FittedModels
from pyimgano.workbench.inference.sources import Source
from pyimgano.workbench.monitor.image_statistics import image_statistics
from pyimgano.workbench.records import PredictionRecord
from pyimgano.workbench.runs.naming import DEFAULT_CATEGORY

if TYPE_CHECKING:
    import numpy as np

    from pyimgano.workbench.scoring import ScoredImage
    from pyimgano.workbench.verdict import Verdict

__all__ = ["DecodedAhead", "Inspected", "Inspector", "ReceivedImage"]

_Decoded = tuple["np.ndarray", Mapping[str, float]]

PIXELS_AT_ONCE = 2**26
"""That are scored beside each other, unless a single image has more; and that lie decoded ahead of their turn."""


class DecodedAhead:
    """An image that is decoded by another thread before its turn; to be released when it has been inspected.

    Parameters
    ----------
    future : Future
        Of the image, (H, W, 3) uint8, and its statistics.
    release : callable
        Gives back the memory that it counts for; called once.
    """

    def __init__(self, future: Future[_Decoded], release: Callable[[], None]) -> None:
        self._future = future
        self._release: Optional[Callable[[], None]] = release

    def result(self) -> _Decoded:
        """Wait for the image; raises what the decoder raised."""
        return self._future.result()

    def release(self) -> None:
        """Let another image be decoded ahead."""
        self._future.cancel()
        release, self._release = self._release, None
        if release is not None:
            release()


@dataclass(frozen=True, eq=False)
class ReceivedImage:
    """An image file that has arrived.

    Attributes
    ----------
    name : str
        What its record calls it.
    data : bytes
        The whole file.
    category : str or None
        Where there are several.
    known : mapping
        Further fields of its record.
    ahead : DecodedAhead or None
        What :meth:`Inspector.decode_ahead` gave for ``data``.
    """

    name: str
    data: bytes
    category: Optional[str] = None
    known: Optional[Mapping[str, Any]] = None
    ahead: Optional[DecodedAhead] = None


@dataclass(frozen=True, eq=False)
class Inspected:
    """What became of an image.

    Attributes
    ----------
    record : PredictionRecord
        With a score and a decision, or with an error.
    error : Exception or None
        Why there is no score.
    category : str or None
        Which category's detector it was; None where that was not to be told.
    statistics : mapping of str to float
        Of the image, where it could be read.
    image : ndarray, (H, W, 3) uint8, or None
        As it was read; kept only where maps were asked for.
    scored, verdict, fitted : ScoredImage, Verdict, FittedCategory or None
        Score and map, what was said of them, and the detector; None beside an error.
    """

    record: PredictionRecord
    error: Optional[Exception] = None
    category: Optional[str] = None
    statistics: Optional[Mapping[str, float]] = None
    image: Optional[np.ndarray] = None
    scored: Optional[ScoredImage] = None
    verdict: Optional[Verdict] = None
    fitted: Optional[FittedCategory] = None


@dataclass(frozen=True, eq=False)
class _Read:
    """A decoded image with its place in the call."""

    index: int
    received: ReceivedImage
    category: str
    fitted: FittedCategory
    image: np.ndarray
    statistics: Mapping[str, float]


class Inspector:
    """Inspects images that are given as bytes.

    Parameters
    ----------
    models : FittedModels
        Of a run or a bundle.
    max_pixels : int
        An image that claims more is an error; found in its header, before it is decoded.
    regions : bool
        Whether regions are found where the model has maps. They always are where they decide.
    """

    def __init__(self, models: FittedModels, *, max_pixels: int = MAX_PIXELS, regions: bool = True) -> None:
        self.models = models
        self.max_pixels = max_pixels
        self.maps = regions and models.has_maps
        self._pool = ThreadPoolExecutor(default_workers(), thread_name_prefix="pyimgano-decode")
        self._lock = threading.Lock()
        self._pixels_ahead = 0

    def close(self) -> None:
        """End the decoding threads."""
        self._pool.shutdown(wait=True)

    @property
    def batch_size(self) -> int:
        """How many images at once are worth waiting for."""
        sizes = [getattr(self._fitted(name).detector, "batch_size", None) or 8 for name in self.categories]
        return int(max(sizes))

    def load(self) -> None:
        """Load every detector that may be asked for, and let it score one grey image, so that the first is not slow.

        Raises
        ------
        CheckpointError
            When one cannot be loaded.
        """
        import numpy as np

        for name in self.categories:
            fitted = self._fitted(name)
            for _ in fitted.stream([np.full((64, 64, 3), 128, np.uint8)], maps=self.maps):
                pass

    @property
    def categories(self) -> list[str]:
        """The categories that may be asked for: all, or the one that was chosen for all images."""
        named = (Source(name, Path(name), name) for name in self.models.categories)
        return list(dict.fromkeys(map(self.models.choose, named)))

    def _fitted(self, category: str) -> FittedCategory:
        return self.models.fitted(Source(category, Path(category), category))

    def decode_ahead(self, data: bytes) -> Optional[DecodedAhead]:
        """Begin to decode an image whose turn comes later, unless too much lies decoded already.

        The result belongs into :attr:`ReceivedImage.ahead`, and is released by who asked for it. May be called by any
        thread. What cannot be decoded is told when it is inspected.
        """
        try:
            width, height = check_pixels(data, self.max_pixels)
        except PyimganoError:
            return None
        pixels = width * height
        with self._lock:
            if self._pixels_ahead + pixels > PIXELS_AT_ONCE:
                return None
            self._pixels_ahead += pixels

        def release() -> None:
            with self._lock:
                self._pixels_ahead -= pixels

        return DecodedAhead(self._pool.submit(self._decode, data), release)

    def _decode(self, data: bytes) -> _Decoded:
        image = to_rgb8(decode_image(data), value_range=self.models.value_range)
        return image, image_statistics(image)

    def __call__(self, images: Sequence[ReceivedImage], *, maps: bool = False) -> list[Inspected]:
        """Inspect some images.

        Parameters
        ----------
        images : sequence of ReceivedImage
            All lie in memory.
        maps : bool
            Whether the results keep image and map.

        Returns
        -------
        list of Inspected
            One of each image, in their order.
        """
        found: dict[int, Inspected] = {}
        some: list[int] = []
        pixels = 0
        for index, received in enumerate(images):
            try:
                width, height = check_pixels(received.data, self.max_pixels)
            except PyimganoError as error:
                found[index] = self._failed(received, error)
                continue
            if some and pixels + width * height > PIXELS_AT_ONCE:
                self._inspect(some, images, found, maps)
                some, pixels = [], 0
            some.append(index)
            pixels += width * height
        self._inspect(some, images, found, maps)
        return [found[index] for index in range(len(images))]

    def _inspect(
        self, some: Sequence[int], images: Sequence[ReceivedImage], found: dict[int, Inspected], maps: bool
    ) -> None:
        """Decode and score images that may lie in memory at once."""
        # No thread is worth waking for one image, or for waiting.
        decode = self._pool.map if sum(images[index].ahead is None for index in some) > 1 else map
        pending: dict[str, list[_Read]] = {}
        for read in decode(lambda index: self._read(index, images[index]), some):
            if isinstance(read, _Read):
                pending.setdefault(read.category, []).append(read)
            else:
                found[read[0]] = read[1]
        self._score(pending, found, maps)

    def _read(self, index: int, received: ReceivedImage) -> Union[_Read, tuple[int, Inspected]]:
        """Return a decoded image, or what became of one that cannot be decoded."""
        category = None
        try:
            source = Source(received.name, Path(received.name), received.category)
            category = self.models.choose(source)
            fitted = self.models.fitted(source)
            decoded = self._decode(received.data) if received.ahead is None else received.ahead.result()
            return _Read(index, received, category, fitted, *decoded)
        except PyimganoError as error:
            return index, self._failed(received, error, category)
        except Exception as error:  # a decoder's own failure, or memory that is not there: this image's error alone
            failure = ImageError(f"cannot decode: {type(error).__name__}: {error}")
            return index, self._failed(received, failure, category)

    def _failed(self, received: ReceivedImage, error: Exception, category: Optional[str] = None) -> Inspected:
        said = received.category if category is None else None if category == DEFAULT_CATEGORY else category
        record = PredictionRecord.failed(received.name, error, **{"category": said, **(received.known or {})})
        return Inspected(record, error, category)

    def _score(self, pending: Mapping[str, list[_Read]], found: dict[int, Inspected], maps: bool) -> None:
        for reads in pending.values():
            try:
                outcomes = self._judge(reads, maps)
            except Exception as error:  # no PyimganoError, which the stream keeps at its image: a fault of the model
                if len(reads) > 1:
                    for read in reads:
                        self._score({read.category: [read]}, found, maps)
                    continue
                outcomes = [self._failed(reads[0].received, error, reads[0].category)]
            found.update(zip((read.index for read in reads), outcomes))

    def _judge(self, reads: Sequence[_Read], maps: bool) -> list[Inspected]:
        fitted = reads[0].fitted
        wanted = self.maps or (maps and self.models.has_maps)
        outcomes = []
        for read, scored in zip(reads, fitted.stream([read.image for read in reads], maps=wanted)):
            score = scored.score
            if score is None:
                error = scored.error or PyimganoError("not scored")
                outcomes.append(self._failed(read.received, error, read.category))
                continue
            if not wanted and not fitted.policy.decides:
                scored = dataclasses.replace(scored, map=None)
            verdict = fitted.judge(scored)
            known = {"category": fitted.category, **(read.received.known or {}), **verdict.known()}
            record = PredictionRecord.scored(read.received.name, score, fitted.card, **known)
            kept = read.image if maps else None
            outcomes.append(
                Inspected(
                    record,
                    None,
                    read.category,
                    read.statistics,
                    kept,
                    scored if maps else None,
                    verdict,
                    fitted,
                )
            )
        return outcomes
