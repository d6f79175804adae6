"""One category of a run, written into a bundle: its graph or its state, and what stands before and behind it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

from pyimgano.core.contracts import Exportable
from pyimgano.core.errors import CheckpointError, PyimganoError
from pyimgano.core.images import as_rgb8
from pyimgano.workbench.bundle.graph_detector import GraphDetector
from pyimgano.workbench.bundle.held_out import HeldOutImages
from pyimgano.workbench.bundle.manifest import GRAPH
from pyimgano.workbench.bundle.names import GRAPH_FILE
from pyimgano.workbench.bundle.precision import reduce_precision
from pyimgano.workbench.calibrate.card import CalibrationCard
from pyimgano.workbench.pipeline import Pipeline, PreparedImage
from pyimgano.workbench.postprocess.roi import Roi, copy_roi
from pyimgano.workbench.postprocess.rules import learns
from pyimgano.workbench.postprocess.settings import keep_learned
from pyimgano.workbench.runs.directory import ROI_FOLDER

if TYPE_CHECKING:
    import numpy as np

    from pyimgano.workbench.inference.category import FittedCategory

__all__ = ["MODELS_FOLDER", "CategoryExport", "write_category"]

MODELS_FOLDER = "models"
CALIBRATION_IMAGES = 64
"""Good images that the ranges of 8-bit activations are taken from."""


@dataclass(frozen=True)
class CategoryExport:
    """What was written of one category.

    Attributes
    ----------
    name : str
    folder : str
        Name of its folders in the bundle.
    maps : bool
        Whether it has anomaly maps.
    input_size : (int, int) or None
        (H, W) of its graph's input.
    roi : mapping, str or None
        Polygons, or the file of an image in the bundle.
    """

    name: str
    folder: str
    maps: bool
    input_size: Optional[tuple[int, int]] = None
    roi: Union[dict[str, Any], str, None] = None

    def to_json(self, card: CalibrationCard) -> dict[str, Any]:
        """Return its entry in ``bundle.json``."""
        return {
            "name": self.name,
            "folder": f"{MODELS_FOLDER}/{self.folder}",
            "maps": self.maps,
            "input_size": None if self.input_size is None else list(self.input_size),
            "threshold": card.threshold,
            "review_threshold": card.review_threshold,
            "pixel_threshold": card.pixel_threshold,
            "map_low": card.map_low,
            **({} if self.roi is None else {"roi": self.roi}),
        }


def write_category(
    fitted: FittedCategory,
    name: str,
    folder: str,
    bundle: Path,
    *,
    kind: str,
    graph_runtime: str,
    precision: str,
    images: HeldOutImages,
) -> CategoryExport:
    """Write one category's files below ``models/<folder>``, and its region of interest.

    Parameters
    ----------
    fitted : FittedCategory
        As the run loads it.
    bundle : Path
        The folder that becomes the bundle.
    graph_runtime : str
        One of :data:`~pyimgano.workbench.bundle.graph_runtimes.GRAPH_RUNTIMES`.
    images : HeldOutImages
        Where 8-bit graphs find good images.

    Raises
    ------
    PyimganoError
        When the model cannot be exported, or gives another kind of graph than a bundle holds.
    """
    place = bundle / MODELS_FOLDER / folder
    place.mkdir(parents=True)
    size: Optional[tuple[int, int]] = None
    maps = fitted.card.pixel_threshold is not None
    if kind == GRAPH:
        pipeline = fitted.detector if isinstance(fitted.detector, Pipeline) else None
        _write_graph(fitted.detector if pipeline is None else pipeline.detector, place)
        if pipeline is not None:
            pipeline.save_surroundings(place)
        if precision != "fp32":
            graph = GraphDetector(place / GRAPH_FILE, runtime=graph_runtime)

            def prepared() -> Iterator[np.ndarray]:
                for image in images.good(name, CALIBRATION_IMAGES):
                    yield from _seen(graph, pipeline, as_rgb8(image.path, value_range=fitted.value_range))

            reduce_precision(place / GRAPH_FILE, precision, prepared)
        graph = GraphDetector(place / GRAPH_FILE, runtime=graph_runtime)
        size = graph.input_size
        if graph.makes_maps != maps:
            has, lacks = ("graph", "run") if graph.makes_maps else ("run", "graph")
            raise PyimganoError(f"the {has} has anomaly maps, and the {lacks} none", where=f"category {name!r}")
    else:
        fitted.detector.save(place)
    if any(map(learns, fitted.processing.rules)):
        keep_learned(fitted.processing.rules, place, {})
    return CategoryExport(name, folder, maps, size, _write_roi(fitted.processing.roi, folder, bundle))


def _write_graph(detector: Any, place: Path) -> None:
    if not isinstance(detector, Exportable):
        raise PyimganoError(
            f"{type(detector).__name__} says in its spec that it is exported, and has no export_onnx",
            hint="--runtime torch",
        )
    with tempfile.TemporaryDirectory(prefix="pyimgano-export-") as folder:
        made = Path(detector.export_onnx(folder))
        others = sorted(path.name for path in Path(folder).rglob("*") if path.is_file() and path != made)
        if others:
            raise CheckpointError(
                f"export_onnx of {type(detector).__name__} wrote {others[0]} beside the graph",
                allowed="one file, with the weights inside",
            )
        shutil.copyfile(made, place / GRAPH_FILE)


def _seen(graph: GraphDetector, pipeline: Optional[Pipeline], image: np.ndarray) -> Iterator[np.ndarray]:
    """Yield what the graph sees of an image: all of it, or its tiles."""
    if pipeline is None:
        yield graph.prepare(image)[None]
        return
    around = Pipeline(graph, pipeline.steps, tiling=pipeline.tiling)
    prepared: PreparedImage = around.prepare(image)
    for tile in prepared.tiles:
        yield tile[None]


def _write_roi(roi: Optional[Roi], folder: str, bundle: Path) -> Union[dict[str, Any], str, None]:
    if roi is None:
        return None
    if roi.mask is None:
        return roi.to_json()
    name = f"{ROI_FOLDER}/{folder}.png"
    (bundle / name).parent.mkdir(exist_ok=True)
    copy_roi(roi, bundle / name)
    return name
