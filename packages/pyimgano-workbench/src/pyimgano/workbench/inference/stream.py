"""From a stream of images to a stream of records, in constant memory, by the code that scores a run's test set."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Callable, Optional, Protocol

from pyimgano.core.errors import PyimganoError
from pyimgano.workbench.inference.category import FittedCategory
from pyimgano.workbench.inference.sources import Source
from pyimgano.workbench.records import PredictionRecord
from pyimgano.workbench.render.pictures import PictureWriter
from pyimgano.workbench.scoring import ScoredImage

__all__ = ["Summary", "Writer", "predict_stream", "write_predictions"]

CHUNK = 512
"""Images that are scored in one stretch. Between two, the reading threads start anew, which costs one batch."""


class Writer(Protocol):
    """What takes records, one by one."""

    def write(self, record: PredictionRecord) -> None:
        """Take one record."""

    def flush(self) -> None:
        """Let the reader have what was written."""


@dataclasses.dataclass
class Summary:
    """What became of the images.

    Attributes
    ----------
    images, good, review, defective, errors : int
        Counts; ``images`` is the sum of the others.
    """

    images: int = 0
    good: int = 0
    review: int = 0
    defective: int = 0
    errors: int = 0

    def count(self, record: PredictionRecord) -> None:
        """Count one record."""
        self.images += 1
        if record.error is not None:
            self.errors += 1
        elif record.decision == "defective":
            self.defective += 1
        elif record.decision == "review":
            self.review += 1
        else:
            self.good += 1

    def plus(self, other: Summary) -> Summary:
        """Return the counts of both."""
        return Summary(**{name: value + getattr(other, name) for name, value in dataclasses.asdict(self).items()})

    def to_json(self) -> dict[str, int]:
        """Return the counts as a JSON-friendly mapping."""
        return dataclasses.asdict(self)


def predict_stream(
    sources: Iterable[Source],
    fitted_for: Callable[[Source], FittedCategory],
    *,
    maps: bool = False,
    batch_size: Optional[int] = None,
) -> Iterator[tuple[Source, FittedCategory, ScoredImage]]:
    """Score images, each by the detector of its category, in their order.

    Parameters
    ----------
    sources : iterable of Source
        May be endless.
    fitted_for : callable
        The detector of an image's category.
    maps : bool
        Whether anomaly maps are made.
    batch_size : int, optional
        Default: that of the model. It never changes a score.

    Yields
    ------
    (Source, FittedCategory, ScoredImage)
    """
    for fitted, group in itertools.groupby(
        ((fitted_for(source), source) for source in sources), key=lambda pair: pair[0]
    ):
        items = (source for _, source in group)
        while True:
            chunk = list(itertools.islice(items, CHUNK))
            if not chunk:
                break
            stream = fitted.stream([source.path for source in chunk], batch_size=batch_size, maps=maps)
            for source, scored in zip(chunk, stream):
                # A map that only the score is made of is none that was asked for.
                unasked = scored.map is not None and not maps and not fitted.policy.decides
                yield source, fitted, dataclasses.replace(scored, map=None) if unasked else scored


def write_predictions(
    predictions: Iterable[tuple[Source, FittedCategory, ScoredImage]],
    writer: Writer,
    pictures: PictureWriter,
    *,
    each: Optional[Callable[[int], Any]] = None,
    after: Optional[Summary] = None,
) -> Summary:
    """Write a record for every image, and its pictures.

    Parameters
    ----------
    predictions : iterable
        Of :func:`predict_stream`.
    writer : Writer
        Takes the records, e.g. a :class:`~pyimgano.workbench.records.RecordWriter`.
    pictures : PictureWriter
        Makes what was asked for; the files are called ``<number>_<stem of the image>``, so that two images of one name
        do not collide.
    each : callable, optional
        Called with 1 after every image.
    after : Summary, optional
        Of the images that went before, which an earlier process has scored; the numbers go on from there.

    Returns
    -------
    Summary
    """
    summary = after or Summary()
    for number, (source, fitted, scored) in enumerate(predictions, summary.images):
        record = _record(source, fitted, scored, pictures, f"{number:06d}_{source.path.stem[:80]}")
        writer.write(record)
        # A reader at the other end of a pipe gets each line when it is there.
        writer.flush()
        summary.count(record)
        if each is not None:
            each(1)
    return summary


def _record(
    source: Source, fitted: FittedCategory, scored: ScoredImage, pictures: PictureWriter, stem: str
) -> PredictionRecord:
    known: dict[str, Any] = {"category": fitted.category, "group": source.group}
    judge, card = fitted.judge, fitted.card
    if scored.score is None:
        return PredictionRecord.failed(source.name, scored.error or PyimganoError("not scored"), **known)
    verdict = judge(scored)
    known.update(verdict.known())
    if pictures.wanted:
        if scored.map is None or scored.shape is None:
            raise PyimganoError("the model gave no anomaly map", where=source.name)
        writer = dataclasses.replace(pictures, value_range=fitted.value_range)
        known.update(
            writer.write(
                stem,
                source.path,
                scored.map,
                scored.shape,
                low=card.map_low,
                threshold=card.pixel_threshold,
                found=None if verdict.found is None else verdict.found.mask,
                inside=fitted.processing.inside(scored.shape),
            )
        )
    return PredictionRecord.scored(source.name, scored.score, fitted.card, **known)
