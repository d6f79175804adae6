"""A detector that is trained by anomalib's ``Engine``; :mod:`pyimgano.anomalib.models` has one class per model."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, ClassVar, Optional, Union

import numpy as np

from pyimgano.anomalib.index import Constructor, ConstructorParameter, ImageModel, constructor_of
from pyimgano.core.batching import ImageBatches
from pyimgano.core.cache import cache_dir
from pyimgano.core.detector import BaseDetector
from pyimgano.core.errors import ParameterError, WeightsError
from pyimgano.core.files import sha256_file
from pyimgano.core.parameters import require
from pyimgano.core.plugins import find_distribution_version

__all__ = ["EngineDetector", "detector_class"]

DEFAULT_EPOCHS = 100
_DATASETS = "./datasets/"

OWN_PARAMETERS: tuple[tuple[str, str, Any], ...] = (
    ("input_size", "Union[int, Sequence[int], None]", None),
    ("pixel_mean", "Optional[Sequence[float]]", None),
    ("pixel_std", "Optional[Sequence[float]]", None),
    ("backbone_weights", "Optional[str]", None),
    ("epochs", "Optional[int]", None),
    ("steps", "Optional[int]", None),
    ("holdout", "float", 0.0),
    ("batch_size", "int", 32),
    ("seed", "int", 0),
    ("device", "str", "auto"),
)
"""Name, annotation and default of what pyimgano adds to the parameters of anomalib's constructor."""

OTHER_DEFAULTS: dict[str, dict[str, Any]] = {
    # It refuses other batch sizes, and takes the scale of its maps from good images that were not trained on.
    "EfficientAd": {"batch_size": 1, "holdout": 0.1},
}
"""Class → defaults that differ from :data:`OWN_PARAMETERS`."""


class EngineDetector(BaseDetector):
    """An image model of anomalib, trained by its ``Engine`` on the images of the fit and nothing else.

    The parameters are those of anomalib's constructor, under its names and with its defaults, and the ones below. Where
    anomalib has a parameter of the same name (``batch_size`` of GANomaly, ``epochs`` of GeneralAD), it is one parameter
    and means both. A default that is no literal in anomalib's source is None here, and left to anomalib; members of
    enumerations are given by their values.

    Parameters
    ----------
    input_size : int or (int, int), optional
        Side, or (height, width), that images are resized to. Default: the model's own, mostly 256.
    pixel_mean, pixel_std : sequence of float, optional
        Mean and deviation of the three channels, of pixels in [0, 1]. Default: the model's own.
    backbone_weights : str, optional
        File with the weights of the timm backbone (a state dict under timm's names, ``.safetensors`` or torch's), in
        place of a download.
    epochs, steps : int, optional
        How long; what is reached first ends the training. Default: what the model says of itself, else 100 epochs.
        Models that say so themselves (memories of features, mostly) take no other value.
    holdout : float
        Share of the images, in [0, 1), that is kept from the steps and given to the model's own validation. Only
        EfficientAD learns from that, and has 0.1; for all others it is 0, and there is no validation.
    batch_size : int
        Images per training step. Scoring goes image by image.
    seed : int
        Of all that anomalib draws. The same seed, images and number of threads give the same weights on the CPU.
    device : {"auto", "cpu", "cuda"}
        Where the model is trained and scores.

    Attributes
    ----------
    module_ : anomalib.models.AnomalibModule
        The trained model, without post-processor.

    Notes
    -----
    Scores and maps are those of the model's network: anomalib's post-processor, which clamps them to [0, 1] by the
    extremes of a validation set, is not there. Images are resized as anomalib does while it trains, from their full
    size. Where the model crops the middle, the border of the map has its lowest value.
    """

    image_model: ClassVar[ImageModel]
    constructor: ClassVar[Constructor]
    input_size: Union[int, list[int], tuple[int, int], None]
    pixel_mean: Optional[list[float]]
    pixel_std: Optional[list[float]]
    backbone_weights: Optional[str]
    epochs: Optional[int]
    steps: Optional[int]
    holdout: float
    seed: int
    device: str
    module_: Any
    weights_sha256_: Optional[str]

    def validate(self) -> None:
        """Check the parameters that pyimgano knows; anomalib's constructor checks its own. Imports nothing heavy."""
        size = self.input_size
        sides = size if isinstance(size, (list, tuple)) else (size,)
        fits = size is None or (len(sides) in (1, 2) and all(_is_whole(side, 1) for side in sides))
        require(fits, "input_size", size, "a whole number of pixels, (height, width), or null for the model's own")
        for name in ("pixel_mean", "pixel_std"):
            value = getattr(self, name)
            fits = value is None or (isinstance(value, (list, tuple)) and len(value) == 3)
            require(fits, name, value, "three numbers, of pixels in [0, 1], or null for the model's own")
        for name in ("epochs", "steps"):
            value = getattr(self, name)
            require(value is None or _is_whole(value, 1), name, value, "a whole number, at least 1, or null")
        own = {parameter.name for parameter in self.constructor.parameters}
        given = [name for name in ("epochs", "steps") if name not in own and getattr(self, name) is not None]
        if given and self.constructor.sets_length:
            raise ParameterError(
                f"{' and '.join(given)}: the model decides itself how long it is trained",
                where=f"anomalib-{self.image_model.name}",
                allowed="null",
            )
        in_range = isinstance(self.holdout, (int, float)) and 0.0 <= self.holdout < 1.0
        require(in_range, "holdout", self.holdout, "at least 0, below 1")
        require(_is_whole(self.batch_size, 1), "batch_size", self.batch_size, "a whole number, at least 1")
        require(_is_whole(self.seed, 0), "seed", self.seed, "a whole number, at least 0")
        require(self.device in ("auto", "cpu", "cuda"), "device", self.device, "auto, cpu, cuda")
        if self.backbone_weights is not None and not Path(self.backbone_weights).is_file():
            raise WeightsError("there is no such file", where=f"backbone_weights = {self.backbone_weights!r}")

    # -- inside --------------------------------------------------------------------------------------------------

    def _make(self, *, weights: bool) -> Any:
        from pyimgano.anomalib.making import make_module

        params = {}
        for parameter in self.constructor.parameters:
            value = getattr(self, parameter.name)
            if parameter.expression is not None and value is None:
                continue
            if isinstance(value, str) and value == parameter.default and value.startswith(_DATASETS):
                # anomalib would download it into a folder below the one that the user happens to stand in
                value = str(cache_dir("anomalib", "datasets", value[len(_DATASETS) :]))
                if not weights:  # nothing of it is needed, but that it is there
                    Path(value).mkdir(parents=True, exist_ok=True)
            params[parameter.name] = value
        size = self.input_size
        if size is not None:
            sides = list(size) if isinstance(size, (list, tuple)) else [size]
            size = (sides[0], sides[-1])
        file = self.backbone_weights
        return make_module(
            self.image_model,
            params,
            input_size=size,
            pixel_mean=self.pixel_mean,
            pixel_std=self.pixel_std,
            backbone_weights=None if file is None else Path(file),
            weights=weights,
        )

    def _fit(self, images: ImageBatches) -> None:
        from pyimgano.anomalib.making import import_anomalib

        import_anomalib()
        from pyimgano.anomalib.module_scoring import resolve_device
        from pyimgano.anomalib.surroundings import seeded
        from pyimgano.anomalib.training import train_module

        with seeded(self.seed):
            module = self._make(weights=True)
            train_module(
                module,
                images.X,
                batch_size=self.batch_size,
                epochs=self.epochs,
                steps=self.steps,
                default_epochs=DEFAULT_EPOCHS,
                holdout=self.holdout,
                seed=self.seed,
                device=resolve_device(self.device),
            )
        self.weights_sha256_ = None if self.backbone_weights is None else sha256_file(self.backbone_weights)
        self._use(module)

    def _use(self, module: Any) -> None:
        from pyimgano.anomalib.module_scoring import ModuleScorer, resolve_device
        from pyimgano.anomalib.module_state import settle
        from pyimgano.anomalib.preparation import Preparation

        settle(module)
        self.module_ = module.eval()
        preparation = Preparation(module.pre_processor.transform)
        self.scorer_ = ModuleScorer(module, preparation, resolve_device(self.device))

    def _infer_batch(self, batch: list[np.ndarray], *, maps: bool) -> tuple[np.ndarray, Optional[np.ndarray]]:
        found = [self.scorer_(image, maps=maps) for image in batch]
        planes = [plane for _, plane in found if plane is not None]
        return np.asarray([score for score, _ in found]), np.stack(planes) if planes else None

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        from pyimgano.anomalib.module_state import module_arrays

        facts = {
            "anomalib": find_distribution_version("anomalib"),
            "model": self.image_model.class_name,
            "backbone_weights_sha256": self.weights_sha256_,
        }
        return module_arrays(self.module_), facts

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        from pyimgano.anomalib.making import import_anomalib

        import_anomalib()
        from pyimgano.anomalib.module_state import restore_module

        module = self._make(weights=False)
        restore_module(module, arrays)
        self.weights_sha256_ = facts.get("backbone_weights_sha256")
        self._use(module)


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def detector_class(model: ImageModel) -> type[EngineDetector]:
    """Return the detector class of one of anomalib's models; its constructor is read, not imported."""
    constructor = constructor_of(model)
    theirs = {parameter.name for parameter in constructor.parameters}
    others = OTHER_DEFAULTS.get(model.class_name, {})
    parameters = [
        *(_signature_parameter(parameter) for parameter in constructor.parameters),
        *(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=others.get(name, default), annotation=annotation
            )
            for name, annotation, default in OWN_PARAMETERS
            if name not in theirs
        ),
    ]
    signature = inspect.Signature(parameters)

    def __init__(self: EngineDetector, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        for name, value in bound.arguments.items():
            setattr(self, name, value)

    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    __init__.__signature__ = inspect.Signature([own, *parameters])  # type: ignore[attr-defined]
    doc = f"anomalib's {model.class_name}: {model.title}.\n\n    Parameters: see {EngineDetector.__qualname__}.\n    "
    return type(
        f"Anomalib{model.class_name}",
        (EngineDetector,),
        {
            "__doc__": doc,
            "__init__": __init__,
            "__module__": "pyimgano.anomalib.models",
            "__signature__": signature,
            "image_model": model,
            "constructor": constructor,
        },
    )


def _signature_parameter(parameter: ConstructorParameter) -> inspect.Parameter:
    annotation = inspect.Parameter.empty if parameter.annotation is None else parameter.annotation
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(parameter.name, kind, default=parameter.default, annotation=annotation)
