"""The images on which an exported detector is compared with the trained one: of the run's own dataset, or a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.errors import ConfigError, DatasetError, PyimganoError
from pyimgano.core.files import load_json
from pyimgano.workbench.runs.directory import SPLIT, RunDirectory

__all__ = ["HeldOutImages", "NamedImage"]


@dataclass(frozen=True)
class NamedImage:
    """An image and what the dataset calls it.

    Attributes
    ----------
    id : str
        Relative to the dataset, with ``/``.
    path : Path
    """

    id: str
    path: Path


class HeldOutImages:
    """Finds a run's images again, where its config says that they lie.

    Parameters
    ----------
    run : RunDirectory
    folder : Path, optional
        Take the images below this folder instead: those of a folder with the category's name in it, where there is one.

    Raises
    ------
    ConfigError
        When the dataset is gone, or has other images now, and there is no folder.
    """

    def __init__(self, run: RunDirectory, folder: Optional[Path] = None) -> None:
        self._folder = folder
        if folder is not None:
            if not folder.is_dir():
                raise ConfigError("there is no such folder", where=str(folder))
            return
        self._split = load_json(run.artifact(SPLIT)).get("categories", {})
        self._paths = self._dataset(run)

    def _dataset(self, run: RunDirectory) -> dict[str, Path]:
        from pyimgano.datasets import read_dataset

        config = run.config(check_dataset=False)
        root = config.dataset.root
        try:
            if not Path(root).exists():
                raise DatasetError("is not there", where=str(root))
            samples = read_dataset(
                root, format=config.dataset.format, categories=config.dataset.categories, seed=config.seed
            )
        except PyimganoError as error:
            raise ConfigError(
                f"the run's dataset cannot be read: {error.message}",
                where=error.where or str(root),
                hint="--parity-images FOLDER: some images like those that the run was tested on",
            ) from error
        return {sample.id: sample.source for sample in samples.samples}

    @property
    def source(self) -> str:
        """Where the images come from: ``"held-out"`` ones of the run, or a ``"folder"``."""
        return "folder" if self._folder is not None else "held-out"

    def for_parity(self, category: str, limit: int) -> list[NamedImage]:
        """Return images that the category's model was not fitted on: calibration and test, at most ``limit``.

        Calibration images come first, since a threshold lies just above the score of one of them; of both, those that
        are taken are spread evenly.

        Raises
        ------
        ConfigError
            When there are none.
        """
        if self._folder is not None:
            found = _below(self._folder, category)[:limit]
        else:
            sets = self._split.get(category, {})
            # Cross-conformal calibration holds none out: its images are those of the fit.
            cross = sets.get("calibration_source") == "cross"
            calibration = [] if cross else list(sets.get("calibration", ()))
            test = list(sets.get("test", ()))
            first = _spread(calibration, max(limit // 2, limit - len(test)))
            found = self._named([*first, *_spread(test, limit - len(first))], category)
        if not found:
            raise ConfigError(
                f"there are no images to compare the exported detector on: category {category!r}",
                where=None if self._folder is None else str(self._folder),
                hint="--parity-images FOLDER: some images like those that the run was tested on",
            )
        return found

    def good(self, category: str, limit: int) -> list[NamedImage]:
        """Return good images that the model was fitted on, at most ``limit``, spread evenly.

        Raises
        ------
        ConfigError
            When the dataset is not there.
        """
        if self._folder is not None:
            raise ConfigError(
                "int8 is calibrated on the good images that the run was fitted on, and --parity-images stands for them",
                where="--precision",
                hint="put the dataset back where the run's config.json says, or export fp32 or fp16",
            )
        return self._named(_spread(self._split.get(category, {}).get("fit", ()), limit), category)

    def _named(self, ids: Sequence[str], category: str) -> list[NamedImage]:
        gone = [id for id in ids if id not in self._paths]
        if gone:
            raise ConfigError(
                f"the dataset has no image {gone[0]!r} any more, which the run's split names ({len(gone)} are gone)",
                where=f"category {category!r}",
                hint="--parity-images FOLDER: some images like those that the run was tested on",
            )
        return [NamedImage(id, self._paths[id]) for id in ids]


def _spread(items: Sequence[Any], count: int) -> list[Any]:
    """Return at most ``count`` of the items, at even distances."""
    if count >= len(items):
        return list(items)
    return [items[index * len(items) // count] for index in range(max(count, 0))]


def _below(folder: Path, category: str) -> list[NamedImage]:
    from pyimgano.workbench.inference.sources import InputList

    own = folder / category
    place = own if own.is_dir() else folder
    return [NamedImage(source.path.relative_to(place).as_posix(), source.path) for source in InputList([str(place)])]
