"""Answers requests in a fixed number of processes; each serves one after the other, and is replaced when it dies."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional

from pyimgano.workbench.processes.serving_process import ProcessDied, ServingProcess

__all__ = ["run_here"]

Answer = dict[str, Any]


def _next(ended: queue.SimpleQueue[tuple[int, Answer]]) -> tuple[int, Answer]:
    while True:
        try:
            return ended.get(timeout=1.0)  # on Windows, Ctrl-C interrupts no wait, only the time between two
        except queue.Empty:
            pass


def run_here(
    requests: Sequence[Mapping[str, Any]],
    done: Callable[[int, Answer], None],
    *,
    module: str,
    jobs: int,
    environment: Mapping[str, str],
) -> None:
    """Have requests answered by processes of this machine; see :func:`~pyimgano.workbench.processes.run_requests`."""
    waiting: queue.SimpleQueue[Optional[int]] = queue.SimpleQueue()
    ended: queue.SimpleQueue[tuple[int, Answer]] = queue.SimpleQueue()
    for index in range(len(requests)):
        waiting.put(index)
    count = max(1, min(jobs, len(requests)))
    threads = max(1, (os.cpu_count() or 1) // count) if count > 1 else None
    workers = [ServingProcess(module, threads, environment) for _ in range(count)]

    def serve(worker: ServingProcess) -> None:
        while True:
            index = waiting.get()
            if index is None:
                return
            try:
                answer = worker.ask(requests[index])
            except ProcessDied as death:
                answer = {"error": str(death)}
            ended.put((index, answer))

    for _ in workers:
        waiting.put(None)
    pool = [threading.Thread(target=serve, args=(worker,), daemon=True) for worker in workers]
    for thread in pool:
        thread.start()
    try:
        for _ in requests:
            done(*_next(ended))
    finally:
        for worker in workers:
            worker.stop()
        for thread in pool:
            thread.join()
        for worker in workers:
            worker.close()
