"""Threads for NumPy work in blocks, each block with a BLAS of one thread.

The BLAS's own threads wait for each other after every product, by spinning: with products of a few milliseconds on a
machine that has other work to do, most of the time goes into that (measured: 250 ms for what takes 55). Here every
thread works on its own blocks, element-wise passes included, and nothing waits.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from typing import Any, Callable, TypeVar

from pyimgano.core.cores import usable_cores

__all__ = ["map_blocks", "one_blas_thread", "split_blocks"]

T = TypeVar("T")
R = TypeVar("R")


class _BlasLimit:
    """Limits the BLAS that NumPy uses as long as anyone needs it: several threads may at once."""

    def __init__(self) -> None:
        from threadpoolctl import ThreadpoolController

        self.controller = ThreadpoolController().select(user_api="blas")
        self.lock = threading.Lock()
        self.users = 0
        self.limiter: Any = None

    def enter(self) -> None:
        with self.lock:
            if self.users == 0:
                self.limiter = self.controller.limit(limits=1)
            self.users += 1

    def leave(self) -> None:
        with self.lock:
            self.users -= 1
            if self.users == 0:
                self.limiter.restore_original_limits()


@cache
def _limit() -> _BlasLimit:
    import numpy  # noqa: F401  # its BLAS must be loaded to be found

    return _BlasLimit()


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Return the threads of a process; a forked one has none of its parent's and gets its own."""
    return ThreadPoolExecutor(threads, thread_name_prefix="pyimgano-blocks")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let the BLAS use one thread inside the block, in the whole process."""
    limit = _limit()
    limit.enter()
    try:
        yield
    finally:
        limit.leave()


def map_blocks(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Return ``[function(item) for item in items]``, computed by one thread a core, each with a BLAS of one thread.

    The calling thread works as well: where no other core is free, nothing waits for one.
    """
    results: list[Any] = [None] * len(items)
    turn = iter(range(len(items)))

    def work() -> None:
        for index in turn:  # the interpreter's lock gives each index to one thread
            results[index] = function(items[index])

    helpers = min(usable_cores(), len(items)) - 1
    with one_blas_thread():
        pending = [_pool(usable_cores(), os.getpid()).submit(work) for _ in range(helpers)]
        try:
            work()
        finally:
            begun = [future for future in pending if not future.cancel()]
            wait(begun)
    for future in begun:
        future.result()
    return results


def split_blocks(count: int, *, most: int, least: int = 1) -> list[slice]:
    """Return slices that cover ``range(count)``, of nearly equal lengths, enough of them for all cores.

    Parameters
    ----------
    count : int
    most : int
        No slice is longer.
    least : int
        With fewer than this a slice, no further core is worth it.
    """
    number = max(-(-count // most), min(usable_cores(), count // max(1, least)), 1)
    edges = [count * index // number for index in range(number + 1)]
    return [slice(first, last) for first, last in zip(edges, edges[1:]) if last > first]
