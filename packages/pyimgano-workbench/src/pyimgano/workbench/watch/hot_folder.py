"""The loop: look, take what has settled, inspect, record, move."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional

from pyimgano.core.errors import ConfigError, ImageError, ParameterError, PyimganoError, StorageError
from pyimgano.core.files import dumps_json, sha256_bytes
from pyimgano.workbench.inference.inspecting import Inspected, Inspector, ReceivedImage
from pyimgano.workbench.inference.stream import Summary
from pyimgano.workbench.records import PredictionRecord
from pyimgano.workbench.runs.lock import FileLock
from pyimgano.workbench.watch.appending import DurableLines, sync_folder
from pyimgano.workbench.watch.arrivals import Arrival, Settling, list_arrivals
from pyimgano.workbench.watch.journal import Journal, Step
from pyimgano.workbench.watch.moving import free_name, move_image
from pyimgano.workbench.watch.patience import Patience, Stopped

if TYPE_CHECKING:
    from pyimgano.workbench.monitor.monitors import DriftMonitors
    from pyimgano.workbench.monitor.windows import WindowReport

__all__ = ["HotFolder", "WatchSettings"]

MAX_BYTES = 1 << 30
"""A larger file is an error: it is held in memory."""

BYTES_AT_ONCE = 256 << 20
TRIES = 5
"""How often a file is tried to be read that is there and cannot be: then it is an error."""

LONGEST_PAUSE = 10.0


@dataclasses.dataclass(frozen=True)
class WatchSettings:
    """How a folder is watched.

    Attributes
    ----------
    folder, done, failed : Path
        Where images arrive, and where they go.
    records : Path
        JSONL file that is appended to.
    settle : float
        Seconds for which an image's size and time must not change before it is taken.
    poll : float
        Seconds between two looks.
    once : bool
        Whether to end when no image is left.
    category : str or None
        Of all images, where the models have several.
    drift_log : Path or None
        JSONL file that each comparison of a window is appended to.
    """

    folder: Path
    done: Path
    failed: Path
    records: Path
    settle: float = 1.0
    poll: float = 0.5
    once: bool = False
    category: Optional[str] = None
    drift_log: Optional[Path] = None

    def __post_init__(self) -> None:
        if not (self.settle >= 0.0 and self.poll > 0.0):
            raise ParameterError(f"settle = {self.settle}, poll = {self.poll}", allowed="settle ≥ 0, poll > 0 seconds")
        if not self.folder.is_dir():
            raise ConfigError("there is no such folder", where=str(self.folder))
        for option, folder in (("--done", self.done), ("--failed", self.failed)):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigError(f"cannot be made: {error.strerror or error}", where=str(folder)) from error
            if os.path.samefile(folder, self.folder):
                raise ConfigError("images would go where they came from", where=option, allowed="another folder")


class HotFolder:
    """Watches a folder.

    Parameters
    ----------
    inspector : Inspector
        Scores the images.
    settings : WatchSettings
        What to watch.
    tell : callable
        Takes sentences for people.
    drift : DriftMonitors, optional
        Sees every image.
    written : callable, optional
        Called with the length of the records, in bytes, when some have been written.

    Attributes
    ----------
    stop : threading.Event
        To be set, e.g. by a signal: the images in work are finished, then the loop ends.
    summary : Summary
        What became of the images so far.
    """

    def __init__(
        self,
        inspector: Inspector,
        settings: WatchSettings,
        *,
        tell: Callable[[str], None],
        drift: Optional[DriftMonitors] = None,
        written: Optional[Callable[[int], None]] = None,
    ) -> None:
        self.inspector = inspector
        self.settings = settings
        self.stop = threading.Event()
        self.summary = Summary()
        self._tell = tell
        self._drift = drift
        self._written = written or (lambda length: None)
        self._patient = Patience(self.stop, tell)
        self._settling = Settling(settings.settle)
        self._tries: dict[str, int] = {}
        self._trouble: dict[str, str] = {}
        self._journal: Optional[Journal] = None

    def run(self) -> Summary:
        """Watch until told to stop; with ``once``, until no image is left.

        Raises
        ------
        RunError
            When another process watches for the same records, or records and journal are not each other's.
        """
        records = self.settings.records
        lock = FileLock(
            records.with_name(records.name + ".lock"), "another process writes these records", where=records
        )
        lock.acquire()
        try:
            self._journal = Journal(records)
            if self._journal.recovered or self._journal.pending:
                self._tell(
                    f"an earlier watch ended in between: {self._journal.recovered} records completed, "
                    f"{len(self._journal.pending)} images still to be moved"
                )
            self._written(self._journal.records.length)
            self._loop(self._journal)
        except Stopped as stopped:
            self._tell(f"stopped while waiting for {stopped}; what is unfinished goes on at the next start")
        finally:
            if self._journal is not None:
                self._journal.close()
            lock.release()
        return self.summary

    def _loop(self, journal: Journal) -> None:
        pause = self.settings.poll
        while not self.stop.is_set():
            try:
                self._move(journal, list(journal.pending.values()))
                found = self._patient(str(self.settings.folder), lambda: list_arrivals(self.settings.folder))
                self._well("folder", f"{self.settings.folder} is there again")
                moving = list(journal.pending.values())
                arrivals = [one for one in found if not any(step.is_of(one) for step in moving)]
                settled = self._settling.update(arrivals, time.monotonic())
                for batch in _batches(settled, self.inspector.batch_size):
                    self._take(journal, batch)
                    if self.stop.is_set():
                        return
                self._well("disk", "records can be written again")
                pause = self.settings.poll
                if self.settings.once and not len(self._settling):
                    return
            except StorageError as error:
                self._ill("disk", f"{error.where}: {error.message}; trying again")
                pause = min(LONGEST_PAUSE, 2 * pause)
            except OSError as error:
                # A share that is away, or a cable: whatever it is, the images are still there when it is mended.
                self._ill("folder", f"{self.settings.folder}: {error.strerror or error}; trying again")
                pause = min(LONGEST_PAUSE, 2 * pause)
            self.stop.wait(pause)

    def _take(self, journal: Journal, batch: list[Arrival]) -> None:
        """Inspect some images and bring them to where they belong."""
        read = self._patient(f"reading from {self.settings.folder}", lambda: [self._read(arrival) for arrival in batch])
        taken: list[Arrival] = []
        digests: list[Optional[str]] = []
        errors: dict[int, PyimganoError] = {}
        received = []
        for arrival, content in zip(batch, read):
            if content is None:
                continue
            if isinstance(content, bytes):
                digest = sha256_bytes(content)
                digests.append(digest)
                received.append(ReceivedImage(arrival.name, content, self.settings.category, {"sha256": digest}))
            else:
                digests.append(None)
                errors[len(taken)] = content
            taken.append(arrival)
        inspected = iter(self.inspector(received))
        results = [
            self._failed(arrival, errors[index]) if index in errors else next(inspected)
            for index, arrival in enumerate(taken)
        ]
        self._record(journal, taken, digests, results)

    def _record(
        self, journal: Journal, taken: list[Arrival], digests: list[Optional[str]], results: list[Inspected]
    ) -> None:
        steps: list[dict[str, Any]] = []
        claimed = {Path(step.target) for step in journal.pending.values() if step.target is not None}
        for arrival, digest, result in zip(taken, digests, results):
            target = None
            if not isinstance(result.error, _Vanished):
                folder = self.settings.done if result.error is None else self.settings.failed
                path = free_name(folder.resolve(), arrival.name, claimed)
                claimed.add(path)
                target = os.fspath(path)
            steps.append(
                {
                    "name": arrival.name,
                    "size": arrival.size,
                    "mtime_ns": arrival.mtime_ns,
                    "sha256": digest,
                    "line": result.record.to_line(),
                    "target": target,
                }
            )
        begun = journal.begin(steps)
        self._written(journal.records.length)
        for arrival, result in zip(taken, results):
            self._settling.forget(arrival.name)
            self._tries.pop(arrival.name, None)
            self.summary.count(result.record)
            self._watch_drift(result)
        self._move(journal, begun)

    def _move(self, journal: Journal, steps: list[Step]) -> None:
        """Move images that have a record; those that cannot be moved now stay pending."""
        if not steps:
            return
        finished = self._patient("moving images", lambda: self._move_each(journal, steps))
        journal.finish(finished)
        if len(finished) == len(steps):
            self._well("move", "images can be moved again")

    def _move_each(self, journal: Journal, steps: Iterable[Step]) -> list[Step]:
        finished, folders = [], {self.settings.folder}
        for step in steps:
            source = self.settings.folder / step.name
            try:
                while step.target is not None and move_image(source, step) == "taken":
                    target = Path(step.target)
                    others = {Path(one.target) for one in journal.pending.values() if one.target is not None}
                    path = free_name(target.parent, step.name, others)
                    step = journal.redirect(step, os.fspath(path))
                if step.target is not None:
                    folders.add(Path(step.target).parent)
                finished.append(step)
            except OSError as error:
                self._ill("move", f"cannot move {step.name}: {error.strerror or error}; trying again")
        for folder in folders:
            sync_folder(folder)
        return finished

    def _read(self, arrival: Arrival) -> Any:
        """Return an image's bytes; the error that it gets; or None where it is to be tried later.

        Raises
        ------
        OSError
            When it is the folder that fails.
        """
        path = self.settings.folder / arrival.name
        if not arrival.regular:
            return ImageError("is not a file", where=arrival.name)
        if arrival.size > MAX_BYTES:
            return ImageError(f"the file has {arrival.size} bytes", allowed=f"at most {MAX_BYTES}")
        try:
            with open(path, "rb") as stream:
                data = stream.read(MAX_BYTES)
                status = os.fstat(stream.fileno())
        except FileNotFoundError:
            os.stat(self.settings.folder)
            return _Vanished("the file vanished before it was read")
        except PermissionError as error:
            return ImageError(f"cannot read: {error.strerror or error}")
        except OSError as error:
            os.stat(self.settings.folder)
            tried = self._tries[arrival.name] = self._tries.get(arrival.name, 0) + 1
            return ImageError(f"cannot read: {error.strerror or error}") if tried >= TRIES else None
        if (status.st_size, status.st_mtime_ns) != (arrival.size, arrival.mtime_ns) or len(data) != arrival.size:
            self._settling.forget(arrival.name)  # it is being written after all
            return None
        return data

    def _failed(self, arrival: Arrival, error: PyimganoError) -> Inspected:
        record = PredictionRecord.failed(arrival.name, error, category=self.settings.category)
        return Inspected(record, error)

    def _watch_drift(self, result: Inspected) -> None:
        report = None if self._drift is None else self._drift.add(result)
        if report is not None:
            self._tell_drift(result.category or "", report)

    def _tell_drift(self, category: str, report: WindowReport) -> None:
        if report.drift:
            self._tell(f"drift in images {report.first} to {report.last}: {'; '.join(report.reasons())}")
        if self.settings.drift_log is None:
            return
        try:
            log = DurableLines(self.settings.drift_log)
            try:
                log.append((dumps_json({"category": category, **report.to_json()}) + "\n").encode("utf-8", "replace"))
            finally:
                log.close()
        except StorageError as error:
            self._ill("drift", f"{error.where}: {error.message}")

    def _ill(self, what: str, text: str) -> None:
        """Tell of a trouble, once as long as it is the same."""
        if self._trouble.get(what) != text:
            self._trouble[what] = text
            self._tell(text)

    def _well(self, what: str, text: str) -> None:
        if self._trouble.pop(what, None) is not None:
            self._tell(text)


class _Vanished(ImageError):
    """An image that was there, and is not any more."""


def _batches(arrivals: list[Arrival], size: int) -> Iterable[list[Arrival]]:
    batch: list[Arrival] = []
    total = 0
    for arrival in arrivals:
        if batch and (len(batch) == size or total + arrival.size > BYTES_AT_ONCE):
            yield batch
            batch, total = [], 0
        batch.append(arrival)
        total += arrival.size
    if batch:
        yield batch
