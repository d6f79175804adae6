"""What anomalib does to an image before its network, and where the network's map lies in the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import CenterCrop, Compose, InterpolationMode, Normalize, Resize

from anomalib.data.transforms import ExportableCenterCrop
from pyimgano.core.errors import CheckpointError, ParameterError

__all__ = ["Frame", "Preparation", "steps_of", "with_pixel_statistics"]

_CROPS = (CenterCrop, ExportableCenterCrop)


@dataclass(frozen=True)
class Frame:
    """Where what the network sees lies in the resized image.

    Attributes
    ----------
    height, width : int
        Of the resized image, in pixels.
    top, left, rows, columns : int
        The part of it that the network sees.
    """

    height: int
    width: int
    top: int
    left: int
    rows: int
    columns: int

    def place(self, anomaly_map: np.ndarray) -> np.ndarray:
        """Return a map of the part, (h, w), as one of the whole image.

        What was cut off gets the map's lowest value: nobody looked there, and it must not stand out.
        """
        if (self.rows, self.columns) == (self.height, self.width):
            return anomaly_map
        if anomaly_map.shape != (self.rows, self.columns):
            as_tensor = torch.from_numpy(anomaly_map)[None, None]
            size = (self.rows, self.columns)
            anomaly_map = nn.functional.interpolate(as_tensor, size, mode="bilinear", align_corners=False)[0, 0].numpy()
        whole = np.full((self.height, self.width), anomaly_map.min(), dtype=np.float32)
        whole[self.top : self.top + self.rows, self.left : self.left + self.columns] = anomaly_map
        return whole


def steps_of(transform: Optional[nn.Module]) -> list[nn.Module]:
    """Return the single transforms of a model's transform, in order."""
    if transform is None:
        return []
    if isinstance(transform, Compose):
        return [step for part in transform.transforms for step in steps_of(part)]
    return [transform]


def with_pixel_statistics(
    transform: nn.Module, mean: Optional[Sequence[float]], std: Optional[Sequence[float]], *, where: str
) -> Compose:
    """Return a transform with another mean or deviation of the pixels (of values in [0, 1]).

    Raises
    ------
    ParameterError
        When the model does not normalise pixels.
    """
    steps = steps_of(transform)
    if not any(isinstance(step, Normalize) for step in steps):
        raise ParameterError("pixel_mean and pixel_std: this model does not normalise pixels", where=where)
    changed = [
        Normalize(mean=list(mean or step.mean), std=list(std or step.std)) if isinstance(step, Normalize) else step
        for step in steps
    ]
    return Compose(changed)


class Preparation:
    """A model's transform, applied to one image at a time.

    Parameters
    ----------
    transform : torch.nn.Module or None
        Of anomalib's pre-processor: what the model was trained with.
    """

    def __init__(self, transform: Optional[nn.Module]) -> None:
        self.steps = steps_of(transform)

    def tensor(self, image: np.ndarray) -> Tensor:
        """Return an RGB image, (H, W, 3) uint8, as anomalib reads it: (1, 3, H, W) float32 in [0, 1]."""
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).unsqueeze(0)
        return pixels.to(torch.float32).div(255)

    def resize(self, pixels: Tensor) -> Tensor:
        """Apply the first resizing: what anomalib does before it puts images into a batch."""
        resizing = next((step for step in self.steps if isinstance(step, Resize)), None)
        return pixels if resizing is None else resizing(pixels)

    def __call__(self, image: np.ndarray) -> tuple[Tensor, Frame]:
        """Return what the network sees of an image, (1, 3, h, w) float32, and where that lies."""
        pixels = self.tensor(image)
        frame: Optional[Frame] = None
        for step in self.steps:
            height, width = (int(side) for side in pixels.shape[-2:])
            pixels = step(pixels)
            if isinstance(step, _CROPS) and frame is None:
                rows, columns = (int(side) for side in pixels.shape[-2:])
                if rows <= height and columns <= width:
                    # torchvision's rounding
                    top, left = round((height - rows) / 2), round((width - columns) / 2)
                    frame = Frame(height, width, top, left, rows, columns)
        if frame is None:
            height, width = (int(side) for side in pixels.shape[-2:])
            frame = Frame(height, width, 0, 0, height, width)
        return pixels, frame

    def to_json(self) -> list[dict[str, Any]]:
        """Return the steps as data.

        Raises
        ------
        CheckpointError
            When one of them is not among those that anomalib's models use.
        """
        return [_step_to_json(step) for step in self.steps]

    @classmethod
    def from_json(cls, steps: Sequence[dict[str, Any]]) -> Preparation:
        """Return what :meth:`to_json` described."""
        return cls(Compose([_step_from_json(step) for step in steps]) if steps else None)


def _step_to_json(step: nn.Module) -> dict[str, Any]:
    if isinstance(step, Resize):
        size = step.size if isinstance(step.size, int) else list(step.size)
        return {
            "step": "resize",
            "size": size,
            "interpolation": InterpolationMode(step.interpolation).value,  # some releases keep the text
            "antialias": step.antialias,
            "max_size": step.max_size,
        }
    if isinstance(step, _CROPS):
        return {"step": "center-crop", "size": list(step.size)}
    if isinstance(step, Normalize):
        return {
            "step": "normalize",
            "mean": [float(value) for value in step.mean],
            "std": [float(value) for value in step.std],
        }
    raise CheckpointError(
        f"its pre-processor has a {type(step).__name__}, which cannot be kept without code",
        allowed="Resize, CenterCrop, Normalize",
    )


def _step_from_json(step: dict[str, Any]) -> nn.Module:
    kind = step["step"]
    if kind == "resize":
        return Resize(
            step["size"],
            interpolation=InterpolationMode(step["interpolation"]),
            antialias=step["antialias"],
            max_size=step["max_size"],
        )
    if kind == "center-crop":
        return CenterCrop(step["size"])
    if kind == "normalize":
        return Normalize(mean=step["mean"], std=step["std"])
    raise ValueError(f"unknown step {kind!r}")
