"""A fitted detector that is one ONNX graph: from an image to its score and anomaly map, by onnxruntime alone."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

from pyimgano.core.cores import usable_cores
from pyimgano.core.detector import Scores
from pyimgano.core.errors import CheckpointError, MissingDependencyError, NotCalibratedError, PyimganoError
from pyimgano.core.files import atomic_open
from pyimgano.core.images import as_rgb8
from pyimgano.core.resizing import resize_image
from pyimgano.workbench.bundle.graph_check import check_graph
from pyimgano.workbench.bundle.names import GRAPH_FILE

if TYPE_CHECKING:
    import numpy as np

__all__ = ["GraphDetector"]

IMAGE, SCORE, MAP = "image", "score", "map"
RESIZE_KEY, RESIZE = "pyimgano.resize", "area"
MAX_SIDE = 16_384


class GraphDetector:
    """A :class:`~pyimgano.core.contracts.Detector` whose every step is in an ONNX graph.

    Of one image of a fixed size the graph takes ``image``, (1, H, W, 3) uint8 RGB, and gives ``score``, (1,) float32,
    and, where it has maps, ``map``, (1, h, w) float32. Images are brought to that size by
    :func:`pyimgano.core.resizing.resize_image`, which the graph's property ``pyimgano.resize`` = ``"area"`` says.

    A single image is computed by all threads, for latency; the images of a batch run beside each other. onnxruntime
    gives the same bits either way, so that a score does not depend on the batch. Its threads sleep between images.

    Parameters
    ----------
    graph : path-like
        The ONNX file; it need not be trusted (see :func:`~pyimgano.workbench.bundle.graph_check.check_graph`).
    threads : int, optional
        Default: the cores that this process may use.
    name : str, optional
        What errors call the file. Default: its path.

    Attributes
    ----------
    input_size : (int, int)
        (H, W) of the graph's input.
    makes_maps : bool
        Whether it has anomaly maps.
    batch_size : int
        Images per call that callers should give it.

    Raises
    ------
    CheckpointError
        When the file is no such graph.
    MissingDependencyError
        When onnxruntime is not installed.
    """

    batch_size = 8

    def __init__(
        self, graph: Union[str, os.PathLike[str]], *, threads: Optional[int] = None, name: Optional[str] = None
    ) -> None:
        self.where = name or str(graph)
        self.threads = threads or usable_cores()
        try:
            self._graph = Path(graph).read_bytes()
        except OSError as error:
            raise CheckpointError(f"cannot read: {error.strerror or error}", where=self.where) from error
        check_graph(self._graph, where=self.where)
        self._session = _open(self._graph, self.threads, self.where)
        self.input_size = self._read_interface()
        self._pool: Optional[ThreadPoolExecutor] = None

    def _read_interface(self) -> tuple[int, int]:
        """Return the size of the input, once inputs and outputs are those that they must be."""
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shapes = {one.name: (one.type, list(one.shape)) for one in (*inputs, *outputs)}
        kind, shape = shapes.get(IMAGE, (None, []))
        size = shape[1:3]
        if (
            [one.name for one in inputs] != [IMAGE]
            or kind != "tensor(uint8)"
            or len(shape) != 4
            or (shape[0], shape[3]) != (1, 3)
            or not all(type(side) is int and 1 <= side <= MAX_SIDE for side in size)
        ):
            raise self._refused("inputs", inputs, f"{IMAGE}: tensor(uint8) [1, H, W, 3], H and W at most {MAX_SIDE}")
        names = [one.name for one in outputs]
        score, found = shapes.get(SCORE), shapes.get(MAP)
        if (
            sorted(names) not in ([SCORE], [MAP, SCORE])
            or score != ("tensor(float)", [1])
            or (found is not None and (found[0] != "tensor(float)" or len(found[1]) != 3 or found[1][0] != 1))
        ):
            raise self._refused("outputs", outputs, f"{SCORE}: tensor(float) [1]; {MAP}: tensor(float) [1, h, w]")
        resize = self._session.get_modelmeta().custom_metadata_map.get(RESIZE_KEY)
        if resize != RESIZE:
            raise CheckpointError(f"the graph's property {RESIZE_KEY} is {resize!r}", where=self.where, allowed=RESIZE)
        self.makes_maps = MAP in names
        self._outputs = [SCORE, MAP] if self.makes_maps else [SCORE]
        return int(size[0]), int(size[1])

    def _refused(self, what: str, found: Sequence[Any], allowed: str) -> CheckpointError:
        shown = "; ".join(f"{one.name}: {one.type} {list(one.shape)}" for one in found)
        return CheckpointError(f"the graph's {what} are {shown[:300]}", where=self.where, allowed=allowed)

    # -- as every detector ---------------------------------------------------------------------------------------

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Bring one RGB uint8 (H, W, 3) image to the size of the graph; idempotent."""
        return resize_image(image, self.input_size)

    def infer(self, X: Sequence[Any], *, maps: bool = True) -> Scores:
        """Return image scores and anomaly maps; see :meth:`pyimgano.core.detector.BaseDetector.infer`.

        Raises
        ------
        ImageError
            When an image cannot be read.
        PyimganoError
            When the graph fails, or gives a score or a map that is not finite.
        """
        import numpy as np

        images = [self.prepare(as_rgb8(image, where=f"image {index}")) for index, image in enumerate(X)]
        outputs = list(self._run(images))
        scores = np.array([float(output[0][0]) for output in outputs], dtype=np.float64)
        if not np.isfinite(scores).all():
            raise PyimganoError(f"the graph gave the score {scores[~np.isfinite(scores)][0]}", where=self.where)
        if not maps or not self.makes_maps:
            return Scores(scores)
        found = [output[1] for output in outputs]
        return Scores(scores, np.concatenate(found) if found else None)

    def _run(self, images: Sequence[np.ndarray]) -> Iterator[list[np.ndarray]]:
        if len(images) <= 1 or self.threads == 1:
            return map(self._run_one, images)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, "pyimgano-graph")
        return self._pool.map(self._run_one, images)

    def _run_one(self, image: np.ndarray) -> list[np.ndarray]:
        with _told(self.where):
            outputs: list[np.ndarray] = self._session.run(self._outputs, {IMAGE: image[None]})
        return outputs

    def decision_function(self, X: Sequence[Any]) -> np.ndarray:
        """Return the anomaly scores of images: (N,) float64, higher is more anomalous."""
        return self.infer(X, maps=False).image_scores

    def predict(self, X: Sequence[Any]) -> np.ndarray:
        """Refuse: a graph has no threshold; that of a bundle lies in its calibration card.

        Raises
        ------
        NotCalibratedError
            Always.
        """
        raise NotCalibratedError("a graph has no threshold", hint="a bundle's is that of its calibration card")

    def fit(self, X: Sequence[Any], y: Optional[Sequence[int]] = None) -> GraphDetector:
        """Refuse: what the graph does was learned before it was exported.

        Raises
        ------
        PyimganoError
            Always.
        """
        raise PyimganoError("a graph cannot be fitted", where=self.where, hint="fit the model, and export it again")

    def save(self, directory: Union[str, os.PathLike[str]]) -> None:
        """Write the graph into a folder, as ``model.onnx``."""
        Path(directory).mkdir(parents=True, exist_ok=True)
        with atomic_open(Path(directory) / GRAPH_FILE, "wb") as stream:
            stream.write(self._graph)


def _open(graph: bytes, threads: int, where: str) -> Any:
    """Return an onnxruntime session; its threads sleep between images rather than spin."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            f"a graph needs 'onnxruntime': {error}", where=where, hint='pip install "pyimgano-workbench[onnx]"'
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # a graph that fails is told by its error
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    with _told(where):
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


@contextlib.contextmanager
def _told(where: str) -> Iterator[None]:
    """Turn what onnxruntime raises, in exceptions of its own that share no base, into an error that names the graph."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError) as error:
        raise _failed(error, where) from error
    except Exception as error:
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        raise _failed(error, where) from error


def _failed(error: Exception, where: str) -> CheckpointError:
    text = re.sub(r"\s+", " ", str(error)).strip()
    return CheckpointError(f"onnxruntime cannot run the graph: {text[:300]}", where=where)
