"""Backbones by name: which library they come from, their layers, and how pixels are normalised for them.

A name is ``efficientnet-lite0`` (embedded: its weights come as a package), ``timm/<model>``, ``torchvision/<model>``,
or one of :data:`PLAIN_NAMES`, the backbones of the papers: ResNets, which stand for torchvision's, and EfficientAD's
patch description networks ``pdn-small`` and ``pdn-medium``. The embedded one and those are described here as data, so
that a detector whose exported graph is cached runs without importing torch; any other backbone is described by its
library. ``onnx/<file>`` is any ONNX graph that gives feature maps (:mod:`pyimgano.models.onnx_files`), and other
packages bring more: ``openclip/<model>`` (:class:`pyimgano.core.backbones.BackboneLibrary`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

from pyimgano.core.backbones import Backbone, Layer, backbone_library, require_library
from pyimgano.core.errors import ParameterError, UnknownNameError
from pyimgano.core.names import unknown_name_hint

__all__ = [
    "PLAIN_NAMES",
    "Backbone",
    "Layer",
    "check_backbone_name",
    "default_layers",
    "describe_backbone",
    "pyramid_layers",
    "resolve_backbone",
    "select_layers",
]

LITE0 = "efficientnet-lite0"
LIBRARIES = ("timm", "torchvision")
OWN_LIBRARIES = (*LIBRARIES, "embedded", "pdn")
"""Those whose weights this package finds, and whose networks it builds."""


def _resnet(architecture: str, channels: tuple[int, int, int, int]) -> Backbone:
    layers = tuple(Layer(f"layer{n + 1}", c, 4 * 2**n) for n, c in enumerate(channels))
    return Backbone(f"torchvision/{architecture}", "torchvision", architecture, layers, ("layer2", "layer3"))


def _pdn(architecture: str, depth: int) -> Backbone:
    last = Layer(f"convs.{depth - 1}", 384, 4)
    return Backbone(architecture, "pdn", architecture, (last,), (last.name,))


_BASIC = (64, 128, 256, 512)
_BOTTLENECK = (256, 512, 1024, 2048)
_KNOWN: dict[str, Backbone] = {
    LITE0: Backbone(
        LITE0,
        "embedded",
        LITE0,
        (
            Layer("blocks.0", 16, 2),
            Layer("blocks.1", 24, 4),
            Layer("blocks.2", 40, 8),
            Layer("blocks.3", 80, 16),
            Layer("blocks.4", 112, 16),
            Layer("blocks.5", 192, 32),
            Layer("blocks.6", 320, 32),
        ),
        ("blocks.2", "blocks.4"),
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
    ),
    **{
        backbone.name: backbone
        for backbone in (
            _resnet("resnet18", _BASIC),
            _resnet("resnet34", _BASIC),
            _resnet("resnet50", _BOTTLENECK),
            _resnet("resnet101", _BOTTLENECK),
            _resnet("resnet152", _BOTTLENECK),
            _resnet("wide_resnet50_2", _BOTTLENECK),
            _resnet("wide_resnet101_2", _BOTTLENECK),
            _pdn("pdn-small", 4),
            _pdn("pdn-medium", 6),
        )
    },
}

PLAIN_NAMES: tuple[str, ...] = tuple(sorted(backbone.architecture for backbone in _KNOWN.values()))
"""Names that need no library in front."""


def resolve_backbone(name: str) -> Backbone:
    """Return the backbone called ``name``.

    Raises
    ------
    UnknownNameError
        When there is none of this name; it holds the nearest names.
    MissingDependencyError
        When its library is not installed.
    WeightsError
        When the file of an ``onnx/<file>`` is missing, or is no graph.
    """
    library, slash, architecture = name.partition("/")
    known = _KNOWN.get(name) or _KNOWN.get(f"torchvision/{name}")
    if known is not None:
        return known
    if slash and library == "timm":
        from pyimgano.models.timm_backbones import describe_timm

        return describe_timm(architecture)
    if slash and library == "torchvision":
        from pyimgano.models.torchvision_backbones import describe_torchvision

        return describe_torchvision(architecture)
    if slash and library == "onnx":
        from pyimgano.models.onnx_files import describe_onnx

        return describe_onnx(architecture)
    if slash and architecture:
        return backbone_library(library, name=name).describe(architecture)
    raise UnknownNameError(
        f"unknown backbone {name!r}",
        allowed=", ".join((*PLAIN_NAMES, *(f"{library}/<model>" for library in LIBRARIES), "onnx/<file>")),
        hint=unknown_name_hint(name, PLAIN_NAMES),
    )


def check_backbone_name(name: str) -> bool:
    """Check as much of a backbone's name as can be without importing a library.

    Returns
    -------
    bool
        Whether :func:`resolve_backbone` imports none either.

    Raises
    ------
    UnknownNameError, MissingDependencyError, PluginError
        When there is none of this name, or the package that brings it is not installed.
    """
    library, slash, architecture = name.partition("/")
    if name in _KNOWN or f"torchvision/{name}" in _KNOWN or not (slash and architecture):
        resolve_backbone(name)
        return True
    if library not in (*LIBRARIES, "onnx"):
        require_library(library, name=name)
    return False


def default_layers(backbone: str) -> tuple[str, ...]:
    """Return the layers that are taken when none are named: those of stride 8 and 16, as in the papers; a PDN's only.

    Raises
    ------
    ParameterError
        When the backbone has no such layers; it names those that it has.
    """
    return select_layers(resolve_backbone(backbone), None)


def select_layers(backbone: Backbone, layers: Optional[Sequence[str]]) -> tuple[str, ...]:
    """Return the named layers, or the default ones, in the order of the network.

    Raises
    ------
    ParameterError
        When a layer is unknown or named twice, or none is named and there is no default.
    """
    names = [layer.name for layer in backbone.layers]
    if layers is None:
        if not backbone.default:
            raise ParameterError(f"{backbone.name} has no default layers: name them", where="layers", allowed=names)
        return backbone.default
    chosen = [layers] if isinstance(layers, str) else list(layers)
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise ParameterError(
            f"{backbone.name} has no layer {', '.join(map(repr, unknown))}",
            where="layers",
            allowed=names,
            hint=unknown_name_hint(str(unknown[0]), names),
        )
    if not chosen or len(set(chosen)) != len(chosen):
        raise ParameterError(f"layers = {chosen!r}", where="layers", allowed="at least one layer, each once")
    return tuple(name for name in names if name in chosen)


def describe_backbone(name: str) -> dict[str, Any]:
    """Return what is known of a backbone, JSON-friendly.

    Returns
    -------
    dict
        ``name``, ``library``, ``architecture``, ``layers`` (each with ``name``, ``channels``, ``stride``),
        ``default_layers``, ``mean`` and ``std`` of pixel values 0 … 255, ``fixed_size``, ``side_multiple``.
    """
    backbone = resolve_backbone(name)
    return {
        "name": backbone.name,
        "library": backbone.library,
        "architecture": backbone.architecture,
        "layers": [{"name": n.name, "channels": n.channels, "stride": n.stride} for n in backbone.layers],
        "default_layers": list(backbone.default),
        "mean": list(backbone.mean),
        "std": list(backbone.std),
        "fixed_size": None if backbone.fixed_size is None else list(backbone.fixed_size),
        "side_multiple": backbone.side_multiple,
    }


def pyramid_layers(backbone: Backbone, strides: Sequence[int] = (4, 8, 16)) -> Optional[tuple[str, ...]]:
    """Return the last layer of each stride; None unless all exist."""
    last = {layer.stride: layer.name for layer in backbone.layers}
    return tuple(last[stride] for stride in strides) if all(stride in last for stride in strides) else None


def strides_8_and_16(layers: Sequence[Layer]) -> tuple[str, ...]:
    """Return the last layer of stride 8 and that of stride 16; ``()`` unless both exist."""
    last = {layer.stride: layer.name for layer in layers}
    return (last[8], last[16]) if 8 in last and 16 in last else ()
