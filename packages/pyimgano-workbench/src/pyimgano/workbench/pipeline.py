"""A model with what comes before it: preprocessing of source images, and tiles.

:class:`Pipeline` is a detector around a detector, so fit, calibration, test and inference are the same with it and
without. It is saved in the folder of the model: the model's own files as ever, and a folder ``pipeline`` beside them.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

from pyimgano.core.batching import read_ahead, source_name
from pyimgano.core.creation import create_component, load_model
from pyimgano.core.detector import Scores
from pyimgano.core.errors import CheckpointError, ImageError, NotCalibratedError, PyimganoError
from pyimgano.core.estimates import Estimable, ResourceEstimate
from pyimgano.core.images import as_rgb8
from pyimgano.core.parameters import require
from pyimgano.core.state import DETECTOR_JSON, read_state, write_state
from pyimgano.workbench.preprocess.preprocessing import Preprocess
from pyimgano.workbench.render.maps import map_at
from pyimgano.workbench.tiling import MapMerge, TileGrid, Tiling
from pyimgano.workbench.tiling.training_tiles import TrainingTiles

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Pipeline", "PreparedImage", "load_detector", "with_surroundings"]

Step = tuple[str, Mapping[str, Any], Preprocess]
"""Name, parameters and component of one step of the preprocessing."""

FOLDER = "pipeline"

_BATCHES = 4
"""Batches of tiles that the model is given together: what it reads ahead overlaps with what it computes."""


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """What a model sees of one image.

    Attributes
    ----------
    shape : (int, int)
        (H, W) of the source image.
    tiles : list of ndarray
        The image as the model prepared it, or its tiles: those of the first scale, row by row, then the next.
    grids : tuple of TileGrid
        Where they lie, for each scale; empty for a whole image.
    moved : ndarray, (2, 3) float64, or None
        Where each pixel was in the source image.
    """

    shape: tuple[int, int]
    tiles: list[np.ndarray]
    grids: tuple[TileGrid, ...] = ()
    moved: Optional[np.ndarray] = None


class Pipeline:
    """A :class:`~pyimgano.core.contracts.Detector` that preprocesses and cuts images for another one.

    With tiles, an image's score is the greatest of its tiles' scores, and its map is theirs merged
    (:class:`~pyimgano.workbench.tiling.MapMerge`), averaged over the scales. Each tile is scored by itself, so neither
    depends on the other images.

    Parameters
    ----------
    detector : Detector
        The model.
    steps : sequence of (str, mapping, Preprocess)
        Name, parameters and component of each step of the preprocessing, in their order.
    tiling : Tiling, optional
    tiles_per_image : int, optional
        Tiles of each good image that the model is fitted on, drawn by lot; None for all.
    seed : int
        Of these lots.

    Attributes
    ----------
    images_at_once : int or None
        Images that a caller should give to :meth:`infer` together: 1 with tiles, which fill batches of their own, so
        that no more than one large image is decoded beside the one that is scored. None: as many as it likes.
    """

    def __init__(
        self,
        detector: Any,
        steps: Sequence[Step] = (),
        *,
        tiling: Optional[Tiling] = None,
        tiles_per_image: Optional[int] = None,
        seed: int = 0,
    ) -> None:
        self.detector = detector
        self.steps = tuple(steps)
        self.tiling = tiling
        self.tiles_per_image = tiles_per_image
        self.seed = seed
        self.batch_size = getattr(detector, "batch_size", None) or 8
        self.images_at_once = None if tiling is None else 1
        self.reading_workers = None if tiling is None else 1

    # -- one image -----------------------------------------------------------------------------------------------

    def prepare(self, image: Any) -> PreparedImage:
        """Preprocess one RGB uint8 (H, W, 3) image, cut it, and let the model prepare what it sees.

        Raises
        ------
        ImageError
            When the image is smaller than a tile, or a step refuses it.
        """
        if isinstance(image, PreparedImage):
            return image
        shape = (int(image.shape[0]), int(image.shape[1]))
        image, moved = self._preprocess(image)
        if self.tiling is None:
            return PreparedImage(shape, [self._for_model(image)], moved=moved)
        grids = self.tiling.grids(shape)
        tiles: list[np.ndarray] = []
        for grid in grids:
            scaled = grid.scaled(image)
            # By all cores: for a single image there is nothing else to do meanwhile.
            tiles.extend(read_ahead(partial(self._tile, scaled, grid), len(grid), ahead=4 * self.batch_size))
        return PreparedImage(shape, tiles, grids, moved)

    def _tile(self, image: np.ndarray, grid: TileGrid, index: int) -> Any:
        tile = self._for_model(grid.cut(image, index))
        # A view would keep the whole image alive until its tiles are scored.
        return tile.copy() if tile.base is not None else tile

    def _for_model(self, image: np.ndarray) -> Any:
        prepare = getattr(self.detector, "prepare", None)
        return image if prepare is None else prepare(image)

    def _preprocess(
        self, image: np.ndarray, steps: Optional[Sequence[Step]] = None
    ) -> tuple[np.ndarray, Optional[np.ndarray]]:
        """Return the image after the steps, by default all, and where its pixels were; an error names the step."""
        moved: Optional[np.ndarray] = None
        for name, _, step in self.steps if steps is None else steps:
            try:
                image, by_step = step(image)
            except ImageError as error:
                error.hint = error.hint or f"preprocess step {name!r}"
                raise
            if by_step is not None:
                moved = by_step if moved is None else _after(moved, by_step)
        return image, moved

    # -- fit -----------------------------------------------------------------------------------------------------

    def fit(self, X: Sequence[Any], y: Optional[Sequence[int]] = None) -> Pipeline:
        """Fit the steps that learn, each on images after those before it, then the model; return ``self``.

        Parameters
        ----------
        X, y
            See :meth:`pyimgano.core.detector.BaseDetector.fit`. Without tiles, ``y`` goes to the model; the steps
            learn from all images that it does not call defective.
        """
        good = X if y is None else [X[index] for index, label in enumerate(y) if int(label) == 0]
        for count, (_, _, step) in enumerate(self.steps):
            if step.learns:
                step.fit(self._up_to(good, count))
        if self.tiling is None:
            seen: Sequence[Any] = _Preprocessed(X, self) if self.steps else X
            self.detector.fit(seen) if y is None else self.detector.fit(seen, y)
        else:
            tiles = TrainingTiles(
                _Preprocessed(good, self), self.tiling, per_image=self.tiles_per_image, seed=self.seed
            )
            self.detector.fit(tiles)
        return self

    def _up_to(self, X: Sequence[Any], count: int) -> Iterator[np.ndarray]:
        """Yield the images after the first ``count`` steps."""

        def load(index: int) -> np.ndarray:
            image = as_rgb8(X[index], where=f"image {index}")
            try:
                return self._preprocess(image, self.steps[:count])[0]
            except ImageError as error:
                error.where = error.where or source_name(X, index)
                raise

        yield from read_ahead(load, len(X), ahead=4)

    # -- infer ---------------------------------------------------------------------------------------------------

    def infer(self, X: Sequence[Any], *, maps: bool = True) -> Scores:
        """Return image scores and anomaly maps; see :meth:`pyimgano.core.detector.BaseDetector.infer`.

        With tiles, or where images are of several sizes, ``maps`` is a list of (h, w) float32 of several sizes.
        """
        import numpy as np

        prepared = [
            image if isinstance(image, PreparedImage) else self.prepare(as_rgb8(image, where=f"image {index}"))
            for index, image in enumerate(X)
        ]
        if self.tiling is None:
            scores = self.detector.infer([one.tiles[0] for one in prepared], maps=maps)
            if scores.maps is None or all(one.moved is None for one in prepared):
                return scores
            found = [_moved_back(one_map, one) for one_map, one in zip(scores.maps, prepared)]
            return Scores(scores.image_scores, np.stack(found))
        outcomes = [self._infer_tiles(one, maps=maps) for one in prepared]
        image_scores = np.array([score for score, _ in outcomes], dtype=np.float64)
        merged = [found for _, found in outcomes if found is not None]
        return Scores(image_scores, merged if len(merged) == len(outcomes) and merged else None)  # type: ignore[arg-type]

    def _infer_tiles(self, prepared: PreparedImage, *, maps: bool) -> tuple[float, Optional[np.ndarray]]:
        import numpy as np

        assert self.tiling is not None
        highest, merged, first = -np.inf, [], 0
        for grid in prepared.grids:
            merge: Optional[MapMerge] = None
            for start in range(0, len(grid), _BATCHES * self.batch_size):
                stop = min(start + _BATCHES * self.batch_size, len(grid))
                scores = self.detector.infer(prepared.tiles[first + start : first + stop], maps=maps)
                highest = max(highest, float(np.max(scores.image_scores)))
                if scores.maps is None:
                    continue
                merge = merge or MapMerge(grid, scores.maps.shape[1:], merge=self.tiling.merge)
                for index, tile_map in zip(range(start, stop), scores.maps):
                    merge.add(index, tile_map)
            first += len(grid)
            if merge is not None:
                merged.append(merge.finish())
        if not merged:
            return highest, None
        whole = merged[0]
        if len(merged) > 1:
            for other in merged[1:]:
                whole += map_at(other, (whole.shape[0], whole.shape[1]))
            whole /= len(merged)
        return highest, whole if prepared.moved is None else _moved_back(whole, prepared)

    def decision_function(self, X: Sequence[Any]) -> np.ndarray:
        """Return the anomaly scores of images: (N,) float64, higher is more anomalous."""
        return self.infer(X, maps=False).image_scores

    def predict(self, X: Sequence[Any]) -> np.ndarray:
        """Return (N,) int64 labels: 1 where score ≥ the model's threshold.

        Raises
        ------
        NotCalibratedError
            When the model has no threshold: a run's lies in its calibration card.
        """
        import numpy as np

        threshold = getattr(self.detector, "threshold_", None)
        if threshold is None:
            raise NotCalibratedError("the model has no threshold", hint="a run's is that of its calibration card")
        return (self.decision_function(X) >= threshold).astype(np.int64)

    # -- what a fit will need ------------------------------------------------------------------------------------

    def resource_estimate(self, sample: Sequence[Any], n_images: int) -> ResourceEstimate:
        """Return what a fit will need; see :class:`pyimgano.core.estimates.Estimable`.

        With tiles, of as many tiles as images like those of ``sample`` give. The preprocessing is not counted.

        Raises
        ------
        PyimganoError
            When the model has no rule for it, an image cannot be read, or is smaller than a tile.
        """
        if not isinstance(self.detector, Estimable):
            raise PyimganoError(f"{type(self.detector).__name__} has no rule for it")
        assumptions: tuple[str, ...] = ("the preprocessing is not counted",) if self.steps else ()
        if self.tiling is None:
            told = self.detector.resource_estimate(sample, n_images)
            return dataclasses.replace(told, assumptions=(*told.assumptions, *assumptions))
        tiles = TrainingTiles(sample, self.tiling, per_image=None, seed=self.seed)
        looked_at = len(tiles) / len(sample)
        learned = looked_at if self.tiles_per_image is None else min(looked_at, self.tiles_per_image)
        few = [tiles[index] for index in range(min(len(tiles), self.batch_size))]
        told = self.detector.resource_estimate(few, max(len(few) + 1, round(learned * n_images)))
        assumptions += (f"{looked_at:g} tiles an image, {learned:g} of each good one to fit on",)
        whole = None if told.image_seconds is None else told.image_seconds * looked_at
        return dataclasses.replace(told, image_seconds=whole, assumptions=(*told.assumptions, *assumptions))

    # -- state ---------------------------------------------------------------------------------------------------

    def save(self, directory: Union[str, os.PathLike[str]]) -> None:
        """Write the model into a folder, and what comes before it into the folder ``pipeline`` in it."""
        self.detector.save(directory)
        self.save_surroundings(directory)

    def save_surroundings(self, directory: Union[str, os.PathLike[str]]) -> None:
        """Write what comes before the model into the folder ``pipeline`` of a folder; of the model, nothing."""
        arrays: dict[str, np.ndarray] = {}
        steps = []
        for index, (name, params, step) in enumerate(self.steps):
            learned, facts = step.get_state()
            arrays.update({f"{index}.{key}": array for key, array in learned.items()})
            steps.append({"name": name, "params": dict(params), "facts": facts})
        tiling = None if self.tiling is None else {**self.tiling.to_json(), "tiles_per_image": self.tiles_per_image}
        facts = {"preprocess": steps, "tiling": tiling, "seed": self.seed}
        write_state(Path(directory) / FOLDER, arrays, facts)


def load_detector(model: str, directory: Union[str, os.PathLike[str]]) -> Any:
    """Return the fitted detector that a run saved: the model, or a :class:`Pipeline` around it where there is one.

    Raises
    ------
    CheckpointError
        When the folder does not hold a detector of ``model``, or is damaged.
    """
    return with_surroundings(load_model(model, directory), directory)


def with_surroundings(detector: Any, directory: Union[str, os.PathLike[str]]) -> Any:
    """Return a detector, in the :class:`Pipeline` whose :meth:`~Pipeline.save_surroundings` lie in the folder, if any.

    Raises
    ------
    CheckpointError
        When they are damaged.
    """
    place = Path(directory) / FOLDER
    if not (place / DETECTOR_JSON).is_file():
        if place.is_dir():
            raise CheckpointError("holds preprocessing that was not saved to its end", where=str(place))
        return detector
    arrays, record = read_state(place)
    try:
        steps = []
        for index, entry in enumerate(record["preprocess"]):
            step = create_component("preprocess", entry["name"], entry["params"])
            own = {key.split(".", 1)[1]: array for key, array in arrays.items() if key.split(".", 1)[0] == str(index)}
            step.set_state(own, entry["facts"])
            steps.append((entry["name"], entry["params"], step))
        cut = record["tiling"]
        tiling = None if cut is None else Tiling.from_json(cut)
        each = None if cut is None else cut["tiles_per_image"]
        return Pipeline(detector, steps, tiling=tiling, tiles_per_image=each, seed=int(record["seed"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"does not fit this version: {type(error).__name__}: {error}", where=str(place / DETECTOR_JSON)
        ) from error


class _Preprocessed(Sequence[Any]):
    """Images after a pipeline's steps, made when they are asked for."""

    def __init__(self, images: Sequence[Any], pipeline: Pipeline) -> None:
        self._images = images
        self._pipeline = pipeline
        self.sources = getattr(images, "sources", images)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: Any) -> Any:
        require(not isinstance(index, slice), "index", index, "a whole number")
        image = as_rgb8(self._images[index], where=f"image {index}")
        try:
            return self._pipeline._preprocess(image)[0]
        except ImageError as error:
            error.where = error.where or source_name(self._images, index)
            raise


def _after(first: np.ndarray, then: np.ndarray) -> np.ndarray:
    """Return the movement of an image that was moved twice: where its pixels were before both."""
    import numpy as np

    below = np.array([0.0, 0.0, 1.0])
    both: np.ndarray = (np.vstack([first, below]) @ np.vstack([then, below]))[:2]
    return both


def _moved_back(values: np.ndarray, prepared: PreparedImage) -> np.ndarray:
    """Return a map of an image that was moved, as it lies on the source image; beyond its border its edge goes on."""
    import cv2
    import numpy as np

    if prepared.moved is None:
        return values
    scale = np.array([values.shape[1] / prepared.shape[1], values.shape[0] / prepared.shape[0]])
    moved = prepared.moved
    small = np.empty((2, 3))
    small[:, :2] = moved[:, :2] * scale[:, None] / scale[None]
    centre = 0.5 * (scale - 1.0)
    small[:, 2] = moved[:, 2] * scale + centre - small[:, :2] @ centre
    height, width = values.shape
    back = cv2.warpAffine(values, small, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(back, dtype=np.float32)
