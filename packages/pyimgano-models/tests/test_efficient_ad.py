"""The parts of EfficientAD: what they compute, what they draw, and what they refuse. About 10 s on one core."""

from __future__ import annotations

import copy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pyimgano.core.cache import cache_dir
from pyimgano.core.errors import ParameterError, WeightsError
from pyimgano.core.images import read_image
from pyimgano.models.backbones import resolve_backbone
from pyimgano.models.efficient_ad import EfficientAd
from pyimgano.models.efficient_ad_network import _hardest
from pyimgano.models.feature_autoencoder import FeatureAutoencoder, FeatureDropout
from pyimgano.models.feature_moments import ChannelMoments
from pyimgano.models.features import create_extractor
from pyimgano.models.map_quantiles import MapQuantiles
from pyimgano.models.patch_description import PatchDescriptionNetwork, build_pdn
from pyimgano.models.penalty_images import PenaltyImages
from pyimgano.models.weights import find_weights, store_weights


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    spec = find_spec("skimage")
    assert spec is not None, "scikit-image is not installed"
    return read_image(Path(spec.origin).parent / "data" / "coffee.png")


def lite(**parameters) -> EfficientAd:
    small = {"backbone": "efficientnet-lite0", "layers": ["blocks.2"], "input_size": 64, "steps": 2, "device": "cpu"}
    return EfficientAd(**{**small, **parameters})


@pytest.mark.parametrize("size", ["small", "medium"])
def test_an_output_of_a_pdn_sees_33_pixels_and_lies_every_4(size) -> None:
    network = PatchDescriptionNetwork(size, 8, padding=False)
    x = torch.zeros(1, 3, 69, 80, requires_grad=True)
    described = network(x)
    assert described.shape == (1, 8, 10, 12)
    (gradient,) = torch.autograd.grad(described[0, :, 2, 3].sum(), x)
    rows, columns = (gradient.abs().sum(dim=(0, 1, axis)).nonzero().flatten() for axis in (3, 2))
    assert (int(rows.min()), int(rows.max())) == (8, 40)
    assert (int(columns.min()), int(columns.max())) == (12, 44)


def test_a_padded_pdn_covers_the_image_and_agrees_where_no_padding_reaches() -> None:
    padded = PatchDescriptionNetwork("small", 8)
    x = torch.randn(1, 3, 68, 75, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole, inner = padded(x), padded.with_padding(False)(x)
    assert whole.shape[2:] == (17, 19)
    torch.testing.assert_close(whole[:, :, 4:-4, 4:-4], inner, rtol=1e-4, atol=1e-5)


def test_shares_of_a_description_are_those_of_the_whole() -> None:
    network = PatchDescriptionNetwork("medium", 6)
    hidden = network.hidden(torch.randn(2, 3, 36, 36, generator=torch.Generator().manual_seed(0)))
    first, second = network.describe(hidden[:1], hidden[1:])
    (whole,) = network.describe(hidden)
    torch.testing.assert_close(first, whole[:1, :3])
    torch.testing.assert_close(second, whole[1:, 3:])


def test_weights_are_taken_by_the_names_of_other_implementations() -> None:
    own = build_pdn("pdn-small", None).body.state_dict()
    numbers = {"convs.0": "0", "convs.1": "3", "convs.2": "6", "convs.3": "8"}
    sequential = {f"{numbers[key[:7]]}{key[7:]}": value for key, value in own.items()}
    named = {f"conv{int(key[6]) + 1}{key[7:]}": value for key, value in own.items()}
    for state in (own, sequential, named):
        found = build_pdn("pdn-small", state).body.state_dict()
        assert all(torch.equal(found[key], own[key]) for key in own)
    with pytest.raises(RuntimeError, match=r"fc\.weight"):
        build_pdn("pdn-small", {**own, "fc.weight": own["convs.0.bias"]})


def test_the_default_teacher_is_looked_for_in_caches_and_the_error_says_what_to_put_there(
    tmp_path: Path, monkeypatch, photograph
) -> None:
    monkeypatch.setenv("PYIMGANO_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    detector = EfficientAd(input_size=64, steps=1, device="cpu")
    with pytest.raises(WeightsError, match="weights imagenet of pdn-small are neither installed nor cached") as caught:
        detector.fit([photograph])
    assert "teacher_small.pth" in caught.value.hint
    assert "pyimgano cache fetch pdn-small" in caught.value.hint
    assert "--from teacher_small.pth" in caught.value.hint
    file = tmp_path / "teacher_small.pth"
    torch.save(build_pdn("pdn-small", None).body.state_dict(), file)
    stored = store_weights("pdn-small", file)
    assert stored.parent == cache_dir("weights", "pdn")
    assert find_weights(resolve_backbone("pdn-small")).path == stored
    with pytest.raises(WeightsError, match="do not fit pdn-medium"):
        EfficientAd("pdn-medium", weights=str(file), input_size=64, device="cpu").trainable()
    assert detector._backbone_name() == "pdn-small"
    assert EfficientAd(model_size="medium")._backbone_name() == "pdn-medium"


def test_a_pdn_is_a_backbone_like_any_other_and_runs_on_both_runtimes(photograph) -> None:
    features = [
        create_extractor("pdn-small", weights="random", input_size=64, runtime=runtime, device="cpu")
        for runtime in ("torch", "onnxruntime")
    ]
    prepared = features[0].prepare(photograph)
    ours, graph = (extractor.extract([prepared])["convs.3"] for extractor in features)
    assert ours.shape == (1, 384, 16, 16)
    np.testing.assert_allclose(graph, ours, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(64, 64), (64, 100), (256, 256), (300, 256), (95, 161)])
def test_the_autoencoder_gives_the_grid_of_any_size(size) -> None:
    grid = tuple(-(-side // 4) - 8 for side in size)
    features = FeatureAutoencoder(5, size, grid)(torch.zeros(1, 3, *size))
    assert features.shape == (1, 5, *grid)


def test_dropout_drops_a_fifth_keeps_the_mean_and_follows_from_the_generator() -> None:
    x = torch.ones(2, 16, 64, 64)
    dropped, again, other = (FeatureDropout(np.random.default_rng(seed))(x) for seed in (0, 0, 1))
    assert torch.equal(dropped, again)
    assert not torch.equal(dropped, other)
    assert sorted(dropped.unique().tolist()) == pytest.approx([0.0, 1.25])
    assert float((dropped == 0).float().mean()) == pytest.approx(0.2, abs=0.005)


def test_moments_are_numpys_even_where_the_mean_is_large() -> None:
    rng = np.random.default_rng(0)
    images = [rng.normal(1e4, 0.5, (3, height, 7)).astype(np.float32) for height in (5, 9, 2)]
    images = [np.concatenate([image, np.full((1, *image.shape[1:]), 4.0, np.float32)]) for image in images]
    moments = ChannelMoments(4)
    for image in images:
        moments.add(image)
    rows = np.concatenate([image.reshape(4, -1) for image in images], axis=1).astype(np.float64)
    np.testing.assert_allclose(moments.mean, rows.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(moments.deviation, [*rows.std(axis=1)[:3], 1.0], rtol=1e-9)


def test_quantiles_are_exact_up_to_a_bound_and_near_beyond_it() -> None:
    rng = np.random.default_rng(0)
    maps = rng.gamma(2.0, size=(40, 32, 32)).astype(np.float32)
    expected = np.quantile(maps, (0.9, 0.995))
    for most, tolerance in ((maps.size, 1e-12), (maps.size // 8, 0.03)):
        quantiles = MapQuantiles(len(maps), 32 * 32, most=most)
        for map_ in maps:
            quantiles.add(map_)
        assert sum(len(kept) for kept in quantiles._kept) <= most
        np.testing.assert_allclose(quantiles.at((0.9, 0.995)), expected, rtol=tolerance)


@pytest.mark.parametrize("count", [1, 999, 1001, 4567])
def test_the_hardest_are_those_from_the_quantile_on(count) -> None:
    squares = torch.rand(count, generator=torch.Generator().manual_seed(count))
    expected = squares[squares >= torch.quantile(squares.double(), 0.999)].mean()
    assert float(_hardest(squares)) == pytest.approx(float(expected), rel=1e-6)


def test_penalty_images_are_the_middle_of_photographs_some_of_them_grey(tmp_path: Path, photograph) -> None:
    (tmp_path / "n01" / "deep").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "n01" / "deep" / "a.png"), photograph[..., ::-1])
    (tmp_path / "n01" / "notes.txt").write_text("no image", encoding="utf-8")
    images = PenaltyImages(str(tmp_path), (40, 60))
    drawn = images.draw(np.random.default_rng(0), 12)
    assert drawn.shape == (12, 40, 60, 3)
    assert np.array_equal(drawn, images.draw(np.random.default_rng(0), 12))
    grey = (drawn[..., :1] == drawn).all(axis=(1, 2, 3))
    assert 0 < grey.sum() < 12
    height, width = photograph.shape[:2]
    middle = photograph[height // 4 : height - height // 4, width // 4 : width - width // 4]
    expected = cv2.resize(middle, (60, 40), interpolation=cv2.INTER_AREA)
    assert np.abs(drawn[~grey][0].astype(int) - expected).mean() < 5
    with pytest.raises(ParameterError, match="holds no image") as caught:
        lite(imagenet_dir=str(tmp_path / "n02")).fit([photograph])
    assert "null for no penalty" in caught.value.allowed


def test_the_penalty_changes_the_losses_and_the_folder_is_not_needed_to_score(tmp_path: Path, photograph) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), photograph)
    with_penalty, without = lite(imagenet_dir=str(tmp_path)), lite()
    detectors = [detector.fit([photograph]) for detector in (with_penalty, without)]
    assert detectors[0].losses_[0] > detectors[1].losses_[0]
    with_penalty.save(tmp_path / "saved")
    (tmp_path / "a.png").unlink()
    loaded = EfficientAd.load(tmp_path / "saved")
    assert loaded.infer([photograph]).maps.tobytes() == with_penalty.infer([photograph]).maps.tobytes()


@pytest.mark.parametrize("padding", [False, True])
def test_held_out_quantiles_are_0_and_a_tenth_and_the_frame_is_what_no_patch_describes(photograph, padding) -> None:
    images = [photograph[top : top + 64, left : left + 64] for top in (0, 100) for left in (0, 200, 400)]
    detector = lite(padding=padding, input_size=(64, 80)).fit(images)
    network = detector._network
    _, held_out = detector._hold_out(images_of(detector, images))
    assert len(held_out) == 1
    with torch.inference_mode():
        grids = network.difference_maps(torch.from_numpy(np.stack([detector.prepare(i) for i in list(held_out.X)])))
    shape = (16, 20) if padding else (8, 12)
    assert all(tuple(grid.shape[1:]) == shape for grid in grids)
    size = (64, 80) if padding else (32, 48)
    levels = network.trained["scale"].levels.numpy()
    for grid, expected in zip(grids, levels):
        whole = torch.nn.functional.interpolate(grid[:, None], size=size, mode="bilinear")
        np.testing.assert_allclose(np.quantile(whole.numpy(), (0.9, 0.995)), expected, rtol=1e-5)
    maps = detector.infer(images[:1]).maps[0]
    least = float(np.mean(0.1 * (0.0 - levels[:, 0]) / (levels[:, 1] - levels[:, 0])))
    if not padding:
        assert maps[:14].max() == pytest.approx(least, rel=1e-4)
    assert maps[16:-16, 16:-16].min() > least


def images_of(detector, images):
    from pyimgano.core.batching import ImageBatches

    return ImageBatches(images, detector.batch_size, prepare=detector.prepare)


def test_the_teacher_is_normalised_on_the_images_of_the_steps(photograph) -> None:
    images = [photograph[:64, :64], photograph[100:164, 200:264]]
    detector = lite(layers=["blocks.1", "blocks.3"])
    detector.trainable()
    detector.begin_training(images)
    with torch.no_grad():
        targets = detector._network._targets(torch.from_numpy(np.stack(images)))
    assert targets.shape == (2, 24 + 80, 8, 8)
    np.testing.assert_allclose(targets.mean(dim=(0, 2, 3)).numpy(), 0.0, atol=1e-4)
    np.testing.assert_allclose(targets.var(dim=(0, 2, 3), correction=0).numpy(), 1.0, rtol=1e-3)


def test_the_learning_rate_falls_to_a_tenth_in_the_last_twentieth() -> None:
    detector = EfficientAd()
    assert detector.planned_steps(3) == 70_000
    assert [detector.learning_rate_factor(done / 100) for done in (0, 50, 94, 95, 99)] == [1, 1, 1, 0.1, 0.1]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"model_size": "large"}, "model_size = 'large'"),
        ({"model_size": ["small"]}, r"model_size = \['small'\]"),
        ({"steps": 0}, "steps = 0"),
        ({"input_size": 63}, "input_size = 63"),
        ({"padding": "yes"}, "padding = 'yes'"),
        ({"imagenet_dir": ""}, "imagenet_dir = ''"),
        ({"learning_rate": -1.0}, "learning_rate = -1.0"),
        ({"layers": ["convs.9"]}, "has no layer 'convs.9'"),
    ],
)
def test_parameters_out_of_range_are_refused_with_what_is_allowed(parameters, message) -> None:
    with pytest.raises(ParameterError, match=message) as caught:
        EfficientAd(**parameters).validate()
    assert caught.value.allowed


def test_checking_parameters_imports_no_deep_learning_library() -> None:
    code = (
        "import sys\n"
        "from pyimgano.models.efficient_ad import EfficientAd\n"
        "EfficientAd().validate()\n"
        "EfficientAd('efficientnet-lite0', ['blocks.2']).validate()\n"
        "heavy = ('torch', 'onnxruntime', 'cv2', 'sklearn', 'scipy', 'timm')\n"
        "sys.exit(' '.join(name for name in heavy if name in sys.modules) or None)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_training_resumes_from_its_state_as_if_it_had_not_stopped(photograph) -> None:
    batch = [photograph[:64, :64], photograph[100:164, 200:264]]

    def take_steps(detector, optimizer, count) -> list[float]:
        losses = []
        for _ in range(count):
            loss = detector.training_step(batch)
            losses.append(float(loss.detach()))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return losses

    whole, resumed = lite(), lite()
    optimizer = whole.make_optimizer(whole.trainable())
    whole.begin_training(batch)
    take_steps(whole, optimizer, 1)
    again = resumed.make_optimizer(resumed.trainable())
    resumed.set_training_state(whole.training_state())
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert take_steps(resumed, again, 2) == take_steps(whole, optimizer, 2)
