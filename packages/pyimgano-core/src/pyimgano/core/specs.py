"""Specs: what a listing needs to know of a model, recipe, dataset or component without importing it.

A spec is data. Its ``factory`` is an import string (``"package.module:attribute"``) that only creation resolves, so
that listing a hundred models costs no import of torch, numpy or scikit-learn. The module that holds a distribution's
specs must itself import nothing but :mod:`pyimgano.core.specs`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Optional, Union

__all__ = [
    "API_VERSION",
    "COMPONENT_KINDS",
    "ComponentSpec",
    "DatasetSpec",
    "ModelSpec",
    "RecipeSpec",
    "Requirement",
    "Spec",
]

API_VERSION = 1
"""Version of the plugin contract. A spec that was written for another one is listed as incompatible, never loaded."""

COMPONENT_KINDS = (
    "features",
    "weights",
    "augment",
    "defects",
    "preprocess",
    "postprocess",
    "threshold",
    "metric",
    "sink",
)


@dataclass(frozen=True)
class Requirement:
    """A module that a factory needs beyond the hard dependencies of its distribution.

    Parameters
    ----------
    module : str
        Importable name, e.g. ``"torch"``.
    distribution : str
        What ``pip install`` is given, e.g. ``"pyimgano-models"`` when ``extra`` is set, else ``"torch"``.
    extra : str, optional
        The extra of ``distribution`` that brings the module, e.g. ``"lite"``.
    """

    module: str
    distribution: str
    extra: Optional[str] = None

    @property
    def pip(self) -> str:
        """The command that installs it."""
        target = f'"{self.distribution}[{self.extra}]"' if self.extra else self.distribution
        return f"pip install {target}"


@dataclass(frozen=True)
class Spec:
    """What all specs have in common.

    Parameters
    ----------
    name : str
        What the user types: lower case, words joined by ``-``.
    summary : str
        One line.
    factory : str
        Import string ``"package.module:attribute"``; resolved at creation only.
    tags : tuple of str
        Free words to filter listings by, e.g. ``("memory-bank", "pixel")``.
    requires : tuple of Requirement
        What creation needs beyond the distribution's hard dependencies.
    parameters : str, optional
        Where the parameters are documented when the factory's signature does not say it all.
    paper : str, optional
        Reference: authors, title, venue, arXiv number.
    api : int
        The :data:`API_VERSION` that the spec was written for.
    """

    name: str
    summary: str
    factory: str
    tags: tuple[str, ...] = ()
    requires: tuple[Requirement, ...] = ()
    parameters: Optional[str] = None
    paper: Optional[str] = None
    api: int = API_VERSION

    @property
    def key(self) -> str:
        """The name under which the registry keeps it."""
        return self.name

    def to_json(self) -> dict[str, Any]:
        """Return the spec as a JSON-friendly mapping."""
        data = asdict(self)
        data["requires"] = [{**asdict(requirement), "pip": requirement.pip} for requirement in self.requires]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in data.items()}


@dataclass(frozen=True)
class ModelSpec(Spec):
    """A detector. ``factory`` resolves to a class or function that returns a :class:`pyimgano.core.detector.Detector`.

    Parameters
    ----------
    pixel_map : bool
        ``infer`` gives anomaly maps.
    finetune : bool
        It is :class:`pyimgano.core.contracts.Finetunable`.
    checkpoint : bool
        It has ``save`` and ``load``.
    export : tuple of str
        Runtimes it can be exported to, e.g. ``("onnx",)``.
    """

    pixel_map: bool = False
    finetune: bool = False
    checkpoint: bool = True
    export: tuple[str, ...] = ()


@dataclass(frozen=True)
class RecipeSpec(Spec):
    """A recipe. ``factory`` resolves to a class or instance of :class:`pyimgano.core.contracts.Recipe`.

    Parameters
    ----------
    presets : tuple of str
        Names of its presets, the default one first.
    """

    presets: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetSpec(Spec):
    """A dataset layout. ``factory`` resolves to a :class:`pyimgano.core.contracts.DatasetReader` class.

    Parameters
    ----------
    layout : str, optional
        The layout in one line, e.g. ``"<category>/train/good/*.png, …"``.
    url : str, optional
        The dataset's home page.
    """

    layout: Optional[str] = None
    url: Optional[str] = None


@dataclass(frozen=True)
class ComponentSpec(Spec):
    """A part that models and recipes are made of; its registry key is ``"<kind>/<name>"``.

    Parameters
    ----------
    kind : str
        One of :data:`COMPONENT_KINDS`.
    """

    kind: str = "features"

    @property
    def key(self) -> str:
        """The name under which the registry keeps it: ``"<kind>/<name>"``."""
        return f"{self.kind}/{self.name}"


AnySpec = Union[ModelSpec, RecipeSpec, DatasetSpec, ComponentSpec]
