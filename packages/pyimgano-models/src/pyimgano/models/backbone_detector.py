"""What detectors on backbone features have in common: the extractor, and its identity in what is saved."""

from __future__ import annotations

import logging
import math
import numbers
from abc import ABC
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

from pyimgano.core.detector import BaseDetector
from pyimgano.core.parameters import require
from pyimgano.models.backbones import check_backbone_name, resolve_backbone, select_layers
from pyimgano.models.resizing import check_size

if TYPE_CHECKING:
    import numpy as np

    from pyimgano.models.backbone_extractor import BackboneExtractor

__all__ = ["BackboneDetector", "is_real", "is_whole"]

logger = logging.getLogger(__name__)


class BackboneDetector(BaseDetector, ABC):
    """Base of detectors whose parameters name a backbone (see :func:`pyimgano.models.features.create_extractor`).

    Attributes
    ----------
    extractor_facts_ : dict
        Which backbone, weights and runtime were used; JSON-friendly. It holds ``warning`` when the weights are random.
    """

    backbone: str
    layers: Optional[Sequence[str]]
    input_size: Union[int, Sequence[int]]
    runtime: str
    weights: str
    device: str
    extractor_facts_: dict[str, Any]
    _extractor: Optional[BackboneExtractor] = None
    _adapted: Optional[dict[str, np.ndarray]] = None
    """Tensors of the backbone that were adapted to the user's images; see :mod:`pyimgano.models.adaptable_backbone`."""

    def validate(self) -> None:
        """Check the parameters; imports no deep learning library."""
        require(isinstance(self.backbone, str), "backbone", self.backbone, "the name of a backbone")
        name = self._backbone_name()
        if check_backbone_name(name):
            described = resolve_backbone(name)
            if self._default_layers() is None or self.layers is not None:
                select_layers(described, self.layers)
        check_size(self.input_size, minimum=32)
        require(is_whole(self.batch_size, 1), "batch_size", self.batch_size, "a whole number, at least 1")

    def _backbone_name(self) -> str:
        """Return the full name of the backbone, where the parameter may be a shorter one."""
        return self.backbone

    def _default_layers(self) -> Optional[tuple[str, ...]]:
        """Return the layers to take when none are named; None for the backbone's own default."""
        return None

    def _extracted_layers(self) -> Optional[Sequence[str]]:
        """Return the layers that the extractor gives; None for the backbone's own default."""
        return self._default_layers() if self.layers is None else self.layers

    def _extraction_runtime(self) -> str:
        """Return the runtime that the extractor is made with."""
        return self.runtime

    def _make_extractor(self) -> BackboneExtractor:
        from pyimgano.models.features import create_extractor

        self._keep(
            create_extractor(
                self._backbone_name(),
                layers=self._extracted_layers(),
                input_size=self.input_size,
                runtime=self._extraction_runtime(),
                weights=self.weights,
                device=self.device,
                adapted=self._adapted,
            )
        )
        return self.extractor

    def _keep(self, extractor: BackboneExtractor) -> None:
        self._extractor = extractor
        self.extractor_facts_ = extractor.facts

    @property
    def extractor(self) -> BackboneExtractor:
        """The feature extractor; made when first needed, and anew by every ``fit``."""
        return self._make_extractor() if self._extractor is None else self._extractor

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Resize one RGB uint8 (H, W, 3) image to the size that the backbone sees."""
        return self.extractor.prepare(image)

    def _restore_extractor(self, saved: dict[str, Any]) -> None:
        """Make the extractor again and refuse another backbone's weights.

        Parameters
        ----------
        saved : dict
            The ``facts`` of the extractor that the detector was fitted with.

        Raises
        ------
        CheckpointError
            When the weights on this machine are others.
        """
        from pyimgano.models.features import reopen_extractor

        device = self.device
        if device.startswith("cuda") and not _has_cuda():
            logger.warning("fitted for device %r, which is not here: using the CPU", device)
            device = "cpu"
        self._keep(
            reopen_extractor(
                saved,
                runtime=self._extraction_runtime(),
                weights=self.weights,
                device=device,
                adapted=self._adapted,
            )
        )
        now = self.extractor_facts_["runtime"]
        if now != saved["runtime"]:
            logger.info("fitted with runtime %s, now %s: scores agree to about 1e-5", saved["runtime"], now)


def is_whole(value: Any, least: int) -> bool:
    """Tell whether a parameter is a whole number, at least ``least``."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= least


def is_real(value: Any) -> bool:
    """Tell whether a parameter is a finite number."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _has_cuda() -> bool:
    import torch

    return bool(torch.cuda.is_available())
