"""Writing of a dataset with synthesised defects in MVTec's layout, whole or not at all."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

from pyimgano.core.batching import read_ahead
from pyimgano.core.contracts import Sample
from pyimgano.core.errors import ConfigError, ImageError
from pyimgano.core.files import atomic_folder, dump_json
from pyimgano.core.images import write_png
from pyimgano.core.seeding import generator
from pyimgano.workbench.defects.placing import Placing
from pyimgano.workbench.progress import Progress, Silent
from pyimgano.workbench.runs.naming import category_folders
from pyimgano.workbench.synthesis.preview import Preview, write_preview
from pyimgano.workbench.synthesis.roles import Roles, assign_roles

if TYPE_CHECKING:
    import numpy as np

__all__ = ["FACTS", "MIXED", "Synthesis", "synthesise"]

FACTS = "synthesis.json"
"""File of the dataset that says how each of its images was made."""

FACTS_SCHEMA = 1

MIXED = "mixed"
"""Folder of the images with defects of several kinds."""

PathLike = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class Synthesis:
    """A dataset that was written.

    Attributes
    ----------
    path : Path
        Its folder.
    facts : dict
        What ``synthesis.json`` holds: seed, kinds, per image its source and its defects.
    notes : tuple of str
        What the reader and the lots had to say.
    """

    path: Path
    facts: dict[str, Any]
    notes: tuple[str, ...]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return category → folder → number of images."""
        counted: dict[str, Counter[str]] = {}
        for image in self.facts["images"]:
            split = "/".join(image["file"].split("/")[-3:-1])
            counted.setdefault(image["category"] or self.path.name, Counter())[split] += 1
        return {category: dict(sorted(folders.items())) for category, folders in counted.items()}


@dataclass(frozen=True)
class _Job:
    """One image to write: a good one below ``folder``, or one with defects (``index`` is not None)."""

    sample: Sample
    roles: Roles
    folder: str
    index: Optional[int] = None
    number: int = 0


@dataclass(frozen=True)
class _Written:
    facts: dict[str, Any]
    preview: Optional[Preview] = field(default=None, compare=False)


def synthesise(
    source: PathLike,
    output: PathLike,
    placing: Placing,
    *,
    count: Optional[int] = None,
    roi: Optional[np.ndarray] = None,
    seed: int = 0,
    value_range: Optional[tuple[float, float]] = None,
    format: str = "auto",
    categories: Optional[Sequence[str]] = None,
    preview: Optional[PathLike] = None,
    progress: Optional[Progress] = None,
) -> Synthesis:
    """Write a dataset of good images and of others with synthesised defects.

    Every image is decoded, brought to 8 bits and written as PNG (with one channel where it is grey), the good ones like
    the others: nothing but its defects tells a defective image from a good one. The memory that it takes does not
    depend on the number of images.

    Parameters
    ----------
    source : path-like
        A dataset in any layout that can be read, or a folder of good images. See
        :func:`pyimgano.workbench.synthesis.roles.assign_roles` for which image becomes what.
    output : path-like
        Folder to make; it must not exist, or be empty.
    placing : Placing
        What is put on an image.
    count : int, optional
        Images with defects, of each category. Default: as many as there are images set aside for them; with more,
        each of these is used several times, with other defects.
    roi : ndarray, (H, W) bool, optional
        Where defects may lie, in all images alike.
    seed : int
        Of the lots and the defects.
    value_range : (float, float), optional
        The values that become 0 and 255, see :func:`pyimgano.core.images.to_rgb8`.
    format : str
        Layout of the source (``pyimgano datasets list``).
    categories : sequence of str, optional
        Only these.
    preview : path-like, optional
        PNG file for a contact sheet of some images of each kind.
    progress : Progress, optional
        Who listens.

    Raises
    ------
    ConfigError
        When the output is not empty or lies in the source, or the preview cannot be written there.
    DatasetError
        When the source cannot be read, or has too few good images.
    ImageError
        When an image cannot be read, or the ROI has another size; it names the image.
    StorageError
        When the folder cannot be written. Nothing is left then.
    """
    from pyimgano.datasets import read_dataset

    target = Path(output).expanduser()
    _check_output(Path(source).expanduser(), target, None if preview is None else Path(preview))
    progress = progress or Silent()
    samples = read_dataset(source, format=format, categories=categories, seed=seed)
    parts = assign_roles(samples, seed=seed)
    maker = _Maker(placing, parts, roi=roi, seed=seed, value_range=value_range, previews=preview is not None)
    jobs = _jobs(parts, count)
    images, pictures, seen = [], [], Counter[tuple[str, str]]()
    with atomic_folder(target) as folder:
        with progress.stage("Synthesising", len(jobs)) as advance:
            for written in read_ahead(lambda place: maker.write(jobs[place], folder), len(jobs), ahead=8):
                images.append(written.facts)
                if written.preview is not None:
                    seen[written.preview.row] += 1
                    if seen[written.preview.row] <= Preview.PER_ROW:
                        pictures.append(written.preview)
                advance(1)
        facts = {
            "schema_version": FACTS_SCHEMA,
            "source": samples.root.name,
            "seed": seed,
            "kinds": {kind.name: kind.weight for kind in placing.kinds},
            "per_image": list(placing.count),
            "severity": list(placing.severity),
            "roi": roi is not None,
            "value_range": None if value_range is None else list(value_range),
            "images": sorted(images, key=lambda image: image["file"]),
        }
        dump_json(facts, folder / FACTS)
    if preview is not None:
        write_preview(pictures, Path(preview))
    notes = tuple(samples.notes) + tuple(note for part in parts for note in part.notes)
    return Synthesis(target, facts, notes)


def _check_output(source: Path, target: Path, preview: Optional[Path]) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(
            "is there already, and not an empty folder",
            where=str(target),
            hint="choose another folder with --output, or remove this one",
        )
    real, home = Path(os.path.realpath(target)), Path(os.path.realpath(source))
    if home.is_dir() and (real == home or home in real.parents):
        raise ConfigError(
            f"lies in the source {source}, whose images it would be among",
            where=str(target),
            hint="choose a folder beside the source with --output",
        )
    if preview is not None:
        if preview.suffix.lower() != ".png":
            raise ConfigError(f"{preview.name!r} is no PNG", where="--preview", allowed="a name that ends in .png")
        if not preview.absolute().parent.is_dir():
            raise ConfigError(f"there is no folder {preview.parent}", where="--preview", hint="make the folder first")


def _jobs(parts: Sequence[Roles], count: Optional[int]) -> list[_Job]:
    """Return what is written, what may go wrong by the user's settings first."""
    folders = category_folders([part.category for part in parts])
    defective, good = [], []
    for part in parts:
        below = f"{folders[part.category]}/" if len(parts) > 1 else ""
        for index in range(len(part.changed) if count is None else count):
            defective.append(_Job(part.changed[index % len(part.changed)], part, below, index))
        for name, samples in (("train", part.train), ("validation", part.validation), ("test", part.test)):
            good += [_Job(sample, part, f"{below}{name}/good", number=n) for n, sample in enumerate(samples)]
    return defective + good


class _Maker:
    """Makes and writes one image after another, in any order and from several threads."""

    def __init__(
        self,
        placing: Placing,
        parts: Sequence[Roles],
        *,
        roi: Optional[np.ndarray],
        seed: int,
        value_range: Optional[tuple[float, float]],
        previews: bool,
    ) -> None:
        self._placing = placing
        self._parts = parts
        self._roi = roi
        self._seed = seed
        self._value_range = value_range
        self._previews = previews

    def write(self, job: _Job, root: Path) -> _Written:
        """Write one image, and its mask where it has defects."""
        image = self._read(job.sample)
        if job.index is None:
            file = f"{job.folder}/{job.number:04d}.png"
            _write(image, root / file)
            return _Written(_facts(file, job))
        if self._roi is not None and self._roi.shape != image.shape[:2]:
            (rows, columns), (height, width) = self._roi.shape, image.shape[:2]
            raise ImageError(
                f"the image has {width}×{height} pixels, the ROI {columns}×{rows}",
                where=str(job.sample.source),
                allowed="one ROI, of the size of all images",
            )
        chance = generator(self._seed, "synthesis", job.roles.category, job.index)
        donor = self._donor(job, chance)
        placed = self._placing(image, chance, donor=donor, roi=self._roi)
        kinds = sorted({defect.kind for defect in placed.defects})
        kind = kinds[0] if len(kinds) == 1 else MIXED
        file = f"{job.folder}test/{kind}/{job.index:04d}.png"
        mask = f"{job.folder}ground_truth/{kind}/{job.index:04d}_mask.png"
        _write(placed.image, root / file)
        _write(placed.mask.astype("uint8") * 255, root / mask)
        picture = None
        if self._previews:
            severity = "+".join(str(defect.severity) for defect in placed.defects)
            picture = Preview.of(placed.image, placed.mask, (job.roles.category, kind), f"{job.index:04d}: {severity}")
        return _Written(_facts(file, job, mask=mask, defects=[d.to_json() for d in placed.defects]), picture)

    def _donor(self, job: _Job, chance: np.random.Generator) -> Any:
        """Return what reads another image: of another category where there is one, and never a training image."""
        others = [sample for part in self._parts if part is not job.roles for sample in part.changed]
        others = others or [sample for sample in job.roles.changed if sample is not job.sample] or [job.sample]

        def read() -> np.ndarray:
            return self._read(others[int(chance.integers(len(others)))])

        return read

    def _read(self, sample: Sample) -> np.ndarray:
        from pyimgano.datasets import load_image

        return load_image(sample, value_range=self._value_range)


def _facts(file: str, job: _Job, **more: Any) -> dict[str, Any]:
    known = {"file": file, "category": job.roles.category or None, "source": job.sample.id}
    return {**known, "defects": [], **more}


def _write(image: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = image.ndim == 3 and bool((image[..., :1] == image).all())
    write_png(image[..., 0] if grey else image, path)
