"""Where networks run: the device, and the runtime that has it."""

from __future__ import annotations

import sys
from pathlib import Path

from pyimgano.core.errors import MissingDependencyError, ParameterError
from pyimgano.core.parameters import require
from pyimgano.core.plugins import installed

__all__ = ["choose_device", "need_module", "torch_device"]


def torch_device(device: str) -> str:
    """Return the torch device that the option ``device`` means here: ``"cpu"``, ``"cuda"`` or ``"cuda:<n>"``.

    Raises
    ------
    ParameterError
        When it is unknown, or torch sees no CUDA device.
    """
    return choose_device("torch", device)[0]


def choose_device(runtime: str, device: str) -> tuple[str, str]:
    """Return the device and the runtime that the two options mean here.

    Parameters
    ----------
    runtime : {"auto", "onnxruntime", "torch"}
        As of :func:`~pyimgano.models.features.create_extractor`.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:<n>"``.

    Raises
    ------
    ParameterError
        When the device is unknown, not there, or none of the runtime's.
    MissingDependencyError
        When the library of the runtime is not installed.
    """
    known = device in ("auto", "cpu", "cuda") or (device.startswith("cuda:") and device[5:].isdecimal())
    require(known, "device", device, "auto, cpu, cuda, cuda:<n>")
    if device.startswith("cuda"):
        require(runtime != "onnxruntime", "device", device, 'cpu or auto with runtime = "onnxruntime"')
        need_module("torch", "lite")
        import torch

        if not torch.cuda.is_available():
            raise ParameterError(f"device = {device!r}, and torch sees no CUDA device", allowed="auto, cpu")
        return device, "torch"
    if device == "auto" and runtime != "onnxruntime" and _may_have_gpu():
        import torch

        if torch.cuda.is_available():
            return "cuda", "torch"
    if runtime == "auto":
        runtime = "onnxruntime" if installed("onnx") and installed("onnxruntime") else "torch"
    if runtime == "onnxruntime":
        need_module("onnxruntime", "onnx")
    return "cpu", runtime


def _may_have_gpu() -> bool:
    """Tell whether asking torch for a GPU is worth the seconds that its import takes: whether a driver is there."""
    import ctypes

    if not installed("torch") or sys.platform == "darwin":
        return False
    if Path("/dev/kfd").exists():  # AMD's driver: torch's ROCm builds say "cuda" too
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def need_module(module: str, extra: str) -> None:
    """Raise :class:`~pyimgano.core.errors.MissingDependencyError` unless a module is there; ``extra`` brings it."""
    if not installed(module):
        raise MissingDependencyError(f"the runtime needs {module!r}", hint=f'pip install "pyimgano-models[{extra}]"')
