"""Where the networks that anomalib makes through timm get their weights: from timm as usual, from a file, or nowhere.

anomalib gives no way to a file of weights, and some of its models no way to leave a download out; all of them ask
``timm.create_model``, which takes a file. It is wrapped while a model is made, and by one thread at a time.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.errors import WeightsError

__all__ = ["networks_from_file", "networks_without_weights"]

_LOCK = threading.RLock()


@contextlib.contextmanager
def _networks(change: Any, check: Any = None) -> Iterator[None]:
    import timm

    with _LOCK:
        make = timm.create_model

        def create_model(model_name: str, *arguments: Any, **options: Any) -> Any:
            options, changed = change(options)
            network = make(model_name, *arguments, **options)
            if changed and check is not None:
                check(network, model_name)
            return network

        timm.create_model = create_model
        try:
            yield
        finally:
            timm.create_model = make


@contextlib.contextmanager
def networks_without_weights() -> Iterator[None]:
    """Let timm make networks without weights, for models whose weights are known already."""
    with _networks(lambda options: ({**options, "pretrained": False}, True)):
        yield


@contextlib.contextmanager
def networks_from_file(path: Optional[Path]) -> Iterator[None]:
    """Let timm load a file, ``.safetensors`` or one of torch, wherever anomalib asks it for pretrained weights.

    Raises
    ------
    WeightsError
        Within, when the file cannot be read or lacks a tensor of the network.
    """
    if path is None:
        yield
        return
    known = _tensor_names(path)

    def change(options: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        if not options.get("pretrained"):
            return options, False
        overlay = {**(options.get("pretrained_cfg_overlay") or {}), "file": str(path)}
        return {**options, "pretrained_cfg_overlay": overlay}, True

    def check(network: Any, name: str) -> None:
        # timm takes what it finds when it makes a network for its features, and leaves the rest as it was made.
        missing = [key for key in network.state_dict() if key not in known]
        if missing:
            raise WeightsError(
                f"is not of timm's {name}: it lacks {', '.join(missing[:3])} ({len(missing)} tensors in all)",
                where=str(path),
                hint="backbone_weights takes a state dict with timm's names of that network",
            )

    with _networks(change, check):
        yield


def _tensor_names(path: Path) -> set[str]:
    from pickle import UnpicklingError  # noqa: TID251 - an error of torch's restricted loader; nothing is unpickled

    import torch
    from safetensors import SafetensorError, safe_open

    try:
        if path.suffix == ".safetensors":
            with safe_open(str(path), "pt") as opened:
                return set(opened.keys())
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, UnpicklingError, RuntimeError, EOFError) as error:
        raise WeightsError(
            f"cannot be read as a state dict: {type(error).__name__}: {str(error).splitlines()[0]}",
            where=str(path),
            allowed=".safetensors, or a file of torch.save that holds tensors alone",
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict):
        raise WeightsError("holds no state dict", where=str(path))
    return {str(name).removeprefix("module.") for name in found}
