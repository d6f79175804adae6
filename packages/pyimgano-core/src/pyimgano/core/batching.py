"""Decoding that overlaps with inference: a bounded number of images is read ahead by threads, in order.

Decoders and resizers release the interpreter's lock, so threads suffice; process workers gain nothing here.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Callable, Optional

from pyimgano.core.errors import ImageError
from pyimgano.core.images import as_rgb8

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ImageBatches", "read_ahead", "source_name"]


def default_workers() -> int:
    """Return the number of decoding threads: one per core, at most four."""
    return max(1, min(4, os.cpu_count() or 1))


def read_ahead(
    function: Callable[[int], Any], count: int, *, ahead: int, workers: Optional[int] = None
) -> Iterator[Any]:
    """Yield ``function(0)``, ``function(1)``, … in order, computed by threads at most ``ahead`` items in advance.

    An exception is raised at its item's turn. Memory is bounded by ``ahead`` results whatever ``count`` is.
    """
    pool = ThreadPoolExecutor(workers or default_workers(), thread_name_prefix="pyimgano-read")
    pending: deque[Future[Any]] = deque()
    try:
        upcoming = iter(range(count))
        for index in upcoming:
            pending.append(pool.submit(function, index))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
        pool.shutdown(wait=True)


def source_name(images: Sequence[Any], index: int) -> str:
    """Return what to call an image of a sequence in an error: its file where that is known, else ``image <index>``.

    Nothing is decoded: a sequence that does so tells its files as ``sources``, of paths or of samples.
    """
    sources = getattr(images, "sources", images if isinstance(images, (list, tuple)) else None)
    source = None if sources is None else sources[index]
    source = getattr(source, "source", source)
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else f"image {index}"


class ImageBatches:
    """Batches of prepared images, re-iterable, read ahead by threads.

    Parameters
    ----------
    X : sequence
        Paths, arrays, or any object with ``__len__`` and ``__getitem__`` whose items are one of the two.
    batch_size : int
        Images per batch; the last one may be smaller.
    prepare : callable, optional
        ``prepare(image) -> image`` on RGB uint8 (H, W, 3), run by the reading threads; idempotent.
    workers : int, optional
        Reading threads.
    keep_errors : bool
        An unreadable image becomes its :class:`~pyimgano.core.errors.ImageError` in the batch instead of being raised.

    Yields
    ------
    list of ndarray (or ImageError)
        In the order of ``X``.
    """

    def __init__(
        self,
        X: Sequence[Any],
        batch_size: int = 8,
        *,
        prepare: Optional[Callable[[np.ndarray], np.ndarray]] = None,
        workers: Optional[int] = None,
        keep_errors: bool = False,
    ) -> None:
        self.X = X
        self.batch_size = batch_size
        self.prepare = prepare
        self.workers = workers
        self.keep_errors = keep_errors

    def __len__(self) -> int:
        """Return the number of images (not of batches)."""
        return len(self.X)

    def _load(self, index: int) -> Any:
        try:
            image = as_rgb8(self.X[index], where=f"image {index}")
            return image if self.prepare is None else self.prepare(image)
        except ImageError as error:
            # What prepares an array does not know where it came from.
            error.where = error.where or source_name(self.X, index)
            if self.keep_errors:
                return error
            raise

    def images(self) -> Iterator[Any]:
        """Yield the prepared images one by one, read ahead by two batches."""
        count = len(self.X)
        if count <= 1:  # no thread is worth starting for one image: this is the latency path
            for index in range(count):
                yield self._load(index)
            return
        yield from read_ahead(self._load, count, ahead=2 * self.batch_size, workers=self.workers)

    def __iter__(self) -> Iterator[list[Any]]:
        batch: list[Any] = []
        for image in self.images():
            batch.append(image)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch:
            yield batch
