"""Files of weights: which are meant, where they lie, and how one gets into the cache. Nothing is downloaded here."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.cache import describe_cached, sidecar_path, verify_cached
from pyimgano.core.errors import ParameterError, WeightsError
from pyimgano.core.files import sha256_file

__all__ = [
    "SUFFIXES",
    "Weights",
    "cached_file",
    "given_weights",
    "hub_endpoint",
    "in_hub_cache",
    "is_no_tag",
    "is_random",
    "keep_file",
    "stated_digits",
]

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


@dataclass(frozen=True)
class Weights:
    """The weights of one extractor.

    Attributes
    ----------
    name : str
        What they are, without a folder: a tag, a file name, or ``"random:<seed>"``.
    path : Path or None
        The file; None for random weights.
    sha256 : str or None
        Of the file; None for random weights until they are made.
    seed : int or None
        Of random weights.
    place : {"package", "cache", "torch", "hub", "file", "random"} or None
        Where the file was found.
    """

    name: str
    path: Optional[Path] = None
    sha256: Optional[str] = None
    seed: Optional[int] = None
    place: Optional[str] = None


def is_random(weights: str) -> bool:
    """Tell whether random weights are asked for."""
    return weights == "random" or weights.startswith("random:")


def is_no_tag(weights: str) -> bool:
    """Tell whether ``weights`` names a file or random weights, and no set of weights of a library."""
    return is_random(weights) or weights.lower().endswith(SUFFIXES) or "/" in weights or os.sep in weights


def given_weights(weights: str) -> Optional[Weights]:
    """Return random weights or those of a file, as ``weights`` says; None when it is a library's tag.

    Raises
    ------
    WeightsError
        When there is no such file.
    ParameterError
        When the seed of random weights is no number.
    """
    if is_random(weights):
        digits = weights.partition(":")[2] or "0"
        if not digits.isdecimal():
            raise ParameterError(f"weights = {weights!r}", where="weights", allowed='"random" or "random:<seed>"')
        return Weights(f"random:{int(digits)}", seed=int(digits), place="random")
    if is_no_tag(weights):
        path = Path(weights).expanduser()
        if not path.is_file():
            raise WeightsError("there is no such weights file", where=str(path))
        return Weights(path.name, path, sha256_file(path), place="file")
    return None


def cached_file(path: Path, *, model: str, version: str) -> Optional[Weights]:
    """Return a file of pyimgano's own cache, verified; None when it is not there.

    Raises
    ------
    WeightsError
        When it is not what its sidecar says, or the sidecar describes another model or version.
    """
    if not path.is_file():
        return None
    record = verify_cached(path)
    if record.get("model") != model or record.get("version") != version:
        raise WeightsError(
            f"the sidecar says it holds {record.get('model')} {record.get('version')}, not {model} {version}",
            where=str(path),
            hint="delete the file and its .json, then store the right file again",
        )
    return Weights(version or path.name, path, str(record["sha256"]), place="cache")


def keep_file(given: Path, target: Path, *, model: str, version: str, move: bool = False, **facts: Any) -> None:
    """Copy a file into the cache, with the sidecar that vouches for it.

    The sidecar gets its name first: a process that is killed leaves a sidecar without its file, which counts as
    nothing, and never a file that nothing vouches for.

    Parameters
    ----------
    given, target : Path
        ``target`` lies in a folder of the cache, which exists.
    model, version
        See :func:`pyimgano.core.cache.describe_cached`, as for ``facts``.
    move : bool
        Take the file itself in place of a copy; it must lie on the cache's file system.

    Raises
    ------
    WeightsError
        When it cannot be copied.
    """
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".incoming-") as temporary:
            copy = Path(temporary, target.name)
            (os.replace if move else shutil.copyfile)(given, copy)
            describe_cached(copy, model=model, version=version, **facts)
            os.replace(sidecar_path(copy), sidecar_path(target))
            os.replace(copy, target)
    except OSError as error:
        raise WeightsError(f"cannot copy the file: {error.strerror or error}", where=str(target)) from error


def stated_digits(url: str) -> Optional[str]:
    """Return the first digits of the SHA-256 that torch puts into a file's name (``resnet18-f37072fd.pth``)."""
    found = re.search(r"-([0-9a-f]{8,64})\.[a-z]+$", url)
    return found[1] if found else None


def in_hub_cache(hub_id: str, names: Sequence[str]) -> Optional[Path]:
    """Return the first of the files of a repository that lies in the Hugging Face hub's cache, or None."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ModuleNotFoundError:
        return None
    for name in names:
        found = try_to_load_from_cache(hub_id, name)
        if isinstance(found, str):
            return Path(found)
    return None


def hub_endpoint() -> str:
    """Return the hub's address, which ``HF_ENDPOINT`` sets to that of a mirror."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
