"""Backbones that adapt to good images: what learns, what stays, and what is saved. About 20 seconds."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import torch

from pyimgano.core.errors import CheckpointError, NotCalibratedError, ParameterError, PyimganoError
from pyimgano.models.padim import Padim
from pyimgano.models.patchcore import PatchCore

SIDE = 64


def patchcore(**parameters: Any) -> PatchCore:
    small = {"input_size": SIDE, "coreset_sampling_ratio": 0.2, "device": "cpu", "batch_size": 4}
    return PatchCore(**{**small, **parameters})


def padim(**parameters: Any) -> Padim:
    return Padim(**{"input_size": SIDE, "n_features": 20, "device": "cpu", "batch_size": 4, **parameters})


both = pytest.mark.parametrize("make", [patchcore, padim])


@pytest.fixture(scope="module")
def bricks(photographs: Any) -> list[np.ndarray]:
    wall = photographs["brick"]
    places = [(top, left) for top in range(0, 448, SIDE) for left in (0, 200)]
    return [np.ascontiguousarray(wall[top : top + SIDE, left : left + SIDE]) for top, left in places]


def stained(image: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the image with a grey disc, and where it is."""
    chance = np.random.default_rng(seed)
    row, column = chance.integers(12, SIDE - 12, 2)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    mask = (rows - row) ** 2 + (columns - column) ** 2 < 64
    return np.where(mask[..., None], 90, image).astype(np.uint8), mask


def adapt(detector: Any, images: list[np.ndarray], steps: int, *, faster: float = 1.0) -> Any:
    """Train on two good images and two with discs; ``faster`` multiplies the learning rates."""
    optimizer = detector.make_optimizer(detector.trainable("backbone-adapt"))
    for group in optimizer.param_groups:
        group["lr"] *= faster
    detector.begin_training(images)
    for step in range(steps):
        good = images[:2]
        defective = [stained(image, 10 * step + index) for index, image in enumerate(images[2:4])]
        masks = [None, None, *(mask for _, mask in defective)]
        optimizer.zero_grad()
        detector.training_step([*good, *(image for image, _ in defective)], masks).backward()
        optimizer.step()
    detector.finish_training(images)
    return detector


@both
def test_pretrained_weights_learn_a_hundred_times_slower_than_the_head(make: Callable[..., Any]) -> None:
    detector = make()
    parameters = detector.trainable("backbone-adapt")
    groups = detector.make_optimizer(parameters).param_groups
    assert [group["lr"] for group in groups] == pytest.approx([1e-3, 1e-5])
    assert len(groups[0]["params"]) == 4  # two convolutions, each with a bias
    assert sum(len(group["params"]) for group in groups) == len(parameters)


@both
def test_without_a_step_it_is_the_plain_detector(make: Callable[..., Any], bricks: list[np.ndarray]) -> None:
    detector = make()
    detector.trainable("backbone-adapt")
    detector.begin_training(bricks[:6])
    detector.finish_training(bricks[:6])
    plain = make().fit(bricks[:6])
    assert "adapted_sha256" not in detector.extractor_facts_
    np.testing.assert_array_equal(detector.decision_function(bricks), plain.decision_function(bricks))


@both
def test_only_the_deepest_stage_is_adapted_and_saved(
    make: Callable[..., Any], bricks: list[np.ndarray], tmp_path: Path
) -> None:
    from safetensors.numpy import load_file

    detector = adapt(make(), bricks[:6], 2)
    detector.save(tmp_path)
    saved = load_file(tmp_path / "state.safetensors")
    adapted = [name for name in saved if name.startswith("adapted.")]
    assert adapted
    assert all(name.startswith(("adapted.network.body.blocks.3", "adapted.network.body.blocks.4")) for name in adapted)
    loaded = type(detector).load(tmp_path)
    scores, expected = loaded.infer(bricks[6:9]), detector.infer(bricks[6:9])
    np.testing.assert_array_equal(scores.image_scores, expected.image_scores)
    np.testing.assert_array_equal(scores.maps, expected.maps)
    assert loaded.extractor_facts_["adapted_sha256"] == detector.extractor_facts_["adapted_sha256"]


def test_the_loss_falls_and_the_trained_discs_stand_out_more(bricks: list[np.ndarray]) -> None:
    images = [*bricks[6:], *(stained(image, 500 + index)[0] for index, image in enumerate(bricks[6:]))]

    def contrast(detector: PatchCore) -> float:
        scores = detector.decision_function(images)
        good, defective = scores[: len(bricks) - 6], scores[len(bricks) - 6 :]
        return float((defective.mean() - good.mean()) / good.std())

    plain = patchcore()
    plain.trainable()
    plain.begin_training(bricks[:6])
    plain.finish_training(bricks[:6])
    adapted = adapt(patchcore(), bricks[:6], 30, faster=10.0)
    assert contrast(adapted) > 1.05 * contrast(plain)


def test_features_of_good_positions_stay_where_they_were(bricks: list[np.ndarray]) -> None:
    detector = adapt(patchcore(), bricks[:6], 10)
    before = patchcore()
    before._make_extractor()
    for layer, now in detector.extractor.extract(bricks[:2]).items():
        then = before.extractor.extract(bricks[:2])[layer]
        assert float(np.square(now - then).mean()) <= 0.1 * float(np.square(then).mean())


@both
def test_both_runtimes_give_the_adapted_features(make: Callable[..., Any], bricks: list[np.ndarray]) -> None:
    detector = adapt(make(runtime="torch"), bricks[:6], 2)
    other = make(runtime="onnxruntime")
    other._adapted = detector._adapted
    other._make_extractor()
    for layer, features in detector.extractor.extract(bricks[:1]).items():
        np.testing.assert_allclose(other.extractor.extract(bricks[:1])[layer], features, rtol=1e-4, atol=1e-4)


def test_an_interrupted_adaptation_goes_on_exactly(bricks: list[np.ndarray]) -> None:
    def steps(detector: PatchCore, optimizer: Any, numbers: range) -> list[float]:
        found = []
        for number in numbers:
            image, mask = stained(bricks[0], number)
            optimizer.zero_grad()
            loss = detector.training_step([image, bricks[1]], [mask, None])
            loss.backward()
            optimizer.step()
            found.append(float(loss.detach()))
        return found

    whole = patchcore()
    optimizer = whole.make_optimizer(whole.trainable())
    whole.begin_training(bricks[:4])
    steps(whole, optimizer, range(2))
    model, of_optimizer = whole.training_state(), copy.deepcopy(optimizer.state_dict())
    again = patchcore()
    second = again.make_optimizer(again.trainable())
    again.set_training_state(model)
    second.load_state_dict(of_optimizer)
    assert steps(again, second, range(2, 4)) == steps(whole, optimizer, range(2, 4))


def test_a_damaged_adaptation_is_refused(bricks: list[np.ndarray], tmp_path: Path) -> None:
    adapt(patchcore(), bricks[:4], 1).save(tmp_path)
    path = tmp_path / "detector.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["facts"]["extractor"]["adapted_sha256"] = "0" * 64
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(CheckpointError, match="adapted weights have sha256"):
        PatchCore.load(tmp_path)


def test_what_cannot_be_done_is_said(bricks: list[np.ndarray]) -> None:
    detector = patchcore()
    with pytest.raises(PyimganoError, match="nothing to finish"):
        detector.finish_training(bricks)
    with pytest.raises(ParameterError, match="mode = 'last-layers'") as told:
        detector.trainable("last-layers")
    assert told.value.allowed == "backbone-adapt, full, lora"
    adapted = adapt(patchcore(), bricks[:4], 1)
    adapted.threshold_ = 1.0
    adapted.finish_training(bricks[:4])
    with pytest.raises(NotCalibratedError):
        adapted.predict(bricks[:1])


def test_a_weight_that_is_not_finite_is_refused(bricks: list[np.ndarray]) -> None:
    detector = patchcore()
    parameters = detector.trainable()
    with torch.no_grad():
        parameters[0].fill_(float("nan"))
    with pytest.raises(PyimganoError, match="not finite"):
        detector.finish_training(bricks[:4])
