"""Memory models leave Python as one graph that gives their scores and maps. About a minute on one core."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from pyimgano.core.errors import NotFittedError
from pyimgano.models.anomaly_dino import AnomalyDino
from pyimgano.models.dfm import Dfm
from pyimgano.models.padim import Padim
from pyimgano.models.patchcore import PatchCore
from pyimgano.models.softpatch import SoftPatch
from pyimgano.models.spade import Spade

onnx = pytest.importorskip("onnx", reason="onnx is not installed: the extra onnx brings it")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: the extra onnx brings it")
pytest.importorskip("torch", reason="torch is not installed: the extra lite brings it")

LITE0 = "efficientnet-lite0"
MODELS: dict[str, Callable[[], Any]] = {
    "anomaly-dino": lambda: AnomalyDino(LITE0, input_size=64),
    "anomaly-dino-of-a-transformer": lambda: AnomalyDino(
        "timm/test_vit", input_size=(64, 96), weights="random", augment_rotations="off"
    ),
    "dfm": lambda: Dfm(input_size=64),
    "dfm-by-likelihood": lambda: Dfm(input_size=(96, 64), layers=["blocks.2"], pooling=2, score="nll"),
    "padim": lambda: Padim(input_size=64),
    "padim-oblong": lambda: Padim(input_size=(64, 96), layers=["blocks.1", "blocks.4"], n_features=20),
    "patchcore": lambda: PatchCore(input_size=64),
    "patchcore-plain": lambda: PatchCore(
        input_size=(64, 96), num_neighbors=1, patch_size=1, map_sigma=0.0, map_interpolation="nearest"
    ),
    "softpatch": lambda: SoftPatch(input_size=64),
    "spade": lambda: Spade(input_size=64, n_images=3),
    "spade-with-several-patches": lambda: Spade(
        input_size=(64, 96), layers=["blocks.2"], retrieval_layer="blocks.4", n_patches=3
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_memory_model_is_one_graph_of_standard_operators_with_its_scores(
    name: str, crops: list[np.ndarray], graph_agrees: Callable[..., None], tmp_path: Path
) -> None:
    detector = MODELS[name]().fit(crops[:6])
    path = detector.export_onnx(tmp_path / "out")
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]
    model = onnx.load(str(path), load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}
    assert not {node.op_type for node in model.graph.node} & {"If", "Loop", "Scan", "RandomNormal", "RandomUniform"}
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)
    graph_agrees(path, detector, crops[6:10])


def test_a_loaded_detector_exports_too_and_one_that_is_not_fitted_does_not(
    crops: list[np.ndarray], graph_agrees: Callable[..., None], tmp_path: Path
) -> None:
    PatchCore(input_size=64, seed=3).fit(crops[:4]).save(tmp_path / "saved")
    loaded = PatchCore.load(tmp_path / "saved")
    graph_agrees(loaded.export_onnx(tmp_path / "out"), loaded, crops[6:8])
    with pytest.raises(NotFittedError, match="PatchCore is not fitted"):
        PatchCore(input_size=64).export_onnx(tmp_path / "none")
    assert not (tmp_path / "none").exists()
