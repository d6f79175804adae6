"""A process that runs cells: one JSON line in, one JSON line out.

Cells run in processes of their own so that one that takes the whole memory, or crashes in native code, costs its row
and not the benchmark. The process ends with the one that started it, also in the middle of a cell: a cell that nobody
waits for any more would keep its run locked.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from typing import Any

from pyimgano.core.errors import MissingDependencyError, PyimganoError, WeightsError

__all__ = ["main"]


def main() -> None:
    """Serve the process's standard input; answers go to what was standard output when it began."""
    # Ctrl-C reaches the whole group of processes; the one that started this one decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What libraries print must not stand among the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    while True:
        answers.write(json.dumps(_answer(json.loads(requests.get()))) + "\n")
        answers.flush()


def _listen(requests: queue.SimpleQueue[bytes]) -> None:
    """Take requests; at the end of the input, which is the end of who sends them, end the process at once."""
    for line in sys.stdin.buffer:
        requests.put(line)
    os._exit(0)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    from pyimgano.workbench.bench.cell import measure_cell
    from pyimgano.workbench.config import RunConfig

    try:
        return {"row": measure_cell(RunConfig.model_validate(request["config"]))}
    except (MissingDependencyError, WeightsError) as error:
        hint = f" ({error.hint.splitlines()[0]})" if error.hint else ""
        return {"error": f"{type(error).__name__}: {error.message}{hint}", "skipped": True}
    except PyimganoError as error:
        return {"error": f"{type(error).__name__}: {error.message}"}
    except Exception as error:  # whatever a model raises: it is this cell's result, told with its place
        import traceback

        place = traceback.extract_tb(error.__traceback__)[-1]
        return {"error": f"{type(error).__name__}: {error} ({os.path.basename(place.filename)}:{place.lineno})"}


if __name__ == "__main__":
    main()
