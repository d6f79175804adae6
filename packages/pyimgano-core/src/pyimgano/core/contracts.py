"""What the packages of pyimgano expect of each other: structural types, so that a third party need not inherit.

:class:`~pyimgano.core.detector.BaseDetector` is the easy way to be a :class:`Detector`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Protocol, Union, runtime_checkable

if TYPE_CHECKING:
    import numpy as np

    from pyimgano.core.detector import Scores

__all__ = [
    "DatasetReader",
    "DescribesPresets",
    "Detector",
    "Exportable",
    "FeatureExtractor",
    "Finetunable",
    "ImageDescriber",
    "Recipe",
    "Sample",
    "Samples",
]


@runtime_checkable
class Detector(Protocol):
    """A model that tells good images from defective ones.

    ``X`` is any sequence of images, paths or arrays, that may decode lazily. ``__init__`` only stores parameters.
    """

    def fit(self, X: Sequence[Any], y: Optional[Sequence[int]] = None) -> Any:
        """Fit on good images and return ``self``."""

    def infer(self, X: Sequence[Any], *, maps: bool = True) -> Scores:
        """Return image scores and anomaly maps from one pass."""

    def decision_function(self, X: Sequence[Any]) -> np.ndarray:
        """Return (N,) float scores, higher is more anomalous."""

    def predict(self, X: Sequence[Any]) -> np.ndarray:
        """Return (N,) labels in {0, 1}: 1 where score ≥ threshold."""

    def save(self, directory: Union[str, os.PathLike[str]]) -> None:
        """Write the fitted detector into a folder, without pickle."""


@runtime_checkable
class FeatureExtractor(Protocol):
    """Turns images into features; its runtimes (torch, onnxruntime, …) are interchangeable.

    Attributes
    ----------
    layers : tuple of str
        Names of what :meth:`extract` returns, the finest resolution first.
    input_size : (int, int)
        (height, width) of the images that :meth:`extract` takes.
    """

    layers: tuple[str, ...]
    input_size: tuple[int, int]

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Resize one RGB uint8 (H, W, 3) image to ``input_size``; idempotent."""

    def extract(self, batch: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Return layer → (N, C, h, w) float32 for prepared images. A row does not depend on the rest of the batch."""


@runtime_checkable
class ImageDescriber(Protocol):
    """Features of whole images: a component of the kind ``features`` that detectors on feature vectors take by name.

    One that describes patches as well has ``describe_patches_batch(batch) -> (N, h, w, D) float32``.

    Attributes
    ----------
    name : str
        Of the component.
    facts : mapping
        All that decides the features beyond the image, JSON-friendly: the parameters, a version that is raised when
        the numbers change, the checksum of weights. It is part of the key of what is cached, and saved with a detector.
    """

    name: str

    @property
    def facts(self) -> Mapping[str, Any]:
        """See the attributes."""

    def describe_batch(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return the features of images of one size, (H, W, 3) uint8: (N, D) float32; a row depends on its image."""


@runtime_checkable
class Finetunable(Protocol):
    """A model whose parameters can be trained, driven by the workbench's runner.

    The runner asks for :meth:`trainable` parameters once, calls :meth:`begin_training`, takes steps with an optimiser
    of its own, and ends with :meth:`finish_training`. Scoring between steps, after ``finish_training``, changes no step
    that follows. What a step draws by lot follows from the model's seed and the number of the step.

    Attributes
    ----------
    modes : tuple of str
        What :meth:`trainable` takes: an attribute of the class, known before anything is made.
    learns_from_defects : bool
        Whether :meth:`training_step` takes masks of defects: an attribute of the class.
    """

    modes: tuple[str, ...]
    learns_from_defects: bool

    def trainable(self, mode: str) -> Sequence[Any]:
        """Return the parameters that ``mode`` trains, and freeze the others.

        The mode ``"lora"``, where a model has it, is given the rank of its updates as the keyword ``rank``.

        A model that is neither fitted nor loaded starts from its untrained weights, which its seed decides.

        Raises
        ------
        pyimgano.core.errors.ParameterError
            When the model does not know the mode; it lists those that it knows.
        """

    def make_optimizer(self, parameters: Sequence[Any]) -> Any:
        """Return the optimiser that the model's paper uses, for parameters that :meth:`trainable` gave."""

    def learning_rate_factor(self, done: float) -> float:
        """Return the paper's schedule: what learning rates are multiplied by when the share ``done`` is done."""

    def planned_steps(self, n_images: int) -> int:
        """Return how many steps the model itself would take on so many images."""

    def begin_training(self, images: Sequence[Any]) -> None:
        """Learn from the good images that will be trained on what the steps need, without gradients."""

    def training_step(self, batch: Sequence[np.ndarray], masks: Optional[Sequence[Optional[np.ndarray]]] = None) -> Any:
        """Return the loss of one batch of images, (H, W, 3) uint8, ready for ``backward()``.

        ``masks`` says of each image where it is defective, (H, W) bool, and None of a good one; only for models that
        learn from defects.
        """

    def finish_training(self, images: Sequence[Any], held_out: Sequence[Any] = ()) -> None:
        """Make the model a fitted one, trained on ``images``: from now on it scores and saves.

        ``held_out`` are good images that it was not trained on, for models that learn the scale of their maps.
        """

    def training_state(self) -> Mapping[str, np.ndarray]:
        """Return everything of the model that the next steps depend on."""

    def set_training_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back what :meth:`training_state` returned, after :meth:`trainable` with the same mode."""


@runtime_checkable
class Exportable(Protocol):
    """A model that can leave Python: the whole fitted detector as one ONNX graph.

    The graph takes one image, ``image`` (1, H, W, 3) uint8 RGB, of the size that it states, and gives ``score`` (1,)
    float32 and, where the model has maps, ``map`` (1, h, w) float32: raw, as :meth:`Detector.infer` gives them. An
    image is brought to that size by :func:`pyimgano.core.resizing.resize_image`, which the graph's property
    ``pyimgano.resize`` = ``"area"`` says. Weights lie in the file itself.
    """

    def export_onnx(self, directory: Union[str, os.PathLike[str]]) -> Path:
        """Write the fitted detector as ``model.onnx`` into ``directory`` (made when missing) and return the file."""


@dataclass(frozen=True)
class Sample:
    """One image of a dataset; nothing is decoded yet.

    Attributes
    ----------
    id : str
        Unique within the dataset: the path relative to the root, with ``/``.
    source : Path
        The image file.
    split : str or None
        ``"train"``, ``"validation"`` or ``"test"``; None when the layout has no split.
    label : int or None
        0 good, 1 defective, None unknown.
    category : str or None
        Object or texture that the image shows.
    defect : str or None
        Type of defect, as the dataset names it; None for good images.
    masks : tuple of Path
        Ground-truth masks (their union is the defect); empty for good images and where there is none.
    group : str or None
        Part, lot or scene: one group never stands on both sides of a split.
    meta : mapping
        Free columns of a manifest.
    """

    id: str
    source: Path
    split: Optional[str] = None
    label: Optional[int] = None
    category: Optional[str] = None
    defect: Optional[str] = None
    masks: tuple[Path, ...] = ()
    group: Optional[str] = None
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Samples:
    """What a reader found.

    Attributes
    ----------
    root : Path
        Root that the ids are relative to.
    samples : tuple of Sample
        Sorted by id.
    notes : tuple of str
        What was taken for what, and what was left out, one sentence each, for people.
    """

    root: Path
    samples: tuple[Sample, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)

    def select(
        self, split: Optional[str] = None, label: Optional[int] = None, category: Optional[str] = None
    ) -> tuple[Sample, ...]:
        """Return the samples of a split, label and category (None: any)."""
        return tuple(
            sample
            for sample in self.samples
            if (split is None or sample.split == split)
            and (label is None or sample.label == label)
            and (category is None or sample.category == category)
        )

    def categories(self) -> tuple[str, ...]:
        """Return the categories, sorted; ``()`` when the dataset has none."""
        return tuple(sorted({sample.category for sample in self.samples if sample.category is not None}))


@runtime_checkable
class DatasetReader(Protocol):
    """Reads one layout. Made without arguments."""

    def detect(self, root: Path) -> Optional[str]:
        """Return why ``root`` looks like this layout (one sentence), or None. Lists folders, decodes nothing."""

    def read(self, root: Path, *, categories: Optional[Sequence[str]] = None) -> Samples:
        """Return the samples below ``root``; only those of ``categories`` when given.

        Raises
        ------
        pyimgano.core.errors.DatasetError
            When ``root`` does not have this layout, or a category is missing; it says what was expected.
        """


@runtime_checkable
class Recipe(Protocol):
    """Frozen config in, run directory out. Registered with a :class:`~pyimgano.core.specs.RecipeSpec`."""

    def run(self, config: Any, run: Any) -> Any:
        """Carry out ``config`` and leave every artifact in ``run``."""


@runtime_checkable
class DescribesPresets(Protocol):
    """A recipe that says what its presets do; asked of the class (or instance) that its spec names.

    One that does not is shown by its attribute ``presets``, preset → part of a run config, where it has that.
    """

    def describe_preset(self, preset: str) -> Mapping[str, Any]:
        """Return what a preset does, JSON-friendly; each key may be missing.

        ``summary`` (what it is for, in plain words), ``stages`` (what the recipe does, a list of sentences),
        ``settings`` (the part of a run config that it gives defaults for), ``calibration`` (a sentence), ``measured``
        (a list of mappings with ``text``, the figures for people, ``source``, the file that they come from, and the
        figures).
        """
