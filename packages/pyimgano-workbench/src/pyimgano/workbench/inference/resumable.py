r"""Output that survives the death of its process: records are appended to a journal, and the next process goes on.

Beside the output OUT lies, until it is complete, the folder ``OUT.partial``:

``predictions.jsonl``
    The journal: one line of JSON for each image, in the order of the images, appended when its pictures are written.
    The end of a line is its seal, so a line that was being written when the process died is no record; it is cut off.
    It is flushed to the disk at least every second.
``resume.json``
    What is asked for. Only the same may go on.
``maps``, ``masks``, ``overlays``
    Pictures, named by the number of their image: one that is written again has the same name.

To go on is to count the journal's lines, skip as many images (whose names must be those of the journal), and append. So
no record is lost and none is there twice. At the end the journal gets its final name. A CSV is made from it then.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Optional

from pyimgano.core.errors import ConfigError, PyimganoError, RunError, StorageError
from pyimgano.core.files import atomic_folder, atomic_open, dump_json, load_json
from pyimgano.workbench.inference.sinks import Destination
from pyimgano.workbench.inference.sources import Source
from pyimgano.workbench.records import PredictionRecord, RecordWriter
from pyimgano.workbench.runs.lock import RunLock

__all__ = ["PARTIAL", "ResumableOutput"]

PARTIAL = ".partial"
JOURNAL = "predictions.jsonl"
RESUME_JSON = "resume.json"
RESUME_SCHEMA = 1

SYNC_SECONDS = 1.0
"""After this long, what was appended is flushed to the disk. A killed process loses nothing, a power cut so much."""


class ResumableOutput:
    """A destination that a later process can go on with; a context manager that completes the output at its end.

    Parameters
    ----------
    destination : Destination
        A file or a folder.
    asked : mapping
        What the output follows from, JSON-friendly: bundle, images, options.
    resume : bool
        Whether to go on with what an interrupted process left.
    replace : bool
        Whether to throw that away instead.

    Attributes
    ----------
    done : int
        Records that were there already.
    folder : Path
        Where pictures go meanwhile.

    Raises
    ------
    ConfigError
        When there is an unfinished output and ``resume`` is not asked for, or something else was asked for then.
    RunError
        When another process is writing it.
    """

    def __init__(
        self, destination: Destination, asked: Mapping[str, Any], *, resume: bool, replace: bool = False
    ) -> None:
        assert destination.path is not None
        self.destination = destination
        self.final = destination.path
        self.folder = self.final.with_name(self.final.name + PARTIAL)
        self.done = 0
        self._asked = {"schema_version": RESUME_SCHEMA, **asked}
        self._begin(resume, replace)
        self._lock = RunLock(self.folder)
        self._stream: Optional[IO[bytes]] = None
        self._synced = time.monotonic()

    def _begin(self, resume: bool, replace: bool) -> None:
        if self.folder.is_dir() and not (self.folder / JOURNAL).is_file():
            _remove(self.folder)  # the journal got its final name, and the process died before it had tidied up
        if self.folder.is_dir() and not resume:
            if not replace:
                raise ConfigError(
                    "an interrupted process left this output unfinished",
                    where=str(self.folder),
                    hint="go on with --resume, or begin anew with --force",
                )
            _remove(self.folder)
        if not self.folder.is_dir():
            with atomic_folder(self.folder) as draft:
                (draft / JOURNAL).write_bytes(b"")
                dump_json(self._asked, draft / RESUME_JSON)
            return
        try:
            found = load_json(self.folder / RESUME_JSON)
        except PyimganoError as error:
            raise ConfigError(
                f"cannot go on: {error.message}", where=error.where, hint="begin anew with --force"
            ) from error
        # What is compared went through JSON once.
        asked = json.loads(json.dumps(self._asked))
        if found != asked:
            other = sorted(key for key in {*asked, *found} if asked.get(key) != found.get(key))
            raise ConfigError(
                f"it was begun with another {', '.join(other)}",
                where=str(self.folder),
                hint="give the same images and options to go on, or begin anew with --force",
            )

    # -- as a context --------------------------------------------------------------------------------------------

    def __enter__(self) -> ResumableOutput:
        try:
            self._lock.acquire()
        except RunError as error:
            raise RunError(
                "another process is writing this output", where=str(self.folder), hint="wait until it is done"
            ) from error
        try:
            for left in self.folder.rglob(".*.part"):  # pictures that the killed process was writing
                left.unlink()
            self._stream = open(self.folder / JOURNAL, "r+b")
        except OSError as error:
            self._lock.release()
            raise _cannot_write(self.folder, error) from error
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        try:
            if self._stream is not None:
                self._sync()
                self._stream.close()
            if error is None:
                self._complete()
        except OSError as failure:
            raise _cannot_write(self.folder, failure) from failure
        finally:
            self._lock.release()

    # -- what is there already -----------------------------------------------------------------------------------

    def skip(self, sources: Iterator[Source]) -> Iterator[PredictionRecord]:
        """Yield the records that are there, and take their images from the iterator; what is torn off is cut off.

        Must be exhausted before :meth:`write` is called.

        Raises
        ------
        ConfigError
            When the images are not those that the records are of.
        """
        assert self._stream is not None
        self._stream.seek(0)
        whole = 0
        for line in iter(self._stream.readline, b""):
            record = _record_of(line)
            if record is None:
                break
            source = next(sources, None)
            if source is None or source.name != record.image:
                raise ConfigError(
                    f"image {self.done} was {record.image!r}, and now is {None if source is None else source.name!r}",
                    where=str(self.folder / JOURNAL),
                    hint="give the same images to go on, or begin anew with --force",
                )
            whole += len(line)
            self.done += 1
            yield record
        self._stream.truncate(whole)
        self._stream.seek(whole)

    # -- what comes ----------------------------------------------------------------------------------------------

    def write(self, record: PredictionRecord) -> None:
        """Append one record."""
        assert self._stream is not None
        try:
            self._stream.write(record.to_line().encode("utf-8", "backslashreplace") + b"\n")
            self._stream.flush()
            if time.monotonic() - self._synced >= SYNC_SECONDS:
                self._sync()
        except OSError as error:
            raise _cannot_write(self.folder, error) from error

    def flush(self) -> None:
        """Nothing: each record is flushed when it is written."""

    def _sync(self) -> None:
        assert self._stream is not None
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._synced = time.monotonic()

    # -- the end -------------------------------------------------------------------------------------------------

    def _complete(self) -> None:
        """Give the output its name. Each step can be done again by a process that finds it undone."""
        journal = self.folder / JOURNAL
        made = journal
        if self.destination.form == "csv":
            made = self.folder / "predictions.csv"
            with atomic_open(made, "wb") as stream, open(journal, "rb") as lines:
                writer = RecordWriter(stream, "csv")
                for line in lines:
                    writer.write(PredictionRecord.from_json(json.loads(line)))
        if self.destination.kind == "file":
            os.replace(made, self.final)
            self._lock.release()
            _remove(self.folder)
            return
        if self.final.is_dir():
            _remove(self.final)
        self._lock.release()  # Windows renames no folder with an open file
        os.replace(self.folder, self.final)
        (self.final / RESUME_JSON).unlink()
        if made != journal:
            (self.final / JOURNAL).unlink()


def _record_of(line: bytes) -> Optional[PredictionRecord]:
    """Return the record of a whole line; None of one that was torn off, or of zeros that a power cut left."""
    if not line.endswith(b"\n"):
        return None
    try:
        return PredictionRecord.from_json(json.loads(line))
    except (KeyError, TypeError, ValueError):
        return None


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=sys.platform == "win32")


def _cannot_write(place: Path, error: OSError) -> StorageError:
    with contextlib.suppress(AttributeError):
        place = Path(error.filename or place)
    return StorageError(
        f"cannot write: {error.strerror or error}", where=str(place), hint="what is there is kept: go on with --resume"
    )
