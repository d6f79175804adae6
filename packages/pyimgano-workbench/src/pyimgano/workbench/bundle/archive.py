"""Bundles as they are written: a manifest over all files, and a zip whose bytes follow from them alone."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from pyimgano.core.files import dump_json, sha256_file
from pyimgano.core.specs import Requirement
from pyimgano.workbench.bundle.manifest import FileFacts, Manifest
from pyimgano.workbench.bundle.names import MANIFEST, check_names

__all__ = ["write_manifest", "write_zip"]

_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip can state."""
_PACKED = (".json", ".md")
"""Files that deflating makes smaller; weights and pictures stay as they are, and open faster."""


def write_manifest(
    folder: Path,
    *,
    kind: str,
    precision: str,
    model: str,
    created_with: Mapping[str, str],
    requires: tuple[Requirement, ...],
    source: Mapping[str, str],
) -> Manifest:
    """Write ``manifest.json`` over all files of a folder, and return it; see :class:`Manifest`."""
    files = {
        path.relative_to(folder).as_posix(): FileFacts(sha256_file(path), path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST
    }
    check_names([*files, MANIFEST], where=str(folder))
    manifest = Manifest(kind, precision, model, created_with, requires, source, files)
    dump_json(manifest, folder / MANIFEST)
    return manifest


def write_zip(folder: Path, stream: IO[bytes]) -> None:
    """Write the files of a folder as a zip: sorted, the manifest first, with one time for all."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(stream, "w") as archive:
        for name in sorted(names, key=lambda name: (name != MANIFEST, name)):
            info = zipfile.ZipInfo(name, _TIME)
            info.create_system = 3  # Unix, also where it is written on Windows
            info.external_attr = 0o100644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED if name.endswith(_PACKED) else zipfile.ZIP_STORED
            info.file_size = (folder / name).stat().st_size  # decides on the format for more than 4 GB
            with archive.open(info, "w") as target, open(folder / name, "rb") as source:
                while piece := source.read(1 << 20):
                    target.write(piece)
