"""Backbones, and the contract by which another package brings some: names such as ``openclip/ViT-B-32``.

What stands before the slash is the name of a component of the kind ``features`` whose factory has an attribute
``library``, a :class:`BackboneLibrary`. Every model that takes a backbone by name then takes these as well, under every
runtime, with all that goes with it: layers by name, cached graphs, adaptation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Protocol, runtime_checkable

from pyimgano.core.backends import backend_of
from pyimgano.core.errors import MissingDependencyError, UnknownNameError
from pyimgano.core.registry import COMPONENTS
from pyimgano.core.weight_files import Weights

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Backbone",
    "BackboneLibrary",
    "Layer",
    "backbone_library",
    "require_library",
]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Layer:
    """One layer whose output can be taken as features.

    Attributes
    ----------
    name : str
        Name of the module in its network.
    channels : int
    stride : int
        Input pixels per feature pixel.
    """

    name: str
    channels: int
    stride: int


@dataclass(frozen=True)
class Backbone:
    """A network that gives features.

    Attributes
    ----------
    name : str
        Full name, ``"<library>/<architecture>"``; the architecture alone for the embedded one and for PDNs.
    library : str
        ``"embedded"``, ``"pdn"``, ``"timm"``, ``"torchvision"``, ``"onnx"``, or that of another package.
    architecture : str
        What the library calls it; with timm that may end in ``.<tag>`` of the weights.
    layers : tuple of Layer
        In the order of the network, which is the finest first.
    default : tuple of str
        Layers taken when none are named; empty when there is no sensible choice.
    mean, std : (float, float, float)
        Of pixel values 0 … 255; the network takes ``(pixel - mean) / std``.
    fixed_size : (int, int) or None
        The only (height, width) that the network takes; None when it takes any.
    side_multiple : int
        Both sides are multiples of it: the side of a transformer's patches.
    """

    name: str
    library: str
    architecture: str
    layers: tuple[Layer, ...]
    default: tuple[str, ...]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    fixed_size: Optional[tuple[int, int]] = None
    side_multiple: int = 1

    def layer(self, name: str) -> Layer:
        """Return the layer called ``name``, which the backbone has."""
        return next(layer for layer in self.layers if layer.name == name)


@runtime_checkable
class BackboneLibrary(Protocol):
    """Backbones that another package brings. Importing it may be cheap; its methods import what they need."""

    def describe(self, architecture: str) -> Backbone:
        """Return the description of a backbone.

        Raises
        ------
        UnknownNameError
            When there is none of this name, or it gives no feature maps.
        MissingDependencyError
            When the library behind it is not installed.
        """

    def find_weights(self, backbone: Backbone, weights: str) -> Weights:
        """Return the weights of a backbone; opens no connection.

        ``weights`` is what a model's parameter of that name may be: ``"default"``, a tag, a file, ``"random"`` or
        ``"random:<seed>"``.

        Raises
        ------
        WeightsError
            When they are not on this machine (the hint says how to get them), or are not what they should be.
        ParameterError
            When there is no such tag.
        """

    def build(
        self, backbone: Backbone, layers: Sequence[str], weights: Optional[Weights], size: Optional[tuple[int, int]]
    ) -> Any:
        """Return a torch module: normalised images (N, 3, H, W) float32 in, a list of (N, C, h, w) float32 out.

        Parameters
        ----------
        backbone : Backbone
            As :meth:`describe` gave it.
        layers : sequence of str
            In the order of the network.
        weights : Weights or None
            Loaded completely or not at all; None, or random ones: parameters are drawn from torch's global generator,
            which the caller has seeded.
        size : (int, int) or None
            (height, width) of the images; None: the network's own.

        Raises
        ------
        WeightsError, RuntimeError, KeyError
            When the weights do not fit.
        """


def require_library(library: str, *, name: str) -> None:
    """Make sure that something may bring backbones called ``<library>/…``; imports nothing heavy.

    Parameters
    ----------
    library : str
    name : str
        The whole name of the backbone, for messages.

    Raises
    ------
    MissingDependencyError
        When the distribution that is known to bring it is not installed; the hint installs it.
    UnknownNameError
        When nothing brings such backbones.
    PluginError
        When what could bring them is broken.
    """
    where = f"backbone {name!r}"
    try:
        COMPONENTS.get(f"features/{library}")
    except UnknownNameError as error:
        backend = backend_of(backbones=library)
        if backend is None:
            raise UnknownNameError(f"nothing installed brings backbones called {library}/…", where=where) from error
        raise MissingDependencyError(
            f"backbones called {library}/… come with {backend.distribution}: {backend.absence}",
            where=where,
            hint=backend.pip if backend.runs_here else None,
        ) from error


def backbone_library(library: str, *, name: str) -> BackboneLibrary:
    """Return the library of backbones called ``<library>/…``; see :func:`require_library`.

    Raises
    ------
    MissingDependencyError, UnknownNameError, PluginError
        As :func:`require_library`; also when what the library needs is not installed.
    """
    require_library(library, name=name)
    found: Optional[BackboneLibrary] = getattr(COMPONENTS.load(f"features/{library}"), "library", None)
    if found is None:
        raise UnknownNameError(
            f"the component features/{library} is an extractor, and no library of backbones",
            where=f"backbone {name!r}",
        )
    return found
