"""Runs cells in processes of their own: one that takes the whole memory costs its row and not the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional

from pyimgano.workbench.bench.matrix import Cell
from pyimgano.workbench.processes import run_requests

__all__ = ["run_cells"]

Row = dict[str, Any]


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
    environment : mapping, optional
        Variables that the processes get, where the caller's own environment does not set them.

    Notes
    -----
    An exception, also a KeyboardInterrupt, ends the processes; what they were at can be resumed.
    """
    run_requests(
        [{"config": cell.config.to_json()} for cell in cells],
        lambda index, answer: done(cells[index], answer),
        module="pyimgano.workbench.bench.worker",
        jobs=jobs,
        environment=environment,
    )
