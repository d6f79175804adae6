"""Low-rank updates of a network's convolutions and linear layers, through the library ``peft``.

E. Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models*, ICLR 2022, arXiv 2106.09685: a frozen weight ``W``
is used as ``W + B A`` with ``B A`` of a small rank; ``B`` starts at zero, so the network starts as it was.
"""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor, nn

from pyimgano.core.errors import MissingDependencyError, ParameterError
from pyimgano.core.parameters import require

__all__ = ["inject_lora", "merged_state"]

NAME = "default"
"""What peft calls the one set of updates that a network has here."""


def inject_lora(network: nn.Module, rank: int) -> list[nn.Parameter]:
    """Give every convolution that is not grouped, and every linear layer, an update, and return their parameters.

    A network that has them already keeps them.

    Parameters
    ----------
    network : Module
        Changed in place; its own parameters are frozen. The updates are drawn from torch's global generator.
    rank : int
        Of the updates; they are scaled by 1.

    Raises
    ------
    MissingDependencyError
        When peft is not installed.
    ParameterError
        When the network has no such layer, or updates of another rank.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
        from peft.tuners.lora import LoraLayer
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"the mode 'lora' needs {error.name!r}", hint='pip install "pyimgano-models[lora]"'
        ) from error
    require(isinstance(rank, int) and rank >= 1, "rank", rank, "a whole number, at least 1")
    present = [module for module in network.modules() if isinstance(module, LoraLayer)]
    if not present:
        names = [name for name, module in network.named_modules() if _takes_update(module)]
        if not names:
            raise ParameterError("the network has no layer that low-rank updates fit", where="mode")
        # A regular expression is matched whole; a list of names would also match the ends of longer ones.
        pattern = "|".join(re.escape(name) for name in names)
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=pattern), network)
    elif any(module.r[NAME] != rank for module in present):
        raise ParameterError(
            f"rank = {rank}, and the network has updates of rank {present[0].r[NAME]}", allowed=str(present[0].r[NAME])
        )
    return [parameter for name, parameter in network.named_parameters() if _is_update(name)]


def _takes_update(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)


def _is_update(name: str) -> bool:
    return ".lora_A." in name or ".lora_B." in name


def merged_state(network: nn.Module) -> dict[str, Tensor]:
    """Return a network's state dict with the updates added to the weights, under the names without updates.

    A network without updates gives its own state dict. Nothing is changed.
    """
    state = network.state_dict()
    layers: dict[str, Any] = {
        name: module for name, module in network.named_modules() if hasattr(module, "get_delta_weight")
    }
    merged: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if _is_update(name):
            continue
        owner, marker, rest = name.partition(".base_layer.")
        if marker and owner in layers:
            update = layers[owner].get_delta_weight(NAME).detach() if rest == "weight" else 0.0
            merged[f"{owner}.{rest}"] = tensor + update
        else:
            merged[name] = tensor
    return merged
