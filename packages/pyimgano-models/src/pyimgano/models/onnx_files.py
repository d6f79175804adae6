"""Backbones called ``onnx/<file>``: any ONNX graph that gives feature maps, such as a Keras model's export.

The graph takes one image — (1, H, W, 3) as TensorFlow has it or (1, 3, H, W) as PyTorch has it, uint8 or float — and
each of its outputs of four dimensions, in the same layout, is a layer. It is given pixels 0 … 255, unless a file beside
it, ``<file>.json``, says otherwise: ``{"mean": [127.5, 127.5, 127.5], "std": [127.5, 127.5, 127.5]}`` makes them
``(pixel - mean) / std``.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from pyimgano.core.errors import MissingDependencyError, ParameterError, WeightsError
from pyimgano.core.files import dumps_json, load_json, sha256_bytes, sha256_file
from pyimgano.core.parameters import require
from pyimgano.core.plugins import installed
from pyimgano.core.weight_files import Weights
from pyimgano.models.backbones import Backbone, Layer
from pyimgano.models.onnx_graphs import open_session
from pyimgano.models.runtimes import OnnxRuntime

__all__ = ["GraphFile", "describe_onnx", "onnx_weights"]

TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(float16)": np.float16}
PROBE = 256
"""Side of the image that is sent through a graph that takes any, to learn its layers."""


def describe_onnx(file: str) -> Backbone:
    """Return the description of a graph; it is run once, on a black image.

    Raises
    ------
    WeightsError
        When there is no such file, or it is no graph from one image to feature maps; it says what was found.
    MissingDependencyError
        When onnxruntime is not installed.
    """
    if not installed("onnxruntime"):
        raise MissingDependencyError(
            "backbones called onnx/… need 'onnxruntime'", hint='pip install "pyimgano-models[onnx]"'
        )
    from onnxruntime.capi import onnxruntime_pybind11_state as failures

    path = _existing(file)
    try:
        session = open_session(path, threads=1)
        name, shape, dtype, channels_last = _input_of(session, path)
        size = (shape[1], shape[2]) if channels_last else (shape[2], shape[3])
        fixed = (size[0], size[1]) if all(isinstance(side, int) for side in size) else None
        height, width = fixed or (PROBE, PROBE)
        image = np.zeros((1, height, width, 3) if channels_last else (1, 3, height, width), dtype=dtype)
        outputs = session.run(None, {name: image})
    except (
        failures.Fail,
        failures.InvalidArgument,
        failures.InvalidGraph,
        failures.InvalidProtobuf,
        failures.NotImplemented,
        failures.RuntimeException,
    ) as error:
        raise WeightsError(
            f"onnxruntime cannot run it: {str(error).strip().splitlines()[0]}", where=str(path)
        ) from error
    found = {}
    for entry, output in zip(session.get_outputs(), outputs):
        if getattr(output, "ndim", 0) == 4 and output.shape[0] == 1:
            rows, channels = (output.shape[1], output.shape[3]) if channels_last else (output.shape[2], output.shape[1])
            found[entry.name] = Layer(entry.name, int(channels), max(1, round(height / rows)))
    if not found:
        shapes = ", ".join(f"{e.name} {tuple(o.shape)}" for e, o in zip(session.get_outputs(), outputs))
        raise WeightsError(
            f"none of its outputs is a feature map: {shapes}", where=str(path), allowed="outputs of four dimensions"
        )
    layers = tuple(sorted(found.values(), key=lambda layer: layer.stride))
    mean, std = _normalisation(path) or ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    if dtype == np.uint8:
        require(
            (mean, std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), "mean, std", (mean, std), "none: it takes uint8 pixels"
        )
    # All layers by default: who exported the graph chose them.
    names = tuple(layer.name for layer in layers)
    return Backbone(f"onnx/{file}", "onnx", file, layers, names, mean=mean, std=std, fixed_size=fixed)


def onnx_weights(backbone: Backbone, weights: str = "default") -> Weights:
    """Return the graph as weights; their SHA-256 is that of the file, or of it and of what says how pixels are scaled.

    Raises
    ------
    ParameterError
        When other weights than the graph's own are asked for.
    """
    require(weights == "default", "weights", weights, '"default": a graph holds its weights', where=backbone.name)
    path = _existing(backbone.architecture)
    sha256 = sha256_file(path)
    normalisation = _normalisation(path)
    if normalisation is not None:
        sha256 = sha256_bytes(f"{sha256} {dumps_json(normalisation)}".encode())
    return Weights(path.name, path, sha256, place="file")


class GraphFile(OnnxRuntime):
    """Runs the graph of a file, on the CPU.

    Parameters
    ----------
    path : Path
    backbone : Backbone
        As :func:`describe_onnx` gave it.
    layers : sequence of str
    threads : int
        Changes no result.
    """

    def __init__(self, path: Path, backbone: Backbone, *, layers: Sequence[str], threads: int) -> None:
        super().__init__(path, layers=layers, threads=threads)
        self._input, _, self._type, self._channels_last = _input_of(self.session, path)
        self._mean = np.asarray(backbone.mean, dtype=np.float32)
        self._std = np.asarray(backbone.std, dtype=np.float32)

    def _one(self, image: np.ndarray) -> list[np.ndarray]:
        pixels = image if self._type == np.uint8 else (image.astype(np.float32) - self._mean) / self._std
        pixels = pixels.astype(self._type, copy=False)[None]
        if self._channels_last:
            outputs = self.session.run(self.layers, {self._input: pixels})
            outputs = [output.transpose(0, 3, 1, 2) for output in outputs]
        else:
            outputs = self.session.run(self.layers, {self._input: np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))})
        return [np.ascontiguousarray(output, dtype=np.float32) for output in outputs]


def _existing(file: str) -> Path:
    path = Path(file).expanduser()
    if not path.is_file():
        raise WeightsError("there is no such ONNX file", where=str(path), allowed='backbone = "onnx/<path of a file>"')
    return path


def _input_of(session: Any, path: Path) -> tuple[str, list[Any], Any, bool]:
    """Return the name, shape and type of the graph's only input, and whether channels are last in it."""
    inputs = session.get_inputs()
    shapes = ", ".join(f"{entry.name} {entry.type} {entry.shape}" for entry in inputs)
    shape = list(inputs[0].shape) if len(inputs) == 1 else []
    channels_last = len(shape) == 4 and shape[3] == 3 and shape[1] != 3
    fits = channels_last or (len(shape) == 4 and shape[1] == 3)
    if not fits or inputs[0].type not in TYPES or (isinstance(shape[0], int) and shape[0] != 1):
        raise WeightsError(
            f"it does not take one image: {shapes}",
            where=str(path),
            allowed="one input, (1, H, W, 3) or (1, 3, H, W), uint8 or float",
        )
    return inputs[0].name, shape, TYPES[inputs[0].type], channels_last


def _normalisation(path: Path) -> Optional[tuple[tuple[float, float, float], tuple[float, float, float]]]:
    """Return mean and standard deviation of pixels, when a file beside the graph gives them."""
    beside = path.with_name(path.name + ".json")
    if not beside.is_file():
        return None
    record = load_json(beside)
    known = isinstance(record, dict) and set(record) == {"mean", "std"}
    values: list[Any] = [record["mean"], record["std"]] if known else []
    if not known or not all(_is_triple(value) for value in values) or 0 in values[1]:
        raise ParameterError(
            "does not say how pixels are scaled",
            where=str(beside),
            allowed='{"mean": [R, G, B], "std": [R, G, B]}, of pixel values 0 … 255',
        )
    mean, std = (tuple(float(v) for v in value) for value in values)
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])


def _is_triple(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(isinstance(v, numbers.Real) for v in value)
