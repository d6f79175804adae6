"""The contract of readers of datasets."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Callable, Optional

from pyimgano.core.contracts import Samples
from pyimgano.core.errors import DatasetError, PyimganoError

__all__ = ["READER_CHECKS", "check_dataset_reader"]

Factory = Callable[[], Any]
SPLITS = ("train", "validation", "test", None)


def check_made_without_arguments(factory: Factory) -> None:
    """A reader is made without arguments, and has ``detect`` and ``read``."""
    reader = factory()
    missing = [name for name in ("detect", "read") if not callable(getattr(reader, name, None))]
    assert not missing, f"the reader has no {' and no '.join(missing)}"


def check_other_folders_are_not_detected(factory: Factory) -> None:
    """``detect`` returns None for an empty folder, a folder of text, a file, and what does not exist."""
    for root, what in _strange_roots():
        found = factory().detect(root)
        assert found is None, f"detect takes {what} for the layout: {found!r}"


def check_other_folders_are_refused(factory: Factory) -> None:
    """``read`` raises ``DatasetError``, with the place, where the layout is not met."""
    for root, what in _strange_roots():
        try:
            samples = factory().read(root)
        except DatasetError as error:
            assert root.name in str(error), f"the error about {what} does not name it: {error}"
        except PyimganoError as error:
            raise AssertionError(f"read of {what} raised a {type(error).__name__}, not a DatasetError") from error
        else:
            raise AssertionError(f"read of {what} gave {len(samples)} samples in place of a DatasetError")


def _strange_roots() -> Any:
    """Yield paths that are no dataset, and what each is."""
    with tempfile.TemporaryDirectory() as folder:
        empty, texts, file = (Path(folder) / name for name in ("empty-folder", "text-folder", "file.txt"))
        empty.mkdir()
        texts.mkdir()
        (texts / "notes.txt").write_text("no image", encoding="utf-8")
        file.write_text("no folder", encoding="utf-8")
        yield empty, "an empty folder"
        yield texts, "a folder without images"
        yield Path(folder) / "absent-folder", "a folder that does not exist"
        yield file, "a text file"


def check_reading(factory: Factory, root: Path) -> None:
    """``detect`` knows a dataset of the layout, and ``read`` gives its samples: sorted, whole, twice the same."""
    told = factory().detect(root)
    assert isinstance(told, str), f"detect gives {told!r} for {root}: one sentence why it looks like the layout"
    assert told.strip(), "detect gives an empty text"
    samples = factory().read(root)
    assert isinstance(samples, Samples), f"read gives a {type(samples).__name__}, not pyimgano.core.contracts.Samples"
    assert len(samples) > 0, f"read finds nothing in {root}"
    assert factory().read(root) == samples, "reading twice gives other samples"
    ids = [sample.id for sample in samples.samples]
    assert ids == sorted(ids), "samples must be sorted by id"
    assert len(set(ids)) == len(ids), "two samples have one id"
    for sample in samples.samples:
        _check_sample(sample, samples)
    _check_categories(factory, root, samples)


def _check_sample(sample: Any, samples: Samples) -> None:
    where = f"sample {sample.id!r}"
    assert "\\" not in sample.id, f"{where}: an id has '/' on every system"
    assert not Path(sample.id).is_absolute(), f"{where}: an id is relative to the root"
    assert Path(sample.source).is_file(), f"{where}: its source {sample.source} is no file"
    assert sample.split in SPLITS, f"{where}: split {sample.split!r}; allowed: {SPLITS}"
    assert sample.label in (0, 1, None), f"{where}: label {sample.label!r}; allowed: 0, 1, None"
    for mask in sample.masks:
        assert Path(mask).is_file(), f"{where}: its mask {mask} is no file"
    assert sample.label != 0 or not sample.masks, f"{where}: a good image has no mask"


def _check_categories(factory: Factory, root: Path, samples: Samples) -> None:
    categories = samples.categories()
    if categories:
        chosen = factory().read(root, categories=[categories[0]])
        assert chosen.categories() == categories[:1], f"categories=[{categories[0]!r}] gives {chosen.categories()}"
    try:
        factory().read(root, categories=["no-such-category"])
    except DatasetError:
        return
    raise AssertionError("a category that does not exist must raise DatasetError")


READER_CHECKS: tuple[Callable[[Factory], None], ...] = (
    check_made_without_arguments,
    check_other_folders_are_not_detected,
    check_other_folders_are_refused,
)


def check_dataset_reader(factory: Factory, *, root: Optional[Path] = None) -> None:
    """Check a reader of datasets.

    Parameters
    ----------
    factory : callable
        Returns a reader.
    root : Path, optional
        A small dataset of the layout; without it, only what is no dataset is shown to the reader.

    Raises
    ------
    AssertionError
        When a rule of :class:`~pyimgano.core.contracts.DatasetReader` is broken.
    """
    for check in READER_CHECKS:
        check(factory)
    if root is not None:
        check_reading(factory, Path(root))
