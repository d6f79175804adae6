"""MVTec AD 2's evaluation server: anomaly maps, and thresholded ones, of the two private test sets.

::

    DIR/anomaly_images/<object>/<split>/<name>.tiff               float16
    DIR/anomaly_images_thresholded/<object>/<split>/<name>.png    uint8, 0 or 255
    DIR.json                                                      what these were made with

References
----------
L. Heckler-Kram, J.-H. Neudeck, U. Scheler, R. König, C. Steger, *The MVTec AD 2 Dataset: Advanced Scenarios for
Unsupervised Anomaly Detection*, arXiv 2503.21622, 2025; and the script that comes with it to check a submission.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Optional

from pyimgano.core.contracts import Sample
from pyimgano.core.errors import ConfigError, DatasetError, MissingDependencyError
from pyimgano.core.files import atomic_folder, dump_json
from pyimgano.core.images import write_png
from pyimgano.core.names import unknown_name_hint
from pyimgano.core.plugins import installed
from pyimgano.workbench.inference import RunModels, Source
from pyimgano.workbench.progress import Progress, Silent
from pyimgano.workbench.render import map_at
from pyimgano.workbench.runs import RunDirectory
from pyimgano.workbench.submission.half import half_map
from pyimgano.workbench.verdict import Judge

__all__ = ["OBJECTS", "SPLITS", "Submission", "facts_file", "write_submission"]

SUBMISSION_SCHEMA = 1

OBJECTS: Mapping[str, int] = {
    "can": 321,
    "fabric": 314,
    "fruit_jelly": 255,
    "rice": 277,
    "sheet_metal": 142,
    "vial": 276,
    "wallplugs": 232,
    "walnuts": 228,
}
"""Objects of the dataset, with the number of images of each private split."""

SPLITS: Mapping[str, str] = {"test_private": "regular", "test_private_mixed": "mixed"}
"""Private splits, with the end of their images' names."""

MAPS, MASKS = "anomaly_images", "anomaly_images_thresholded"
FORMULA = "(map - pixel_threshold) / (pixel_threshold - map_low), rounded to float16: >= 0 is at the threshold"


@dataclass(frozen=True)
class Submission:
    """What was written.

    Attributes
    ----------
    path : Path
        The folder to send.
    facts : mapping
        What ``DIR.json`` holds: the run, and for each object its threshold and number of images.
    gaps : tuple of str
        What the server's own check would refuse, in sentences; empty for a complete submission.
    """

    path: Path
    facts: Mapping[str, Any]
    gaps: tuple[str, ...]


def facts_file(output: Path) -> Path:
    """Return the file beside the folder that says what is in it."""
    return output.with_name(f"{output.name}.json")


def write_submission(
    run: RunDirectory,
    dataset: Path,
    output: Path,
    *,
    splits: Sequence[str] = tuple(SPLITS),
    batch_size: Optional[int] = None,
    replace: bool = False,
    progress: Optional[Progress] = None,
) -> Submission:
    """Score the private test images with a run's detectors, and write what the server wants, image by image.

    Parameters
    ----------
    run : RunDirectory
        A complete run on the objects of MVTec AD 2.
    dataset : Path
        Where the dataset lies now.
    output : Path
        The folder to write; it appears when everything is in it.
    splits : sequence of str
        Of :data:`SPLITS`.
    batch_size : int, optional
        Default: the model's own. It never changes a map.
    replace : bool
        Whether an earlier submission there is replaced.

    Returns
    -------
    Submission

    Raises
    ------
    ConfigError
        When a split is unknown, the model has no anomaly maps, or ``output`` is not free.
    DatasetError
        When the dataset has none of the images.
    ImageError
        When an image cannot be read: a submission is of all images or none.
    MissingDependencyError
        When ``tifffile`` is not installed.
    """
    _check_splits(splits)
    _check_output(output, replace=replace)
    if not installed("tifffile"):
        hint = 'pip install "pyimgano-workbench[submission]"'
        raise MissingDependencyError("TIFF files of 16-bit floats need 'tifffile'", hint=hint)
    models = RunModels(run)
    if not models.has_maps:
        raise ConfigError(
            f"the model {models.model!r} scores whole images and has no anomaly maps",
            where=str(run.path),
            hint="a model with maps: pyimgano models list --tag pixel",
        )
    images = _private_images(dataset, models, splits)
    min_area = run.config(check_dataset=False).regions.min_area
    with atomic_folder(output, replace=replace) as folder:
        objects = {
            name: _write_object(name, parts, models, folder, batch_size=batch_size, progress=progress or Silent())
            for name, parts in images.items()
        }
    gaps = _gaps(images)
    facts = {
        "schema_version": SUBMISSION_SCHEMA,
        "dataset": "MVTec AD 2",
        "run": run.name,
        "model": models.model,
        "values": FORMULA,
        "min_area": min_area,
        "objects": objects,
        "gaps": list(gaps),
    }
    dump_json(facts, facts_file(output))
    return Submission(output, facts, gaps)


def _check_splits(splits: Sequence[str]) -> None:
    for split in splits:
        if split not in SPLITS:
            hint = unknown_name_hint(split, SPLITS)
            raise ConfigError(f"unknown split {split!r}", where="--splits", allowed=", ".join(SPLITS), hint=hint)
    if not splits or len(set(splits)) < len(splits):
        raise ConfigError("names none, or one twice", where="--splits", allowed=", ".join(SPLITS))


def _check_output(output: Path, *, replace: bool) -> None:
    beside = facts_file(output)
    if output.is_file() or beside.is_dir():
        raise ConfigError("is in the way", where=str(output if output.is_file() else beside), hint="choose another one")
    inside = {path.name for path in output.iterdir()} if output.is_dir() else set()
    if not inside and not beside.exists():
        return
    # --force must not be able to remove a folder of anything else.
    ours = bool(inside) and inside <= {MAPS, MASKS} and beside.is_file()
    if not (ours and replace):
        hint = "choose another one" + (", or replace it with --force" if ours else "")
        where = output if inside else beside
        raise ConfigError("there is something already", where=str(where), hint=hint)


def _private_images(dataset: Path, models: RunModels, splits: Sequence[str]) -> dict[str, dict[str, dict[str, Sample]]]:
    """Return object → split → name → image, for the objects that the run knows."""
    from pyimgano.datasets import read_dataset

    found: dict[str, dict[str, dict[str, Sample]]] = {}
    for sample in read_dataset(dataset, format="mvtec").samples:
        split = str(sample.meta.get("subset"))
        if split not in splits or sample.category not in models.categories:
            continue
        # An archive may nest an object in a folder of its own name; what counts is the path below the split.
        name = PurePosixPath(sample.id.rpartition(f"/{split}/")[2]).with_suffix("").as_posix()
        parts = found.setdefault(str(sample.category), {key: {} for key in splits})
        if name in parts[split]:
            raise DatasetError(f"two images are called {name!r}", where=f"{sample.category}/{split}")
        parts[split][name] = sample
    if not found:
        raise DatasetError(
            f"no images of {' or '.join(splits)} of the run's categories",
            where=str(dataset),
            allowed=f"MVTec AD 2: <object>/{splits[0]}/*.png; the run has {', '.join(models.categories)}",
        )
    return found


def _write_object(
    name: str,
    parts: Mapping[str, Mapping[str, Sample]],
    models: RunModels,
    folder: Path,
    *,
    batch_size: Optional[int],
    progress: Progress,
) -> dict[str, Any]:
    card = models.card(name)
    written: dict[str, Any] = {}
    for split, images in parts.items():
        clipped = 0
        if images:
            first = next(iter(images.values()))
            fitted = models.fitted(Source(first.id, Path(first.source), name))
            with progress.stage(f"{name}: {split}", len(images)) as advance:
                stream = fitted.stream(list(images.values()), batch_size=batch_size, on_error="raise")
                for image, scored in zip(images, stream):
                    clipped += _write_image(
                        f"{name}/{split}/{image}",
                        scored.map,
                        scored.shape,
                        judge=fitted.judge,
                        folder=folder,
                    )
                    advance(1)
        written[split] = {"images": len(images), "clipped_pixels": clipped}
    return {"pixel_threshold": card.pixel_threshold, "map_low": card.map_low, "splits": written}


def _write_image(stem: str, raw: Any, shape: Any, *, judge: Judge, folder: Path) -> int:
    """Write map and mask of one image at its own size; return the number of clipped pixels."""
    import numpy as np
    import tifffile

    card = judge.card
    assert raw is not None
    assert card.pixel_threshold is not None
    assert card.map_low is not None
    # What does not count gets what good images usually show: the server measures whole images.
    full = map_at(judge.processing.shown(raw, shape, card.map_low), shape)
    half, clipped = half_map(full, low=card.map_low, threshold=card.pixel_threshold)
    for kind in (MAPS, MASKS):
        (folder / kind / stem).parent.mkdir(parents=True, exist_ok=True)
    # Uncompressed, which needs no codec to read. No metadata: the same map gives the same bytes.
    tifffile.imwrite(folder / MAPS / f"{stem}.tiff", half, photometric="minisblack", metadata=None)
    found = judge.regions(raw, shape)
    write_png(found.mask.astype(np.uint8) * np.uint8(255), folder / MASKS / f"{stem}.png")
    return clipped


def _gaps(images: Mapping[str, Mapping[str, Mapping[str, Sample]]]) -> tuple[str, ...]:
    """Say what the server's check would refuse."""
    gaps = []
    missing = [name for name in OBJECTS if name not in images]
    if missing:
        gaps.append(f"without {', '.join(missing)}")
    strange = sorted(set(images) - set(OBJECTS))
    if strange:
        gaps.append(f"{', '.join(strange)}: no object of MVTec AD 2")
    for name, parts in images.items():
        for split, ending in SPLITS.items():
            if name not in OBJECTS:
                continue
            wanted = {f"{index:03d}_{ending}" for index in range(OBJECTS[name])}
            there = set(parts.get(split, ()))
            if wanted - there:
                gaps.append(f"{name}/{split}: {len(wanted - there)} of {len(wanted)} images are missing")
            if there - wanted:
                gaps.append(f"{name}/{split}: {len(there - wanted)} images that it has not, e.g. {min(there - wanted)}")
    return tuple(gaps)
