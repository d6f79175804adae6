"""Images computed beside each other, each by one thread.

An image's result must not depend, to the last bit, on the batch that it comes in; torch's do, with the batch size and
with the number of threads that share one operation. So each image is computed alone and by one thread.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Optional, TypeVar

__all__ = ["ImageThreads"]

T = TypeVar("T")


class ImageThreads:
    """Applies a function to each of some images.

    Parameters
    ----------
    device : str
        ``"cpu"``, ``"cuda"`` or ``"cuda:<n>"``; on CUDA the images are computed one after the other, by deterministic
        kernels in full float32.
    threads : int, optional
        Images computed at the same time on the CPU; default: all cores that the process may use. Changes no result.
    """

    def __init__(self, device: str = "cpu", threads: Optional[int] = None) -> None:
        self.device = device
        self.threads = threads or _cores()
        self._pool: Optional[ThreadPoolExecutor] = None

    def map(self, function: Callable[[Any], T], images: Iterable[Any]) -> list[T]:
        """Return ``function(image)`` of each image, computed without gradients."""
        import torch

        if self.device != "cpu":
            exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
            with torch.inference_mode(), exact:
                return [function(image) for image in images]

        def alone(image: Any) -> T:
            with torch.inference_mode():
                return function(image)

        if self._pool is None:
            self._pool = _single_threaded_pool(self.threads)
        return list(self._pool.map(alone, images))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def _single_threaded_pool(workers: int) -> ThreadPoolExecutor:
    """Return a pool in whose threads torch computes with one thread each; the caller's own setting stays."""
    import torch

    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, "pyimgano-openclip", initializer=torch.set_num_threads, initargs=(1,))
    # torch keeps the number both per thread and for threads to come: start all workers now, then put the latter back.
    everyone = threading.Barrier(workers)
    for future in [pool.submit(everyone.wait) for _ in range(workers)]:
        future.result()
    torch.set_num_threads(before)
    return pool
