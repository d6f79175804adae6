"""The records that the service has given, on the disk before they are answered, and found again by the client's id."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Callable, Optional

from pyimgano.core.errors import RunError, StorageError
from pyimgano.workbench.runs.lock import FileLock
from pyimgano.workbench.watch.appending import DurableLines

__all__ = ["AnswerBook"]


class AnswerBook:
    """A JSONL file of records that only grows, and an index of it by id.

    The file is what counts. The index, a SQLite database called ``<records>.ids``, is made from it, and made again
    where it is missing, damaged or ahead; what a killed process had written and not indexed is indexed at the next
    start. So memory does not grow with the number of records.

    Parameters
    ----------
    path : Path
        The JSONL file.
    tell : callable
        Takes sentences for people.

    Raises
    ------
    RunError
        When another process uses it, or it holds something else than records.
    StorageError
        When it cannot be written.
    """

    def __init__(self, path: Path, *, tell: Callable[[str], None]) -> None:
        self.path = path
        self._unindexed: dict[str, tuple[int, int]] = {}
        self._lock = FileLock(path.with_name(path.name + ".lock"), "another process writes these records", where=path)
        self._lock.acquire()
        with contextlib.ExitStack() as stack:
            stack.callback(self._lock.release)
            self._lines = DurableLines(path)
            stack.callback(self._lines.close)
            self._reader: IO[bytes] = stack.enter_context(open(path, "rb"))
            self._remove_torn(tell)
            self._index = self._open_index(tell)
            self._opened = stack.pop_all()

    @property
    def length(self) -> int:
        """Bytes of the records."""
        return self._lines.length

    def find(self, id: str) -> Optional[bytes]:
        """Return the record with an id, as it stands in the file without its line end; None where there is none."""
        row = self._unindexed.get(id)
        if row is None:
            row = self._index.execute("SELECT start, length FROM ids WHERE id = ?", (id,)).fetchone()
        if row is None:
            return None
        self._reader.seek(row[0])
        return self._reader.read(row[1])

    def append(self, records: Sequence[tuple[Optional[str], bytes]]) -> None:
        """Write records, each with its id, if it has one; when this returns, they are on the disk.

        Parameters
        ----------
        records : sequence of (str or None, bytes)
            Lines without their ends; ids that are not in the book.

        Raises
        ------
        StorageError
            When the disk is full or gone; then none was written.
        """
        start = self._lines.length
        self._lines.append(b"".join(line + b"\n" for _, line in records))
        for id, line in records:
            if id is not None:
                self._unindexed[id] = (start, len(line))
            start += len(line) + 1
        rows = [(id, *place) for id, place in self._unindexed.items()]
        # The records are written, and so they are answered: what the index cannot take is kept in memory until it can.
        with contextlib.suppress(sqlite3.Error):
            self._put(self._index, rows, self._lines.length)
            self._unindexed.clear()

    def close(self) -> None:
        """Close it, and let another process have it."""
        with contextlib.suppress(sqlite3.Error):
            self._index.close()
        self._opened.close()

    def _remove_torn(self, tell: Callable[[str], None]) -> None:
        """Cut off a line that a killed process has not finished: nobody was told of it."""
        length, end = self._lines.length, self._lines.length
        while end > 0:
            start = max(0, end - (1 << 16))
            self._reader.seek(start)
            found = self._reader.read(end - start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end != length:
            self._lines.truncate(end)
            tell(f"{self.path}: {length - end} bytes of a record that was never answered were removed")

    def _open_index(self, tell: Callable[[str], None]) -> sqlite3.Connection:
        path = self.path.with_name(self.path.name + ".ids")
        try:
            return self._caught_up(path)
        except (sqlite3.Error, _Ahead) as error:
            tell(f"{path}: made anew ({error})")
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{path}{suffix}")
        try:
            return self._caught_up(path)
        except sqlite3.Error as error:
            raise StorageError(f"cannot write: {error}", where=str(path)) from error

    def _caught_up(self, path: Path) -> sqlite3.Connection:
        """Open the index and bring it to where the records are."""
        index = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            # Nothing is lost with the index: a system that crashes costs the time to make it again, not a record.
            for pragma in ("journal_mode = WAL", "synchronous = OFF"):
                index.execute(f"PRAGMA {pragma}")
            index.execute(
                "CREATE TABLE IF NOT EXISTS ids (id TEXT PRIMARY KEY, start INTEGER, length INTEGER) WITHOUT ROWID"
            )
            index.execute("CREATE TABLE IF NOT EXISTS position (bytes INTEGER)")
            if index.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("damaged")
            row = index.execute("SELECT bytes FROM position").fetchone()
            position = 0 if row is None else int(row[0])
            if position > self._lines.length:
                raise _Ahead("it knows more records than there are")
            self._reader.seek(position)
            rows, number = [], 0
            for line in self._reader:
                number += 1
                try:
                    id = json.loads(line).get("id")
                except (ValueError, AttributeError) as error:
                    raise RunError(f"not a record: {error}", where=f"{self.path}, byte {position}") from error
                if id is not None:
                    rows.append((str(id), position, len(line) - 1))
                position += len(line)
                if len(rows) == 10_000:
                    self._put(index, rows, position)
                    rows = []
            self._put(index, rows, position)
        except BaseException:
            index.close()
            raise
        return index

    def _put(self, index: sqlite3.Connection, rows: Sequence[tuple[str, int, int]], position: int) -> None:
        index.execute("BEGIN")
        try:
            # An id that stands in the records twice means its first record.
            index.executemany("INSERT OR IGNORE INTO ids VALUES (?, ?, ?)", rows)
            index.execute("DELETE FROM position")
            index.execute("INSERT INTO position VALUES (?)", (position,))
            index.execute("COMMIT")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                index.execute("ROLLBACK")
            raise


class _Ahead(Exception):
    """The index is of other records."""
