"""The state of a Lightning module as arrays, and back: nothing is pickled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from pyimgano.core.errors import CheckpointError

__all__ = ["module_arrays", "restore_module", "settle"]

_LEFT_OUT = ("post_processor.", "evaluator.", "normalization_metrics.", "image_threshold.", "pixel_threshold.")
"""What judges scores, which pyimgano does itself."""


def module_arrays(module: Any) -> dict[str, np.ndarray]:
    """Return name → array of everything that the module keeps, but what judges scores."""
    arrays = {}
    for name, tensor in module.state_dict().items():
        if not name.startswith(_LEFT_OUT):
            plain = tensor.detach().cpu()
            arrays[name] = (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy().copy()
    return arrays


def restore_module(module: Any, arrays: Mapping[str, Any]) -> None:
    """Give a module the state that :func:`module_arrays` returned, or the tensors of a checkpoint.

    Memory banks and the like have other shapes in a module that is not fitted: those buffers are replaced.

    Raises
    ------
    CheckpointError
        When it is the state of another module.
    """
    state = {
        name: array if isinstance(array, torch.Tensor) else torch.from_numpy(np.array(array))
        for name, array in arrays.items()
        if not name.startswith(_LEFT_OUT)
    }
    owners = dict(module.named_modules())
    for name, tensor in state.items():
        path, _, last = name.rpartition(".")
        owner = owners.get(path)
        buffer = None if owner is None else owner._buffers.get(last)
        if owner is not None and buffer is not None and buffer.shape != tensor.shape:
            owner._buffers[last] = torch.empty_like(tensor, dtype=buffer.dtype)
    try:
        found = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:240]
        raise CheckpointError(f"the state does not fit {type(module).__name__}: {reason}") from error
    missing = [name for name in found.missing_keys if not name.startswith(_LEFT_OUT)]
    unexpected = list(found.unexpected_keys)
    if missing or unexpected:
        raise CheckpointError(
            f"the state does not fit {type(module).__name__}: it lacks {missing[:3]} ({len(missing)} in all), "
            f"and has {unexpected[:3]} ({len(unexpected)} in all) beyond it",
        )
    module.eval()
    settle(module)


def settle(module: Any) -> None:
    """Lay every tensor out in memory in the order of its dimensions, as a file holds it.

    What a training leaves may be transposed, and then a product has other last bits than after loading.
    """
    for owner in module.modules():
        for parameter in owner._parameters.values():
            if parameter is not None:
                parameter.data = parameter.data.contiguous()
        for name, buffer in owner._buffers.items():
            if buffer is not None:
                owner._buffers[name] = buffer.contiguous()
