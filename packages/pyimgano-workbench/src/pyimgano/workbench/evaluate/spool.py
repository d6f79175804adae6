"""Anomaly maps kept on disk between two passes, so that the number of test images costs no memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Optional

from pyimgano.core.errors import PyimganoError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["MapSpool"]


class MapSpool:
    """Takes maps one after the other, and gives each back by its number. A scratch file: gone after :meth:`close`.

    Parameters
    ----------
    path : Path
        The file; its folder must exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: list[Optional[tuple[int, tuple[int, int]]]] = []
        self._end = 0
        try:
            self._stream = open(path, "wb")
        except OSError as error:
            raise self._failed(error) from error

    def __len__(self) -> int:
        return len(self._places)

    def append(self, anomaly_map: Optional[np.ndarray]) -> None:
        """Add a map (h, w), kept as float32; None keeps a number free for an image without one.

        Raises
        ------
        PyimganoError
            When the disk is full.
        """
        import numpy as np

        if anomaly_map is None:
            self._places.append(None)
            return
        values = np.ascontiguousarray(anomaly_map, dtype=np.float32)
        try:
            self._stream.write(values.data)
            self._stream.flush()
        except OSError as error:
            raise self._failed(error) from error
        self._places.append((self._end, (int(values.shape[0]), int(values.shape[1]))))
        self._end += values.nbytes

    def has(self, index: int) -> bool:
        """Whether there is a map with this number."""
        return self._places[index] is not None

    def read(self, index: int) -> np.ndarray:
        """Return a copy of a map, (h, w) float32; any thread may ask."""
        import numpy as np

        place = self._places[index]
        if place is None:
            raise KeyError(index)
        offset, shape = place
        with open(self.path, "rb") as stream:
            stream.seek(offset)
            return np.fromfile(stream, dtype=np.float32, count=shape[0] * shape[1]).reshape(shape)

    def close(self) -> None:
        """Remove the file."""
        try:
            self._stream.close()
        finally:
            self.path.unlink(missing_ok=True)

    def _failed(self, error: OSError) -> PyimganoError:
        return PyimganoError(
            f"cannot write: {error.strerror or error}",
            where=str(self.path),
            hint="the anomaly maps of the test images need room here until they are evaluated; free some space",
        )
