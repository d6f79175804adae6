"""The whole loop on a small dataset: data → config file → run → inference with pictures, by what the commands call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.contracts import Samples
from pyimgano.core.errors import ConfigError, PyimganoError, StorageError
from pyimgano.core.files import atomic_open
from pyimgano.workbench.demo.elpv import ELPV_MANIFEST, write_elpv
from pyimgano.workbench.demo.textures import write_textures
from pyimgano.workbench.progress import Progress

__all__ = ["DATA", "DemoResult", "run_demo"]

DATA = ("textures", "elpv")
"""Names of the demo's datasets."""

SHOWN = 12
"""About how many test images are inferred with overlays; at least one of each category and kind of defect."""


@dataclass(frozen=True)
class DemoResult:
    """Where everything lies, and what was found.

    Attributes
    ----------
    dataset, config, run, pictures : Path
        The dataset, the config file that was written for it, the run, and the folder of the inference.
    report : dict
        The run's report.
    example : Path
        A test image, for a command to try.
    category : str or None
        Its category.
    """

    dataset: Path
    config: Path
    run: Path
    pictures: Path
    report: dict[str, Any]
    example: Path
    category: Optional[str]


def run_demo(
    output: Path, progress: Progress, *, data: str = "textures", preset: Optional[str] = "fast", seed: int = 0
) -> DemoResult:
    """Make the dataset (unless it is there), write a config for it, run it, and infer a few images with overlays.

    Parameters
    ----------
    output : Path
        Folder for everything; made when missing.
    progress : Progress
        Told what happens.
    data : {"textures", "elpv"}
        See :data:`DATA`.
    preset : str or None
        Preset of the recipe; None: its first.
    seed : int
        Of the dataset's lots, the split and the fit.

    Raises
    ------
    MissingDependencyError
        When the images or the default backbone are not installed.
    PyimganoError
        When ``output`` cannot be written, or its dataset folder holds something else.
    """
    from pyimgano.datasets import read_dataset
    from pyimgano.workbench.config import load_run_config
    from pyimgano.workbench.starter import starter_config
    from pyimgano.workbench.training import run_recipe

    if data not in DATA:
        raise ConfigError(f"unknown data {data!r}", where="--data", allowed=", ".join(DATA))
    make_folder(output)
    folder = output / f"{data}-{seed}"
    with progress.stage(f"Write the dataset {folder}"):
        dataset = folder
        if data == "elpv":
            write_elpv(folder, seed=seed)
            dataset = folder / ELPV_MANIFEST
        else:
            write_textures(folder, seed=seed)
    text, _ = starter_config(dataset, output / f"{data}.toml", preset=preset, seed=seed)
    config_file = _written(output, data, text)
    run = run_recipe(load_run_config(config_file), entrypoint="demo", progress=progress)
    samples = read_dataset(dataset, seed=seed)
    pictures = output / f"{data}-overlays"
    chosen = _infer_some(run.path, samples, pictures, progress)
    return DemoResult(dataset, config_file, run.path, pictures, run.report(), chosen[0].path, chosen[0].category)


def _written(folder: Path, name: str, text: str) -> Path:
    """Write a config under the first name that is free or holds the same; an edited one of an earlier demo is kept."""
    for number in range(1, 10_000):
        path = folder / (f"{name}.toml" if number == 1 else f"{name}-{number}.toml")
        if not path.exists():
            with atomic_open(path) as stream:
                stream.write(text)
            return path
        if path.read_text(encoding="utf-8") == text:
            return path
    raise PyimganoError("ten thousand configs lie there", where=str(folder))


def _infer_some(run: Path, samples: Samples, folder: Path, progress: Progress) -> list[Any]:
    """Infer a few test images of every category and kind of defect, with overlays, as ``infer --from-run`` does."""
    from pyimgano.workbench.inference import RunModels, Source, parse_destination, predict_stream, write_predictions
    from pyimgano.workbench.render import PictureWriter
    from pyimgano.workbench.runs import open_run

    groups: dict[Any, list[Any]] = {}
    for sample in samples.select("test"):
        groups.setdefault((sample.category, sample.label, sample.defect), []).append(sample)
    each = max(1, SHOWN // len(groups))
    some = [sample for group in groups.values() for sample in group[:each]]
    shown = sorted(some, key=lambda sample: (sample.label == 0, sample.id))
    sources = [Source(sample.id, sample.source, sample.category) for sample in shown]
    models = RunModels(open_run(run))
    stage = progress.stage("Infer some test images, with overlays", len(sources))
    with parse_destination(folder, None, replace=True).open() as (writer, target), stage as advance:
        assert target is not None
        pictures = PictureWriter(target, overlays=models.has_maps)
        predictions = predict_stream(sources, models.fitted, maps=pictures.wanted)
        write_predictions(predictions, writer, pictures, each=advance)
    return sources


def make_folder(folder: Path) -> None:
    """Make a folder and its parents.

    Raises
    ------
    StorageError
        When it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot make the folder: {error.strerror or error}", where=str(folder), hint="--output DIR"
        ) from error
