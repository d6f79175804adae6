"""Answers requests in a fixed number of processes; each serves one after the other, and is replaced when it dies."""

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

__all__ = ["run_requests"]

Answer = dict[str, Any]


class _Worker:
    """One process of a module that serves, started when it is first needed.

    One thread asks; another may stop it meanwhile, which that thread sees as the death of the process.
    """

    def __init__(self, module: str, threads: Optional[int], environment: Mapping[str, str]) -> None:
        self._module = module
        # `python -m` would look for modules in the current folder first: a torch.py of the user's own must not be met.
        self._environment = {**environment, **os.environ, "PYTHONSAFEPATH": "1"}
        if threads is not None:
            for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
                self._environment.setdefault(name, str(threads))
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._stopped = False
        self._lock = threading.Lock()  # between starting a process and stopping for good

    def ask(self, request: Mapping[str, Any]) -> Answer:
        process = self._running()
        if process is None:
            return {"error": "the work was ended"}
        answer = b""
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except OSError:  # it is gone
            pass
        if not answer.endswith(b"\n"):
            return {"error": _death(self.close())}
        found: Answer = json.loads(answer)
        return found

    def _running(self) -> Optional[subprocess.Popen[bytes]]:
        with self._lock:
            if self._process is None and not self._stopped:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", self._module],
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


def _next(ended: queue.SimpleQueue[tuple[int, Answer]]) -> tuple[int, Answer]:
    while True:
        try:
            return ended.get(timeout=1.0)  # on Windows, Ctrl-C interrupts no wait, only the time between two
        except queue.Empty:
            pass


def run_requests(
    requests: Sequence[Mapping[str, Any]],
    done: Callable[[int, Answer], None],
    *,
    module: str,
    jobs: int = 1,
    environment: Optional[Mapping[str, str]] = None,
) -> None:
    """Have requests answered and tell of each when it is, in the order in which they end.

    Parameters
    ----------
    requests : sequence of mapping
        JSON-friendly; started in this order.
    done : callable
        ``done(index, answer)``, called in the caller's thread; the answer of a process that died is ``{"error": …}``.
    module : str
        Run with ``python -m``; calls :func:`~pyimgano.workbench.processes.serving.serve_requests`.
    jobs : int
        Number of processes. With more than one, each gets its share of the cores.
    environment : mapping, optional
        Variables that the processes get, where the caller's own environment does not set them.

    Notes
    -----
    An exception, also a KeyboardInterrupt or one of ``done``, ends the processes.
    """
    waiting: queue.SimpleQueue[Optional[int]] = queue.SimpleQueue()
    ended: queue.SimpleQueue[tuple[int, Answer]] = queue.SimpleQueue()
    for index in range(len(requests)):
        waiting.put(index)
    count = max(1, min(jobs, len(requests)))
    threads = max(1, (os.cpu_count() or 1) // count) if count > 1 else None
    workers = [_Worker(module, threads, environment or {}) for _ in range(count)]

    def serve(worker: _Worker) -> None:
        while True:
            index = waiting.get()
            if index is None:
                return
            ended.put((index, worker.ask(requests[index])))

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
