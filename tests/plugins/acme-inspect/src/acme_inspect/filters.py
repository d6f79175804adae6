"""A detector that leaves Python: small filters, and how far their answers lie from those of good images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from pyimgano.core.batching import ImageBatches
from pyimgano.core.detector import BaseDetector
from pyimgano.core.errors import MissingDependencyError
from pyimgano.core.parameters import require
from pyimgano.core.resizing import resize_image
from pyimgano.core.seeding import generator

__all__ = ["FilterBank"]

FILTERS, SIDE, STRIDE = 8, 3, 2


class FilterBank(BaseDetector):
    """Root mean square, over a bank of random filters, of the standardised answers at each place.

    Parameters
    ----------
    size : int
        Side of the square that images are resized to, in pixels.
    seed : int
        Of the filters.
    """

    def __init__(self, size: int = 64, *, seed: int = 0) -> None:
        self.size = size
        self.seed = seed

    def validate(self) -> None:
        """Check the parameters."""
        require(self.size >= 8, "size", self.size, "8 or more")

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Resize one RGB uint8 image."""
        return resize_image(image, (self.size, self.size))

    def _filters(self) -> np.ndarray:
        found = generator(self.seed, "acme-filters").normal(size=(FILTERS, 3, SIDE, SIDE))
        return (found / np.sqrt((found**2).sum(axis=(1, 2, 3), keepdims=True))).astype(np.float32)

    def _answers(self, image: np.ndarray) -> np.ndarray:
        """Return (FILTERS, h, w) float32."""
        pixels = image.astype(np.float32).transpose(2, 0, 1) / np.float32(255)
        windows = np.lib.stride_tricks.sliding_window_view(pixels, (SIDE, SIDE), axis=(1, 2))[:, ::STRIDE, ::STRIDE]
        return np.einsum("chwij,fcij->fhw", windows, self._filters(), optimize=True).astype(np.float32)

    def _fit(self, images: ImageBatches) -> None:
        answers = np.concatenate([self._answers(image).reshape(FILTERS, -1) for batch in images for image in batch], 1)
        self.mean_ = answers.mean(axis=1, dtype=np.float64).astype(np.float32)
        self.spread_ = (answers.std(axis=1, dtype=np.float64) + 1e-6).astype(np.float32)

    def _infer_batch(self, batch: list[np.ndarray], *, maps: bool) -> tuple[np.ndarray, Optional[np.ndarray]]:
        found = []
        for image in batch:
            away = (self._answers(image) - self.mean_[:, None, None]) / self.spread_[:, None, None]
            found.append(np.sqrt((away * away).mean(axis=0)))
        stacked = np.stack(found)
        return stacked.reshape(len(stacked), -1).max(axis=1), stacked if maps else None

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {"mean": self.mean_, "spread": self.spread_}, {}

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        self.mean_ = arrays["mean"]
        self.spread_ = arrays["spread"]

    def export_onnx(self, directory: Union[str, os.PathLike[str]]) -> Path:
        """Write the whole detector as one graph; see :class:`pyimgano.core.contracts.Exportable`."""
        try:
            from onnx import TensorProto, helper, numpy_helper
        except ImportError as error:
            raise MissingDependencyError("the export needs 'onnx'", hint="pip install onnx") from error
        self._check_fitted()
        side = (self.size - SIDE) // STRIDE + 1
        per_filter = (1, FILTERS, 1, 1)
        weights = {
            "white": np.array(255, dtype=np.float32),
            "filters": self._filters(),
            "mean": self.mean_.reshape(per_filter),
            "spread": self.spread_.reshape(per_filter),
        }
        nodes = [
            helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Div", ["planes", "white"], ["pixels"]),
            helper.make_node("Conv", ["pixels", "filters"], ["answers"], strides=[STRIDE, STRIDE]),
            helper.make_node("Sub", ["answers", "mean"], ["centred"]),
            helper.make_node("Div", ["centred", "spread"], ["away"]),
            helper.make_node("Mul", ["away", "away"], ["squares"]),
            helper.make_node("ReduceMean", ["squares"], ["means"], axes=[1], keepdims=0),
            helper.make_node("Sqrt", ["means"], ["map"]),
            helper.make_node("ReduceMax", ["map"], ["score"], axes=[1, 2], keepdims=0),
        ]
        graph = helper.make_graph(
            nodes,
            "filter-bank",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, self.size, self.size, 3])],
            [
                helper.make_tensor_value_info("score", TensorProto.FLOAT, [1]),
                helper.make_tensor_value_info("map", TensorProto.FLOAT, [1, side, side]),
            ],
            [numpy_helper.from_array(array, name) for name, array in weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(model, {"pyimgano.resize": "area"})
        path = Path(directory) / "model.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model.SerializeToString())
        return path
