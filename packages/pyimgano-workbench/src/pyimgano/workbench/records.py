"""One image's verdict, as one line of JSON or of CSV.

A line has no schema version of its own: that of ``per_image.jsonl`` stands in the report beside it.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Optional

from pyimgano.core.errors import RunError
from pyimgano.core.files import atomic_open, dumps_json
from pyimgano.workbench.calibrate.card import CalibrationCard
from pyimgano.workbench.regions import Region

__all__ = [
    "CSV_FIELDS",
    "PREDICTION_SCHEMA",
    "RECORD_FIELDS",
    "FORMATS",
    "PredictionRecord",
    "RecordWriter",
    "read_records",
    "write_csv",
    "write_records",
]

PREDICTION_SCHEMA = 2


@dataclasses.dataclass(frozen=True)
class PredictionRecord:
    """What is known of one image. What is None is left out of its line.

    Attributes
    ----------
    image : str
        Path relative to the dataset's (or the input's) root, with ``/``.
    id : str or None
        What the client of the service called it. A CSV has no such column.
    sha256 : str or None
        Of the image's file, in hexadecimal, where the service or the hot folder read it. A CSV has no such column.
    category : str or None
        Object or texture.
    group : str or None
        Part, lot or scene, as the dataset names it.
    label : int or None
        0 good, 1 defective, None unknown.
    defect : str or None
        Kind of defect, as the dataset names it.
    score : float or None
        Raw image score; higher is more anomalous. None only beside ``error``.
    threshold : float or None
        The decision is ``"defective"`` where score ≥ threshold.
    decision : str or None
        ``"good"``, ``"review"`` or ``"defective"``.
    p_value : float or None
        Share of the held-out good images (and this one) that score at least as high: (1 + #{≥ score}) / (n + 1).
    regions : tuple of Region or None
        Connected pixels that reach the pixel threshold, see :func:`pyimgano.workbench.regions.find_regions`; None where
        there is no map.
    overruled_by : str or None
        Where regions decide, the score reaches the threshold and no region is left: the rule that removed the one
        of the highest score, or ``"no-region"`` where there was none. A CSV has no such column.
    regions_left_out : int or None
        Regions beyond those that are listed; None where there are none.
    map, mask, overlay : str or None
        Files that were written, relative to the folder of the JSONL file.
    error : str or None
        Why there is no score. Such an image has no decision either.
    """

    image: str
    id: Optional[str] = None
    sha256: Optional[str] = None
    category: Optional[str] = None
    group: Optional[str] = None
    label: Optional[int] = None
    defect: Optional[str] = None
    score: Optional[float] = None
    threshold: Optional[float] = None
    decision: Optional[str] = None
    p_value: Optional[float] = None
    overruled_by: Optional[str] = None
    regions: Optional[tuple[Region, ...]] = None
    regions_left_out: Optional[int] = None
    map: Optional[str] = None
    mask: Optional[str] = None
    overlay: Optional[str] = None
    error: Optional[str] = None

    @classmethod
    def scored(
        cls,
        image: str,
        score: float,
        card: Optional[CalibrationCard] = None,
        *,
        decision: Optional[str] = None,
        **known: Any,
    ) -> PredictionRecord:
        """Return the record of a scored image, with decision and p-value where there is a calibration card.

        Parameters
        ----------
        decision : str, optional
            Default: the card's.
        """
        if card is None:
            return cls(image, score=score, **known)
        return cls(
            image,
            score=score,
            threshold=card.threshold,
            decision=decision or card.decision(score),
            p_value=card.p_value(score),
            **known,
        )

    @classmethod
    def failed(cls, image: str, error: Exception, **known: Any) -> PredictionRecord:
        """Return the record of an image that could not be scored; it keeps the message, not the machine's paths."""
        message = getattr(error, "message", None) or str(error)
        return cls(image, error=f"{type(error).__name__}: {message}", **known)

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are not None, in their order."""
        fields = {name: value for name in RECORD_FIELDS if (value := getattr(self, name)) is not None}
        if self.regions is not None:
            fields["regions"] = [region.to_json() for region in self.regions]
        return fields

    def to_line(self) -> str:
        """Return the record as one line of strict JSON, without its line end."""
        return dumps_json(self.to_json())

    def to_csv(self) -> str:
        """Return the record as one line of CSV with its line end; ``regions`` is how many of the listed were kept.

        A spreadsheet runs a cell that begins like a formula. A relative path is written with ``./`` before it then, any
        other text with an apostrophe.
        """
        cells = self.to_json()
        if self.regions is not None:
            cells["regions"] = self.n_kept
        return _csv_line([_harmless(name, cells.get(name, "")) for name in CSV_FIELDS])

    @property
    def n_kept(self) -> int:
        """Number of listed regions that no rule removed."""
        return sum(region.removed_by is None for region in self.regions or ())

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PredictionRecord:
        """Return the record that :meth:`to_json` gave.

        Raises
        ------
        KeyError, TypeError, ValueError
            When it is none.
        """
        if not isinstance(data, Mapping):
            raise TypeError("not an object")
        regions = data.get("regions")
        return cls(**{**data, "regions": None if regions is None else tuple(map(Region.from_json, regions))})


RECORD_FIELDS: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(PredictionRecord))
"""The keys of a line, in their order."""

CSV_FIELDS: tuple[str, ...] = tuple(name for name in RECORD_FIELDS if name not in ("overruled_by", "id", "sha256"))
"""The columns of a CSV: always the same, so that the files of all runs go together."""


def _csv_line(cells: Iterable[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


_CSV_HEADER = _csv_line(CSV_FIELDS)


def _harmless(name: str, value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return value
    return f"./{value}" if name == "image" else f"'{value}"


FORMATS = ("jsonl", "csv")


class RecordWriter:
    """Writes records as JSONL or CSV, in UTF-8, one by one.

    Parameters
    ----------
    stream : binary file
        Where to.
    form : {"jsonl", "csv"}
        A CSV has a header and all columns; what a record lacks is empty.
    marked : bool
        Whether a CSV begins with a byte order mark, by which spreadsheets know UTF-8; files do, pipes do not.
    """

    def __init__(self, stream: IO[bytes], form: str, *, marked: bool = True) -> None:
        self._stream = stream
        self._form = form
        if form == "csv":
            self._put(("\ufeff" if marked else "") + _CSV_HEADER)

    def write(self, record: PredictionRecord) -> None:
        """Write one record."""
        self._put(record.to_csv() if self._form == "csv" else record.to_line() + "\n")

    def flush(self) -> None:
        """Let the reader have what was written."""
        self._stream.flush()

    def _put(self, text: str) -> None:
        # A file name that is not UTF-8 becomes \udc.. escapes, which in JSON mean just that.
        self._stream.write(text.encode("utf-8", "backslashreplace"))


def write_records(records: Iterable[PredictionRecord], path: Path) -> None:
    """Write records as JSONL, atomically, one by one as they come."""
    _write(records, path, "jsonl")


def write_csv(records: Iterable[PredictionRecord], path: Path) -> None:
    """Write records as CSV, atomically, one by one as they come; see :class:`RecordWriter`."""
    _write(records, path, "csv")


def _write(records: Iterable[PredictionRecord], path: Path, form: str) -> None:
    with atomic_open(path, "wb") as stream:
        writer = RecordWriter(stream, form)
        for record in records:
            writer.write(record)


def read_records(path: Path) -> list[PredictionRecord]:
    """Read a JSONL file of records.

    Raises
    ------
    RunError
        When it cannot be read; it names the line.
    """
    import json

    records = []
    try:
        with open(path, encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    records.append(PredictionRecord.from_json(json.loads(line)))
                except (KeyError, TypeError, ValueError) as error:
                    raise RunError(f"not a prediction record: {error}", where=f"{path}:{number}") from error
    except OSError as error:
        raise RunError(f"cannot read: {error.strerror or error}", where=str(path)) from error
    return records
