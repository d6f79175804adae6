"""Trained models leave Python as one graph that gives their scores and maps. About a minute on one core."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from pyimgano.core.errors import NotFittedError
from pyimgano.models.cflow import CFlow
from pyimgano.models.draem import Draem
from pyimgano.models.efficient_ad import EfficientAd
from pyimgano.models.fastflow import FastFlow
from pyimgano.models.graph_export import TOLERANCE, GraphExport
from pyimgano.models.reverse_distillation import ReverseDistillation
from pyimgano.models.simplenet import SimpleNet
from pyimgano.models.specs import MODELS as SPECS
from pyimgano.models.stfpm import STFPM
from pyimgano.models.supersimplenet import SuperSimpleNet

onnx = pytest.importorskip("onnx", reason="onnx is not installed: the extra onnx brings it")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: the extra onnx brings it")
pytest.importorskip("torch", reason="torch is not installed: the extra lite brings it")

COMMON = {"batch_size": 4, "device": "cpu"}
LITE = {"backbone": "efficientnet-lite0", "epochs": 1, **COMMON}
PDN = {"weights": "random:5", "steps": 2, **COMMON}

MODELS = {
    "cflow": lambda **p: CFlow(**{**LITE, "coupling_blocks": 3, "fibres": 32, **p}),
    "draem": lambda **p: Draem(
        **{"epochs": 12, "reconstruction_width": 4, "segmentation_width": 4, "learning_rate": 1e-2, **COMMON, **p}
    ),
    "efficient-ad-lite": lambda **p: EfficientAd(
        "efficientnet-lite0", **{"layers": ["blocks.2", "blocks.4"], "steps": 2, "padding": True, **COMMON, **p}
    ),
    "efficient-ad-m": lambda **p: EfficientAd(**{**PDN, "model_size": "medium", **p}),
    "efficient-ad-s": lambda **p: EfficientAd(**{**PDN, **p}),
    "fastflow": lambda **p: FastFlow(**{**LITE, "flow_steps": 3, **p}),
    "reverse-distillation": lambda **p: ReverseDistillation(**{**LITE, "map_sigma": 2.0, **p}),
    "simplenet": lambda **p: SimpleNet(**{**LITE, "noise_sigma": 4.0, **p}),
    "stfpm": lambda **p: STFPM(**{**LITE, **p}),
    "supersimplenet": lambda **p: SuperSimpleNet(**{**LITE, "noise_sigma": 4.0, **p}),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_trained_model_is_one_graph_of_standard_operators_with_its_scores(
    name, crops, graph_agrees, tmp_path: Path
) -> None:
    detector = MODELS[name](input_size=(64, 96)).fit(crops[:4])
    path = detector.export_onnx(tmp_path / "not there yet")
    assert path == tmp_path / "not there yet" / "model.onnx"
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]
    model = onnx.load(str(path), load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert {node.domain for node in model.graph.node} == {""}
    assert not {node.op_type for node in model.graph.node} & {"If", "Loop", "Scan", "RandomNormal", "RandomUniform"}
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)
    graph_agrees(path, detector, crops[4:7])


@pytest.mark.parametrize("name", ["cflow", "efficient-ad-s"])
def test_what_was_learned_behind_the_last_step_is_in_the_graph(
    name, crops, graph_agrees, run_graph, tmp_path: Path
) -> None:
    """Peaks of likelihoods and levels of maps follow from the images that they are learned from."""
    detector = MODELS[name](input_size=64).fit(crops[:4])
    paths = [detector.export_onnx(tmp_path / "before")]
    detector.finish_training(crops[:4], held_out=crops[7:9])
    paths.append(detector.export_onnx(tmp_path / "after"))
    before, after = (run_graph(path, crops[5])["score"][0] for path in paths)
    assert abs(after - before) > 10 * TOLERANCE * abs(after)
    graph_agrees(paths[1], detector, crops[4:6])


def test_a_graph_of_a_loaded_detector_is_the_same_and_leaves_the_detector_as_it_was(crops, tmp_path) -> None:
    detector = MODELS["simplenet"](input_size=64).fit(crops[:4])
    before = detector.decision_function(crops[4:6])
    first = detector.export_onnx(tmp_path / "first").read_bytes()
    assert detector.decision_function(crops[4:6]).tobytes() == before.tobytes()
    detector.save(tmp_path / "saved")
    loaded = SimpleNet.load(tmp_path / "saved")
    assert loaded.export_onnx(tmp_path / "second").read_bytes() == first


def test_low_rank_updates_are_added_to_the_weights_of_the_graph(crops, graph_agrees, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="peft is not installed: the extra lora brings it")
    detector = MODELS["stfpm"](input_size=64, learning_rate=20.0)
    optimizer = detector.make_optimizer(detector.trainable("lora", rank=2))
    for _ in range(2):
        detector.training_step(crops[:4]).backward()
        optimizer.step()
    detector.finish_training(crops[:4])
    updates = [value for key, value in detector._network.trained.state_dict().items() if ".lora_B." in key]
    assert any(float(update.abs().max()) > 0.0 for update in updates)
    graph_agrees(detector.export_onnx(tmp_path), detector, crops[4:6])


def test_an_export_needs_a_fitted_detector(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError, match="STFPM is not fitted"):
        MODELS["stfpm"](input_size=64).export_onnx(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("spec", [spec for spec in SPECS if "deep" in spec.tags], ids=lambda spec: spec.name)
def test_a_spec_says_whether_its_model_can_be_exported(spec) -> None:
    absent = [need.module for need in spec.requires if need.extra is None and find_spec(need.module) is None]
    if absent:
        pytest.skip(f"{absent[0]} is not installed, and no extra of ours brings it")
    module, _, attribute = spec.factory.partition(":")
    assert spec.export == (("onnx",) if issubclass(getattr(import_module(module), attribute), GraphExport) else ())
