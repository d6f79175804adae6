"""Creation of registered things by name, with their parameters checked before anything heavy starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Optional, Union

from pyimgano.core.errors import CheckpointError
from pyimgano.core.parameters import check_parameters, describe_parameters
from pyimgano.core.plugins import installed
from pyimgano.core.registry import COMPONENTS, MODELS

__all__ = ["create_component", "create_model", "list_models", "load_model", "model_info"]


def create_model(name: str, /, **params: Any) -> Any:
    """Return a new detector.

    Parameters
    ----------
    name : str
        A registered name (``pyimgano models list``), or ``"<distribution>:<name>"``.
    **params
        Parameters of its constructor; unknown ones are refused with the nearest name.

    Raises
    ------
    UnknownNameError, ParameterError, MissingDependencyError, PluginError
        Each says what is allowed or what to install.
    """
    factory = MODELS.load(name)
    check_parameters(factory, params, where=f"model {name!r}")
    model = factory(**params)
    validate = getattr(model, "validate", None)
    if validate is not None:
        validate()
    return model


def load_model(name: str, directory: Union[str, os.PathLike[str]]) -> Any:
    """Return the fitted detector that a model called ``name`` saved into ``directory``.

    Raises
    ------
    CheckpointError
        When the model has no ``load``, or the folder does not hold one of its detectors.
    """
    factory = MODELS.load(name)
    load = getattr(factory, "load", None)
    if load is None:
        raise CheckpointError(f"the model {name!r} cannot be loaded from a folder", where=str(directory))
    return load(directory)


def create_component(kind: str, name: str, params: Optional[Mapping[str, Any]] = None) -> Any:
    """Return ``factory(**params)`` of the component ``name`` of a kind (``features``, ``threshold``, …)."""
    key = f"{kind}/{name}"
    factory = COMPONENTS.load(key)
    check_parameters(factory, params or {}, where=f"{kind} {name!r}")
    return factory(**(params or {}))


def list_models(*, tags: Optional[tuple[str, ...]] = None) -> list[dict[str, Any]]:
    """Return all registered models as JSON-friendly mappings, sorted by name; nothing heavy is imported.

    Parameters
    ----------
    tags : tuple of str, optional
        Keep those that have all of these tags.
    """
    return [entry.to_json() for entry in MODELS.entries() if set(tags or ()) <= set(entry.spec.tags)]


def model_info(name: str) -> dict[str, Any]:
    """Return what is known of one model, JSON-friendly.

    Beyond the spec it has ``requires[i]["installed"]``, ``available``, and ``parameters`` (name → default, annotation),
    which is None while a requirement is missing.
    """
    entry = MODELS.get(name)
    info = entry.to_json()
    for requirement in info["requires"]:
        requirement["installed"] = installed(requirement["module"])
    info["available"] = all(requirement["installed"] for requirement in info["requires"])
    info["parameters_help"] = info.pop("parameters")
    info["parameters"] = describe_parameters(MODELS.load(name)) if info["available"] else None
    return info
