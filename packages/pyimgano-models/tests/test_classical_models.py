from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from elpv_dataset import __file__ as elpv
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from pyimgano.core.creation import create_model, load_model
from pyimgano.core.errors import CheckpointError, ParameterError
from pyimgano.core.testing import parametrize_with_checks
from pyimgano.models.isolation_forest import Forest, IsolationForestDetector, expected_path_length, pool_features
from pyimgano.models.pixel_gaussian import PixelGaussian

SMALL = {"layers": ["blocks.1"], "input_size": 64}


@parametrize_with_checks(
    {
        "pixel-gaussian": lambda: PixelGaussian(input_size=48),
        "pixel-gaussian-grey-top": lambda: PixelGaussian(
            input_size=(40, 56), color="grey", normalize=False, blur_sigma=0.0, map_sigma=0.0, top_fraction=0.01
        ),
        "sklearn-isolation-forest": lambda: IsolationForestDetector(n_estimators=20, **SMALL),
        "sklearn-isolation-forest-torch": lambda: IsolationForestDetector(n_estimators=5, runtime="torch", **SMALL),
    },
    batch_tolerance=0.0,
)
def test_the_contract_is_kept(check):
    check()


# -- isolation forest ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "max_samples"), [(1, 1), (2, 2), (3, 3), (40, 16), (300, 256)])
def test_walking_the_arrays_gives_scikit_learns_scores(count, max_samples):
    rng = np.random.default_rng(count)
    samples = rng.normal(size=(count, 7))
    samples[: count // 3] = samples[0]  # duplicates make leaves of many samples
    queries = np.concatenate([samples, rng.normal(scale=3.0, size=(200, 7)), np.full((1, 7), 1e6)])
    estimator = IsolationForest(n_estimators=50, max_samples=max_samples, random_state=3).fit(samples)

    forest = Forest.of(estimator)

    np.testing.assert_allclose(forest.score(queries), -estimator.score_samples(queries), rtol=0, atol=1e-12)


def test_a_feature_exactly_on_a_threshold_goes_where_scikit_learn_sends_it():
    samples = np.repeat(np.arange(8.0)[:, None], 2, axis=1)
    estimator = IsolationForest(n_estimators=30, random_state=0).fit(samples)
    forest = Forest.of(estimator)
    thresholds = np.unique(forest.threshold)
    queries = np.concatenate([np.stack([t, t], axis=1) for t in (thresholds, np.nextafter(thresholds, 9.0))])
    np.testing.assert_allclose(forest.score(queries), -estimator.score_samples(queries), rtol=0, atol=1e-12)


def test_the_expected_path_length_is_the_papers():
    harmonic = np.log(255) + np.euler_gamma
    np.testing.assert_allclose(expected_path_length(np.array([1, 2, 256])), [0, 1, 2 * harmonic - 2 * 255 / 256])


@pytest.mark.parametrize(("pooling", "size"), [("mean", 5), ("std", 5), ("mean+std", 10)])
def test_pooling_keeps_what_it_says_of_every_channel(pooling, size):
    maps = [np.random.default_rng(0).normal(size=(c, 4, 6)).astype(np.float32) for c in (2, 3)]
    pooled = pool_features(maps, pooling)
    assert pooled.shape == (size,)
    if "mean" in pooling:
        np.testing.assert_allclose(pooled[:2], maps[0].mean((1, 2)), rtol=1e-5)
    if "std" in pooling:
        np.testing.assert_allclose(pooled[-3:], maps[1].std((1, 2)), rtol=1e-5)


def test_the_seed_decides_the_trees(photographs):
    images = [image[:200, left : left + 200] for image in photographs.values() for left in (0, 90)]
    scores = [
        IsolationForestDetector(seed=seed, n_estimators=10, **SMALL).fit(images).decision_function(images)
        for seed in (0, 0, 1)
    ]
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_what_is_saved_names_the_backbone_and_warns_of_random_weights(tmp_path, photographs):
    images = list(photographs.values())
    create_model("sklearn-isolation-forest", weights="random", **SMALL).fit(images).save(tmp_path / "model")

    extractor = json.loads((tmp_path / "model" / "detector.json").read_text())["facts"]["extractor"]

    assert extractor["backbone"] == "efficientnet-lite0"
    assert extractor["random"] is True
    assert "random weights" in extractor["warning"]
    assert str(tmp_path) not in (tmp_path / "model" / "detector.json").read_text()


def test_a_saved_detector_refuses_a_backbone_with_other_weights(tmp_path, photographs):
    folder = tmp_path / "model"
    create_model("sklearn-isolation-forest", weights="random", **SMALL).fit(list(photographs.values())).save(folder)
    record = json.loads((folder / "detector.json").read_text())
    record["params"]["weights"] = "default"
    (folder / "detector.json").write_text(json.dumps(record))

    with pytest.raises(CheckpointError, match="fitted with other weights"):
        load_model("sklearn-isolation-forest", folder)


@pytest.mark.parametrize(
    "params",
    [
        {"pooling": "max"},
        {"n_estimators": 0},
        {"max_samples": 0},
        {"max_samples": 1.5},
        {"max_samples": "all"},
        {"input_size": 8},
        {"batch_size": 0},
    ],
    ids=str,
)
def test_parameters_of_the_forest_out_of_range_are_refused_at_creation(params):
    with pytest.raises(ParameterError) as caught:
        create_model("sklearn-isolation-forest", **params)
    assert next(iter(params)) in str(caught.value)
    assert caught.value.allowed


@pytest.mark.parametrize(("max_samples", "expected"), [("auto", 6), (4, 4), (100, 6), (0.5, 3), (0.01, 1)])
def test_max_samples_is_a_number_or_a_fraction_of_the_images(max_samples, expected):
    assert IsolationForestDetector(max_samples=max_samples)._samples_per_tree(6) == expected


# -- pixel Gaussian --------------------------------------------------------------------------------------------------


def test_one_pass_gives_the_mean_and_variance_of_all_images(photographs):
    images = [cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA) for image in photographs.values()]
    detector = PixelGaussian(input_size=32, normalize=False, blur_sigma=0.0, batch_size=4).fit(images)
    stack = np.stack(images) / 255.0
    np.testing.assert_allclose(detector.mean_, stack.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(detector.variance_, stack.var(axis=0), rtol=1e-5, atol=1e-9)


def test_the_variance_is_sound_where_it_is_tiny_beside_the_mean():
    rng = np.random.default_rng(0)
    images = [(250 + rng.integers(0, 2, (16, 16, 3))).astype(np.uint8) for _ in range(400)]
    detector = PixelGaussian(input_size=16, normalize=False, blur_sigma=0.0).fit(images)
    np.testing.assert_allclose(detector.variance_, (np.stack(images) / 255.0).var(axis=0), rtol=1e-4)


def test_the_map_is_the_distance_from_the_mean_in_standard_deviations():
    rng = np.random.default_rng(1)
    images = [rng.integers(100, 140, (20, 20, 3), dtype=np.uint8) for _ in range(50)]
    options = {"normalize": False, "blur_sigma": 0.0, "map_sigma": 0.0, "epsilon": 1e-6}
    detector = PixelGaussian(input_size=20, **options).fit(images)
    image = images[0].copy()
    image[7, 11] = (255, 120, 120)

    scores = detector.infer([image])

    expected = np.sqrt((((image / 255.0 - detector.mean_) ** 2) / (detector.variance_ + 1e-6)).mean(axis=2))
    np.testing.assert_allclose(scores.maps[0], expected, rtol=1e-4)
    assert np.unravel_index(scores.maps[0].argmax(), (20, 20)) == (7, 11)
    assert scores.image_scores[0] == scores.maps[0].max()


def test_normalised_images_are_scored_alike_in_any_light(photographs):
    brick = photographs["brick"]
    images = [np.roll(brick, 7 * shift, axis=0)[:256, :256] // 2 for shift in range(8)]
    other_light = [(image * 0.7 + 20).astype(np.uint8) for image in images[6:]]

    change = {}
    for normalize in (True, False):
        detector = PixelGaussian(normalize=normalize).fit(images[:6])
        ratio = detector.decision_function(other_light) / detector.decision_function(images[6:])
        change[normalize] = np.abs(ratio - 1.0).max()

    assert change[True] < 0.02
    assert change[False] > 0.1


def test_an_image_of_one_colour_is_scored_not_divided_by_zero():
    detector = PixelGaussian().fit([np.full((50, 60, 3), value, np.uint8) for value in (0, 128, 255)])
    scores = detector.infer([np.full((50, 60, 3), 7, np.uint8)])
    assert np.isfinite(scores.image_scores).all()
    assert np.isfinite(scores.maps).all()


def test_grey_ignores_a_change_of_colour_alone_and_rgb_sees_it():
    rng = np.random.default_rng(0)
    good = [np.full((32, 32, 3), 110 + rng.integers(-3, 4), np.uint8) for _ in range(20)]
    tinted = np.full((32, 32, 3), 110, np.uint8)
    tinted[10:20, 10:20] = (150, 90, 110)  # 0.299 · 150 + 0.587 · 90 + 0.114 · 110 = 110.2
    assert cv2.cvtColor(tinted, cv2.COLOR_RGB2GRAY)[15, 15] == 110
    options = {"input_size": 32, "normalize": False, "blur_sigma": 0.0}

    grey, rgb = (PixelGaussian(color=c, **options).fit(good).decision_function([tinted])[0] for c in ("grey", "rgb"))

    assert grey < 1.0
    assert rgb > 2.0


def test_the_score_is_the_maximum_or_the_mean_of_the_highest_part(photographs):
    images = [photographs["gravel"][top : top + 128, :128] for top in range(0, 96, 8)]
    maximum = PixelGaussian(top_fraction=0.0).fit(images).infer(images[:2])
    part = PixelGaussian(top_fraction=0.05).fit(images).infer(images[:2])
    flat = np.sort(maximum.maps.reshape(2, -1), axis=1)
    np.testing.assert_array_equal(maximum.image_scores, flat[:, -1])
    np.testing.assert_allclose(part.image_scores, flat[:, -round(0.05 * flat.shape[1]) :].mean(axis=1), rtol=1e-6)


@pytest.mark.parametrize(
    "params",
    [
        {"color": "hsv"},
        {"epsilon": 0.0},
        {"blur_sigma": -1.0},
        {"map_sigma": -1.0},
        {"top_fraction": 1.5},
        {"input_size": 4},
    ],
    ids=str,
)
def test_parameters_of_the_gaussian_out_of_range_are_refused_at_creation(params):
    with pytest.raises(ParameterError) as caught:
        create_model("pixel-gaussian", **params)
    assert next(iter(params)) in str(caught.value)
    assert caught.value.allowed


def test_the_pixel_gaussian_imports_neither_torch_nor_scikit_learn(tmp_path):
    code = (
        "import sys, numpy as np\n"
        "from pyimgano.core.creation import create_model, load_model\n"
        "images = [np.full((40, 40, 3), v, np.uint8) for v in (90, 100, 110)]\n"
        f"create_model('pixel-gaussian').fit(images).save({str(tmp_path / 'm')!r})\n"
        f"load_model('pixel-gaussian', {str(tmp_path / 'm')!r}).infer(images)\n"
        "assert not {'torch', 'sklearn', 'scipy', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- quality on real solar cells -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def elpv_mono():
    root = Path(elpv).parent / "data"
    rows = [line.split() for line in (root / "labels.csv").read_text().splitlines()]
    good = sorted(root / name for name, defect, kind in rows if kind == "mono" and float(defect) == 0.0)
    bad = sorted(root / name for name, defect, kind in rows if kind == "mono" and float(defect) == 1.0)
    rng = np.random.default_rng(0)
    good = [good[index] for index in rng.permutation(len(good))]
    bad = [bad[index] for index in rng.permutation(len(bad))]
    return good[:200], good[200:300] + bad[:100], [0] * 100 + [1] * 100


@pytest.mark.parametrize(
    ("model", "bar"),
    [
        ("pixel-gaussian", 0.88),
        ("sklearn-isolation-forest", 0.79),
        pytest.param("nearest-image", 0.91, marks=pytest.mark.long),
        pytest.param("pixel-median", 0.79, marks=pytest.mark.long),
        pytest.param("template-ncc", 0.89, marks=pytest.mark.long),
        pytest.param("template-phase", 0.82, marks=pytest.mark.long),
        pytest.param("template-ssim", 0.88, marks=pytest.mark.long),
    ],
)
def test_defective_solar_cells_score_above_good_ones(model, bar, elpv_mono):
    train, test, labels = elpv_mono
    scores = create_model(model).fit(train).decision_function(test)
    assert roc_auc_score(labels, scores) >= bar
