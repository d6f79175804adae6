"""Where the records go: standard output, one file, or a folder that also holds pictures."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from pyimgano.core.errors import ConfigError, PyimganoError
from pyimgano.core.files import atomic_folder, atomic_open
from pyimgano.workbench.records import FORMATS, RecordWriter

__all__ = ["SHARDS_JSON", "Destination", "parse_destination"]

SHARDS_JSON = "predictions.json"
"""The file of a folder whose records are in shards, which says what they are."""


class Destination:
    """Where the output goes. Open it once; what is written gets its final name when the block ends well.

    Attributes
    ----------
    kind : {"stdout", "file", "folder"}
    path : Path or None
        The final file or folder.
    form : {"jsonl", "csv"}
    """

    def __init__(self, kind: str, path: Optional[Path], form: str, *, replace: bool = False) -> None:
        self.kind = kind
        self.path = path
        self.form = form
        self.replace = replace

    @property
    def records(self) -> Optional[Path]:
        """The file that the records are in at the end; None for standard output."""
        if self.path is None or self.kind == "file":
            return self.path
        return self.path / f"predictions.{self.form}"

    @contextlib.contextmanager
    def open(self) -> Iterator[tuple[RecordWriter, Optional[Path]]]:
        """Yield the writer, and the folder for pictures (None unless the destination is a folder).

        Raises
        ------
        PyimganoError
            When something cannot be written; nothing is left under the final name then.
        """
        if self.path is None:
            stream = getattr(sys.stdout, "buffer", None)
            if stream is None:
                raise PyimganoError("standard output is closed", hint="give --output FILE")
            yield RecordWriter(stream, self.form, marked=False), None
            stream.flush()
        elif self.kind == "file":
            with atomic_open(self.path, "wb") as stream:
                yield RecordWriter(stream, self.form), None
        else:
            with atomic_folder(self.path, replace=self.replace) as folder:
                with atomic_open(folder / f"predictions.{self.form}", "wb") as stream:
                    yield RecordWriter(stream, self.form), folder


def parse_destination(output: Optional[Path], form: Optional[str], *, replace: bool = False) -> Destination:
    """Return where ``--output`` and ``--format`` send the output.

    Parameters
    ----------
    output : Path or None
        None is standard output; a name that ends in ``.jsonl`` or ``.csv`` is a file; all others are a folder.
    form : {"jsonl", "csv"}, optional
        Default: what the file name says, else JSONL.
    replace : bool
        Whether a folder with earlier predictions is replaced.

    Raises
    ------
    ConfigError
        When the file name and the format contradict each other, or the folder is not empty.
    """
    if form is not None and form not in FORMATS:
        raise ConfigError(f"unknown format {form!r}", where="--format", allowed=", ".join(FORMATS))
    if output is None:
        return Destination("stdout", None, form or "jsonl")
    suffix = output.suffix.lower()[1:]
    if suffix in FORMATS and not output.is_dir():
        if form not in (None, suffix):
            raise ConfigError(f"the file name says {suffix}, --format says {form}", where="--output")
        if not output.parent.is_dir():
            raise ConfigError("there is no such folder", where=str(output.parent), hint="make it first")
        return Destination("file", output, suffix)
    if output.is_file():
        raise ConfigError("is a file", where=str(output), allowed="a folder, or a file name in .jsonl or .csv")
    if output.is_dir() and any(output.iterdir()):
        # --force must not be able to remove a folder of photographs.
        ours = any((output / name).is_file() for name in (*(f"predictions.{name}" for name in FORMATS), SHARDS_JSON))
        if not (ours and replace):
            hint = "choose another one" + (", or replace it with --force" if ours else "")
            raise ConfigError("the folder is not empty", where=str(output), hint=hint)
    return Destination("folder", output, form or "jsonl", replace=replace)
