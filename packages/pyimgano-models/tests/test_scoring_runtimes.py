"""Trained models score the same whichever runtime computes the backbone, and however many threads share an image."""

from __future__ import annotations

import numpy as np
import pytest

from pyimgano.core.errors import MissingDependencyError, ParameterError
from pyimgano.models import frozen_backbone, trained
from pyimgano.models.cflow import CFlow
from pyimgano.models.efficient_ad import EfficientAd
from pyimgano.models.fastflow import FastFlow
from pyimgano.models.reverse_distillation import ReverseDistillation
from pyimgano.models.simplenet import SimpleNet
from pyimgano.models.stfpm import STFPM
from pyimgano.models.supersimplenet import SuperSimpleNet

SMALL = {"backbone": "efficientnet-lite0", "input_size": 64, "epochs": 1, "batch_size": 4, "device": "cpu"}
JUDGES = {
    "reverse-distillation": lambda **more: ReverseDistillation(**SMALL, **more),
    "fastflow": lambda **more: FastFlow(**SMALL, flow_steps=2, **more),
    "cflow": lambda **more: CFlow(**SMALL, coupling_blocks=2, fibres=32, **more),
    "simplenet": lambda **more: SimpleNet(**SMALL, **more),
    "supersimplenet": lambda **more: SuperSimpleNet(**SMALL, **more),
}
BRANCHED = {
    "stfpm": lambda: STFPM(**SMALL),
    "efficient-ad": lambda: EfficientAd(
        backbone="efficientnet-lite0", layers=["blocks.2"], input_size=64, steps=1, batch_size=4, device="cpu"
    ),
}


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 256, (5, 8, 8, 3)).astype(np.float32).repeat(8, axis=1).repeat(8, axis=2)
    return list(np.clip(smooth + rng.normal(0.0, 12.0, smooth.shape), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("name", JUDGES)
def test_a_graph_of_the_backbone_gives_torchs_scores_and_the_same_training(name, images) -> None:
    of_torch, of_graph = (JUDGES[name](runtime=runtime).fit(images[:4]) for runtime in ("torch", "onnxruntime"))
    assert of_graph._scorer.name == "onnxruntime"
    assert of_torch._scorer.name == "torch"
    assert of_graph.losses_.tolist() == of_torch.losses_.tolist()
    ours, theirs = of_graph.infer(images), of_torch.infer(images)
    for graph, torch in ((ours.image_scores, theirs.image_scores), (ours.maps, theirs.maps)):
        assert np.abs(graph - torch).max() <= 1e-4 * np.ptp(torch) + 1e-5 * np.abs(torch).max()


@pytest.mark.parametrize("name", [*JUDGES, *BRANCHED])
def test_an_image_alone_has_the_bits_that_it_has_beside_others(name, images, monkeypatch) -> None:
    """Alone, its branches or the backbone share the threads; beside others it has a thread of its own."""
    for module in (trained, frozen_backbone):
        monkeypatch.setattr(module, "usable_cores", lambda: 4)
    detector = BRANCHED[name]() if name in BRANCHED else JUDGES[name](runtime="onnxruntime")
    together = detector.fit(images[:4]).infer(images)
    for index, image in enumerate(images):
        alone = detector.infer([image])
        assert alone.image_scores[0] == together.image_scores[index]
        assert np.array_equal(alone.maps[0], together.maps[index])


def test_a_backbone_with_random_weights_stays_in_torch_unless_a_graph_is_asked_for(images) -> None:
    assert SimpleNet(**SMALL, weights="random").fit(images[:2])._scorer.name == "torch"
    asked = SimpleNet(**SMALL, weights="random", runtime="onnxruntime").fit(images[:2])
    assert asked._scorer.name == "onnxruntime"
    assert np.isfinite(asked.infer(images[:1]).image_scores).all()


def test_a_runtime_that_is_not_there_or_not_known_is_told_before_training(images, monkeypatch) -> None:
    with pytest.raises(ParameterError, match=r"(?s)runtime = .tensorrt.*auto, onnxruntime, torch"):
        SimpleNet(**SMALL, runtime="tensorrt").fit(images)
    monkeypatch.setattr(frozen_backbone, "installed", lambda module: module != "onnx")
    detector = SimpleNet(**SMALL, runtime="onnxruntime")
    with pytest.raises(MissingDependencyError, match=r"pyimgano-models\[onnx\]"):
        detector.fit(images)
    assert not hasattr(detector, "losses_")
    assert SimpleNet(**SMALL).fit(images[:2])._scorer.name == "torch"
