"""What a worker of a cluster does: it has a process of its own answer, which may die without the worker."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from pyimgano.workbench.processes.serving_process import ServingProcess
from pyimgano.workbench.runs.environment import package_versions

__all__ = ["UNFIT", "answer_on_worker"]

UNFIT = "unfit"
"""The key of an answer that says why this worker cannot answer anything."""

_Kind = tuple[str, tuple[tuple[str, str], ...], Optional[int]]
_idle: dict[_Kind, list[ServingProcess]] = {}
_lock = threading.Lock()


def answer_on_worker(
    module: str, request: str, environment: Mapping[str, str], packages: Mapping[str, str], shared: Optional[str]
) -> dict[str, Any]:
    """Answer a request in a process that is kept for the next one; it ends with the worker, however that ends.

    Parameters
    ----------
    module : str
        What the process serves.
    request : str
        JSON.
    environment : mapping
        Variables of the process, where the worker's own environment does not set them.
    packages : mapping
        Name → version of what decides results, on the machine of who asks.
    shared : str or None
        A file that who asks has made, to see whether both see one file system.

    Raises
    ------
    ProcessDied
        When the process died: the cluster tries again, elsewhere if it can.
    """
    here = package_versions()
    other = [name for name in sorted({*here, *packages}) if here.get(name) != packages.get(name)]
    if other:
        found = ", ".join(f"{name} {here.get(name, 'none')} (not {packages.get(name, 'none')})" for name in other)
        return {UNFIT: f"has other packages: {found}"}
    if shared is not None and not Path(shared).exists():
        return {UNFIT: f"does not see {Path(shared).parent}"}
    kind = (module, tuple(sorted(environment.items())), _threads())
    with _lock:
        idle = _idle.setdefault(kind, [])
        process = idle.pop() if idle else ServingProcess(module, kind[2], environment)
    try:
        return process.ask(json.loads(request))
    finally:
        with _lock:
            idle.append(process)


def _threads() -> Optional[int]:
    """Return the cores for each request, where the worker answers several at a time."""
    from distributed import get_worker

    at_a_time = get_worker().state.nthreads
    return max(1, (os.cpu_count() or 1) // at_a_time) if at_a_time > 1 else None
