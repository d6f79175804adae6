"""How detectors with a trained network score: the network's outputs become maps and scores, in torch.

The same lines compute them when the detector scores and in its exported graph.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional

import numpy as np

from pyimgano.core.cores import usable_cores
from pyimgano.models.graph_export import GraphExport
from pyimgano.models.runtimes import Runtime, torch_threads

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pyimgano.models.trained_networks import TrainedNetwork

__all__ = ["NetworkScoring"]


class NetworkScoring(GraphExport, ABC):
    """Scores by a trained network; a subclass says in :meth:`_render` what its outputs become.

    Images are scored one by one, each by one thread, so that a score does not depend on the batch.
    """

    _network: Optional[TrainedNetwork] = None
    _scorer: Optional[Runtime] = None

    @abstractmethod
    def _render(self, outputs: Sequence[Tensor]) -> Tensor:
        """Return the maps, (N, height, width) float32, of what the network's ``forward`` gave for N images.

        A graph is traced through it: it must be made of tensor operations that ONNX knows, and may take sizes,
        parameters and what was learned as constants. The outputs are on the CPU, and must not be changed.
        """

    def _image_scores(self, outputs: Sequence[Tensor], maps: Tensor) -> Tensor:
        """Return the (N,) scores of images; the maxima of their maps unless the paper says otherwise."""
        return maps.amax(dim=(1, 2))

    def _finish(self, outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return scores and maps."""
        maps = self._render(outputs)
        return self._image_scores(outputs, maps), maps

    def _finish_arrays(self, outputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        import torch

        with torch.inference_mode():
            return [result.numpy() for result in self._finish([torch.from_numpy(output) for output in outputs])]

    def _infer_batch(self, batch: list[np.ndarray], *, maps: bool) -> tuple[np.ndarray, Optional[np.ndarray]]:
        assert self._network is not None
        assert self._scorer is not None
        self._network.learn(False)
        outputs = self._scorer.run(batch)
        finished = list(torch_threads(usable_cores()).map(self._finish_arrays, outputs))
        scores, rendered = (np.concatenate(part) for part in zip(*finished))
        return scores, rendered if maps else None

    def _graph_network(self) -> nn.Module:
        """Return network and rendering of a copy: the detector itself may be on another device, or have updates apart.

        The copy is what a saved detector is loaded as.
        """
        from pyimgano.models.graphs.trained import TrainedGraph

        twin = type(self)(**{**self.get_params(), "device": "cpu"})
        twin._set_state(*self._get_state())
        assert twin._network is not None
        twin._network.learn(False)
        return TrainedGraph(twin._network, twin._finish).eval()
