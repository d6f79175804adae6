"""Runs cells in a fixed number of processes; each serves cell after cell, and is replaced when it dies."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional

from pyimgano.workbench.bench.matrix import Cell

__all__ = ["run_cells"]

Row = dict[str, Any]


class _Worker:
    """One process of :mod:`pyimgano.workbench.bench.worker`, started when it is first needed.

    One thread asks; another may stop it meanwhile, which that thread sees as the death of the process.
    """

    def __init__(self, threads: Optional[int], environment: Mapping[str, str]) -> None:
        # `python -m` would look for modules in the current folder first: a torch.py of the user's own must not be met.
        self._environment = {**environment, **os.environ, "PYTHONSAFEPATH": "1"}
        if threads is not None:
            for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
                self._environment.setdefault(name, str(threads))
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._stopped = False
        self._lock = threading.Lock()  # between starting a process and stopping for good

    def ask(self, cell: Cell) -> Row:
        process = self._running()
        if process is None:
            return {"error": "the benchmark was ended"}
        request = json.dumps({"config": cell.config.to_json()}).encode() + b"\n"
        answer = b""
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(request)
            process.stdin.flush()
            answer = process.stdout.readline()
        except OSError:  # it is gone
            pass
        if not answer.endswith(b"\n"):
            return {"error": _death(self.close())}
        found: Row = json.loads(answer)
        return found

    def _running(self) -> Optional[subprocess.Popen[bytes]]:
        with self._lock:
            if self._process is None and not self._stopped:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "pyimgano.workbench.bench.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=self._environment,
                )
            return self._process

    def stop(self) -> None:
        """Kill the process and start none any more; from any thread."""
        with self._lock:
            self._stopped = True
            process = self._process  # the thread that asks may let go of it right now
            if process is not None:
                process.kill()

    def close(self) -> int:
        """Wait for the end of the process and return its status; only from the thread that asks, or after its end."""
        process, self._process = self._process, None
        if process is None:
            return 0
        status = process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # what it did not take any more
                    stream.close()
        return status


def _death(status: int) -> str:
    if status < 0:
        import signal

        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        often = ": most often the system ran out of memory" if name == "SIGKILL" else ""
        return f"the process was killed by {name}{often}"
    return f"the process ended with exit code {status}"


def _next(ended: queue.SimpleQueue[tuple[Cell, Row]]) -> tuple[Cell, Row]:
    while True:
        try:
            return ended.get(timeout=1.0)  # on Windows, Ctrl-C interrupts no wait, only the time between two
        except queue.Empty:
            pass


def run_cells(
    cells: Sequence[Cell],
    done: Callable[[Cell, Row], None],
    *,
    jobs: int = 1,
    environment: Optional[Mapping[str, str]] = None,
) -> None:
    """Run cells and tell of each when it has ended, in the order in which they end.

    Parameters
    ----------
    cells : sequence of Cell
        Started in this order.
    done : callable
        ``done(cell, {"row": …} or {"error": …})``, called in the caller's thread.
    jobs : int
        Number of processes. With more than one, each gets its share of the cores.
    environment : mapping of str to str, optional
        Variables for the processes; what is set already is left as it is.

    Notes
    -----
    An exception, also a KeyboardInterrupt, ends the processes; what they were at can be resumed.
    """
    waiting: queue.SimpleQueue[Optional[Cell]] = queue.SimpleQueue()
    ended: queue.SimpleQueue[tuple[Cell, Row]] = queue.SimpleQueue()
    for cell in cells:
        waiting.put(cell)
    count = max(1, min(jobs, len(cells)))
    threads = max(1, (os.cpu_count() or 1) // count) if count > 1 else None
    workers = [_Worker(threads, environment or {}) for _ in range(count)]

    def serve(worker: _Worker) -> None:
        while True:
            cell = waiting.get()
            if cell is None:
                return
            ended.put((cell, worker.ask(cell)))

    for _ in workers:
        waiting.put(None)
    pool = [threading.Thread(target=serve, args=(worker,), daemon=True) for worker in workers]
    for thread in pool:
        thread.start()
    try:
        for _ in cells:
            done(*_next(ended))
    finally:
        for worker in workers:
            worker.stop()
        for thread in pool:
            thread.join()
        for worker in workers:
            worker.close()
