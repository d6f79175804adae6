"""Image towers of OpenCLIP as backbones: which layers they have, described without making a network where possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

from pyimgano.core.backbones import Backbone, Layer
from pyimgano.core.errors import ParameterError, UnknownNameError
from pyimgano.core.weight_files import Weights
from pyimgano.openclip.names import LIBRARY, load_open_clip, model_config
from pyimgano.openclip.pretrained import Pretrained, find_pretrained, find_weights, has_tags

__all__ = ["NORM", "OpenClipLibrary", "pixel_scale"]

NORM = "norm"
"""The layer of a transformer that is its last block's output after its final normalisation."""


class OpenClipLibrary:
    """The :class:`~pyimgano.core.backbones.BackboneLibrary` of names ``openclip/<model>[:<pretrained tag>]``.

    A transformer's layers are ``resblocks.0`` …, each of the stride of its patches, and ``norm``; two of them are the
    default, at half and at three quarters of its depth. A ResNet of CLIP's has ``layer1`` … ``layer4``, a tower of
    timm's what timm says; their default is that of stride 8 and that of stride 16.
    """

    def describe(self, architecture: str) -> Backbone:
        """Return the description of an image tower; ``architecture`` is ``<model>[:<tag>]``."""
        model, _, tag = architecture.partition(":")
        config = model_config(model)
        pretrained = find_pretrained(model, tag, "default" if tag or has_tags(model) else "random")
        vision = load_open_clip().CLIPVisionCfg(**config["vision_cfg"])
        multiple = 1
        if vision.timm_model_name:
            layers, multiple = _timm_layers(model, vision)
            default = _strides_8_and_16(layers)
        elif isinstance(vision.layers, (tuple, list)):
            layers = tuple(Layer(f"layer{n + 1}", vision.width * 4 * 2**n, 4 * 2**n) for n in range(4))
            default = ("layer2", "layer3")
        else:
            multiple = int(vision.patch_size)
            layers = tuple(Layer(f"resblocks.{n}", int(vision.width), multiple) for n in range(int(vision.layers)))
            default = tuple(dict.fromkeys(layers[max(0, len(layers) * n // 4 - 1)].name for n in (2, 3)))
            if not vision.attentional_pool:
                layers += (Layer(NORM, int(vision.width), multiple),)
        mean, std = pixel_scale(pretrained)
        return Backbone(
            f"{LIBRARY}/{architecture}",
            LIBRARY,
            architecture,
            layers,
            default,
            mean=mean,
            std=std,
            side_multiple=multiple,
        )

    def find_weights(self, backbone: Backbone, weights: str) -> Weights:
        """Return the weights of an image tower: those of the whole model."""
        model, _, tag = backbone.architecture.partition(":")
        pretrained = find_pretrained(model, tag, weights)
        if pretrained.tag and pixel_scale(pretrained) != (backbone.mean, backbone.std):
            raise ParameterError(
                f"weights = {weights!r} want other pixels than the default ones of {backbone.name}",
                where="weights",
                hint=f'backbone = "{backbone.name}:{pretrained.tag}"',
            )
        return find_weights(pretrained, weights)

    def build(
        self, backbone: Backbone, layers: Sequence[str], weights: Optional[Weights], size: Optional[tuple[int, int]]
    ) -> Any:
        """Return the image tower, cut after the last of the layers."""
        from pyimgano.openclip.networks import create_clip
        from pyimgano.openclip.towers import tower_features

        model, _, tag = backbone.architecture.partition(":")
        # A tag that was asked for by the parameter, where the name has none, decides the kind of GELU too.
        wanted = "random" if weights is None or weights.path is None or weights.place == "file" else weights.name
        pretrained = find_pretrained(model, tag, "random" if tag else wanted)
        clip = create_clip(pretrained, weights, size)
        return tower_features(clip.visual, [layer.name for layer in backbone.layers], layers)


def pixel_scale(pretrained: Pretrained) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return mean and standard deviation of pixel values 0 … 255 that a model was trained with."""
    open_clip = load_open_clip()
    mean = pretrained.config.get("mean") or open_clip.OPENAI_DATASET_MEAN
    std = pretrained.config.get("std") or open_clip.OPENAI_DATASET_STD
    return (255.0 * mean[0], 255.0 * mean[1], 255.0 * mean[2]), (255.0 * std[0], 255.0 * std[1], 255.0 * std[2])


def _timm_layers(model: str, vision: Any) -> tuple[tuple[Layer, ...], int]:
    """Return the layers of a tower that timm builds, and the side of its patches where it is a transformer."""
    import timm
    import torch

    try:
        with torch.device("meta"):  # shapes are all that is asked for: nothing is initialised or computed
            trunk = timm.create_model(vision.timm_model_name, pretrained=False)
    except (RuntimeError, NotImplementedError):  # some compute on values while they are made
        with torch.random.fork_rng(devices=[]):
            trunk = timm.create_model(vision.timm_model_name, pretrained=False)
    info = getattr(trunk, "feature_info", None)
    if not info or not hasattr(trunk, "forward_intermediates"):
        raise UnknownNameError(
            f"the image tower of {model!r}, timm's {vision.timm_model_name}, gives no feature maps", where="backbone"
        )
    layers = tuple(Layer(str(i["module"]), int(i["num_chs"]), int(i["reduction"])) for i in info)
    return layers, layers[-1].stride if hasattr(trunk, "patch_embed") and hasattr(trunk, "blocks") else 1


def _strides_8_and_16(layers: Sequence[Layer]) -> tuple[str, ...]:
    last = {layer.stride: layer.name for layer in layers}
    return (last[8], last[16]) if 8 in last and 16 in last else ()
