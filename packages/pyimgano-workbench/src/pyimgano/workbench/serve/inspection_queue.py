"""Requests that wait, and the thread that answers them: what waits together is inspected together."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Optional, Union

from pyimgano.core.errors import PyimganoError, StorageError
from pyimgano.core.files import sha256_bytes
from pyimgano.workbench.inference.inspecting import DecodedAhead, Inspected, Inspector, ReceivedImage
from pyimgano.workbench.runs.naming import DEFAULT_CATEGORY
from pyimgano.workbench.serve.answers import AnswerBook
from pyimgano.workbench.serve.failures import ServiceError

if TYPE_CHECKING:
    from pyimgano.workbench.monitor.monitors import DriftMonitors

__all__ = ["Answer", "InspectionQueue", "Job"]


@dataclass(frozen=True, eq=False)
class Job:
    """One image to inspect.

    Attributes
    ----------
    name : str
        What its record calls it.
    data : bytes
        The file.
    category : str or None
        Where there are several.
    id : str or None
        What the client calls it; a second job of this id gets the record of the first.
    maps : bool
        Whether image and map are wanted.
    ahead : DecodedAhead or None
        The image, decoded while others are inspected; filled in by the queue.
    """

    name: str
    data: bytes
    category: Optional[str] = None
    id: Optional[str] = None
    maps: bool = False
    ahead: Optional[DecodedAhead] = None


@dataclass(frozen=True, eq=False)
class Answer:
    """What a job came to.

    Attributes
    ----------
    line : bytes
        The record, as it stands in the file.
    failed : bool
        Whether it is one with an error.
    repeated : bool
        Whether it was in the book before.
    inspected : Inspected or None
        With image and map where they were wanted.
    """

    line: bytes
    failed: bool
    repeated: bool = False
    inspected: Optional[Inspected] = None


Outcome = Union[Answer, ServiceError]
_Waiting = tuple[Job, "asyncio.Future[Answer]"]


class InspectionQueue:
    """Inspects what is submitted, in a thread of its own, one batch after the other.

    A batch is what waits when the one before it is done, up to the model's own batch size: one image is never kept
    waiting for company. Neither decides about a score.

    Parameters
    ----------
    inspector : Inspector
        Loaded.
    book : AnswerBook, optional
        Where records are written before they are answered.
    drift : DriftMonitors, optional
        Sees every new record.
    inspected : callable
        Called with the (category, outcome) of each image of a batch and the seconds that it took.
    """

    def __init__(
        self,
        inspector: Inspector,
        *,
        book: Optional[AnswerBook] = None,
        drift: Optional[DriftMonitors] = None,
        inspected: Callable[[list[tuple[str, str]], float], None] = lambda outcomes, seconds: None,
    ) -> None:
        self._inspector = inspector
        self._book = book
        self._drift = drift
        self._inspected = inspected
        self._jobs: queue.SimpleQueue[Optional[_Waiting]] = queue.SimpleQueue()
        self._batch_size = inspector.batch_size
        self._thread = threading.Thread(target=self._work, name="pyimgano-inspect", daemon=True)
        self._thread.start()
        self.pace = 0.05
        self.writable = True

    @property
    def alive(self) -> bool:
        """Whether jobs are worked on."""
        return self._thread.is_alive()

    def submit(self, job: Job) -> asyncio.Future[Answer]:
        """Take a job; called in the event loop, whose future it returns."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        ahead = self._inspector.decode_ahead(job.data)
        self._jobs.put((dataclasses.replace(job, ahead=ahead), future))
        return future

    def close(self) -> None:
        """Answer what was submitted, and end."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while True:
            waiting = self._jobs.get()
            if waiting is None:
                return
            batch, ends = [waiting], False
            while len(batch) < self._batch_size:
                try:
                    waiting = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if waiting is None:
                    ends = True
                    break
                batch.append(waiting)
            self._answer(batch)
            if ends:
                return

    def _answer(self, batch: list[_Waiting]) -> None:
        """Work on some jobs; of two with one id, the second is looked up when the first is in the book."""
        while batch:
            now: list[_Waiting] = []
            later: list[_Waiting] = []
            ids = set()
            for waiting in batch:
                id = waiting[0].id
                (later if id is not None and id in ids else now).append(waiting)
                ids.add(id)
            started = time.perf_counter()
            try:
                outcomes = self._outcomes([job for job, _ in now])
            except Exception as error:  # a fault of ours costs these requests, and not those that come after them
                failure = ServiceError(500, "internal", f"{type(error).__name__}: {error}")
                outcomes = [failure] * len(now)
            for job, _ in now:
                if job.ahead is not None:
                    job.ahead.release()
            self.pace = 0.8 * self.pace + 0.2 * (time.perf_counter() - started) / len(now)
            loop = now[0][1].get_loop()
            try:
                loop.call_soon_threadsafe(_resolve, [future for _, future in now], outcomes)
            except RuntimeError:  # the loop is closed: nobody waits any more; the records are written
                return
            batch = later

    def _outcomes(self, jobs: list[Job]) -> list[Outcome]:
        started = time.perf_counter()
        outcomes: dict[int, Outcome] = {}
        known: dict[int, bytes] = {}
        images, places = [], []
        for index, job in enumerate(jobs):
            digest = sha256_bytes(job.data)
            stored = self._book.find(job.id) if self._book is not None and job.id is not None else None
            if stored is not None:
                record = json.loads(stored)
                if record.get("sha256") != digest:
                    outcomes[index] = ServiceError(
                        409,
                        "conflict",
                        f"the id {job.id!r} is that of another image",
                        hint="give each image its own id",
                    )
                    continue
                outcomes[index] = Answer(stored, "error" in record, repeated=True)
                if not job.maps or "error" in record:
                    continue
                known[index] = stored
            fields = {"sha256": digest} if job.id is None else {"id": job.id, "sha256": digest}
            images.append(ReceivedImage(job.name, job.data, job.category, fields, job.ahead))
            places.append(index)
        results = self._inspector(images, maps=any(job.maps for job in jobs)) if images else []
        fresh: list[int] = []
        for index, result in zip(places, results):
            if result.error is not None and not isinstance(result.error, PyimganoError):
                message = f"the model failed: {type(result.error).__name__}"
                outcomes[index] = ServiceError(500, "internal", message, hint="the service's log says more")
            elif index in known:
                outcomes[index] = Answer(known[index], False, repeated=True, inspected=result)
            else:
                line = result.record.to_line().encode("utf-8", "backslashreplace")
                outcomes[index] = Answer(line, result.error is not None, inspected=result)
                fresh.append(index)
        self._write(jobs, fresh, outcomes)
        self._count([(result, index in known) for index, result in zip(places, results)], started)
        return [outcomes[index] for index in range(len(jobs))]

    def _write(self, jobs: list[Job], fresh: list[int], outcomes: dict[int, Outcome]) -> None:
        """Write new records; those that cannot be written are no answers."""
        if self._book is None or not fresh:
            return
        lines = [(jobs[index].id, answer.line) for index in fresh if isinstance(answer := outcomes[index], Answer)]
        try:
            self._book.append(lines)
            self.writable = True
        except StorageError as error:
            self.writable = False
            for index in fresh:
                outcomes[index] = ServiceError(
                    503, "not_recorded", f"the record cannot be written: {error.message}", headers={"Retry-After": "5"}
                )

    def _count(self, results: list[tuple[Inspected, bool]], started: float) -> None:
        counted = []
        for result, repeated in results:
            record = result.record
            category = result.category or record.category or DEFAULT_CATEGORY
            if not repeated:
                counted.append((category, "error" if record.error is not None else record.decision or "good"))
                if self._drift is not None:
                    self._drift.add(result)
        if counted:
            self._inspected(counted, time.perf_counter() - started)


def _resolve(futures: list[asyncio.Future[Answer]], outcomes: list[Outcome]) -> None:
    for future, outcome in zip(futures, outcomes):
        if future.done():  # the client is gone
            continue
        if isinstance(outcome, ServiceError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
