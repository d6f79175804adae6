"""Detectors on feature vectors: the contract, scikit-learn's own scores, steps, patches, saving. About 25 s."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from typing import ClassVar

import numpy as np
import pytest
from sklearn import covariance, mixture, svm
from sklearn.decomposition import PCA
from sklearn.neighbors import KernelDensity, LocalOutlierFactor, NearestNeighbors

from pyimgano.core.creation import create_model, load_model, model_info
from pyimgano.core.errors import CheckpointError, ImageError, ParameterError, PyimganoError, UnknownNameError
from pyimgano.core.registry import COMPONENTS
from pyimgano.core.specs import ComponentSpec
from pyimgano.core.testing import check_detector, make_check_images, parametrize_with_checks
from pyimgano.models.classical_specs import CLASSICAL_MODELS
from pyimgano.models.feature_steps import FeatureSteps, PrincipalComponents, RandomProjection, Standardise
from pyimgano.models.row_estimators.densities import EllipticRows, GaussianRows, KernelDensityRows, MixtureRows
from pyimgano.models.row_estimators.neighbors import LocalOutlierRows, NearestRows
from pyimgano.models.row_estimators.principal_components import ResidualRows
from pyimgano.models.row_estimators.support_vectors import OneClassRows, SgdOneClassRows

NAMES = [spec.name for spec in CLASSICAL_MODELS]
SMALL = {"features": ["lbp", {"name": "hog", "params": {"cells": 4}}], "input_size": 64}
FEW = ["standardise", {"name": "pca", "params": {"components": 4}}]
PATCHES = {"features": "patches", "level": "patch", "input_size": 64, "max_patches": 200}
DEEP = {"name": "embedding", "params": {"layers": ["blocks.1"]}}


def small(name, **params):
    steps = {"steps": FEW} if name == "sklearn-elliptic-envelope" else {}
    return create_model(name, **{**SMALL, **steps, **params})


@pytest.mark.parametrize("name", NAMES)
def test_every_detector_keeps_the_contract_on_images(name):
    check_detector(lambda: small(name), batch_tolerance=0.0)


@pytest.mark.parametrize("name", NAMES)
def test_every_detector_keeps_the_contract_on_patches(name):
    check_detector(lambda: create_model(name, **PATCHES), batch_tolerance=0.0)


@parametrize_with_checks(
    {
        "deep-image": lambda: create_model("sklearn-gaussian", features=DEEP, input_size=64),
        "deep-patch": lambda: create_model("sklearn-nearest-neighbors", **{**PATCHES, "features": DEEP}),
        "extractor": lambda: create_model("sklearn-pca", features="efficientnet-lite0", input_size=64),
    },
    batch_tolerance=0.0,
)
def test_the_contract_is_kept_with_deep_features(check):
    check()


# -- rows: the scores are scikit-learn's -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    good = rng.normal(size=(80, 3)) @ rng.normal(size=(3, 8)) + 0.3 * rng.normal(size=(80, 8))
    return good, np.concatenate([good[:20] + 0.01, rng.normal(scale=3.0, size=(20, 8))])


def negative(estimator):
    return lambda good, new: -estimator.fit(good).score_samples(new)


REFERENCES = {
    "nearest": (
        NearestRows(4, "largest"),
        lambda good, new: NearestNeighbors(n_neighbors=4).fit(good).kneighbors(new)[0][:, -1],
    ),
    "lof": (LocalOutlierRows(7), negative(LocalOutlierFactor(7, novelty=True))),
    **{
        f"svm-{kernel}": (
            OneClassRows(kernel, 0.2, 0.1, 2, 0.5),
            lambda good, new, k=kernel: (
                -svm.OneClassSVM(kernel=k, nu=0.2, gamma=0.1, degree=2, coef0=0.5).fit(good).decision_function(new)
            ),
        )
        for kernel in ("rbf", "linear", "poly", "sigmoid")
    },
    "svm-scale": (OneClassRows(), lambda good, new: -svm.OneClassSVM(nu=0.1).fit(good).decision_function(new)),
    "ledoit-wolf": (GaussianRows(), lambda good, new: np.sqrt(covariance.LedoitWolf().fit(good).mahalanobis(new))),
    "elliptic": (
        EllipticRows(),
        lambda good, new: np.sqrt(covariance.EllipticEnvelope(random_state=3).fit(good).mahalanobis(new)),
    ),
    **{
        f"mixture-{kind}": (
            MixtureRows(3, kind),
            lambda good, new, k=kind: (
                -mixture.GaussianMixture(3, covariance_type=k, reg_covar=1e-3, random_state=3)
                .fit(good)
                .score_samples(new)
            ),
        )
        for kind in ("full", "tied", "diag", "spherical")
    },
    "residual": (ResidualRows(3), lambda good, new: residual(PCA(3, svd_solver="full").fit(good), new)),
}


def residual(pca, new):
    return ((new - pca.inverse_transform(pca.transform(new))) ** 2).sum(axis=1)


@pytest.mark.parametrize("name", REFERENCES)
def test_rows_are_scored_as_by_scikit_learn(name, rows):
    estimator, reference = REFERENCES[name]
    estimator.fit(rows[0], 3)
    np.testing.assert_allclose(estimator.score(rows[1]), reference(*rows), rtol=2e-6, atol=1e-8)


def test_the_kernel_density_is_scikit_learns_up_to_its_constant(rows):
    estimator = KernelDensityRows(0.7)
    estimator.fit(rows[0], 0)
    expected = -KernelDensity(bandwidth=0.7).fit(rows[0]).score_samples(rows[1])
    constant = 4 * np.log(2 * np.pi) + 8 * np.log(0.7)
    np.testing.assert_allclose(estimator.score(rows[1]) + constant, expected, rtol=1e-9)


def test_random_fourier_features_approach_the_kernel(rows):
    estimator = SgdOneClassRows(gamma=0.05, components=8192)
    estimator.fit(rows[0], 0)
    lifted = estimator._lifted(rows[1])
    squared = ((rows[1][:, None] - rows[1]) ** 2).sum(axis=2)
    np.testing.assert_allclose(lifted @ lifted.T, np.exp(-0.05 * squared), atol=0.06)


def test_a_linear_machine_by_gradient_descent_is_scikit_learns(rows):
    from sklearn.linear_model import SGDOneClassSVM

    estimator = SgdOneClassRows(components=0)
    estimator.fit(rows[0], 5)
    reference = SGDOneClassSVM(nu=0.1, max_iter=1000, tol=1e-4, random_state=5).fit(rows[0])
    np.testing.assert_allclose(estimator.score(rows[1]), -reference.decision_function(rows[1]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_duplicates_and_constant_features_do_no_harm(name):
    """A camera that stands still gives the same image again and again."""
    image = make_check_images().train[0]
    detector = small(name, **({} if name != "sklearn-elliptic-envelope" else {"steps": ["standardise"]}))
    if name == "sklearn-elliptic-envelope":
        with pytest.raises(ParameterError, match="no determinant"):
            detector.fit([image] * 5)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn tells of fewer distinct points than Gaussians
        detector.fit([image] * 5)
    assert np.isfinite(detector.decision_function([image, make_check_images().defective[0]])).all()


# -- steps -----------------------------------------------------------------------------------------------------------


def test_standardising_gives_every_part_the_same_weight():
    rng = np.random.default_rng(1)
    given = rng.normal(5.0, [1.0] * 2 + [30.0] * 6, size=(500, 8))
    values = FeatureSteps(["standardise"]).fit(given, (2, 6), 0)
    variance = values.var(axis=0)
    np.testing.assert_allclose([variance[:2].sum(), variance[2:].sum()], [4.0, 4.0])
    np.testing.assert_allclose(values.mean(axis=0), 0.0, atol=1e-9)


def test_a_change_of_a_constant_feature_still_counts():
    step = Standardise()
    step.fit(np.full((5, 1), 0.25), (1,), 0)
    assert step.apply(np.array([[0.75]])).tolist() == [[0.5]]


def test_principal_components_are_scikit_learns(rows):
    for components, whiten in ((3, False), (3, True), (0.9, False)):
        step = PrincipalComponents(components, whiten)
        step.fit(rows[0], (8,), 0)
        reference = PCA(components, whiten=whiten, svd_solver="full").fit(rows[0])
        expected = reference.transform(rows[1])
        assert step.apply(rows[1]).shape == expected.shape
        np.testing.assert_allclose(np.abs(step.apply(rows[1])), np.abs(expected), rtol=1e-6, atol=1e-9)


def test_a_projection_keeps_distances_about_and_follows_the_seed():
    given = np.random.default_rng(2).normal(size=(30, 2000))
    first, again, other = (RandomProjection(400) for _ in range(3))
    for step, seed in ((first, 1), (again, 1), (other, 2)):
        step.fit(given, (2000,), seed)
    np.testing.assert_array_equal(first.matrix, again.matrix)
    assert not np.array_equal(first.matrix, other.matrix)
    before = np.linalg.norm(given[:, None] - given, axis=2)
    after = np.linalg.norm(first.apply(given)[:, None] - first.apply(given), axis=2)
    off = ~np.eye(30, dtype=bool)
    assert np.abs(after[off] / before[off] - 1.0).max() < 0.2


# -- parameters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "error", "said"),
    [
        ({"features": "hogg"}, UnknownNameError, "hog"),
        ({"features": []}, ParameterError, "at least one name"),
        ({"features": {"name": "hog", "params": {"cell": 4}}}, ParameterError, "'cells'"),
        ({"features": {"nam": "hog"}}, ParameterError, "features = "),
        ({"features": 3}, ParameterError, "a list of these"),
        ({"steps": ["whiten"]}, ParameterError, "pca, project, standardise"),
        ({"steps": [{"name": "pca", "params": {"components": 0}}]}, ParameterError, "components = 0"),
        ({"level": "pixel"}, ParameterError, "image, patch, position"),
        ({"n_neighbors": 0}, ParameterError, "n_neighbors = 0"),
        ({"n_neighbours": 3}, ParameterError, "'n_neighbors'"),
        ({"top_fraction": 2}, ParameterError, "a fraction in [0, 1]"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(params, error, said):
    with pytest.raises(error) as refused:
        create_model("sklearn-nearest-neighbors", **params)
    assert said in str(refused.value)


def test_the_parameters_of_detector_and_estimator_are_listed():
    listed = model_info("sklearn-one-class-svm")["parameters"]
    assert listed["nu"]["default"] == 0.1
    assert listed["features"]["default"] == ["colour", "lbp", "hog"]
    assert listed["steps"]["default"] == ["standardise", "project"]


def test_features_of_images_cannot_be_asked_for_patches():
    detector = create_model("sklearn-gaussian", features="hog", level="patch")
    with pytest.raises(ParameterError, match="describe whole images"):
        detector.fit(make_check_images().train)


# -- patches ---------------------------------------------------------------------------------------------------------


def test_the_seed_draws_the_patches_and_the_same_seed_the_same():
    images = make_check_images()
    scores = [
        create_model("sklearn-gaussian", **{**PATCHES, "max_patches": 60}, seed=seed)
        .fit(images.train)
        .decision_function(images.test)
        for seed in (0, 0, 1)
    ]
    assert scores[0].tobytes() == scores[1].tobytes()
    assert scores[0].tobytes() != scores[2].tobytes()


def test_all_patches_are_taken_when_there_are_no_more():
    images = make_check_images()
    detector = create_model("sklearn-nearest-neighbors", **{**PATCHES, "max_patches": 10**6}, steps=[])
    detector.fit(images.train[:3])
    assert len(detector._get_state()[0]["estimator0.rows"]) == 3 * 8 * 8


def test_the_image_score_is_the_highest_patch_score_or_the_mean_of_the_highest():
    images = make_check_images()
    highest = create_model("sklearn-gaussian", **PATCHES).fit(images.train)
    mean = create_model("sklearn-gaussian", **PATCHES, top_fraction=1.0).fit(images.train)
    assert (highest.decision_function(images.test) > mean.decision_function(images.test)).all()


def test_a_map_is_highest_where_the_defect_lies():
    images = make_check_images()
    defective = images.good[0].copy()
    defective[40:60, 10:30] = 255
    detector = create_model("sklearn-gaussian", **PATCHES, map_sigma=2.0).fit(images.train)
    found = detector.get_anomaly_map(defective)
    assert found.shape == (64, 64)
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert 40 * 64 / 72 <= row <= 60 * 64 / 72
    assert 10 * 64 / 72 <= column <= 30 * 64 / 72


def test_a_detector_for_every_position_keeps_the_contract():
    for name in ("sklearn-gaussian", "sklearn-nearest-neighbors"):
        check_detector(lambda name=name: create_model(name, **{**PATCHES, "level": "position"}), batch_tolerance=0.0)


def test_what_is_good_elsewhere_is_a_defect_for_a_position_and_none_for_a_patch():
    rng = np.random.default_rng(0)

    def part(swapped):
        image = rng.normal(60, 3, (64, 64, 3))
        image[:, :16] += 120
        image[:, 32:48] += 120
        return np.clip(image[:, ::-1] if swapped else image, 0, 255).astype(np.uint8)

    train, same, swapped = [part(False) for _ in range(20)], [part(False) for _ in range(4)], [part(True)]
    scores = {}
    for level in ("patch", "position"):
        model = create_model("sklearn-nearest-neighbors", **{**PATCHES, "level": level, "top_fraction": 1.0}, steps=[])
        scores[level] = model.fit(train).decision_function([*same, *swapped])
    assert scores["position"][4] > 10 * scores["position"][:4].max()
    assert scores["patch"][4] < 1.5 * scores["patch"][:4].max()


# -- features that are not finite, and saving ------------------------------------------------------------------------


class Broken:
    """Features that are NaN of black images."""

    name = "broken"
    facts: ClassVar = {"name": "broken"}

    def describe_batch(self, batch):
        return np.array([[np.nan if image.max() == 0 else image.mean(), 1.0] for image in batch], dtype=np.float32)


@pytest.fixture
def broken():
    before = COMPONENTS.snapshot()
    COMPONENTS.register(ComponentSpec("broken", "Breaks", f"{__name__}:Broken"))
    yield "broken"
    COMPONENTS.restore(before)


def test_features_that_are_not_finite_are_an_error_with_the_images_name(broken, tmp_path):
    from pyimgano.core.images import write_png

    good = make_check_images().train
    black = tmp_path / "black.png"
    write_png(np.zeros_like(good[0]), black)
    detector = create_model("sklearn-nearest-neighbors", features=broken)
    with pytest.raises(ImageError, match=r"black\.png"):
        detector.fit([*good, black])
    detector.fit(good)
    with pytest.raises(PyimganoError, match=r"black\.png"):
        detector.decision_function([good[0], black])


def test_a_saved_detector_is_refused_where_its_features_are_others_now(tmp_path):
    images = make_check_images()
    small("sklearn-gaussian").fit(images.train).save(tmp_path)
    record = json.loads((tmp_path / "detector.json").read_text(encoding="utf-8"))
    record["facts"]["features"][0]["version"] = 0
    (tmp_path / "detector.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(CheckpointError, match="other features"):
        load_model("sklearn-gaussian", tmp_path)


# -- the cache -------------------------------------------------------------------------------------------------------


def test_cached_features_are_not_computed_again_and_give_the_same_scores(tmp_path, monkeypatch):
    from pyimgano.core.cache import cache_dir
    from pyimgano.models.descriptors.lbp import LocalBinaryPatterns

    images = make_check_images()
    expected = small("sklearn-gaussian").fit(images.train).decision_function(images.test)
    monkeypatch.setenv("PYIMGANO_CACHE_DIR", str(tmp_path))
    assert not (cache_dir() / "features").exists(), "a single fit leaves nothing on the disk"
    monkeypatch.setenv("PYIMGANO_FEATURE_CACHE", "on")
    first = small("sklearn-gaussian").fit(images.train).decision_function(images.test)
    described = []
    monkeypatch.setattr(LocalBinaryPatterns, "describe", lambda self, image: described.append(image))
    again = small("sklearn-gaussian").fit(images.train).decision_function(images.test)
    other = small("sklearn-nearest-neighbors").fit(images.train).decision_function(images.test)
    assert not described
    assert expected.tobytes() == first.tobytes() == again.tobytes() != other.tobytes()


def test_features_without_deep_learning_import_no_deep_learning_library():
    code = (
        "import sys, numpy as np; from pyimgano.core.creation import create_model\n"
        "images = list(np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8))\n"
        "create_model('sklearn-pca', input_size=64).fit(images).decision_function(images)\n"
        "assert not {'torch', 'onnxruntime', 'timm', 'pyod'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYIMGANO_PLUGINS": "none"})
