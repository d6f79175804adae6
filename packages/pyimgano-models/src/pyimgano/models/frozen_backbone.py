"""What trained detectors that learn from the features of a frozen backbone have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.cores import usable_cores
from pyimgano.core.errors import MissingDependencyError, ParameterError
from pyimgano.core.parameters import require
from pyimgano.core.plugins import installed
from pyimgano.models.backbone_detector import BackboneDetector
from pyimgano.models.backbones import pyramid_layers, resolve_backbone
from pyimgano.models.runtimes import RUNTIMES, JudgedFeatures, Runtime, TorchRuntime
from pyimgano.models.trained import TrainedDetector

if TYPE_CHECKING:
    from pyimgano.core.batching import ImageBatches
    from pyimgano.models.networks import PixelNetwork
    from pyimgano.models.trained_networks import TrainedNetwork

__all__ = ["FrozenBackboneDetector"]


class FrozenBackboneDetector(TrainedDetector, BackboneDetector, ABC):
    """Base of detectors whose trained part takes, or is compared with, the features of a frozen backbone.

    A subclass has :meth:`_build_network`, :meth:`~pyimgano.models.trained.TrainedDetector.make_optimizer` and
    :meth:`~pyimgano.models.network_scoring.NetworkScoring._render`. Its backbone is saved by name and checksum,
    not by value.

    Attributes
    ----------
    extractor_facts_ : dict
        Of the backbone; see :class:`~pyimgano.models.backbone_detector.BackboneDetector`.
    """

    runtime: str = "auto"

    def validate(self) -> None:
        """Check the parameters; imports no deep learning library."""
        super().validate()
        require(self.runtime in RUNTIMES, "runtime", self.runtime, ", ".join(RUNTIMES))

    def _extraction_runtime(self) -> str:
        return "torch"  # the network that is trained needs the backbone's module

    def _make_scorer(self, network: TrainedNetwork, device: str) -> Runtime:
        from pyimgano.models.features import create_extractor
        from pyimgano.models.trained_networks import FeatureJudge

        facts = self.extractor_facts_
        ready = installed("onnx") and installed("onnxruntime")
        if self.runtime == "onnxruntime":  # told before the training, not behind it
            require(device == "cpu", "runtime", self.runtime, f'torch or auto on the device {device}; device = "cpu"')
            if not ready:
                hint = 'pip install "pyimgano-models[onnx]"'
                raise MissingDependencyError('runtime = "onnxruntime" needs onnx and onnxruntime', hint=hint)
        # A graph of random weights would be exported by every process: only where it is asked for.
        wanted = self.runtime == "onnxruntime" or (self.runtime == "auto" and ready and not facts["random"])
        if not (wanted and device == "cpu" and isinstance(network, FeatureJudge)):
            return super()._make_scorer(network, device)

        def graph() -> Runtime:
            return create_extractor(
                facts["backbone"],
                layers=facts["layers"],
                input_size=facts["input_size"],
                runtime="auto" if self.runtime == "auto" else "onnxruntime",
                weights=self.weights,
                device="cpu",
            ).runtime

        return JudgedFeatures(graph, network, threads=usable_cores())

    @abstractmethod
    def _build_network(self, teacher: PixelNetwork) -> TrainedNetwork:
        """Return the untrained network around a frozen backbone; torch's CPU generator is seeded for it."""

    def _default_layers(self) -> Optional[tuple[str, ...]]:
        return pyramid_layers(resolve_backbone(self.backbone))

    def _fit(self, images: ImageBatches) -> None:
        self._make_extractor()
        super()._fit(images)

    def _make_network(self) -> tuple[TrainedNetwork, str]:
        extractor = self.extractor
        stride = extractor.backbone.layer(extractor.layers[-1]).stride
        if min(extractor.input_size) < 2 * stride:  # BatchNorm cannot learn from one position of one image
            raise ParameterError(
                f"input_size = {self.input_size!r} leaves the layer {extractor.layers[-1]} less than 2 × 2 positions",
                where=type(self).__name__,
                allowed=f"at least {2 * stride}, or finer layers",
            )
        runtime = extractor.runtime
        assert isinstance(runtime, TorchRuntime)
        return self._build_network(runtime.network), runtime.device

    def _graph_size(self) -> tuple[int, int]:
        return self.extractor.input_size

    def _network_facts(self) -> dict[str, Any]:
        return {"extractor": self.extractor_facts_}

    def _restore_network(self, facts: dict[str, Any]) -> None:
        self._restore_extractor(facts["extractor"])
