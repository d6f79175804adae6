"""A process that runs cells.

It ends with the one that started it, also in the middle of a cell: a cell that nobody waits for any more would keep its
run locked.
"""

from __future__ import annotations

from typing import Any

from pyimgano.core.errors import MissingDependencyError, WeightsError
from pyimgano.workbench.processes import serve_requests

__all__ = ["main"]


def main() -> None:
    """Serve standard input."""
    serve_requests(_answer)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    from pyimgano.workbench.bench.cell import measure_cell
    from pyimgano.workbench.config import RunConfig

    try:
        return {"row": measure_cell(RunConfig.model_validate(request["config"]))}
    except (MissingDependencyError, WeightsError) as error:
        hint = f" ({error.hint.splitlines()[0]})" if error.hint else ""
        return {"error": f"{type(error).__name__}: {error.message}{hint}", "skipped": True}


if __name__ == "__main__":
    main()
