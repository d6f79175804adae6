"""Features on disk: computed once for an image and a description of the features, shared by processes, bounded.

A row lies in ``features/<name>-<digest of the features>/<digest of the image>``: the array in NumPy's format, without
pickle, and its SHA-256. Beside each folder a JSON file says which features these are. Files are written beside their
names and renamed, so that processes may share the folder; a damaged one is computed again; all may be deleted at any
time. Beyond the limit, what was used least recently goes first. What a process has read or written lately it also keeps
in memory, up to 64 MiB: the models of a benchmark read the same rows one after the other.

It is switched by ``PYIMGANO_FEATURE_CACHE``: a size such as ``2GiB`` (also ``on``: 1 GiB), or ``off``, which is the
default; ``pyimgano benchmark --suite`` switches it on for its processes.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.cache import cache_dir
from pyimgano.core.errors import ConfigError, PyimganoError
from pyimgano.core.files import atomic_open, dump_json, dumps_json, sha256_bytes

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "FEATURE_CACHE",
    "FeatureCache",
    "count_damaged",
    "feature_cache_limit",
    "image_key",
    "open_feature_cache",
    "without_feature_cache",
]

FEATURE_CACHE = "PYIMGANO_FEATURE_CACHE"
"""Environment variable that switches the cache and bounds it."""
DEFAULT_LIMIT = 1 << 30
_UNITS = {"": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}


def feature_cache_limit() -> int:
    """Return how many bytes the cache may hold, as ``PYIMGANO_FEATURE_CACHE`` says; 0: it is off.

    Raises
    ------
    ConfigError
        When the variable is none of what it may be.
    """
    text = os.environ.get(FEATURE_CACHE, "").strip()
    if text.lower() in ("", "off", "0"):
        return 0
    if text.lower() == "on":
        return DEFAULT_LIMIT
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]iB)?", text, re.IGNORECASE)
    if match is None:
        raise ConfigError(
            f"{text!r} is no size", where=FEATURE_CACHE, allowed="off, on, or a size such as 500MiB, 2GiB"
        )
    return int(float(match.group(1)) * _UNITS[(match.group(2) or "").upper()])


def open_feature_cache(facts: Mapping[str, Any]) -> Optional[FeatureCache]:
    """Return the cache of the features that ``facts`` describe, or None while it is off."""
    limit = feature_cache_limit()
    return FeatureCache(facts, limit) if limit else None


@contextlib.contextmanager
def without_feature_cache() -> Iterator[None]:
    """Switch the cache off inside the block, for the features of detectors that are made or loaded in it."""
    before = os.environ.get(FEATURE_CACHE)
    os.environ[FEATURE_CACHE] = "off"
    try:
        yield
    finally:
        if before is None:
            del os.environ[FEATURE_CACHE]
        else:
            os.environ[FEATURE_CACHE] = before


def image_key(image: np.ndarray) -> str:
    """Return what an image is known by in every cache: a digest of its pixels, shape and dtype."""
    import numpy as np

    digest = hashlib.sha256(f"{image.shape} {image.dtype}\n".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()[:40]


class _Recent:
    """Arrays by name, up to a number of bytes; what was used least recently goes first. Threads may share it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._arrays: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str) -> Optional[np.ndarray]:
        with self._lock:
            found = self._arrays.get(name)
            if found is not None:
                self._arrays.move_to_end(name)
            return found

    def put(self, name: str, array: np.ndarray) -> None:
        array.flags.writeable = False  # all who ask get the same one
        with self._lock:
            before = self._arrays.pop(name, None)
            self._size += array.nbytes - (0 if before is None else before.nbytes)
            self._arrays[name] = array
            while self._size > self._limit:
                _, gone = self._arrays.popitem(last=False)
                self._size -= gone.nbytes


_RECENT = _Recent(64 << 20)


class FeatureCache:
    """The cached rows of one kind of features.

    Parameters
    ----------
    facts : mapping
        All that decides the features beyond the image, JSON-friendly; ``name`` becomes part of the folder's.
    limit : int
        Bytes that all features together may take.
    """

    def __init__(self, facts: Mapping[str, Any], limit: int) -> None:
        digest = sha256_bytes(dumps_json(dict(facts)).encode("utf-8"))[:16]
        name = re.sub(r"[^a-z0-9-]+", "-", str(facts.get("name", "features")).lower())
        self.facts = dict(facts)
        self.limit = limit
        self.root = cache_dir("features", create=True)
        self.folder = self.root / f"{name}-{digest}"
        self._unseen: Optional[int] = None  # bytes written since the folder was measured; None: never measured

    def get(self, key: str) -> Optional[np.ndarray]:
        """Return what was kept of an image, or None; a damaged file counts as none and is removed.

        Parameters
        ----------
        key : str
            The image's, see :func:`image_key`.
        """
        path = self.folder / key
        known = _RECENT.get(str(path))
        if known is not None:
            return known
        try:
            data = path.read_bytes()
        except OSError:
            return None
        features = _unpacked(data)
        if features is not None:
            _RECENT.put(str(path), features)
        with contextlib.suppress(OSError):  # another process may have removed it
            if features is None:
                path.unlink()
            else:
                os.utime(path)
        return features

    def put(self, key: str, features: np.ndarray) -> None:
        """Keep the features of an image. A cache that cannot be written (a full disk) is none, and no error.

        Parameters
        ----------
        key : str
            The image's, see :func:`image_key`.
        features : ndarray
            Kept as float32.
        """
        data = _packed(features)
        try:
            if not self.folder.is_dir():
                self.folder.mkdir(parents=True, exist_ok=True)
                dump_json(self._description(), self.folder.with_name(self.folder.name + ".json"))
            with atomic_open(self.folder / key, "wb") as stream:
                stream.write(data)
        except (OSError, PyimganoError):
            return
        self._unseen = None if self._unseen is None else self._unseen + len(data)
        if self._unseen is None or self._unseen > self.limit // 16:
            self._trim()

    def _description(self) -> dict[str, Any]:
        name, version = str(self.facts.get("name")), str(self.facts.get("version"))
        return {"schema_version": 1, "model": name, "version": version, "features": self.facts}

    def _trim(self) -> None:
        """Remove what was used least recently until nine tenths of the limit are left, when it is exceeded."""
        rows = []
        for path in self.root.glob("*/*"):
            with contextlib.suppress(OSError):
                status = path.stat()
                rows.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in rows)
        self._unseen = 0
        if total <= self.limit:
            return
        for _, size, path in sorted(rows):
            with contextlib.suppress(OSError):
                path.unlink()
            total -= size
            if total <= 0.9 * self.limit:
                break


def count_damaged(folder: Path) -> int:
    """Return how many rows of a folder of the cache are not what was written."""
    return sum(_unpacked(path.read_bytes()) is None for path in folder.iterdir() if not path.name.startswith("."))


def _packed(features: np.ndarray) -> bytes:
    import numpy as np

    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(features, dtype=np.float32), allow_pickle=False)
    data = stream.getvalue()
    return data + hashlib.sha256(data).digest()


def _unpacked(data: bytes) -> Optional[np.ndarray]:
    import numpy as np

    if len(data) <= 32 or hashlib.sha256(data[:-32]).digest() != data[-32:]:
        return None
    features: np.ndarray = np.load(io.BytesIO(data[:-32]), allow_pickle=False)
    return features
