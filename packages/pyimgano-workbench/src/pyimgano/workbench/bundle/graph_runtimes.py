"""What computes an ONNX graph: onnxruntime, or OpenVINO. Both give a score that does not depend on the threads."""

from __future__ import annotations

import contextlib
import io
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyimgano.core.errors import CheckpointError, MissingDependencyError
from pyimgano.core.specs import Requirement

if TYPE_CHECKING:
    import numpy as np

__all__ = ["GRAPH_RUNTIMES", "GraphRuntime", "TensorFacts", "open_graph"]

GRAPH_RUNTIMES = {
    "onnxruntime": Requirement("onnxruntime", "pyimgano-workbench", "onnx"),
    "openvino": Requirement("openvino", "pyimgano-workbench", "openvino"),
}
"""Name of a runtime → what it needs beside the workbench."""

_OPENVINO_TYPES = {"u8": "uint8", "f32": "float"}


@dataclass(frozen=True)
class TensorFacts:
    """One input or output of a graph.

    Attributes
    ----------
    name : str
    type : str
        ``"uint8"``, ``"float"``, …: the ONNX name of the elements' type.
    shape : tuple
        Whole numbers; what is free is None or a name.
    """

    name: str
    type: str
    shape: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.type} {list(self.shape)}"


class GraphRuntime(ABC):
    """A graph, ready to run.

    Attributes
    ----------
    inputs, outputs : tuple of TensorFacts
    concurrent : bool
        Whether several threads may run it at once.
    """

    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    concurrent: bool

    @abstractmethod
    def run(self, outputs: Sequence[str], name: str, array: np.ndarray) -> list[np.ndarray]:
        """Return some of the outputs for an input.

        Raises
        ------
        CheckpointError
            When the graph fails.
        """


def open_graph(graph: bytes, runtime: str, threads: int, *, where: str) -> GraphRuntime:
    """Return a graph ready to run on the CPU.

    Parameters
    ----------
    graph : bytes
        An ONNX file that was looked through (:func:`~pyimgano.workbench.bundle.graph_check.check_graph`).
    runtime : str
        One of :data:`GRAPH_RUNTIMES`.
    threads : int
        That compute one image.
    where : str
        What errors call the file.

    Raises
    ------
    CheckpointError
        When the runtime does not take the graph.
    MissingDependencyError
        When the runtime is not installed.
    """
    kind = _OnnxRuntime if runtime == "onnxruntime" else _OpenVino
    try:
        return kind(graph, threads, where)
    except ImportError as error:
        need = GRAPH_RUNTIMES[runtime]
        raise MissingDependencyError(f"a graph needs {need.module!r}: {error}", where=where, hint=need.pip) from error


class _OnnxRuntime(GraphRuntime):
    """onnxruntime; its threads sleep between images rather than spin."""

    concurrent = True

    def __init__(self, graph: bytes, threads: int, where: str) -> None:
        import onnxruntime

        self._where = where
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # a graph that fails is told by its error
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        with _told("onnxruntime", where):
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.inputs, self.outputs = (
            tuple(TensorFacts(one.name, one.type[len("tensor(") : -1], tuple(one.shape)) for one in found)
            for found in (self._session.get_inputs(), self._session.get_outputs())
        )

    def run(self, outputs: Sequence[str], name: str, array: np.ndarray) -> list[np.ndarray]:
        with _told("onnxruntime", self._where):
            found: list[np.ndarray] = self._session.run(list(outputs), {name: array})
        return found


class _OpenVino(GraphRuntime):
    """OpenVINO on the CPU, which reads ONNX; in full float32, where it would take bfloat16 by itself."""

    concurrent = False

    def __init__(self, graph: bytes, threads: int, where: str) -> None:
        import openvino

        self._where = where
        settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        with _told("OpenVINO", where):
            core = openvino.Core()
            model = core.read_model(io.BytesIO(graph))
            self._compiled = core.compile_model(model, "CPU", settings)
        self.inputs, self.outputs = (
            tuple(map(_openvino_facts, found)) for found in (self._compiled.inputs, self._compiled.outputs)
        )

    def run(self, outputs: Sequence[str], name: str, array: np.ndarray) -> list[np.ndarray]:
        import numpy as np

        with _told("OpenVINO", self._where):
            found = self._compiled({name: array})
            return [np.array(found[output]) for output in outputs]  # the next image is computed in the same memory


def _openvino_facts(port: Any) -> TensorFacts:
    kind = port.get_element_type().get_type_name()
    shape = tuple(side.get_length() if side.is_static else None for side in port.get_partial_shape())
    return TensorFacts(port.get_any_name(), _OPENVINO_TYPES.get(kind, kind), shape)


@contextlib.contextmanager
def _told(runtime: str, where: str) -> Iterator[None]:
    """Turn what a runtime raises into an error that names the graph; onnxruntime's own exceptions share no base."""
    try:
        yield
    except ImportError:
        raise
    except (RuntimeError, ValueError, TypeError) as error:
        raise _failed(error, runtime, where) from error
    except Exception as error:
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        raise _failed(error, runtime, where) from error


def _failed(error: Exception, runtime: str, where: str) -> CheckpointError:
    text = re.sub(r"\s+", " ", str(error)).strip()
    return CheckpointError(f"{runtime} cannot run the graph: {text[:300]}", where=where)
