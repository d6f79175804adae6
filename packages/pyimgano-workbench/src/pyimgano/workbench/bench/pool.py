"""Runs cells, each in a process of its own: one that takes the whole memory costs its row and not the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from pyimgano.workbench.bench.matrix import Cell
from pyimgano.workbench.processes import Execution, run_requests

__all__ = ["run_cells"]

Row = dict[str, Any]


def run_cells(
    cells: Sequence[Cell],
    done: Callable[[Cell, Row], None],
    *,
    execution: Optional[Execution] = None,
    environment: Optional[Mapping[str, str]] = None,
    note: Optional[Callable[[str], Any]] = None,
) -> None:
    """Run cells and tell of each when it has ended, in the order in which they end.

    Parameters
    ----------
    cells : sequence of Cell
        Started in this order.
    done : callable
        ``done(cell, {"row": …} or {"error": …})``, called in the caller's thread.
    execution : Execution, optional
        Who runs them; default: one process of this machine. A cluster's workers must see dataset and benchmark under
        the same paths. A cell whose worker is lost is gone on with by another one.
    environment : mapping, optional
        Variables that the processes get, where their own environment does not set them.
    note : callable, optional
        Takes a sentence for the user.

    Notes
    -----
    An exception, also a KeyboardInterrupt, ends the processes; what they were at can be resumed.
    """
    if not cells:
        return
    run_requests(
        [{"config": cell.config.to_json()} for cell in cells],
        lambda index, answer: done(cells[index], answer),
        module="pyimgano.workbench.bench.worker",
        execution=execution,
        environment=environment,
        shared=Path(cells[0].config.output.dir).parent,
        note=note,
    )
