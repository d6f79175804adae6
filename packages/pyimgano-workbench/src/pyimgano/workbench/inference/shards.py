"""Output for more images than one process scores: cut into shards, each scored by whoever is free, each only once.

Beside the output OUT lies, until it is complete, the folder ``OUT.partial``:

``plan.json``
    What is asked for, and the shards with their keys. Only the same may go on.
``shards/<number>.inputs.jsonl``
    The images of a shard: name, absolute path, category, group. Listed once, when the output is begun.
``predictions-<number>.jsonl``
    A shard's records, whole or absent.
``shards/<number>.done.json``
    The key that the records are of, their checksum, and how many are what. Written last: a shard that has one is not
    scored again.

At the end the plan becomes ``predictions.json``, and the folder gets its final name. The shards' records one after the
other, in the order of their numbers, are those that one process writes, byte for byte.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Optional

from pyimgano.core.errors import ConfigError, PyimganoError, RunError
from pyimgano.core.files import atomic_open, dump_json, dumps_json, load_json, sha256_bytes, sha256_file
from pyimgano.workbench.inference.resumable import PARTIAL
from pyimgano.workbench.inference.sinks import SHARDS_JSON
from pyimgano.workbench.inference.sources import Source
from pyimgano.workbench.inference.stream import Summary
from pyimgano.workbench.runs.lock import RunLock

__all__ = ["Shard", "ShardedOutput", "done_file", "predictions_file", "read_shard"]

PLAN_JSON = "plan.json"
WORK = "shards"
SHARDS_SCHEMA = 1


@dataclasses.dataclass(frozen=True)
class Shard:
    """Some of the images, in their order.

    Attributes
    ----------
    number : int
        From 0.
    first : int
        Number of its first image among all.
    images : int
        How many.
    key : str
        SHA-256 of what its records follow from: the models, the options, the images' names and paths.
    """

    number: int
    first: int
    images: int
    key: str


def predictions_file(folder: Path, number: int) -> Path:
    """Return where a shard's records are."""
    return folder / f"predictions-{number:05d}.jsonl"


def inputs_file(folder: Path, number: int) -> Path:
    """Return where a shard's images are listed."""
    return folder / WORK / f"{number:05d}.inputs.jsonl"


def done_file(folder: Path, number: int) -> Path:
    """Return where it is said that a shard is done."""
    return folder / WORK / f"{number:05d}.done.json"


def read_shard(folder: Path, number: int) -> list[Source]:
    """Return the images of a shard."""
    rows = map(json.loads, inputs_file(folder, number).read_bytes().splitlines())
    return [Source(row["name"], Path(row["path"]), row["category"], row["group"]) for row in rows]


class ShardedOutput:
    """A folder of shards that any number of processes fill; a context manager that completes it at its end.

    Parameters
    ----------
    final : Path
        The folder when it is complete.
    asked : mapping
        What the records follow from, JSON-friendly: models, images, options.
    sources : iterable of Source
        The images; listed when the output is begun, and not when it is gone on with.
    size : int
        Images of a shard, except the last.
    replace : bool
        Whether what an interrupted process left is thrown away.
    check : callable
        Called with every image when it is listed; raises for one that cannot be scored.
    notes : callable
        What to say of the listing when it has ended.

    Attributes
    ----------
    folder : Path
        Where it lies meanwhile.
    shards : tuple of Shard
    notes : tuple of str

    Raises
    ------
    ConfigError
        When something else was asked for when the output was begun.
    RunError
        When another process is at it.
    """

    def __init__(
        self,
        final: Path,
        asked: Mapping[str, Any],
        sources: Iterable[Source],
        *,
        size: int,
        replace: bool = False,
        check: Callable[[Source], Any] = lambda _: None,
        notes: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self.final = final
        self.folder = Path(os.path.abspath(final.with_name(final.name + PARTIAL)))
        # What is compared went through JSON once.
        self._asked = json.loads(dumps_json({**asked, "shard_size": size}))
        if self.folder.is_dir() and (replace or not (self.folder / PLAN_JSON).is_file()):
            _remove(self.folder)  # without a plan: its process died while it listed the images
        if not self.folder.is_dir():
            self._begin(sources, size, check, notes)
        plan = load_json(self.folder / PLAN_JSON)
        found = plan.get("asked")
        if found != self._asked:
            other = sorted(
                name
                for name in {*self._asked, *(found or ())}
                if not isinstance(found, dict) or found.get(name) != self._asked.get(name)
            )
            raise ConfigError(
                f"it was begun with another {', '.join(other)}",
                where=str(self.folder),
                hint="give the same images and options to go on, or begin anew with --force",
            )
        self.shards = tuple(Shard(**shard) for shard in plan["shards"])
        self.notes = tuple(plan["notes"])
        self._lock = RunLock(self.folder)

    def _begin(
        self,
        sources: Iterable[Source],
        size: int,
        check: Callable[[Source], Any],
        notes: Callable[[], Iterable[str]],
    ) -> None:
        (self.folder / WORK).mkdir(parents=True)
        shards: list[Shard] = []
        first = 0
        for number, rows in enumerate(_cut(sources, size, check)):
            data = b"".join(rows)
            with atomic_open(inputs_file(self.folder, number), "wb") as stream:
                stream.write(data)
            key = sha256_bytes(dumps_json([self._asked, first]).encode("utf-8") + data)
            shards.append(Shard(number, first, len(rows), key))
            first += len(rows)
        plan = {"asked": self._asked, "shards": [dataclasses.asdict(shard) for shard in shards], "notes": list(notes())}
        dump_json({"schema_version": SHARDS_SCHEMA, **plan}, self.folder / PLAN_JSON)

    def __enter__(self) -> ShardedOutput:
        try:
            self._lock.acquire()
        except RunError as error:
            raise RunError(
                "another process is writing this output", where=str(self.folder), hint="wait until it is done"
            ) from error
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        try:
            if error is None:
                self._complete()
        finally:
            self._lock.release()

    # -- shards --------------------------------------------------------------------------------------------------

    def summary(self, shard: Shard) -> Optional[Summary]:
        """Return what became of a shard's images; None while it is not done, or where its records are damaged."""
        found = self._done(shard)
        return None if found is None else Summary(**found["summary"])

    def _done(self, shard: Shard) -> Optional[Mapping[str, Any]]:
        path = done_file(self.folder, shard.number)
        if not path.is_file():
            return None
        try:
            found = load_json(path)
            same = found["key"] == shard.key
            whole = same and found["sha256"] == sha256_file(predictions_file(self.folder, shard.number))
        except (PyimganoError, OSError, KeyError, TypeError):
            return None
        return found if whole else None

    # -- the end -------------------------------------------------------------------------------------------------

    def _complete(self) -> None:
        total = Summary()
        entries = []
        for shard in self.shards:
            found = self._done(shard)
            if found is None:
                raise RunError("a shard is missing", where=str(predictions_file(self.folder, shard.number)))
            counts = found["summary"]
            total = total.plus(Summary(**counts))
            name = predictions_file(self.folder, shard.number).name
            entries.append({"file": name, "first": shard.first, "sha256": found["sha256"], **counts})
        for left in self.folder.rglob(".*.part"):  # what lost processes were writing
            left.unlink()
        document = {
            "schema_version": SHARDS_SCHEMA,
            "models": self._asked["models"],
            **total.to_json(),
            "notes": list(self.notes),
            "shards": entries,
        }
        dump_json(document, self.folder / SHARDS_JSON)
        if self.final.is_dir():
            _remove(self.final)
        self._lock.release()  # Windows renames no folder with an open file
        os.replace(self.folder, self.final)
        _remove(self.final / WORK)
        (self.final / PLAN_JSON).unlink()


def _cut(sources: Iterable[Source], size: int, check: Callable[[Source], Any]) -> Iterator[list[bytes]]:
    rows: list[bytes] = []
    for source in sources:
        check(source)
        row = {
            "name": source.name,
            "path": os.path.abspath(source.path),
            "category": source.category,
            "group": source.group,
        }
        # ASCII with escapes: a file name that is not UTF-8 comes back as it was.
        rows.append(json.dumps(row).encode("ascii") + b"\n")
        if len(rows) == size:
            yield rows
            rows = []
    if rows:
        yield rows


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=sys.platform == "win32")
