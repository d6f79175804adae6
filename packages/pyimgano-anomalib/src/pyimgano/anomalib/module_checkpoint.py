"""Checkpoints that are a Lightning module: ``.ckpt`` files of a training, and ``.pt`` files of ``anomalib export``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251 - an error of torch's restricted loader; unpickling is asked for
from typing import Any, Optional

import numpy as np
import torch

from pyimgano.anomalib.index import OWN_COMPONENTS, ImageModel, image_models
from pyimgano.anomalib.making import anomalib_errors, make_module, module_class, plain_parameters
from pyimgano.anomalib.module_scoring import ModuleScorer
from pyimgano.anomalib.module_state import module_arrays, restore_module, settle
from pyimgano.anomalib.preparation import Preparation, with_pixel_statistics
from pyimgano.anomalib.surroundings import quiet
from pyimgano.core.errors import CheckpointError, ParameterError

__all__ = ["ModuleCheckpoint"]

TRUST = "if you made it yourself: trust=True (pyimgano train … --set model.params.trust=true)"


class ModuleCheckpoint:
    """A Lightning module that was trained elsewhere.

    Parameters
    ----------
    module : anomalib.models.AnomalibModule
        Trained.
    model : ImageModel
        What it is.
    params : mapping
        Of its constructor, JSON-friendly.
    preparation : Preparation
        What comes before its network.
    device : str
        Of torch.
    """

    kind = "module"
    size: Optional[tuple[int, int]] = None
    """It resizes by itself."""

    def __init__(
        self, module: Any, model: ImageModel, params: Mapping[str, Any], preparation: Preparation, device: str
    ) -> None:
        self._module = module
        self._model = model
        self._params = dict(params)
        self._preparation = preparation
        self._score = ModuleScorer(module, preparation, device)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        model: Optional[str],
        trust: bool,
        input_size: Optional[tuple[int, int]],
        pixel_mean: Optional[Sequence[float]],
        pixel_std: Optional[Sequence[float]],
        device: str,
    ) -> ModuleCheckpoint:
        """Open a file; see :class:`~pyimgano.anomalib.checkpoint.AnomalibCheckpoint` for the parameters.

        Raises
        ------
        CheckpointError
            When it is none, is damaged, or needs code that was not allowed to run.
        ParameterError
            When the file does not say which model it is of, and nobody else does.
        """
        if path.suffix.lower() == ".ckpt":
            module, found, params = _from_training(path, model, trust)
        else:
            module, found, params = _from_export(path, trust)
        settle(module)
        processor = module.pre_processor
        if input_size is not None:
            processor = module.configure_pre_processor(image_size=input_size)
        transform = None if processor is None else processor.transform
        if pixel_mean is not None or pixel_std is not None:
            transform = with_pixel_statistics(transform, pixel_mean, pixel_std, where=str(path))
        return cls(module.eval(), found, params, Preparation(transform), device)

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], device: str) -> ModuleCheckpoint:
        """Return what :meth:`state` described; the file is not needed, and no code but anomalib's runs."""
        model = _named(str(facts["model"]), "the saved detector")
        module = make_module(model, facts["params"], weights=False)
        restore_module(module, arrays)
        return cls(module, model, facts["params"], Preparation.from_json(facts["preparation"]), device)

    def __call__(self, image: np.ndarray, *, maps: bool) -> tuple[float, Optional[np.ndarray]]:
        """Return the raw score of an image, (H, W, 3) uint8, and its map, (h, w) float32, or None."""
        return self._score(image, maps=maps)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays and JSON-friendly facts."""
        facts = {
            "model": self._model.class_name,
            "params": self._params,
            "preparation": self._preparation.to_json(),
        }
        return module_arrays(self._module), facts


def _named(name: str, where: str) -> ImageModel:
    plain = name.lower().replace("_", "").replace("-", "").replace("anomalib", "")
    for model in image_models():
        if plain in (model.class_name.lower(), model.name.replace("-", "")):
            return model
    raise ParameterError(
        f"this anomalib has no image model {name!r}",
        where=where,
        allowed=", ".join(model.name for model in image_models()),
    )


def _from_training(path: Path, name: Optional[str], trust: bool) -> tuple[Any, ImageModel, dict[str, Any]]:
    if name is None:
        # anomalib names no class in the file, but its Engine writes results/<Class>/<dataset>/…/weights/lightning.
        classes = {model.class_name for model in image_models()}
        name = next((part.name for part in path.resolve().parents if part.name in classes), None)
        if name is None:
            raise ParameterError(
                "a .ckpt does not say which model it is of, and no folder above it is named after one",
                where=str(path),
                hint="name it: model=patchcore (--set model.params.model=patchcore)",
            )
    model = _named(name, str(path))
    made = module_class(model)
    content = _load(path, trust, getattr(made, "checkpoint_safe_globals", tuple)())
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise CheckpointError("holds no state_dict: it is not a checkpoint of Lightning", where=str(path))
    given = dict(content.get("hyper_parameters") or {})
    known = {parameter.name for parameter in _constructor(model)}
    params = plain_parameters({key: value for key, value in given.items() if key in known})
    module = make_module(model, params, weights=False)
    with quiet(), anomalib_errors(str(path)):
        config = content.get("anomalib_pre_processor_config")
        if config is not None and module.pre_processor is not None:
            module.pre_processor.load_checkpoint_config(config)
        elif (content.get("anomalib_components_enabled") or {}).get("pre_processor") is False:
            module.pre_processor = None
        elif isinstance(given.get("pre_processor"), torch.nn.Module):  # older releases keep the object; needs trust
            module.pre_processor = given["pre_processor"]
    restore_module(module, content["state_dict"])
    return module, model, params


def _constructor(model: ImageModel) -> Any:
    from pyimgano.anomalib.index import constructor_of

    return constructor_of(model).parameters


def _from_export(path: Path, trust: bool) -> tuple[Any, ImageModel, dict[str, Any]]:
    if not trust:
        raise CheckpointError(
            "anomalib exports a .pt as a pickled model: loading it runs whatever code the file names",
            where=str(path),
            hint=f"take the .ckpt of the training, or an .onnx, which run none; or, {TRUST}",
        )
    content = _load(path, True, ())
    module = content.get("model") if isinstance(content, dict) else None
    if not isinstance(module, torch.nn.Module) or not hasattr(module, "pre_processor"):
        raise CheckpointError("holds no model of anomalib", where=str(path), allowed="what `anomalib export` wrote")
    given = {key: value for key, value in dict(module.hparams).items() if key not in OWN_COMPONENTS}
    return module, _named(type(module).__name__, str(path)), plain_parameters(given)


def _load(path: Path, trust: bool, extra: Sequence[Any]) -> Any:
    """Return what a file of torch holds: tensors, plain data, and anomalib's own enumerations; anything with trust."""
    try:
        if trust:
            with quiet():
                return torch.load(path, map_location="cpu", weights_only=False)
        with _allowed(extra):
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named is None or trust:
            raise CheckpointError("is not a file of torch, or is damaged", where=str(path)) from error
        raise CheckpointError(
            f"holds {named.group(1)}, which is not on the list of what may be loaded: it could run code",
            where=str(path),
            allowed="tensors, plain data, anomalib's enumerations",
            hint=TRUST,
        ) from error
    except (EOFError, KeyError, OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()
        raise CheckpointError(
            f"cannot be read: {type(error).__name__}: {reason[0][:200] if reason else ''}", where=str(path)
        ) from error


def _allowed(extra: Sequence[Any]) -> Any:
    from anomalib import PrecisionType

    try:
        from anomalib.utils.serialization import anomalib_safe_globals
    except ImportError:  # before 2.7
        return torch.serialization.safe_globals([PrecisionType, *extra])
    return anomalib_safe_globals(extra=extra)
