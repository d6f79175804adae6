"""Checkpoints that are a graph: what ``anomalib export`` wrote for ONNX and for OpenVINO."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import numpy as np

from pyimgano.core.errors import CheckpointError, MissingDependencyError

__all__ = ["OnnxCheckpoint", "OpenVinoCheckpoint"]


def _blob(array: np.ndarray, copies: int) -> Any:
    """Return an image, (H, W, 3) uint8, as a graph of anomalib takes it: (N, 3, H, W) float32 in [0, 1].

    ``copies`` is N: 1, unless the exporter has fixed another number, as it does with some models.
    """
    planes = (array.transpose(2, 0, 1)[None] / np.float32(255)).astype(np.float32)
    return np.ascontiguousarray(np.repeat(planes, copies, axis=0))


def _answer(score: Any, plane: Any, maps: bool) -> tuple[float, Optional[np.ndarray]]:
    """Return the score and the map of the first image of a graph's answer."""
    if score is None and plane is None:
        raise CheckpointError("the graph has neither a score nor a map")
    first = None if plane is None else np.asarray(plane, dtype=np.float32)[0].reshape(np.shape(plane)[-2:])
    value = float(np.max(first) if score is None else np.asarray(score).reshape(-1)[0])  # type: ignore[arg-type]
    return value, first if maps else None


class OnnxCheckpoint:
    """A graph of ``anomalib export --export_type onnx``, with raw outputs.

    Parameters
    ----------
    graph : bytes
        Serialised, with its weights in it.
    """

    kind = "onnx"

    def __init__(self, graph: bytes) -> None:
        onnx, onnxruntime = _onnx()
        from pyimgano.anomalib.onnx_graph import (
            IMAGE_SCORE,
            PIXEL_MAP,
            batch_size,
            input_shape,
            output_name,
            raw_graph,
        )

        self._graph = graph
        try:
            model = onnx.load_model_from_string(graph)
        except Exception as error:  # protobuf's own exceptions differ from release to release
            raise CheckpointError(f"is no ONNX graph: {type(error).__name__}") from error
        height, width = input_shape(model)
        self.size = None if height is None or width is None else (height, width)
        raw = raw_graph(model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # the same bits whatever the machine
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            raw.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
        )
        self._raw = raw
        self._input = model.graph.input[0].name
        self._copies = batch_size(model)
        names = [output.name for output in raw.graph.output]
        wanted = (output_name(IMAGE_SCORE), output_name(PIXEL_MAP))
        self._score, self._map = (name if name in names else None for name in wanted)

    @classmethod
    def open(cls, path: Path) -> OnnxCheckpoint:
        """Open a file; weights that lie in a file beside it are taken in."""
        onnx, _ = _onnx()
        try:
            model = onnx.load(str(path))
        except Exception as error:  # protobuf's own exceptions differ from release to release
            raise CheckpointError(f"is no ONNX graph: {type(error).__name__}: {error}", where=str(path)) from error
        return cls(model.SerializeToString())

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> OnnxCheckpoint:
        """Return what :meth:`state` described."""
        return cls(arrays["graph"].tobytes())

    def __call__(self, image: np.ndarray, *, maps: bool) -> tuple[float, Optional[np.ndarray]]:
        """Return the raw score of an image, (H, W, 3) uint8, and its map, (h, w) float32, or None."""
        names = [name for name in (self._score, self._map if maps or self._score is None else None) if name]
        found = dict(zip(names, self._session.run(names, {self._input: _blob(image, self._copies)})))
        return _answer(found.get(self._score or ""), found.get(self._map or ""), maps)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the graph as an array of bytes."""
        return {"graph": np.frombuffer(self._graph, dtype=np.uint8)}, {}

    def export(self, size: tuple[int, int]) -> bytes:
        """Return the graph with raw outputs and the signature of :class:`pyimgano.core.contracts.Exportable`."""
        from pyimgano.anomalib.onnx_graph import with_image_input

        _, plane = self(np.zeros((*size, 3), dtype=np.uint8), maps=True)
        shape = None if plane is None else (int(plane.shape[0]), int(plane.shape[1]))
        changed: bytes = with_image_input(self._raw, size, shape).SerializeToString()
        return changed


def _onnx() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            f"an .onnx file needs {error.name!r}", hint='pip install "pyimgano-anomalib[onnx]"'
        ) from error
    return onnx, onnxruntime


class OpenVinoCheckpoint:
    """A graph of ``anomalib export --export_type openvino``, with outputs before the limits to [0, 1].

    Parameters
    ----------
    graph, weights : bytes
        Content of the ``.xml`` and of the ``.bin`` file.
    """

    kind = "openvino"

    def __init__(self, graph: bytes, weights: bytes) -> None:
        try:
            import openvino
        except ImportError as error:
            raise MissingDependencyError(
                "an OpenVINO graph needs 'openvino'", hint='pip install "pyimgano-anomalib[openvino]"'
            ) from error
        self._files = (graph, weights)
        core = openvino.Core()
        buffer = openvino.Tensor(np.frombuffer(weights, dtype=np.uint8))
        try:
            model = core.read_model(model=graph, weights=buffer)
        except RuntimeError as error:
            raise CheckpointError(f"is no OpenVINO graph: {str(error).strip().splitlines()[-1]}") from error
        shape = model.input(0).partial_shape
        sides = [shape[axis] for axis in (2, 3)]
        self.size = tuple(side.get_length() for side in sides) if all(side.is_static for side in sides) else None
        self._copies = shape[0].get_length() if shape[0].is_static else 1
        self._places: dict[str, int] = {}
        raw: list[Any] = []
        for output in model.outputs:
            for name in ("pred_score", "anomaly_map"):
                if name in output.get_names():
                    self._places[name] = len(raw)
                    raw.append(_raw_output(output, name))
        if not raw:
            raise CheckpointError("has no output pred_score or anomaly_map: it is no graph that anomalib 2 exported")
        changed = openvino.Model(raw, model.get_parameters(), "raw")
        # one thread: the same bits whatever the machine
        settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        self._compiled = core.compile_model(changed, "CPU", settings)

    @classmethod
    def open(cls, path: Path) -> OpenVinoCheckpoint:
        """Open an ``.xml`` file and the ``.bin`` file beside it."""
        beside = path.with_suffix(".bin")
        try:
            return cls(path.read_bytes(), beside.read_bytes())
        except OSError as error:
            raise CheckpointError(
                f"cannot be read: {error.strerror}",
                where=str(error.filename),
                allowed="an .xml with its .bin beside it",
            ) from error

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> OpenVinoCheckpoint:
        """Return what :meth:`state` described."""
        return cls(arrays["graph"].tobytes(), arrays["weights"].tobytes())

    def __call__(self, image: np.ndarray, *, maps: bool) -> tuple[float, Optional[np.ndarray]]:
        """Return the raw score of an image, (H, W, 3) uint8, and its map, (h, w) float32, or None."""
        found = self._compiled([_blob(image, self._copies)])
        score, plane = (
            found[self._places[name]] if name in self._places else None for name in ("pred_score", "anomaly_map")
        )
        return _answer(score, plane, maps)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return both files as arrays of bytes."""
        graph, weights = (np.frombuffer(content, dtype=np.uint8) for content in self._files)
        return {"graph": graph, "weights": weights}, {}


def _raw_output(output: Any, name: str) -> Any:
    """Return what an output was before anomalib's post-processor limited it; see ``onnx_graph``.

    OpenVINO folds the normalisation before the limits, a factor and a summand, into the network's own weights, from
    where it cannot be taken back: what is returned may be ``a · raw + b`` with a > 0.
    """
    source = output.get_node().input(0).get_source_output()
    node = source.get_node()
    if node.get_type_name() == "Select" and node.input(0).get_source_output().get_node().get_type_name() == "Constant":
        return node.input(2).get_source_output()
    if node.get_type_name() == "Clamp":
        limits = node.get_attributes()
        inner = node.input(0).get_source_output()
        if (limits["min"], limits["max"]) == (0.0, 1.0) and inner.get_node().get_type_name() == "Add":
            return inner
    if node.get_type_name() in ("Clamp", "Minimum", "Maximum"):
        raise CheckpointError(
            f"its output {name!r} is limited, so that raw scores cannot be told from it",
            hint="take the .ckpt of the training, or an .onnx, in its place",
        )
    return source
