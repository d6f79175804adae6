"""Weights by the name of their backbone: where they come from, whether they are here, and bringing them."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Optional

from pyimgano.cli.commands.cache_files import files_called, human_size, unknown_file
from pyimgano.cli.output import print_json, print_text, say, stdout_reserved
from pyimgano.core.cache_contents import CachedFile, list_cached
from pyimgano.core.errors import UnknownNameError
from pyimgano.core.weights import WeightsInfo, weights_provider

__all__ = ["fetch", "print_weights"]

PLACES = {
    "package": "an installed package",
    "cache": "pyimgano's cache",
    "torch": "torch's cache",
    "hub": "the Hugging Face hub's cache",
}


def print_weights(name: str, tag: str, *, as_json: bool = False) -> None:
    """Print what is known of the weights of a backbone, or of a cached file.

    Raises
    ------
    UnknownNameError
        When ``name`` is neither.
    """
    files = list_cached()
    cached = files_called(name, files)
    info: Optional[WeightsInfo] = None
    try:
        with stdout_reserved():
            info = weights_provider(name).describe(name, tag)
    except UnknownNameError:
        if not cached:
            if "/" in name and name.partition("/")[0] not in ("weights", "graphs"):
                raise
            raise unknown_file(name, files) from None
    if as_json:
        known = {"name": name} if info is None else info.to_json()
        print_json({**known, "cached_files": [file.to_json() for file in cached]})
        return
    if info is not None:
        _print_info(info)
    for file in cached:
        if info is None or file.path != info.path:
            _print_file(file)


def _print_info(info: WeightsInfo) -> None:
    stated = f"begins with {info.stated}, as the file's name states" if info.stated else None
    here = "no"
    if info.problem is not None:
        here = f"cannot be used: {info.problem.message}"
    elif info.place is not None:
        here = f"yes, in {PLACES.get(info.place, info.place)}"
    facts = {
        "weights": info.tag or "default",
        "here": here,
        "file": None if info.path is None else str(info.path),
        "size": None if info.size is None else human_size(info.size),
        "sha256": info.sha256 or stated,
        "licence": info.license or ("not stated by the library" if info.url else "see the package"),
        "from": info.url,
        "would be": str(info.target) if info.target and info.path is None else None,
    }
    print_text(info.name)
    for title, value in facts.items():
        if value:
            print_text(f"  {title + ':':<10}{value}")
    for line in (info.hint or "").splitlines():
        print_text(f"  {line}")


def _print_file(file: CachedFile) -> None:
    print_text(file.name)
    facts = {
        "what": file.kind,
        "model": file.model,
        "version": file.version,
        "size": human_size(file.size),
        "sha256": file.sha256,
        "licence": file.record.get("license"),
        "from": file.record.get("origin"),
        "link to": file.link,
        "problem": file.problem,
    }
    for title, value in facts.items():
        if value:
            print_text(f"  {title + ':':<10}{value}")


def fetch(
    name: str, tag: str, *, file: Optional[Path], url: Optional[str], sha256: Optional[str], as_json: bool = False
) -> None:
    """Bring weights into the cache and print the file's path, or all that is known as JSON.

    Weights that are here are not downloaded again.
    """
    with stdout_reserved():
        provider = weights_provider(name)
        here = None if file is not None else provider.describe(name, tag)
        usable = here is not None and here.path is not None and here.problem is None
        if here is None or not usable:
            wanted = logging.getLogger("pyimgano").isEnabledFor(logging.INFO)
            progress = wanted and sys.stderr is not None and sys.stderr.isatty()
            info = provider.fetch(name, tag, file=file, url=url, sha256=sha256, progress=progress)
        else:
            info = here
            say(f"nothing to download: the weights are in {PLACES.get(str(info.place), str(info.place))}")
    say(f"{info.name} {info.tag}: {human_size(info.size or 0)}, sha256 {info.sha256}")
    if as_json:
        print_json(info.to_json())
    else:
        print_text(str(info.path))
