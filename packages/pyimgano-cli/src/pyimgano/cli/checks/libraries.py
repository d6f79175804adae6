"""The libraries that do the work. Each is imported in a process of its own: a broken one is a finding, not a crash."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Optional

from pyimgano.cli.checks.finding import OK, PROBLEM, WARNING, Finding
from pyimgano.core.plugins import find_distribution_version

__all__ = ["Probe", "check_numpy", "check_onnxruntime", "check_opencv", "check_torch", "start_probes"]

TIMEOUT_SECONDS = 180

_PROBES = {
    "numpy": "import numpy, safetensors.numpy; facts = {'version': numpy.__version__}",
    "torch": """
import torch
facts = {'version': torch.__version__, 'threads': torch.get_num_threads(), 'device': 'cpu', 'cuda': torch.version.cuda}
if torch.cuda.is_available():
    torch.zeros(1, device='cuda')
    facts['device'] = 'cuda, ' + torch.cuda.get_device_name()
    facts['free'], facts['total'] = torch.cuda.mem_get_info()
elif torch.backends.mps.is_available():
    facts['device'] = 'mps'
""",
    "onnxruntime": """
import onnxruntime
facts = {'version': onnxruntime.__version__, 'providers': onnxruntime.get_available_providers()}
""",
    "opencv": """
import cv2, numpy
ok, data = cv2.imencode('.png', numpy.zeros((4, 4, 3), numpy.uint8))
assert ok and cv2.imdecode(data, cv2.IMREAD_UNCHANGED).shape == (4, 4, 3), 'a PNG does not survive'
facts = {'version': cv2.__version__}
""",
}
_MODULES = {"numpy": "numpy", "torch": "torch", "onnxruntime": "onnxruntime", "opencv": "cv2"}

_OPENCV = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)


class Probe:
    """The import of one library in a process of its own, started at once and asked for later.

    Parameters
    ----------
    library : str
        A key of the probes: ``"numpy"``, ``"torch"``, ``"onnxruntime"`` or ``"opencv"``.
    """

    def __init__(self, library: str) -> None:
        # -c puts the current folder first on sys.path, which the program itself does not.
        code = "import sys; sys.path[:] = [p for p in sys.path if p]\n" + _PROBES[library]
        code += "\nimport json; print('\\n' + json.dumps(facts))"
        self.library = library
        self._told: Optional[tuple[Optional[dict[str, Any]], str]] = None
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
        )

    def result(self) -> tuple[Optional[dict[str, Any]], str]:
        """Wait, and return (facts, "") or (None, why the library could not be used)."""
        if self._told is None:
            self._told = self._wait()
        return self._told

    def _wait(self) -> tuple[Optional[dict[str, Any]], str]:
        try:
            output, errors = self._process.communicate(timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return None, f"importing it took more than {TIMEOUT_SECONDS} s"
        code = self._process.returncode
        if code == 0:
            facts: dict[str, Any] = json.loads(output.rstrip().rpartition("\n")[2])
            return facts, ""
        if code < 0:
            return None, f"importing it crashed the interpreter ({signal.Signals(-code).name})"
        lines = errors.strip().splitlines()
        return None, lines[-1] if lines else f"importing it ended with status {code}"


def start_probes() -> dict[str, Probe]:
    """Start importing all libraries, side by side."""
    return {library: Probe(library) for library in _PROBES}


def _absent(library: str, reason: str) -> bool:
    return reason == f"ModuleNotFoundError: No module named {_MODULES[library]!r}"


def check_numpy(probe: Probe) -> Iterator[Finding]:
    """Tell whether NumPy and safetensors work, which everything needs."""
    facts, reason = probe.result()
    if facts is None:
        yield Finding("numpy", PROBLEM, reason, "pip install --force-reinstall numpy safetensors")
    else:
        yield Finding("numpy", OK, facts["version"])


def check_torch(probe: Probe) -> Iterator[Finding]:
    """Tell whether PyTorch works, and the device that it would run on."""
    facts, reason = probe.result()
    if facts is not None:
        yield Finding("torch", OK, f"{facts['version']} on {facts['device']}, {facts['threads']} threads")
    elif _absent("torch", reason):
        message = "not installed; models on deep features need it"
        yield Finding("torch", WARNING, message, 'pip install "pyimgano-models[lite]"')
    else:
        fix = "pip install --force-reinstall torch" if "CUDA" not in reason else "CUDA_VISIBLE_DEVICES= pyimgano doctor"
        yield Finding("torch", PROBLEM, reason, fix)


def check_onnxruntime(probe: Probe) -> Iterator[Finding]:
    """Tell whether ONNX Runtime works, which is optional, and what it can run on."""
    facts, reason = probe.result()
    if facts is not None:
        yield Finding("onnxruntime", OK, f"{facts['version']}, {', '.join(facts['providers'])}")
    elif _absent("onnxruntime", reason):
        message = "not installed; optional, backbones run faster with it"
        yield Finding("onnxruntime", OK, message, 'pip install "pyimgano-models[onnx]"')
    else:
        yield Finding("onnxruntime", PROBLEM, reason, "pip install --force-reinstall onnxruntime")


def check_opencv(probe: Probe) -> Iterator[Finding]:
    """Tell whether OpenCV works, and whether distributions that overwrite each other's files agree."""
    found = {name: find_distribution_version(name) for name in _OPENCV}
    versions = {name: version for name, version in found.items() if version}
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    facts, reason = probe.result()
    if facts is not None:
        yield Finding("opencv", OK, f"{facts['version']} ({listed or 'not installed by pip'})")
    elif _absent("opencv", reason) and not versions:
        yield Finding("opencv", PROBLEM, "not installed; images cannot be read", "pip install opencv-python")
    elif any(library in reason for library in ("libGL", "libgthread", "libglib", "libSM", "libXext")):
        fix = "pip uninstall -y opencv-python && pip install opencv-python-headless"
        fix += "    (or: apt-get install -y libgl1 libglib2.0-0)"
        yield Finding("opencv", PROBLEM, f"a system library is missing: {reason}", fix)
    else:
        names = " ".join(versions) or "opencv-python"
        yield Finding("opencv", PROBLEM, reason, f"pip install --force-reinstall {names}")
    if len(set(versions.values())) > 1:
        keep = next(iter(versions))
        fix = f"pip uninstall -y {' '.join(versions)} && pip install {keep}=={versions[keep]}"
        message = f"{listed}: they install the same files in different versions"
        yield Finding("opencv", PROBLEM, message, fix)
