"""The detectors of a bundle, loaded when the first image of their category comes by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.errors import CheckpointError
from pyimgano.workbench.bundle.contents import BundleContents
from pyimgano.workbench.bundle.manifest import GRAPH
from pyimgano.workbench.bundle.names import BUNDLE_JSON, CALIBRATION_CARD, GRAPH_FILE
from pyimgano.workbench.inference.artifact_models import ArtifactModels

__all__ = ["BUNDLE_SCHEMA", "BundleModels", "check_bundle_json"]

BUNDLE_SCHEMA = 1


class BundleModels(ArtifactModels):
    """A :class:`~pyimgano.workbench.inference.models.FittedModels`: what a bundle holds.

    Parameters
    ----------
    contents : BundleContents
        Verified files. Every path that they name must be one that the manifest lists.
    category : str, optional
        Use this one for all images.

    Raises
    ------
    CheckpointError
        When a file is damaged or of an unknown version.
    UnknownNameError
        When the bundle has no such category; it lists those it has.
    """

    noun = "bundle"

    def __init__(self, contents: BundleContents, *, category: Optional[str] = None) -> None:
        self.contents = contents
        config = check_bundle_json(contents)
        where = f"{contents.path}: {CALIBRATION_CARD}"
        cards = contents.json(CALIBRATION_CARD).get("categories")
        if not isinstance(cards, dict):
            raise CheckpointError("has no 'categories'", where=where)
        super().__init__(
            config,
            cards,
            base=contents.folder,
            config_file=f"{contents.path}: {BUNDLE_JSON}",
            card_file=where,
            category=category,
        )

    def folder_of(self, category: str) -> str:
        """Return the name of a category's folders in the bundle.

        Raises
        ------
        UnknownNameError
            When there is no such category.
        """
        return str(self._entries[self._known(category)]["folder"]).rpartition("/")[2]

    def _state_folder(self, entry: Mapping[str, Any]) -> Path:
        return self.contents.folder / str(entry["folder"])

    def _load_detector(self, folder: Path) -> Any:
        # Late: most graphs stand alone, and what is imported is waited for.
        if self.contents.manifest.kind != GRAPH:
            from pyimgano.workbench.pipeline import load_detector

            return load_detector(self.model, folder)
        from pyimgano.workbench.bundle.graph_detector import GraphDetector

        name = (folder / GRAPH_FILE).relative_to(self.contents.folder).as_posix()
        runtime = self.contents.manifest.graph_runtime
        graph = GraphDetector(folder / GRAPH_FILE, runtime=runtime, name=f"{self.contents.path}: {name}")
        if all(path.is_file() for path in folder.iterdir()):
            return graph
        from pyimgano.workbench.pipeline import with_surroundings

        return with_surroundings(graph, folder)

    def _damaged(self, message: str, where: Optional[str]) -> CheckpointError:
        return CheckpointError(message, where=where)


def check_bundle_json(contents: BundleContents) -> dict[str, Any]:
    """Return what ``bundle.json`` holds, once every file that it names is one of the bundle's.

    Raises
    ------
    CheckpointError
        When it is of an unknown version, or names a file that the manifest does not list.
    """
    where = f"{contents.path}: {BUNDLE_JSON}"
    config = contents.json(BUNDLE_JSON)
    version = config.get("schema_version")
    if version != BUNDLE_SCHEMA:
        newer = type(version) is int and version > BUNDLE_SCHEMA
        raise CheckpointError(
            f"unknown schema version {version!r}",
            where=where,
            allowed=str(BUNDLE_SCHEMA),
            hint="a newer program wrote it: pip install --upgrade pyimgano-workbench" if newer else None,
        )
    files = contents.manifest.files
    folders = {name.rpartition("/")[0] for name in files} - {""}
    entries = config.get("categories")
    if not isinstance(entries, list):
        raise CheckpointError("has no 'categories'", where=where)
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("folder") not in folders:
            raise CheckpointError("a category's 'folder' is none that the manifest lists", where=where)
        if isinstance(entry.get("roi"), str) and entry["roi"] not in files:
            raise CheckpointError("a category's 'roi' is no file that the manifest lists", where=where)
    return config
