"""A process that runs cells: one JSON line in, one JSON line out, until its input ends.

Cells run in processes of their own so that one that takes the whole memory, or crashes in native code, costs its row
and not the benchmark.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from pyimgano.core.errors import PyimganoError

__all__ = ["main"]


def main() -> int:
    """Serve the process's standard input; answers go to what was standard output when it began."""
    # What libraries print must not stand among the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        answers.write(json.dumps(_answer(json.loads(line))) + "\n")
        answers.flush()
    return 0


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    from pyimgano.workbench.bench.cell import measure_cell
    from pyimgano.workbench.config import RunConfig

    try:
        return {"row": measure_cell(RunConfig.model_validate(request["config"]))}
    except PyimganoError as error:
        return {"error": f"{type(error).__name__}: {error.message}"}
    except Exception as error:  # whatever a model raises: it is this cell's result, told with its place
        import traceback

        place = traceback.extract_tb(error.__traceback__)[-1]
        return {"error": f"{type(error).__name__}: {error} ({os.path.basename(place.filename)}:{place.lineno})"}


if __name__ == "__main__":
    sys.exit(main())
