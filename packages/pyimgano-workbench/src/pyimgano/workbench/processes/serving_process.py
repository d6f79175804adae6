"""One process that serves requests, seen from the process that asks it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any, Optional

__all__ = ["ProcessDied", "ServingProcess"]

Answer = dict[str, Any]


class ProcessDied(Exception):
    """A process ended while it was asked; the text says how."""


class ServingProcess:
    """One process of a module that serves, started when it is first needed, and again after it has died.

    One thread asks; another may stop it meanwhile, which that thread sees as the death of the process.

    Parameters
    ----------
    module : str
        Run with ``python -m``; calls :func:`~pyimgano.workbench.processes.serving.serve_requests`.
    threads : int or None
        Threads of its numerical libraries, where the environment does not say; None leaves that to them.
    environment : mapping
        Variables that it gets, where this process's own environment does not set them.
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
        """Return the answer to a request.

        Raises
        ------
        ProcessDied
            When the process ended before it had answered.
        """
        process = self._running()
        if process is None:
            raise ProcessDied("the work was ended")
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
            raise ProcessDied(_death(self.close()))
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
