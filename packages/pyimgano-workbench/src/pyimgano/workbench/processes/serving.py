"""The side of a process that serves: one JSON line in, one JSON line out.

The process ends with the one that started it, also in the middle of a request: nobody waits for its answer any more.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from typing import Any, Callable

from pyimgano.core.errors import PyimganoError

__all__ = ["serve_requests"]


def serve_requests(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Serve the process's standard input for ever; answers go to what was standard output when it began.

    Parameters
    ----------
    answer : callable
        ``answer(request)`` returns JSON-friendly keys. What it raises becomes ``{"error": …}``.
    """
    # Ctrl-C reaches the whole group of processes; the one that started this one decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What libraries print must not stand among the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    while True:
        answers.write(json.dumps(_answered(answer, json.loads(requests.get()))) + "\n")
        answers.flush()


def _listen(requests: queue.SimpleQueue[bytes]) -> None:
    """Take requests; at the end of the input, which is the end of who sends them, end the process at once."""
    for line in sys.stdin.buffer:
        requests.put(line)
    os._exit(0)


def _answered(answer: Callable[[dict[str, Any]], dict[str, Any]], request: dict[str, Any]) -> dict[str, Any]:
    try:
        return answer(request)
    except PyimganoError as error:
        return {"error": f"{type(error).__name__}: {error.message}"}
    except Exception as error:  # whatever a model raises: it is this request's result, told with its place
        import traceback

        place = traceback.extract_tb(error.__traceback__)[-1]
        return {"error": f"{type(error).__name__}: {error} ({os.path.basename(place.filename)}:{place.lineno})"}
