"""Backbones of timm: described and built by timm itself, with weights that are on this machine."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Optional

from pyimgano.core.errors import MissingDependencyError, ParameterError, UnknownNameError
from pyimgano.core.names import unknown_name_hint
from pyimgano.models.backbones import Backbone, Layer, strides_8_and_16
from pyimgano.models.weights import Source

__all__ = ["build_timm", "describe_timm", "timm_source"]

NORM = "norm"
"""The layer of a transformer that is its last block's output after its final normalisation."""


def _timm() -> Any:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"backbones called timm/… need {error.name!r}", hint='pip install "pyimgano-models[torch]"'
        ) from error
    return timm


def describe_timm(architecture: str) -> Backbone:
    """Return the description of a timm model (``"resnet18"`` or, with the tag of its weights, ``"resnet18.a1_in1k"``).

    Raises
    ------
    UnknownNameError
        When timm has no such model, or it does not give feature maps.
    MissingDependencyError
        When timm is not installed.
    """
    _known_model(architecture)
    try:
        model = _sketch(architecture)
        features = _sketch(architecture, features_only=True, out_indices=(0,))
    except (RuntimeError, ValueError, AttributeError, NotImplementedError) as error:
        raise UnknownNameError(
            f"timm's {architecture!r} cannot be used for features: {error}", where="backbone"
        ) from error
    info = getattr(features.feature_info, "info", None) or model.feature_info
    layers = tuple(Layer(str(i["module"]), int(i["num_chs"]), int(i["reduction"])) for i in info)
    config = model.pretrained_cfg
    size = tuple(config["input_size"][1:]) if config.get("fixed_input_size") else None
    multiple = 1
    if _takes_sizes(model):
        size, multiple = None, layers[-1].stride
        if _has_final_norm(model):
            layers += (Layer(NORM, layers[-1].channels, layers[-1].stride),)
    return Backbone(
        f"timm/{architecture}",
        "timm",
        architecture,
        layers,
        strides_8_and_16(layers),
        mean=_pixels(config["mean"]),
        std=_pixels(config["std"]),
        fixed_size=size,
        side_multiple=multiple,
    )


def _known_model(architecture: str) -> Any:
    """Return timm, which has the model, or raise UnknownNameError."""
    timm = _timm()
    plain = architecture.partition(".")[0]
    if not timm.is_model(plain):
        known = timm.list_models()
        raise UnknownNameError(
            f"timm has no model {plain!r}",
            where="backbone",
            hint=unknown_name_hint(plain, known, listing='python -c "import timm; print(timm.list_models())"'),
        )
    return timm


def _takes_sizes(model: Any) -> bool:
    """Tell whether a model is a plain transformer, whose embeddings of positions fit any grid of patches."""
    return "dynamic_img_size" in inspect.signature(type(model).__init__).parameters


def _has_final_norm(model: Any) -> bool:
    import torch

    norm = getattr(model, "norm", None)
    return norm is not None and not isinstance(norm, torch.nn.Identity)


def _pixels(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (255.0 * float(value) for value in values)
    return red, green, blue


def timm_source(architecture: str, weights: str) -> Source:
    """Return where timm has the weights of a tag (``"default"``: the model's own)."""
    timm = _known_model(architecture)
    plain, _, tag = architecture.partition(".")
    if weights not in ("default", tag):
        if tag:
            raise ParameterError(
                f"weights = {weights!r} for the backbone timm/{architecture}",
                where="weights",
                allowed=f'"default", "{tag}"',
            )
        tag = weights
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{plain}.*") + timm.list_pretrained(plain)]
    if tag and tag not in tags:
        raise ParameterError(
            f"timm has no weights {tag!r} of {plain}",
            where="weights",
            allowed=", ".join(["default", "random", *dict.fromkeys(tags), "a file"]),
        )
    config = timm.get_pretrained_cfg(f"{plain}.{tag}" if tag else plain)
    if config is None:
        return Source(tag)
    return Source(config.tag or tag, config.url or None, config.hf_hub_id or None, config.license or None)


def build_timm(
    backbone: Backbone,
    layers: Sequence[str],
    state: Optional[dict[str, Any]],
    size: Optional[tuple[int, int]] = None,
) -> Any:
    """Return a module that maps (N, 3, H, W) to the layers' features.

    The embeddings of positions of a plain transformer are resampled to ``size`` once, here, as timm does it for
    images of other sizes: the exported graph then holds constants.

    Raises
    ------
    RuntimeError
        When ``state`` does not fit.
    """
    import torch

    if state is not None:
        _check_fits(backbone.architecture, state)
    names = [layer.name for layer in backbone.layers]
    options = {"img_size": size} if backbone.side_multiple > 1 and size is not None else {}
    if NORM in layers and names[-1] == NORM:
        return _normed_tokens(_create(backbone.architecture, state, num_classes=0, **options), names, layers)
    indices = tuple(names.index(layer) for layer in layers)
    network = _create(backbone.architecture, state, features_only=True, out_indices=indices, **options)
    if str(getattr(network, "output_fmt", "NCHW")).rpartition(".")[2] != "NHWC":
        return network

    class ChannelsFirst(torch.nn.Module):
        """Windowed transformers give their maps channels-last."""

        def __init__(self) -> None:
            super().__init__()
            self.body = network

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            return [output.permute(0, 3, 1, 2) for output in self.body(x)]

    return ChannelsFirst()


def _normed_tokens(network: Any, names: list[str], layers: Sequence[str]) -> Any:
    """Return a module that gives a transformer's last block through its final norm, and other blocks as they are."""
    import torch

    last = len(names) - 2
    wanted = sorted({min(names.index(layer), last) for layer in layers})
    network.prune_intermediate_layers(wanted, prune_norm=False)

    class NormedTokens(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            maps = self.body.forward_intermediates(x, indices=wanted, intermediates_only=True)
            normed = self.body.norm(maps[-1].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            return [normed if layer == NORM else maps[wanted.index(names.index(layer))] for layer in layers]

    return NormedTokens()


def _create(architecture: str, state: Optional[dict[str, Any]], **options: Any) -> Any:
    """Make a timm model; it is given tensors, never a file or an address."""
    if state is not None:
        options["pretrained_cfg_overlay"] = {"state_dict": dict(state)}
    return _timm().create_model(architecture, pretrained=state is not None, **options)


def _sketch(architecture: str, **options: Any) -> Any:
    """Make a model whose shapes alone are of interest: on the meta device, which neither allocates nor initialises."""
    import torch

    try:
        with torch.device("meta"):
            return _create(architecture, None, **options)
    except (RuntimeError, NotImplementedError):  # transformers of timm 1.0.12 compute on values while they are made
        with torch.random.fork_rng(devices=[]):
            return _create(architecture, None, **options)


def _check_fits(architecture: str, state: dict[str, Any]) -> None:
    """Raise RuntimeError unless the state gives every tensor of the model's body and has none that is not the model's.

    timm itself loads feature networks leniently: it would run a ResNet-34's file as a ResNet-18, and keep random values
    where the file has none.
    """
    model = _sketch(architecture)
    heads = model.pretrained_cfg.get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    own = {name: tensor.shape for name, tensor in model.state_dict().items()}
    body = {name for name in own if name.rpartition(".")[0] not in heads and not name.endswith("num_batches_tracked")}
    if all(name in state and state[name].shape == own[name] for name in body):
        foreign = [name for name in state if name not in own and name.rpartition(".")[0] not in heads]
        if foreign:
            raise RuntimeError(f"it has tensors that the model lacks: {', '.join(foreign[:3])}")
        return
    # An older checkpoint under other names: timm renames it, and is strict with a whole model.
    _create(architecture, state)
