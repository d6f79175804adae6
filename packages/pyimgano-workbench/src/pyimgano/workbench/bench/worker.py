"""A process that runs cells.

It ends with the one that started it, also in the middle of a cell: a cell that nobody waits for any more would keep its
run locked.
"""

from __future__ import annotations

from typing import Any

from pyimgano.workbench.processes import serve_requests

__all__ = ["main"]


def main() -> None:
    """Serve standard input."""
    serve_requests(_answer)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    from pyimgano.workbench.bench.cell import measure_cell
    from pyimgano.workbench.config import RunConfig

    return {"row": measure_cell(RunConfig.model_validate(request["config"]))}


if __name__ == "__main__":
    main()
