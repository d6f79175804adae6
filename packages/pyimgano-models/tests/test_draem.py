"""How DRÆM learns: from drawn defects, exactly on from where it was, by the paper's schedule. Half a minute at most."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from pyimgano.core.errors import ParameterError
from pyimgano.core.images import write_png
from pyimgano.models.draem import Draem

SIDE = 64


def small(**parameters) -> Draem:
    widths = {"reconstruction_width": 2, "segmentation_width": 2}
    return Draem(**{"input_size": SIDE, **widths, "batch_size": 4, "device": "cpu", **parameters})


@pytest.fixture(scope="module")
def bricks(photographs) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Crops of a photograph of a wall: 24 of its upper part, and 24 of its lower part."""
    rng, wall = np.random.default_rng(0), photographs["brick"]

    def crop(low: int, high: int) -> np.ndarray:
        top, left = rng.integers(low, high - SIDE), rng.integers(0, 512 - SIDE)
        return np.ascontiguousarray(wall[top : top + SIDE, left : left + SIDE])

    return [crop(0, 320) for _ in range(24)], [crop(320, 512) for _ in range(24)]


def with_fur(images: list[np.ndarray], cat: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Return images with an ellipse of a cat's fur in each, and where it is."""
    rng, (rows, columns) = np.random.default_rng(5), np.mgrid[:SIDE, :SIDE]
    defective, masks = [], []
    for image in images:
        row, column = rng.integers(14, SIDE - 14, 2)
        tall, wide = rng.uniform(5.0, 12.0, 2)
        top, left = rng.integers(0, 200, 2)
        mask = ((rows - row) / tall) ** 2 + ((columns - column) / wide) ** 2 < 1.0
        defective.append(np.where(mask[..., None], cat[top : top + SIDE, left : left + SIDE], image))
        masks.append(mask)
    return defective, np.stack(masks)


@pytest.mark.long
def test_a_short_training_finds_a_texture_that_it_has_never_seen(bricks, photographs, tmp_path: Path) -> None:
    for name in ("astronaut", "coffee", "grass"):
        write_png(photographs[name], tmp_path / f"{name}.png")
    train, rest = bricks
    defective, masks = with_fur(rest[:12], photographs["chelsea"])
    truth = np.concatenate([masks, np.zeros_like(masks)])

    def aurocs(detector: Draem) -> tuple[float, float]:
        scores = detector.infer([*defective, *rest[12:]])
        image = roc_auc_score([1] * 12 + [0] * 12, scores.image_scores)
        return float(image), float(roc_auc_score(truth.ravel(), scores.maps.ravel()))

    detector = small(
        reconstruction_width=8, segmentation_width=8, anomaly_source_dir=str(tmp_path), learning_rate=2e-3, epochs=24
    )
    detector.trainable("full")
    detector.finish_training(train)
    untrained = aurocs(detector)
    trained = aurocs(detector.fit(train))
    assert min(trained) >= 0.9, (untrained, trained)
    assert all(after >= before + 0.25 for before, after in zip(untrained, trained)), (untrained, trained)


def test_the_loss_on_the_same_defects_falls_while_it_trains(bricks) -> None:
    def loss(detector: Draem) -> float:
        detector.trainable("full")
        detector._steps = 0
        return float(detector.training_step(bricks[0][:4]).detach())

    fresh = small(learning_rate=3e-3, epochs=5)
    before = loss(fresh)
    assert loss(fresh.fit(bricks[0][:8])) < 0.85 * before


def test_an_interrupted_training_goes_on_exactly(bricks) -> None:
    def steps(detector: Draem, optimizer, count: int) -> list[float]:
        losses = []
        for _ in range(count):
            loss = detector.training_step(bricks[0][:2])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        return losses

    whole = small()
    expected = steps(whole, whole.make_optimizer(whole.trainable()), 4)
    first = small()
    optimizer = first.make_optimizer(first.trainable())
    steps(first, optimizer, 2)
    state, of_optimizer = first.training_state(), optimizer.state_dict()
    second = small()
    optimizer = second.make_optimizer(second.trainable())
    second.set_training_state(state)
    optimizer.load_state_dict(of_optimizer)
    assert steps(second, optimizer, 2) == expected[2:]
    assert len(set(expected)) == 4


def test_the_learning_rate_falls_to_a_fifth_at_eighty_and_ninety_percent() -> None:
    factors = [small().learning_rate_factor(done / 100) for done in range(100)]
    expected = [1.0] * 80 + [0.2] * 10 + [0.04] * 10
    assert factors == pytest.approx(expected)


def test_maps_have_the_inputs_size_and_scores_are_the_greatest_means_of_windows(bricks) -> None:
    detector = small(input_size=(64, 96), epochs=1).fit(bricks[0][:4])
    scores = detector.infer(bricks[1][:2])
    assert scores.maps.shape == (2, 64, 96)
    padded = np.pad(scores.maps.astype(np.float64), ((0, 0), (10, 10), (10, 10)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (21, 21), axis=(1, 2))
    np.testing.assert_allclose(scores.image_scores, windows.mean(axis=(3, 4)).max(axis=(1, 2)), rtol=1e-5)


def test_a_folder_without_textures_stops_before_the_first_step_and_is_not_needed_to_score(bricks, tmp_path) -> None:
    folder = tmp_path / "textures"
    with pytest.raises(ParameterError, match="there is no folder"):
        small(anomaly_source_dir=str(folder)).fit(bricks[0][:2])
    folder.mkdir()
    write_png(bricks[1][0], folder / "a.png")
    detector = small(anomaly_source_dir=str(folder), epochs=1).fit(bricks[0][:2])
    detector.save(tmp_path / "saved")
    (folder / "a.png").unlink()
    loaded = Draem.load(tmp_path / "saved")
    assert loaded.infer(bricks[1][:1]).maps.tobytes() == detector.infer(bricks[1][:1]).maps.tobytes()


def test_a_detector_of_a_gpu_scores_where_there_is_none(bricks, tmp_path, caplog, monkeypatch) -> None:
    detector = small(epochs=1).fit(bricks[0][:2])
    detector.device = "cuda"
    detector.save(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    loaded = Draem.load(tmp_path)
    assert "using the CPU" in caplog.text
    assert np.isfinite(loaded.decision_function(bricks[1][:1])).all()
    with pytest.raises(ParameterError, match="no CUDA device"):
        small(device="cuda").fit(bricks[0][:2])
