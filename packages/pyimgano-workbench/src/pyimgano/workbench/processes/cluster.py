"""Answers requests on a Dask cluster, which sees to it that each is answered, whatever becomes of a worker."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.errors import ConfigError, PyimganoError
from pyimgano.core.files import dumps_json, sha256_bytes
from pyimgano.workbench.processes.remote import UNFIT, answer_on_worker
from pyimgano.workbench.processes.serving_process import ProcessDied
from pyimgano.workbench.runs.environment import package_versions

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["run_on_cluster"]

CONNECT_SECONDS = 20
RETRIES = 2
"""How often a request is tried again whose process died, e.g. for memory, on a worker that lives.

A request whose worker is lost is given to another by Dask itself, until three were
(``distributed.scheduler.allowed-failures``).
"""

GO_ON = "the same command goes on with what is missing"


def run_on_cluster(
    requests: Sequence[Mapping[str, Any]],
    done: Callable[[int, dict[str, Any]], None],
    *,
    module: str,
    scheduler: Optional[str],
    environment: Mapping[str, str],
    shared: Optional[Path],
    note: Callable[[str], Any],
) -> None:
    """Have requests answered by a cluster's workers; see :func:`~pyimgano.workbench.processes.run_requests`.

    Notes
    -----
    A request's key on the cluster is the hash of what decides its answer, so that two who ask the same at the same time
    share the work. Not through joblib: its backend for Dask (up to 1.6) waits for ever when a task is given up.
    """
    from distributed import as_completed

    packages = package_versions()
    with _connected(scheduler) as client, _token(shared) as token:
        index_of: dict[str, int] = {}
        futures: list[Future] = []
        for index, request in enumerate(requests):
            text = dumps_json(request)
            key = "pyimgano-" + sha256_bytes(dumps_json([module, text, dict(environment), packages]).encode("utf-8"))
            if key in index_of:
                raise ValueError(f"request {index} is that of {index_of[key]}")
            index_of[key] = index
            arguments = (module, text, dict(environment), packages, token)
            # Earlier requests first, as on one machine.
            futures.append(
                client.submit(answer_on_worker, *arguments, key=key, retries=RETRIES, priority=-index, pure=False)
            )
        if not client.scheduler_info()["workers"]:
            note("the cluster has no workers yet: waiting for the first")
        try:
            upcoming = as_completed(futures, loop=client.loop)
            futures = []  # what is told of need not be kept by anybody
            for future in upcoming:
                done(index_of[future.key], _answer(future))
        except BaseException:
            with contextlib.suppress(Exception):  # of a scheduler that is gone, which is not what went wrong first
                client.cancel(list(upcoming.futures))
            raise


def _answer(future: Future) -> dict[str, Any]:
    from distributed import KilledWorker

    if future.status == "cancelled":
        raise PyimganoError("the scheduler lost the work: it was restarted, or cannot be reached any more", hint=GO_ON)
    error = future.exception()
    if isinstance(error, ProcessDied):
        return {"error": str(error)}
    if isinstance(error, KilledWorker):
        return {"error": f"given up after {error.allowed_failures + 1} workers were lost that had it"}
    if error is not None:
        raise PyimganoError(
            f"the workers cannot do the work: {type(error).__name__}: {error}",
            hint="install the same packages on the workers as here",
        ) from error
    answer: dict[str, Any] = future.result()
    if UNFIT in answer:
        raise ConfigError(
            f"a worker {answer[UNFIT]}",
            where="--scheduler",
            allowed="the same packages as on this machine, and dataset and output under the same paths",
            hint="docs/cluster.md says how to start them",
        )
    return answer


@contextlib.contextmanager
def _connected(scheduler: Optional[str]) -> Iterator[Client]:
    import dask
    from distributed import Client

    given = scheduler or dask.config.get("scheduler-address", None)
    if given is None:
        raise ConfigError(
            "which cluster? --scheduler is missing",
            allowed="tcp://HOST:8786, or the file that `dask scheduler --scheduler-file` writes",
            hint="dask scheduler   starts one, and says its address",
        )
    place = {"scheduler_file": given} if given.endswith(".json") else {"address": given}
    try:
        client = Client(**place, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:  # a TimeoutError is an OSError
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ConfigError(f"cannot reach {given}: {reason}", where="--scheduler", hint="is it running?") from error
    try:
        yield client
    finally:
        client.close()


@contextlib.contextmanager
def _token(shared: Optional[Path]) -> Iterator[Optional[str]]:
    """Yield a new file in the folder, by which a worker sees whether it is the same folder there."""
    if shared is None:
        yield None
        return
    descriptor, name = tempfile.mkstemp(prefix=".shared-", dir=os.path.abspath(shared))
    os.close(descriptor)
    try:
        yield name
    finally:
        os.unlink(name)
