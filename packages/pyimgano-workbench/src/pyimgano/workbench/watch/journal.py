"""What makes a record and a move one step, whenever the process is killed.

An image goes through four writes, each on the disk before the next begins: its line into the journal, with where it
will stand in the records and where the image will go; the line into the records; the move; a note in the journal that
it is done. Whatever is missing when the process ends is done at the next start, from the journal alone: the image is
neither inspected again nor recorded again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.errors import RunError
from pyimgano.core.files import atomic_open, dumps_json
from pyimgano.workbench.watch.appending import DurableLines
from pyimgano.workbench.watch.arrivals import Arrival

__all__ = ["Journal", "Step"]

COMPACT = 4 << 20
"""Bytes from which on what is done is dropped from the journal."""


@dataclass(frozen=True)
class Step:
    """One image on its way from the folder into records and ``done`` or ``failed``.

    Attributes
    ----------
    number : int
        Of this step, unique in the journal.
    name, size, mtime_ns : str, int, int
        The image, as it lay in the folder.
    sha256 : str or None
        Of its content; None where it could not be read.
    offset : int
        Where its line begins in the records, in bytes.
    line : str
        The record, without its line end.
    target : str or None
        Where the image goes; None for one that is gone.
    """

    number: int
    name: str
    size: int
    mtime_ns: int
    sha256: Optional[str]
    offset: int
    line: str
    target: Optional[str]

    @property
    def data(self) -> bytes:
        """What stands in the records."""
        # As RecordWriter: a file name that is not UTF-8 becomes \udc.. escapes, which in JSON mean just that.
        return (self.line + "\n").encode("utf-8", "backslashreplace")

    def is_of(self, arrival: Arrival) -> bool:
        """Tell whether it is about what lies in the folder."""
        return (self.name, self.size, self.mtime_ns) == (arrival.name, arrival.size, arrival.mtime_ns)


class Journal:
    """Records, and the journal beside them.

    Parameters
    ----------
    records : Path
        The JSONL file; the journal is called ``<records>.journal``.

    Attributes
    ----------
    pending : dict of int to Step
        Steps whose image has a record and has not been moved yet.
    recovered : int
        Records that a killed process had not written, and that were written now.

    Raises
    ------
    RunError
        When the journal is damaged, or the records are not those that it is about.
    StorageError
        When a file cannot be written.
    """

    def __init__(self, records: Path) -> None:
        self.path = records.with_name(records.name + ".journal")
        self.pending: dict[int, Step] = {}
        self.recovered = 0
        self._next = 0
        self._read()
        self.records = DurableLines(records)
        try:
            self._recover()
            self._compact()
        except BaseException:
            self.records.close()
            raise
        self._lines = DurableLines(self.path)

    def begin(self, steps: Sequence[dict[str, Any]]) -> list[Step]:
        """Write the records of some images; from here on they count as inspected, whatever happens.

        Parameters
        ----------
        steps : sequence of dict
            ``name``, ``size``, ``mtime_ns``, ``sha256``, ``line`` and ``target`` of each.

        Returns
        -------
        list of Step
            In the same order; each is to be finished by :meth:`finish`.

        Raises
        ------
        StorageError
            When that fails; then nothing was written.
        """
        offset, made = self.records.length, []
        for number, fields in enumerate(steps, self._next):
            step = Step(number=number, offset=offset, **fields)
            offset += len(step.data)
            made.append(step)
        before = self._lines.length
        self._lines.append(b"".join(_line(asdict(step)) for step in made))
        try:
            self.records.append(b"".join(step.data for step in made))
        except BaseException:
            self._lines.truncate(before)
            raise
        self._next += len(made)
        self.pending.update((step.number, step) for step in made)
        return made

    def redirect(self, step: Step, target: str) -> Step:
        """Note that an image goes elsewhere than was meant, and return its step."""
        changed = Step(**{**asdict(step), "target": target})
        self._lines.append(_line(asdict(changed)))
        self.pending[step.number] = changed
        return changed

    def finish(self, steps: Sequence[Step]) -> None:
        """Note that the images of some steps have been moved."""
        self._lines.append(b"".join(_line({"done": step.number}) for step in steps))
        for step in steps:
            self.pending.pop(step.number, None)
        if self._lines.length > COMPACT:
            self._lines.close()
            self._compact()
            self._lines = DurableLines(self.path)

    def close(self) -> None:
        """Close both files."""
        self._lines.close()
        self.records.close()

    def _read(self) -> None:
        if not self.path.exists():
            return
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise RunError(f"cannot read: {error.strerror or error}", where=str(self.path)) from error
        whole, _, _torn = data.rpartition(b"\n")
        lines = whole.split(b"\n") if whole else []
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
                if "done" in entry:
                    self.pending.pop(entry["done"], None)
                    self._next = max(self._next, entry["done"] + 1)
                else:
                    step = Step(**entry)
                    self.pending[step.number] = step
                    self._next = max(self._next, step.number + 1)
            except (ValueError, KeyError, TypeError) as error:
                raise RunError(
                    f"the journal is damaged: {error}", where=f"{self.path}:{number}", hint="remove it, if all is done"
                ) from error

    def _recover(self) -> None:
        """Write the records that a killed process had announced and not written."""
        path = self.records.path
        base = min((step.offset for step in self.pending.values()), default=self.records.length)
        content = _tail(path, base)
        for step in sorted(self.pending.values(), key=lambda step: step.offset):
            if self.records.length < step.offset:
                raise RunError(
                    "the records are shorter than their journal says",
                    where=str(path),
                    hint=f"put the file back, or remove {self.path.name} to begin anew",
                )
            there = content[step.offset - base : step.offset - base + len(step.data)]
            if there == step.data:
                continue
            if not step.data.startswith(there):
                raise RunError(
                    "the records are not those of their journal",
                    where=str(path),
                    hint=f"put the file back, or remove {self.path.name} to begin anew",
                )
            self.records.truncate(step.offset)
            self.records.append(step.data)
            content = content[: step.offset - base] + step.data
            self.recovered += 1
        if self.records.length and _tail(path, self.records.length - 1) != b"\n":
            raise RunError(
                "the last line of the records is torn", where=str(path), hint="complete or remove it by hand"
            )

    def _compact(self) -> None:
        """Keep of the journal only what is not done."""
        if not self.path.exists():
            return
        with atomic_open(self.path, "wb") as stream:
            for step in self.pending.values():
                stream.write(_line(asdict(step)))


def _tail(path: Path, offset: int) -> bytes:
    try:
        with open(path, "rb") as stream:
            stream.seek(offset)
            return stream.read()
    except OSError as error:
        raise RunError(f"cannot read: {error.strerror or error}", where=str(path)) from error


def _line(entry: Any) -> bytes:
    return (dumps_json(entry) + "\n").encode("utf-8", "backslashreplace")
