"""From a name and weights to a CLIP model of OpenCLIP; files are read as tensors, and no code of theirs is run."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any, Optional

import torch
from torch import nn

from pyimgano.core.errors import UnknownNameError, WeightsError
from pyimgano.core.weight_files import Weights
from pyimgano.openclip.names import load_open_clip, model_config, root_logger_silenced
from pyimgano.openclip.pretrained import Pretrained

__all__ = ["create_clip", "fingerprint"]


def create_clip(pretrained: Pretrained, weights: Optional[Weights], size: Optional[tuple[int, int]] = None) -> Any:
    """Return OpenCLIP's model in eval mode, on the CPU.

    Parameters
    ----------
    pretrained : Pretrained
        Which model; its tag decides the kind of GELU, as in OpenCLIP.
    weights : Weights or None
        Loaded completely or not at all; None, or random ones: parameters come from torch's global generator.
    size : (int, int), optional
        (height, width) of the images; embeddings of positions are resampled to it as OpenCLIP does.

    Raises
    ------
    UnknownNameError
        When OpenCLIP has no such model, or it needs more than OpenCLIP to be made.
    WeightsError
        When the file cannot be read, or does not fit.
    """
    open_clip = load_open_clip()
    config = model_config(pretrained.model)
    if "hf_model_name" in config["text_cfg"]:
        raise UnknownNameError(
            f"the words of {pretrained.model!r} are read by the model {config['text_cfg']['hf_model_name']!r} of the "
            "hub, which OpenCLIP would download",
            where="backbone",
            allowed="a model whose text tower is OpenCLIP's own",
        )
    vision = config["vision_cfg"]
    plain = "timm_model_name" not in vision and isinstance(vision.get("layers", 12), int)
    with root_logger_silenced():
        model = open_clip.create_model(
            pretrained.model,
            force_quick_gelu=bool(pretrained.config.get("quick_gelu", False)),
            force_image_size=size if plain else None,
        )
    if weights is not None and weights.path is not None:
        load_weights(model, pretrained.model, weights.path)
    resize = getattr(getattr(model.visual, "trunk", None), "set_input_size", None)
    if size is not None and resize is not None:
        resize(img_size=size)
    return model.eval().requires_grad_(False)


def load_weights(model: nn.Module, name: str, path: Path) -> None:
    """Load a file into a model, as OpenCLIP converts it.

    Raises
    ------
    WeightsError
        When the file is damaged, holds anything beyond tensors, or does not fit.
    """
    check_tensors_only(path)
    try:
        with root_logger_silenced():
            load_open_clip().load_checkpoint(model, str(path), strict=True, weights_only=True)
    except (RuntimeError, KeyError, AttributeError, StopIteration) as error:
        reason = " ".join(line.strip() for line in str(error).strip().splitlines()[:2])[:240]
        raise WeightsError(f"the weights do not fit openclip/{name}: {reason}", where=str(path)) from error


def check_tensors_only(path: Path) -> None:
    """Make sure that a file holds a state dict and nothing that could run; OpenCLIP reads it again."""
    if path.suffix.lower() == ".safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="pt") as file:
                file.keys()
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"not a readable safetensors file: {error}", where=str(path)) from error
        return
    if _is_torchscript(path):
        raise WeightsError(
            "an archive of TorchScript, as OpenAI's own .pt files are: it holds code, which is never run",
            where=str(path),
            hint="take the .safetensors file of the Hugging Face hub",
        )
    import pickle  # noqa: TID251  only for the error that torch raises

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            "not a plain weights file: it is damaged, or holds Python objects, which are never run",
            where=str(path),
            hint="take the .safetensors file of the Hugging Face hub, or save the state dict alone",
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"cannot read the weights file: {reason}", where=str(path)) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not state or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise WeightsError("the file does not hold a state dict", where=str(path), allowed="name → tensor")


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def fingerprint(network: nn.Module) -> str:
    """Return the SHA-256 over a network's parameters and buffers, with their names; random weights are known by it."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
