"""The accelerator: which one there is, whether PyTorch uses it, and how much of its memory is free."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any, Optional

from pyimgano.cli.checks.finding import OK, WARNING, Finding
from pyimgano.cli.checks.libraries import Probe

__all__ = ["check_accelerator", "nvidia_gpus"]

GIB = 1 << 30
LOW_MEMORY = 2 * GIB
TIMEOUT_SECONDS = 20

_QUERY = ("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")


def nvidia_gpus() -> list[tuple[str, str]]:
    """Return name and driver version of each NVIDIA GPU, as the driver's own program tells."""
    program = shutil.which(_QUERY[0])
    if program is None:
        return []
    try:
        done = subprocess.run(
            [program, *_QUERY[1:]],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):  # the program of a driver that is not loaded fails
        return []
    rows = [line.rpartition(",") for line in done.stdout.splitlines() if "," in line]
    return [(name.strip(), driver.strip()) for name, _, driver in rows]


def check_accelerator(probe: Probe) -> Iterator[Finding]:
    """Tell what PyTorch would run on, and why it would not use a GPU that is there.

    Parameters
    ----------
    probe : Probe
        That of ``"torch"``.
    """
    facts, _ = probe.result()
    gpus = nvidia_gpus()
    names = ", ".join(name for name, _ in gpus)
    if facts is None:  # absent or broken, which the check of torch tells
        yield Finding("accelerator", OK, f"{names}: not used without torch" if gpus else "none found")
    elif facts["device"] != "cpu":
        yield _in_use(facts)
    elif not gpus:
        yield Finding("accelerator", OK, "none found; models run on the processor")
    else:
        message, fix = _unused(facts["cuda"], gpus[0][1])
        yield Finding("accelerator", WARNING, f"{names} is not used: {message}", fix)


def _in_use(facts: dict[str, Any]) -> Finding:
    message, free = str(facts["device"]), facts.get("free")
    if free is None:  # Apple's GPUs share the machine's memory
        return Finding("accelerator", OK, message)
    message += f", {free / GIB:.1f} of {facts['total'] / GIB:.1f} GiB free"
    if free < LOW_MEMORY:
        return Finding("accelerator", WARNING, f"{message}: other programs hold the rest", "nvidia-smi")
    return Finding("accelerator", OK, message)


def _unused(cuda: Optional[str], driver: str) -> tuple[str, str]:
    """Return why a GPU is not used, and what to type."""
    if cuda is None:
        fix = "pip install --force-reinstall torch torchvision"
        if os.name == "nt":  # what PyPI has for Windows knows no GPU
            fix += " --index-url https://download.pytorch.org/whl/cu126"
        return "torch is a build without CUDA", fix
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides it", "unset CUDA_VISIBLE_DEVICES"
    fix = "nvidia-smi    (shows the CUDA that the driver runs: install torch for that one, or a newer driver)"
    return f"torch is built for CUDA {cuda}, and driver {driver} does not run it", fix
