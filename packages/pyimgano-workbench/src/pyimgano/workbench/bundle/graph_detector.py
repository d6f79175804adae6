"""A fitted detector that is one ONNX graph: from an image to its score and anomaly map, without the model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

from pyimgano.core.cores import usable_cores
from pyimgano.core.detector import Scores
from pyimgano.core.errors import CheckpointError, NotCalibratedError, PyimganoError
from pyimgano.core.files import atomic_open
from pyimgano.core.images import as_rgb8
from pyimgano.core.resizing import resize_image
from pyimgano.workbench.bundle.graph_check import check_graph, graph_properties
from pyimgano.workbench.bundle.graph_runtimes import TensorFacts, open_graph
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

    A single image is computed by all threads, for latency; the images of a batch run beside each other under
    onnxruntime, one after the other under OpenVINO. Either gives the same bits for an image whatever is beside it.

    Parameters
    ----------
    graph : path-like
        The ONNX file; it need not be trusted (see :func:`~pyimgano.workbench.bundle.graph_check.check_graph`).
    threads : int, optional
        Default: the cores that this process may use.
    runtime : {"onnxruntime", "openvino"}
        What computes it, on the CPU.
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
        When the runtime is not installed.
    """

    batch_size = 8

    def __init__(
        self,
        graph: Union[str, os.PathLike[str]],
        *,
        threads: Optional[int] = None,
        runtime: str = "onnxruntime",
        name: Optional[str] = None,
    ) -> None:
        self.where = name or str(graph)
        self.threads = threads or usable_cores()
        try:
            self._graph = Path(graph).read_bytes()
        except OSError as error:
            raise CheckpointError(f"cannot read: {error.strerror or error}", where=self.where) from error
        check_graph(self._graph, where=self.where)
        self._runtime = open_graph(self._graph, runtime, self.threads, where=self.where)
        self.input_size = self._read_interface()
        self._pool: Optional[ThreadPoolExecutor] = None

    def _read_interface(self) -> tuple[int, int]:
        """Return the size of the input, once inputs and outputs are those that they must be."""
        inputs, outputs = self._runtime.inputs, self._runtime.outputs
        facts = {one.name: one for one in (*inputs, *outputs)}
        image, score, found = (facts.get(name) for name in (IMAGE, SCORE, MAP))
        size = () if image is None else image.shape[1:3]
        if (
            image is None
            or len(inputs) != 1
            or image.type != "uint8"
            or len(image.shape) != 4
            or (image.shape[0], image.shape[3]) != (1, 3)
            or not all(type(side) is int and 1 <= side <= MAX_SIDE for side in size)
        ):
            raise self._refused("inputs", inputs, f"{IMAGE}: uint8 [1, H, W, 3], H and W at most {MAX_SIDE}")
        names = [one.name for one in outputs]
        if (
            sorted(names) not in ([SCORE], [MAP, SCORE])
            or score is None
            or (score.type, score.shape) != ("float", (1,))
            or (found is not None and (found.type != "float" or len(found.shape) != 3 or found.shape[0] != 1))
        ):
            raise self._refused("outputs", outputs, f"{SCORE}: float [1]; {MAP}: float [1, h, w]")
        resize = graph_properties(self._graph).get(RESIZE_KEY)
        if resize != RESIZE:
            raise CheckpointError(f"the graph's property {RESIZE_KEY} is {resize!r}", where=self.where, allowed=RESIZE)
        self.makes_maps = MAP in names
        self._outputs = [SCORE, MAP] if self.makes_maps else [SCORE]
        return int(size[0]), int(size[1])

    def _refused(self, what: str, found: Sequence[TensorFacts], allowed: str) -> CheckpointError:
        shown = "; ".join(map(str, found))
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
        if len(images) <= 1 or self.threads == 1 or not self._runtime.concurrent:
            return map(self._run_one, images)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, "pyimgano-graph")
        return self._pool.map(self._run_one, images)

    def _run_one(self, image: np.ndarray) -> list[np.ndarray]:
        return self._runtime.run(self._outputs, IMAGE, image[None])

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
