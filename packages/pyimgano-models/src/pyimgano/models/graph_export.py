"""A whole fitted detector as one ONNX graph: from an image's pixels to its score and anomaly map.

The graph takes one image of the detector's input size, brought there by :func:`pyimgano.core.resizing.resize_image`,
and needs nothing but an ONNX runtime. Its interface is the same for every model:

==========  =======================  =======================================================
``image``   (1, H, W, 3) uint8       input: RGB
``score``   (1,) float32             raw image score, as ``infer`` gives it
``map``     (1, h, w) float32        raw anomaly map; missing where the model has none
==========  =======================  =======================================================
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from pyimgano.core.detector import BaseDetector
from pyimgano.core.errors import MissingDependencyError, PyimganoError
from pyimgano.core.files import atomic_open
from pyimgano.core.plugins import installed
from pyimgano.core.seeding import generator

if TYPE_CHECKING:
    from torch import nn

__all__ = ["FILE", "TOLERANCE", "GraphExport"]

FILE = "model.onnx"
INPUT = "image"
OUTPUTS = ("score", "map")
TOLERANCE = 1e-4
"""Largest relative difference of a graph's scores and maps from the detector's own."""


class GraphExport(BaseDetector, ABC):
    """Base of detectors that can be exported; see :class:`pyimgano.core.contracts.Exportable`.

    A subclass has :meth:`_graph_network`.
    """

    @abstractmethod
    def _graph_network(self) -> nn.Module:
        """Return the fitted detector as a module on the CPU, in eval mode.

        It maps pixels, (1, H, W, 3) uint8, to ``(score, map)``: (1,) float32 and (1, h, w) float32, or to the score
        alone where the model has no maps. Sizes may be constants.
        """

    @abstractmethod
    def _graph_size(self) -> tuple[int, int]:
        """Return (height, width) of the images that the graph takes: that of :meth:`prepare`'s."""

    def export_onnx(self, directory: Union[str, os.PathLike[str]]) -> Path:
        """Write the fitted detector as ``model.onnx`` and return the file.

        The graph is run on pictures made by lot, and must give what :meth:`infer` does.

        Raises
        ------
        NotFittedError
            Before ``fit`` or ``load``.
        MissingDependencyError
            When torch, ``onnx`` or ``onnxruntime`` is not installed.
        PyimganoError
            When torch cannot export it, the graph gives other scores or maps (relative difference above
            :data:`TOLERANCE`), or the file cannot be written.
        """
        from pyimgano.models.onnx_graphs import open_session, to_onnx

        self._check_fitted()
        for module, extra in (("torch", "lite"), ("onnx", "onnx"), ("onnxruntime", "onnx")):
            if not installed(module):
                raise MissingDependencyError(
                    f"exporting a graph needs {module!r}", hint=f'pip install "pyimgano-models[{extra}]"'
                )
        size = self._graph_size()
        network = self._graph_network()
        images = _pictures(size)
        graph = to_onnx(
            network,
            images[0][None],
            input_name=INPUT,
            output_names=OUTPUTS,
            metadata={"pyimgano.resize": "area", "pyimgano.model": type(self).__name__},
            fold_constants=False,
        )
        session = open_session(graph, threads=1)
        names = [output.name for output in session.get_outputs()]
        for image in images:
            outputs = dict(zip(names, session.run(names, {INPUT: image[None]})))
            self._check_outputs(image, outputs)
        path = Path(directory) / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_open(path, "wb") as stream:
            stream.write(graph)
        return path

    def _check_outputs(self, image: np.ndarray, outputs: dict[str, Any]) -> None:
        ours = self.infer([image], maps="map" in outputs)
        expected = {"score": ours.image_scores, "map": ours.maps}
        for name, found in outputs.items():
            wanted = expected[name]
            if wanted is None or wanted.shape != found.shape:
                shape = None if wanted is None else wanted.shape
                raise PyimganoError(f"the exported graph's {name} has the shape {found.shape}, the detector's {shape}")
            difference = float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-30))
            if not difference <= TOLERANCE:
                raise PyimganoError(
                    f"the graph gives another {name} than {type(self).__name__} itself: it differs by {difference:.2g}",
                    allowed=f"a relative difference up to {TOLERANCE:g}",
                )


def _pictures(size: tuple[int, int]) -> list[np.ndarray]:
    """Return pictures of what a graph could do wrong: noise, a gradient with an edge, and one value everywhere."""
    height, width = size
    noise = generator(0, "graph-export").integers(0, 256, (height, width, 3), dtype=np.uint8)
    gradient = np.empty((height, width, 3), dtype=np.uint8)
    gradient[...] = np.linspace(0, 255, width, dtype=np.uint8)[:, None]
    gradient[: height // 3, : width // 2] = (200, 30, 90)
    return [noise, gradient, np.full((height, width, 3), 128, dtype=np.uint8)]
