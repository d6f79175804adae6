"""Where pieces of work are done: in processes of this machine, or by the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.errors import ConfigError, MissingDependencyError

__all__ = ["EXECUTORS", "Execution", "choose_execution", "run_requests"]

EXECUTORS: Mapping[str, str] = {
    "local": "processes of this machine (--jobs)",
    "dask": "the workers of a Dask cluster (--scheduler)",
}
"""Name → what does the work."""


@dataclass(frozen=True)
class Execution:
    """Where pieces of work are done.

    Attributes
    ----------
    executor : str
        One of :data:`EXECUTORS`.
    jobs : int
        Processes of this machine; for ``local`` alone.
    scheduler : str or None
        For ``dask`` alone: the address of its scheduler, or the file that it writes itself into (``….json``). None:
        what Dask's own configuration says (``DASK_SCHEDULER_ADDRESS``).
    """

    executor: str = "local"
    jobs: int = 1
    scheduler: Optional[str] = None

    @property
    def local(self) -> bool:
        """Whether this machine does the work."""
        return self.executor == "local"


def choose_execution(executor: str, scheduler: Optional[str], jobs: int) -> Execution:
    """Return what the options of a command say, or refuse them before anything is done.

    Raises
    ------
    ConfigError
        When there is no such executor, or an option belongs to another one.
    MissingDependencyError
        When what the executor needs is not installed.
    """
    if executor not in EXECUTORS:
        allowed = "; ".join(f"{name}: {what}" for name, what in EXECUTORS.items())
        raise ConfigError(f"unknown executor {executor!r}", where="--executor", allowed=allowed)
    if executor == "local":
        if scheduler is not None:
            raise ConfigError("this machine needs no scheduler", where="--scheduler", hint="--executor dask")
        return Execution(jobs=jobs)
    if jobs != 1:
        raise ConfigError(
            "counts processes of this machine: the workers of a cluster are as many as it has",
            where="--jobs",
            hint="leave it out; dask worker --nworkers N says how many a machine runs",
        )
    from pyimgano.core.plugins import installed

    if not installed("distributed"):
        raise MissingDependencyError(
            "the executor 'dask' needs 'distributed'", hint='pip install "pyimgano-workbench[dask]"'
        )
    return Execution("dask", scheduler=scheduler)


def run_requests(
    requests: Sequence[Mapping[str, Any]],
    done: Callable[[int, dict[str, Any]], None],
    *,
    module: str,
    execution: Optional[Execution] = None,
    environment: Optional[Mapping[str, str]] = None,
    shared: Optional[Path] = None,
    note: Optional[Callable[[str], Any]] = None,
) -> None:
    """Have requests answered and tell of each when it is, in the order in which they end.

    Parameters
    ----------
    requests : sequence of mapping
        JSON-friendly, with absolute paths; started in this order. On a cluster, a request may be answered twice, when
        the worker that had it is lost: what it leaves must be the same then.
    done : callable
        ``done(index, answer)``, called in the caller's thread; the answer of a process that died is ``{"error": …}``.
    module : str
        Run with ``python -m``; calls :func:`~pyimgano.workbench.processes.serving.serve_requests`.
    execution : Execution, optional
        Who does the work; default: one process of this machine. With more than one, each gets its share of the cores.
    environment : mapping, optional
        Variables that the processes get, where their own environment does not set them.
    shared : Path, optional
        A folder that the requests leave something in: a worker that does not see it is an error.
    note : callable, optional
        Takes a sentence for the user.

    Raises
    ------
    PyimganoError
        When a cluster cannot be reached, is lost, or cannot do the work.

    Notes
    -----
    An exception, also a KeyboardInterrupt or one of ``done``, ends the processes. A cluster's workers finish what they
    are at, and begin nothing new.
    """
    chosen = execution or Execution()
    if chosen.local:
        from pyimgano.workbench.processes.pool import run_here

        run_here(requests, done, module=module, jobs=chosen.jobs, environment=environment or {})
        return
    from pyimgano.workbench.processes.cluster import run_on_cluster

    run_on_cluster(
        requests,
        done,
        module=module,
        scheduler=chosen.scheduler,
        environment=environment or {},
        shared=shared,
        note=note or (lambda _: None),
    )
