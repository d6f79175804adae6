"""Raw scores and maps of a Lightning module: its network alone, without the post-processor that clamps."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import torch

from pyimgano.anomalib.making import anomalib_errors
from pyimgano.anomalib.preparation import Preparation
from pyimgano.anomalib.surroundings import quiet
from pyimgano.core.errors import PyimganoError

__all__ = ["ModuleScorer", "resolve_device"]


def resolve_device(device: str) -> str:
    """Return the device that ``"auto"`` stands for."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


class ModuleScorer:
    """Scores images one at a time, so that a score depends on nothing but its image.

    Parameters
    ----------
    module : anomalib.models.AnomalibModule
        A trained one.
    preparation : Preparation
        What comes before its network.
    device : str
        Of torch.
    """

    def __init__(self, module: Any, preparation: Preparation, device: str) -> None:
        self.network = module.model.eval().to(device)
        self.preparation = preparation
        self.device = device
        self.name = type(module).__name__

    def __call__(self, image: np.ndarray, *, maps: bool = True) -> tuple[float, Optional[np.ndarray]]:
        """Return the raw score of an RGB image, (H, W, 3) uint8, and its map, (h, w) float32, or None."""
        pixels, frame = self.preparation(image)
        with torch.inference_mode(), quiet(), anomalib_errors(self.name):
            found = self.network(pixels.to(self.device))
        anomaly_map: Any = getattr(found, "anomaly_map", None)
        score: Any = getattr(found, "pred_score", None)
        if score is None and anomaly_map is None:
            raise PyimganoError("its network gave neither a score nor a map", where=self.name)
        value = float(anomaly_map.max() if score is None else score.flatten()[0])
        if anomaly_map is None or not maps:
            return value, None
        plane = anomaly_map.float().reshape(anomaly_map.shape[-2:]).cpu().numpy()
        return value, frame.place(plane)
