"""Feature extractors: a backbone cut at some layers, with its weights, under one of two runtimes.

``runtime="onnxruntime"`` runs an exported graph (kept in the cache, so that later processes do not import torch),
``runtime="torch"`` the network itself. Both give the same features to about 4e-6 relative (tests hold them to 1e-5).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from pyimgano.core.cores import usable_cores
from pyimgano.core.errors import CheckpointError, MissingDependencyError, ParameterError, PyimganoError, WeightsError
from pyimgano.core.parameters import require
from pyimgano.models.backbone_extractor import BackboneExtractor
from pyimgano.models.backbones import Backbone, default_layers, describe_backbone, resolve_backbone, select_layers
from pyimgano.models.devices import choose_device, need_module
from pyimgano.models.onnx_graphs import GraphKey, export_graph, find_graph, keep_graph
from pyimgano.models.resizing import check_size
from pyimgano.models.runtimes import RUNTIMES, OnnxRuntime, Runtime, TorchRuntime
from pyimgano.models.weights import RANDOM_WARNING, Weights, find_weights

if TYPE_CHECKING:
    from pyimgano.models.networks import PixelNetwork

__all__ = [
    "create_extractor",
    "default_layers",
    "describe_backbone",
    "efficientnet_lite0",
    "onnx",
    "reopen_extractor",
    "timm",
    "torch_network",
    "torchvision",
]

logger = logging.getLogger(__name__)

MIN_SIDE = 32


def create_extractor(
    backbone: str = "efficientnet-lite0",
    *,
    layers: Optional[Sequence[str]] = None,
    input_size: Union[int, Sequence[int]] = 224,
    runtime: str = "auto",
    weights: str = "default",
    device: str = "auto",
    threads: Optional[int] = None,
    adapted: Optional[Mapping[str, np.ndarray]] = None,
    keep_adapted: bool = False,
) -> BackboneExtractor:
    """Return a feature extractor.

    Parameters
    ----------
    backbone : str
        ``"efficientnet-lite0"``, a plain name such as ``"wide_resnet50_2"`` (torchvision's), ``"timm/<model>"``,
        ``"torchvision/<model>"``, ``"onnx/<file>"``, or one that another package brings: ``"openclip/<model>"``.
    layers : sequence of str, optional
        Default: :func:`~pyimgano.models.backbones.default_layers`.
    input_size : int or (int, int)
        Side, or (height, width), of the images that the network sees; at least 32.
    runtime : {"auto", "onnxruntime", "torch"}
        ``"auto"``: onnxruntime where it is installed and the device is the CPU, else torch.
    weights : str
        ``"default"``, a tag, a file, or ``"random"``; see :func:`~pyimgano.models.weights.find_weights`.
    device : str
        ``"auto"`` (CUDA where torch has it and the runtime may be torch), ``"cpu"``, ``"cuda"``, ``"cuda:<n>"``.
    threads : int, optional
        Cores to use on the CPU; default: all that the process may use. Changes no result.
    adapted : mapping of str to ndarray, optional
        Tensors of the network that replace those of the weights, by their names in
        :class:`~pyimgano.models.networks.PixelNetwork`.
    keep_adapted : bool
        Whether a graph of adapted weights is kept in the cache, as those of others are.

    Raises
    ------
    UnknownNameError, ParameterError
        When the backbone, a layer or an option is unknown.
    WeightsError
        When the weights are not on this machine; it says how to get them.
    MissingDependencyError
        When a library is not installed.
    """
    require(runtime in RUNTIMES, "runtime", runtime, ", ".join(RUNTIMES))
    require(threads is None or threads >= 1, "threads", threads, "at least 1, or null for all cores")
    described = resolve_backbone(backbone)
    chosen = select_layers(described, layers)
    size = _size(described, input_size)
    found = find_weights(described, weights)
    # A graph of a file runs under one runtime only, which needs no onnx.
    place, kind = choose_device("onnxruntime" if (described.library, runtime) == ("onnx", "auto") else runtime, device)
    if found.path is None:
        logger.warning("%s", RANDOM_WARNING)
    cores = threads or usable_cores()
    if described.library == "onnx":
        if kind != "onnxruntime" or adapted:
            raise ParameterError(
                f"{described.name} is a graph that onnxruntime runs, and no network that can be trained or adapted",
                where="backbone",
                allowed='runtime = "auto" or "onnxruntime", and a model that takes features as they are',
            )
        return _graph_file(described, chosen, size, found, cores)
    digest = arrays_sha256(adapted) if adapted else None
    if kind == "onnxruntime":
        try:
            sha256, runner = _onnx(described, chosen, size, found, cores, adapted or {}, digest, keep_adapted)
            return BackboneExtractor(described, chosen, size, found, sha256, runner, adapted_sha256=digest)
        except (MissingDependencyError, WeightsError):
            raise
        except PyimganoError as error:  # this backbone cannot be exported
            if runtime == "onnxruntime":
                raise
            logger.warning("runtime torch is taken for %s: %s", described.name, error.message)
    network, sha256 = _network(described, chosen, found, size, adapted or {})
    runtime_of = TorchRuntime(network, device=place, threads=cores)
    return BackboneExtractor(described, chosen, size, found, sha256, runtime_of, adapted_sha256=digest)


def reopen_extractor(
    facts: Mapping[str, Any],
    *,
    runtime: str = "auto",
    weights: str = "default",
    device: str = "auto",
    threads: Optional[int] = None,
    adapted: Optional[Mapping[str, np.ndarray]] = None,
) -> BackboneExtractor:
    """Return the extractor that a saved detector was fitted with, from the ``facts`` that it stored.

    The runtime and the device may be others than at the time: a detector fitted on a GPU loads on a CPU.

    Raises
    ------
    CheckpointError
        When the weights found now are not those of the fit.
    KeyError
        When ``facts`` are not those of an extractor.
    """
    extractor = create_extractor(
        facts["backbone"],
        layers=facts["layers"],
        input_size=tuple(facts["input_size"]),
        runtime=runtime,
        weights=weights,
        device=device,
        threads=threads,
        adapted=adapted,
        keep_adapted=True,
    )
    if extractor.weights_sha256 != facts["weights_sha256"]:
        raise CheckpointError(
            f"it was fitted with other weights of {extractor.backbone.name}: their sha256 was "
            f"{facts['weights_sha256']}, that of {extractor.facts['weights']} is {extractor.weights_sha256}",
            hint="give the weights of the fit, or fit again",
        )
    if extractor.facts.get("adapted_sha256") != facts.get("adapted_sha256"):
        raise CheckpointError(
            f"its adapted weights have sha256 {extractor.facts.get('adapted_sha256')}, "
            f"not {facts.get('adapted_sha256')}"
        )
    return extractor


def torch_network(
    extractor: BackboneExtractor, *, weights: str, adapted: Optional[Mapping[str, np.ndarray]] = None
) -> PixelNetwork:
    """Return a new torch module, on the CPU, that computes what an extractor does.

    Parameters
    ----------
    extractor : BackboneExtractor
    weights : str
        What the extractor was made with.
    adapted : mapping of str to ndarray, optional
        As in :func:`create_extractor`.

    Raises
    ------
    MissingDependencyError
        When torch, or the backbone's library, is not installed.
    WeightsError
        When the weights are not here any more, or have become others.
    """
    found = find_weights(extractor.backbone, weights)
    network, sha256 = _network(extractor.backbone, extractor.layers, found, extractor.input_size, adapted or {})
    if sha256 != extractor.weights_sha256:
        raise WeightsError(
            f"the weights of {extractor.backbone.name} are others than those in use: their sha256 was "
            f"{extractor.weights_sha256}, now it is {sha256}",
            where=str(found.path),
        )
    return network


def arrays_sha256(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 over arrays, with their names."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.shape} {array.dtype}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _graph_file(
    backbone: Backbone, layers: tuple[str, ...], size: tuple[int, int], weights: Weights, threads: int
) -> BackboneExtractor:
    from pyimgano.models.onnx_files import GraphFile

    assert weights.path is not None
    assert weights.sha256 is not None
    graph = GraphFile(weights.path, backbone, layers=layers, threads=threads)
    return BackboneExtractor(backbone, layers, size, weights, weights.sha256, graph)


def _network(
    backbone: Backbone,
    layers: tuple[str, ...],
    weights: Weights,
    size: tuple[int, int],
    adapted: Mapping[str, np.ndarray],
) -> tuple[PixelNetwork, str]:
    """Return the torch network and the fingerprint of its weights, as they were before some were replaced."""
    need_module("torch", "lite")
    from pyimgano.models.networks import build_network, fingerprint, replace_tensors

    network = build_network(backbone, layers, weights, size)
    sha256 = weights.sha256 or fingerprint(network)
    if adapted:
        replace_tensors(network, adapted)
    return network, sha256


def _onnx(
    backbone: Backbone,
    layers: tuple[str, ...],
    size: tuple[int, int],
    weights: Weights,
    threads: int,
    adapted: Mapping[str, np.ndarray],
    adapted_sha256: Optional[str],
    keep_adapted: bool,
) -> tuple[str, Runtime]:
    """Return the fingerprint of the weights and the runtime; torch is imported only when there is no graph yet."""
    key = None
    if weights.sha256 is not None:
        identity = weights.sha256 if adapted_sha256 is None else f"{weights.sha256}+{adapted_sha256}"
        key = GraphKey(backbone, layers, size, identity)
        cached = find_graph(key)
        if cached is not None:
            return weights.sha256, OnnxRuntime(cached, layers=layers, threads=threads)
    network, sha256 = _network(backbone, layers, weights, size, adapted)
    graph = export_graph(network, layers, size)
    # A graph of random weights is of no use to anybody else: making its name takes making the network. Nor is one of
    # weights that are still being adapted.
    kept = None if key is None or (adapted and not keep_adapted) else keep_graph(key, graph)
    return sha256, OnnxRuntime(kept or graph, layers=layers, threads=threads)


def efficientnet_lite0(
    layers: Optional[Sequence[str]] = None,
    input_size: Union[int, Sequence[int]] = 224,
    runtime: str = "auto",
    weights: str = "default",
    device: str = "auto",
    threads: Optional[int] = None,
) -> BackboneExtractor:
    """Return the embedded default; see :func:`create_extractor`."""
    return create_extractor(
        "efficientnet-lite0",
        layers=layers,
        input_size=input_size,
        runtime=runtime,
        weights=weights,
        device=device,
        threads=threads,
    )


def timm(
    model: str,
    layers: Optional[Sequence[str]] = None,
    input_size: Union[int, Sequence[int]] = 224,
    runtime: str = "auto",
    weights: str = "default",
    device: str = "auto",
    threads: Optional[int] = None,
) -> BackboneExtractor:
    """Return a backbone of timm by its name there, e.g. ``"resnet18.a1_in1k"``; see :func:`create_extractor`."""
    return create_extractor(
        f"timm/{model}",
        layers=layers,
        input_size=input_size,
        runtime=runtime,
        weights=weights,
        device=device,
        threads=threads,
    )


def onnx(
    file: str,
    layers: Optional[Sequence[str]] = None,
    input_size: Union[int, Sequence[int]] = 224,
    threads: Optional[int] = None,
) -> BackboneExtractor:
    """Return the graph of an ONNX file as an extractor; see :mod:`pyimgano.models.onnx_files`."""
    return create_extractor(f"onnx/{file}", layers=layers, input_size=input_size, threads=threads)


def torchvision(
    model: str,
    layers: Optional[Sequence[str]] = None,
    input_size: Union[int, Sequence[int]] = 224,
    runtime: str = "auto",
    weights: str = "default",
    device: str = "auto",
    threads: Optional[int] = None,
) -> BackboneExtractor:
    """Return a backbone of torchvision by its name there, e.g. ``"wide_resnet50_2"``; see :func:`create_extractor`."""
    return create_extractor(
        f"torchvision/{model}",
        layers=layers,
        input_size=input_size,
        runtime=runtime,
        weights=weights,
        device=device,
        threads=threads,
    )


def _size(backbone: Backbone, input_size: Union[int, Sequence[int]]) -> tuple[int, int]:
    size = check_size(input_size, minimum=MIN_SIDE)
    if backbone.fixed_size is not None and size != backbone.fixed_size:
        raise ParameterError(
            f"input_size = {input_size!r}", where=backbone.name, allowed=f"{list(backbone.fixed_size)} only"
        )
    patch = backbone.side_multiple
    if size[0] % patch or size[1] % patch:
        below, above = [side // patch * patch for side in size], [-(-side // patch) * patch for side in size]
        raise ParameterError(
            f"input_size = {input_size!r}",
            where=backbone.name,
            allowed=f"multiples of {patch}, the side of its patches: {below} or {above}",
        )
    return size
