"""Backbones of torchvision: described and built by torchvision itself, with weights that are on this machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Optional

from pyimgano.core.errors import MissingDependencyError, ParameterError, UnknownNameError
from pyimgano.core.names import unknown_name_hint
from pyimgano.models.backbones import Backbone, Layer, strides_8_and_16
from pyimgano.models.weights import Source

__all__ = ["build_torchvision", "describe_torchvision", "torchvision_source"]

_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.\w+)$")
"""Names in torchvision's files of DenseNets, which are older than its modules (``norm.1`` is now ``norm1``)."""

PROBE = 256
"""Side of the image that is sent through a network to learn its layers; divisible by every stride in use."""


def _models() -> Any:
    try:
        import torchvision.models
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"backbones called torchvision/… need {error.name!r}", hint='pip install "pyimgano-models[torch]"'
        ) from error
    return torchvision.models


def describe_torchvision(architecture: str) -> Backbone:
    """Return the description of a torchvision classification model.

    Its layers are the children that give a feature map: ``layer1`` … of a ResNet, ``features.0`` … of a VGG or
    EfficientNet.

    Raises
    ------
    UnknownNameError
        When torchvision has no such classification model, or it has no feature maps.
    MissingDependencyError
        When torchvision is not installed.
    """
    _known_model(architecture)
    import torch

    with torch.device("meta"):  # shapes are all that is asked for: nothing is initialised or computed
        layers = _probe(_create(architecture))
    if not layers:
        raise UnknownNameError(
            f"torchvision's {architecture!r} gives no feature maps", where="backbone", allowed="a convolutional network"
        )
    return Backbone(f"torchvision/{architecture}", "torchvision", architecture, layers, strides_8_and_16(layers))


def _known_model(architecture: str) -> Any:
    """Return torchvision's models, of which this is one, or raise UnknownNameError."""
    models = _models()
    known = models.list_models(module=models)
    if architecture not in known:
        raise UnknownNameError(
            f"torchvision has no classification model {architecture!r}",
            where="backbone",
            hint=unknown_name_hint(
                architecture,
                known,
                listing='python -c "import torchvision.models as m; print(m.list_models(module=m))"',
            ),
        )
    return models


def _create(architecture: str) -> Any:
    # GoogLeNet and Inception warn of a slow initialisation unless told, and have heads that only training uses.
    extra: dict[str, Any] = {}
    if architecture in ("googlenet", "inception_v3"):
        extra = {"init_weights": False, "aux_logits": False}
    return _models().get_model(architecture, weights=None, **extra)


def _probe(model: Any) -> tuple[Layer, ...]:
    """Send one image through the network and note which children give maps."""
    import torch

    children = list(model.named_children())
    for name, child in list(children):
        if name == "features":
            children += [(f"{name}.{inner}", module) for inner, module in child.named_children()]
    found: dict[str, Layer] = {}

    def note(name: str) -> Any:
        def hook(module: Any, inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor) and output.ndim == 4 and output.shape[2] == output.shape[3] > 1:
                found.setdefault(name, Layer(name, int(output.shape[1]), round(PROBE / int(output.shape[2]))))

        return hook

    handles = [child.register_forward_hook(note(name)) for name, child in children if name != "features"]
    model.eval()
    try:
        with torch.inference_mode():
            model(torch.zeros(1, 3, PROBE, PROBE))
    except (AssertionError, RuntimeError, NotImplementedError):  # transformers of a fixed size
        return ()
    finally:
        for handle in handles:
            handle.remove()
    return tuple(found.values())


def torchvision_source(architecture: str, weights: str) -> Source:
    """Return where torchvision has the weights of a tag; ``"default"`` means ``IMAGENET1K_V1``, which papers use."""
    kinds = {entry.name: entry for entry in _known_model(architecture).get_model_weights(architecture)}
    tag = weights
    if weights == "default":
        tag = "IMAGENET1K_V1" if "IMAGENET1K_V1" in kinds else next(iter(kinds))
    if tag not in kinds:
        raise ParameterError(
            f"torchvision has no weights {weights!r} of {architecture}",
            where="weights",
            allowed=", ".join(["default", "random", *kinds, "a file"]),
        )
    return Source(tag, kinds[tag].url)


def build_torchvision(backbone: Backbone, layers: Sequence[str], state: Optional[dict[str, Any]]) -> Any:
    """Return a module that maps (N, 3, H, W) to the layers' features.

    Raises
    ------
    RuntimeError
        When ``state`` does not fit.
    """
    import torch
    from torchvision.models.feature_extraction import create_feature_extractor

    model = _create(backbone.architecture)
    if state is not None:
        own = model.state_dict()
        renamed = {_DENSENET.sub(r"\1\2", key): value for key, value in state.items()}
        # Heads that only training uses are not built; everything that is built must come from the file.
        model.load_state_dict({key: value for key, value in renamed.items() if key in own or "aux" not in key.lower()})
    extractor = create_feature_extractor(model.eval(), list(layers))

    class InOrder(torch.nn.Module):
        """The extractor's mapping as a list, in the order of the layers."""

        def __init__(self) -> None:
            super().__init__()
            self.body = extractor

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            found = self.body(x)
            return [found[layer] for layer in layers]

    return InOrder()
