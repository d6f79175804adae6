"""From a backbone and its weights to a torch module that maps pixels to features."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor, nn

from pyimgano.core.backbones import backbone_library
from pyimgano.core.errors import CheckpointError, ParameterError, WeightsError
from pyimgano.models.backbones import OWN_LIBRARIES, Backbone
from pyimgano.models.weights import Weights, read_state_dict

__all__ = ["PixelNetwork", "build_network", "build_untrained", "fingerprint", "replace_tensors"]


class PixelNetwork(nn.Module):
    """A backbone that takes pixels as they are.

    Input: (N, H, W, 3) uint8, RGB. Output: a tuple of (N, C, h, w) float32, one per layer. The permutation leaves the
    images in channels-last order, which is what the convolutions are fastest with.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, backbone: Backbone, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", 1.0 / torch.tensor(backbone.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the layers' features."""
        x = (pixels.permute(0, 3, 1, 2).to(torch.float32) - self.mean) * self.scale
        return tuple(self.network(x))


class LiteFeatures(nn.Module):
    """EfficientNet-Lite0 cut after the last layer that is asked for."""

    def __init__(self, network: Any, layers: Sequence[str]) -> None:
        super().__init__()
        self.body = network
        self.layers = tuple(layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the layers' features."""
        features: list[Tensor] = self.body.features(x, self.layers)
        return features


def build_network(
    backbone: Backbone, layers: Sequence[str], weights: Weights, size: Optional[tuple[int, int]] = None
) -> PixelNetwork:
    """Return the network in eval mode, on the CPU, with every parameter from ``weights``.

    Parameters
    ----------
    backbone : Backbone
    layers : sequence of str
        In the order of the network.
    weights : Weights
    size : (int, int), optional
        (height, width) of the images. A transformer's embeddings of positions are resampled to it; networks without
        such need none.

    Raises
    ------
    WeightsError
        When the weights do not fit the network completely.
    """
    # Another package reads its own files.
    state = None if weights.path is None or not _is_own(backbone) else read_weights(backbone, weights)
    # The constructors draw from torch's global generator, whose state is the caller's business.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(weights.seed or 0)
        try:
            own = _is_own(backbone)
            network = _build(backbone, layers, state, size) if own else _brought(backbone, layers, weights, size)
        except (RuntimeError, KeyError, IndexError) as error:
            if weights.path is None:
                raise
            reason = " ".join(line.strip() for line in str(error).strip().splitlines()[:2])
            if len(reason) > 240:
                reason = reason[:240] + " …"
            raise WeightsError(f"the weights do not fit {backbone.name}: {reason}", where=str(weights.path)) from error
    network.eval().requires_grad_(False)
    return PixelNetwork(backbone, network).eval().to(memory_format=torch.channels_last)


def build_untrained(
    backbone: Backbone, layers: Sequence[str], *, size: Optional[tuple[int, int]] = None
) -> PixelNetwork:
    """Return the network up to the deepest layer, to be trained, on the CPU; ``size`` as in :func:`build_network`.

    Its parameters are drawn from torch's global CPU generator, as the library's own constructor draws them: seed it,
    and put its state back.
    """
    if backbone.library == "embedded":
        from pyimgano.models.efficientnet_lite import EfficientNetLite0

        network: nn.Module = LiteFeatures(EfficientNetLite0().cut(layers), layers)
    elif _is_own(backbone):
        network = _build(backbone, layers, None, size)
    else:
        network = _brought(backbone, layers, None, size)
    return PixelNetwork(backbone, network).requires_grad_(True)


def replace_tensors(network: PixelNetwork, arrays: Mapping[str, np.ndarray]) -> None:
    """Put arrays in the place of a network's tensors, by name.

    Raises
    ------
    CheckpointError
        When a name or a shape is not the network's.
    """
    own = network.state_dict()
    wrong = [name for name, array in arrays.items() if name not in own or tuple(own[name].shape) != array.shape]
    if wrong:
        raise CheckpointError(f"the adapted weights do not fit the backbone: {', '.join(sorted(wrong)[:3])}")
    network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()}, strict=False)


def read_weights(backbone: Backbone, weights: Weights) -> dict[str, Any]:
    """Return the state dict of a weights file under the backbone's own names."""
    assert weights.path is not None
    state = read_state_dict(weights.path)
    if backbone.library == "embedded" and any(key.startswith("_blocks.") for key in state):
        from pyimgano.models.efficientnet_lite import rename_package_keys

        return dict(rename_package_keys(state))
    return state


def _build(
    backbone: Backbone, layers: Sequence[str], state: Optional[dict[str, Any]], size: Optional[tuple[int, int]]
) -> nn.Module:
    if backbone.library == "timm":
        from pyimgano.models.timm_backbones import build_timm

        return build_timm(backbone, layers, state, size)
    if backbone.library == "torchvision":
        from pyimgano.models.torchvision_backbones import build_torchvision

        return build_torchvision(backbone, layers, state)
    if backbone.library == "pdn":
        from pyimgano.models.patch_description import build_pdn

        return build_pdn(backbone.architecture, state)
    from pyimgano.models.efficientnet_lite import EfficientNetLite0

    network = EfficientNetLite0().eval()
    if state is not None:
        network.load_state_dict(state)
    return LiteFeatures(network.fold_batch_norm(), layers)


def _is_own(backbone: Backbone) -> bool:
    return backbone.library in OWN_LIBRARIES


def _brought(
    backbone: Backbone, layers: Sequence[str], weights: Optional[Weights], size: Optional[tuple[int, int]]
) -> nn.Module:
    """Return the network of a backbone that another package brings."""
    if backbone.library == "onnx":
        raise ParameterError(f"{backbone.name} is a graph, and no network that can be trained or adapted")
    network: nn.Module = backbone_library(backbone.library, name=backbone.name).build(backbone, layers, weights, size)
    return network


def fingerprint(network: nn.Module) -> str:
    """Return the SHA-256 over a network's parameters and buffers, with their names; random weights are known by it."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
