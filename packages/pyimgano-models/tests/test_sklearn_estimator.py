"""The scikit-learn estimator around a model. About 25 s on two free cores, half of it scikit-learn's own checks."""

from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, PredefinedSplit, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from pyimgano.core.creation import create_model
from pyimgano.core.errors import ImageError, ParameterError, UnknownNameError
from pyimgano.core.images import write_png
from pyimgano.core.testing._images import make_check_images
from pyimgano.models.sklearn import ImageOutlierDetector

SMALL = {"input_size": 48}
LINE = {"input_size": 8, "blur_sigma": 0.0, "map_sigma": 0.0, "normalize": False}
"""For scikit-learn's tables of some columns: each row an image of one line, compared column by column."""


@pytest.fixture(scope="module")
def images():
    return make_check_images(size=48, train=60, good=20, defective=12)


@pytest.fixture(scope="module")
def fitted(images):
    return ImageOutlierDetector("pixel-gaussian", SMALL, alpha=0.1).fit(images.train)


# -- scikit-learn's own checks ---------------------------------------------------------------------------------------
# Their samples are rows of tables with values from about -10 to 10. All that scikit-learn asks of an outlier detector
# apply, and none is left out; it skips by itself what needs pandas or an array API that is not installed.


# Some checks' values lie around 100: clipped, all their images are white; some have a dozen samples.
@pytest.mark.filterwarnings("ignore:all .* score 0:UserWarning", "ignore:.* held-out images are too few:UserWarning")
@parametrize_with_checks(
    [
        ImageOutlierDetector("pixel-gaussian", LINE, contamination=0.1, image_shape="line", value_range=(-10, 10)),
        ImageOutlierDetector("pixel-median", LINE, image_shape="line", value_range=(-10, 10)),
    ]
)
def test_scikit_learns_checks_of_outlier_detectors(estimator, check):
    check(estimator)


# -- scores, signs and thresholds ------------------------------------------------------------------------------------


def test_signs_are_scikit_learns_and_verdicts_the_detectors(fitted, images):
    scores = fitted.detector_.decision_function(images.test)
    assert fitted.score_samples(images.test).tobytes() == (-scores).tobytes()
    verdicts = fitted.predict(images.test)
    assert set(verdicts) == {-1, 1}
    assert verdicts.dtype.kind == "i"
    assert ((verdicts == -1) == (fitted.detector_.predict(images.test) == 1)).all()
    assert (verdicts[-len(images.defective) :] == -1).all()
    np.testing.assert_array_equal(
        fitted.decision_function(images.test), fitted.score_samples(images.test) - fitted.offset_
    )


def test_a_score_on_the_threshold_is_an_outlier_as_everywhere_in_pyimgano(fitted, images):
    copied = pickle.loads(pickle.dumps(fitted))
    for score in np.sort(copied.detector_.decision_function(images.test))[::5]:
        copied.detector_.threshold_ = float(score)
        expected = copied.detector_.predict(images.test)
        assert expected.any()
        assert ((copied.predict(images.test) == -1) == (expected == 1)).all()


def test_by_default_the_threshold_comes_from_images_that_the_model_is_not_fitted_on(images):
    estimator = ImageOutlierDetector("nearest-image", SMALL, alpha=0.1, random_state=3).fit(images.train)
    assert estimator.detector_.n_images_ == 48  # of 60
    used = [image.tobytes() for image in estimator.detector_.images_]
    held_out = [image for image in images.train if image.tobytes() not in used]
    assert len(held_out) == 12
    by_hand = create_model("nearest-image", **SMALL).fit([i for i in images.train if i.tobytes() in used])
    assert estimator.detector_.threshold_ == by_hand.calibrate(held_out, alpha=0.1).threshold_
    other = ImageOutlierDetector("nearest-image", SMALL, alpha=0.1, random_state=4).fit(images.train)
    assert [image.tobytes() for image in other.detector_.images_] != used


def test_too_few_held_out_images_for_alpha_are_said_and_their_highest_score_is_the_threshold(images):
    estimator = ImageOutlierDetector("pixel-gaussian", SMALL, alpha=0.01, held_out=0.1)
    with pytest.warns(UserWarning, match="6 held-out images are too few for alpha = 0.01, which needs 99.*1/7"):
        estimator.fit(images.train)
    scores = np.sort(estimator.detector_.decision_function(images.train))
    assert estimator.detector_.threshold_ in np.nextafter(scores, np.inf)


@pytest.mark.parametrize("contamination", [0.1, 0.25, 0.5])
def test_a_number_makes_that_share_of_the_images_fitted_on_outliers(images, contamination):
    estimator = ImageOutlierDetector("pixel-gaussian", SMALL, contamination=contamination)
    assert (estimator.fit_predict(images.train) == -1).sum() == round(contamination * 60)
    assert estimator.detector_.n_images_ == 60


def test_images_that_all_score_alike_because_they_are_remembered_give_no_threshold_silently(images):
    estimator = ImageOutlierDetector("nearest-image", SMALL, contamination=0.1)
    with pytest.warns(UserWarning, match='remembers.*contamination="auto"'):
        estimator.fit(images.train)
    assert (estimator.predict(images.good) == -1).all()


def test_labels_are_ignored_unless_asked_for(images):
    X, y = [*images.train, *images.defective], [1] * 60 + [-1] * 12
    options = {"contamination": 0.1}
    ignoring = ImageOutlierDetector("pixel-gaussian", SMALL, **options).fit(X, y)
    using = ImageOutlierDetector("pixel-gaussian", SMALL, use_labels=True, **options).fit(X, y)
    assert ignoring.detector_.n_images_ == 72
    assert using.detector_.n_images_ == 60
    only_good = ImageOutlierDetector("pixel-gaussian", SMALL, **options).fit(images.train)
    assert using.score_samples(images.test).tobytes() == only_good.score_samples(images.test).tobytes()
    assert using.offset_ == only_good.offset_


# -- what X may be ---------------------------------------------------------------------------------------------------


def test_paths_arrays_and_tables_of_the_same_images_score_the_same(fitted, images, tmp_path):
    test = images.test[:4]
    paths = [tmp_path / f"bild-ä-{index}.png" for index in range(4)]
    for image, path in zip(test, paths):
        write_png(image, path)
    expected = fitted.score_samples(test).tobytes()
    stack = np.stack(test)
    for X in (stack, paths, [str(path) for path in paths], np.array([str(path) for path in paths]), np.array(paths)):
        assert fitted.score_samples(X).tobytes() == expected
    table = stack.reshape(4, -1)
    as_table = clone(fitted).set_params(image_shape=(48, 48, 3)).fit(np.stack(images.train).reshape(60, -1))
    assert as_table.n_features_in_ == 48 * 48 * 3
    assert as_table.score_samples(table).tobytes() == expected
    assert not hasattr(fitted, "n_features_in_")


def test_value_range_says_what_floats_mean(images):
    floats = np.stack(images.train).astype(np.float32) * 16.0
    with pytest.raises(ImageError, match="value_range"):
        ImageOutlierDetector("pixel-gaussian", SMALL, contamination=0.1).fit(floats)
    scaled = ImageOutlierDetector("pixel-gaussian", SMALL, contamination=0.1, value_range=(0, 255 * 16)).fit(floats)
    plain = ImageOutlierDetector("pixel-gaussian", SMALL, contamination=0.1).fit(images.train)
    assert scaled.score_samples(floats[:5]).tobytes() == plain.score_samples(images.train[:5]).tobytes()


@pytest.mark.parametrize(
    ("X", "shape", "message"),
    [
        (np.zeros((5, 12)), None, "give image_shape"),
        (np.zeros((5, 12)), (3, 5), "needs 15"),
        (np.zeros((5, 12)), (2, 3, 2), "allowed"),
        (np.zeros((5, 12)), "row", "allowed"),
        (np.zeros((5, 12)), (3.0, 4.0), "allowed"),
        (np.zeros((0, 8, 8)), None, "0 images"),
        ([], None, "."),
        ("image.png", None, "single path"),
        (np.zeros((2, 2, 2, 2, 2)), None, "dim"),
    ],
    ids=str,
)
def test_what_is_no_images_is_refused(X, shape, message):
    estimator = ImageOutlierDetector("pixel-gaussian", SMALL, contamination=0.1, image_shape=shape)
    with pytest.raises(ValueError, match=message):
        estimator.fit(X)


# -- parameters ------------------------------------------------------------------------------------------------------


def test_the_models_parameters_are_nested_and_the_mapping_given_stays_as_it_is():
    given = {"epsilon": 0.01}
    estimator = ImageOutlierDetector("pixel-gaussian", given)
    deep = estimator.get_params()
    assert (deep["params__epsilon"], deep["params__input_size"]) == (0.01, 128)
    assert set(estimator.get_params(deep=False)) == {name for name in deep if "__" not in name}

    changed = clone(estimator).set_params(params__input_size=64, alpha=0.2)

    assert (changed.params, changed.alpha) == ({"epsilon": 0.01, "input_size": 64}, 0.2)
    assert estimator.params is given
    assert given == {"epsilon": 0.01}
    assert ImageOutlierDetector().set_params(params__batch_size=2).params == {"batch_size": 2}
    assert "params__epsilon" not in ImageOutlierDetector("no-such-model").get_params()
    with pytest.raises(ValueError, match=r"unknown parameter 'alhpa'.*alpha"):
        estimator.set_params(alhpa=0.1)


def test_mistakes_in_the_models_name_and_parameters_are_the_projects_errors(images):
    with pytest.raises(UnknownNameError, match="pixel-gaussian"):
        ImageOutlierDetector("pixel-gausian").fit(images.train)
    with pytest.raises(ParameterError, match="epsilon"):
        ImageOutlierDetector("pixel-gaussian", {"epsillon": 1.0}).fit(images.train)


@pytest.mark.parametrize(
    "params",
    [
        {"contamination": 0.0},
        {"contamination": 0.6},
        {"contamination": "automatic"},
        {"contamination": True},
        {"alpha": 1.0},
        {"held_out": 0},
        {"params": [1]},
    ],
    ids=str,
)
def test_parameters_out_of_range_are_refused_by_fit(params, images):
    with pytest.raises(ValueError, match=next(iter(params))):
        ImageOutlierDetector("pixel-gaussian").set_params(**params).fit(images.train)


@pytest.mark.parametrize(
    ("y", "message"), [([0] * 60, "1 .normal."), ([1] * 59, "60 images"), ([-1] * 60, "none to fit on")]
)
def test_labels_that_are_none_are_refused_where_they_count(y, message, images):
    with pytest.raises(ValueError, match=message):
        ImageOutlierDetector("pixel-gaussian", SMALL, use_labels=True).fit(images.train, y)


def test_a_single_image_cannot_be_held_out_from_itself(images):
    with pytest.raises(ValueError, match="n_samples = 1 normal image cannot be split"):
        ImageOutlierDetector("pixel-gaussian", SMALL).fit(images.train[:1])


def test_before_fit_it_says_so(images):
    with pytest.raises(NotFittedError):
        ImageOutlierDetector("pixel-gaussian").predict(images.test)


# -- scikit-learn's tools --------------------------------------------------------------------------------------------


def test_a_grid_search_in_a_pipeline_finds_the_parameter_that_separates(images):
    X = np.stack([*images.train[:20], *images.test])
    y = np.array([1] * 20 + [1] * 20 + [-1] * 12)
    pipeline = make_pipeline(
        FunctionTransformer(lambda batch: batch[:, :, ::-1]),
        ImageOutlierDetector("pixel-gaussian", {**SMALL, "normalize": False}, contamination=0.1, use_labels=True),
    )
    split = PredefinedSplit([-1] * 20 + [0] * 32)
    name = "imageoutlierdetector__params__epsilon"
    search = GridSearchCV(pipeline, {name: [1e-3, 1e6]}, scoring="roc_auc", cv=split).fit(X, y)
    by_value = dict(zip([1e-3, 1e6], search.cv_results_["mean_test_score"]))
    assert by_value[1e-3] == 1.0
    assert search.best_params_ == {name: 1e-3}
    assert (search.predict(X[-12:]) == -1).all()


def test_cross_validation_over_paths(images, tmp_path):
    paths = [tmp_path / f"{index}.png" for index in range(32)]
    for image, path in zip(images.test, paths):
        write_png(image, path)
    estimator = ImageOutlierDetector("pixel-gaussian", SMALL, contamination=0.1, use_labels=True)
    scores = cross_val_score(estimator, paths, [1] * 20 + [-1] * 12, scoring="roc_auc", cv=StratifiedKFold(3))
    assert scores.mean() > 0.9


# -- pickle ----------------------------------------------------------------------------------------------------------


def referenced(data: bytes) -> set[str]:
    """Return the modules of all that a pickle refers to by name."""
    strings, found = [], set()
    for code, argument, _ in pickletools.genops(data):
        if code.name == "GLOBAL":
            found.add(argument.split(" ")[0])
        elif code.name == "STACK_GLOBAL":
            found.add(strings[-2])
        elif "UNICODE" in code.name:
            strings.append(argument)
        elif code.name in ("BINGET", "LONG_BINGET"):
            strings.append("memo")  # which one does not matter: it was a string, and has been seen
    return found


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("pixel-gaussian", SMALL),
        ("nearest-image", SMALL),
        ("patchcore", {"layers": ["blocks.1"], "input_size": 32, "coreset_sampling_ratio": 0.1}),
    ],
)
def test_a_fitted_estimator_survives_joblib_to_the_last_bit_without_an_object_of_the_model(
    model, params, images, tmp_path
):
    estimator = ImageOutlierDetector(model, params, alpha=0.2).fit(images.train[:20])
    joblib.dump(estimator, tmp_path / "estimator.joblib")

    loaded = joblib.load(tmp_path / "estimator.joblib")

    assert loaded.score_samples(images.test).tobytes() == estimator.score_samples(images.test).tobytes()
    assert loaded.offset_ == estimator.offset_
    assert (loaded.predict(images.test) == estimator.predict(images.test)).all()
    assert loaded.get_params() == estimator.get_params()
    state = estimator.__getstate__()
    assert "detector_" not in state
    assert all(isinstance(content, bytes) for content in state["detector_files_"]["files"].values())
    assert referenced(pickle.dumps(estimator)) <= {"pyimgano.models.sklearn", "memo"}


def test_a_fitted_estimator_stays_the_model_that_was_fitted_when_its_parameters_are_changed_later(fitted, images):
    copied = pickle.loads(pickle.dumps(fitted)).set_params(model="patchcore")
    again = pickle.loads(pickle.dumps(copied))
    assert again.score_samples(images.test).tobytes() == fitted.score_samples(images.test).tobytes()


def test_fitted_estimators_work_in_other_processes(fitted, images):
    scores = joblib.Parallel(n_jobs=2, backend="loky")(
        joblib.delayed(fitted.score_samples)(part) for part in (images.good, images.defective)
    )
    assert np.concatenate(scores).tobytes() == fitted.score_samples(images.test).tobytes()


def test_an_unfitted_estimator_is_pickled_as_its_parameters():
    estimator = ImageOutlierDetector("pixel-gaussian", SMALL, alpha=0.3)
    stream = io.BytesIO()
    joblib.dump(estimator, stream)
    stream.seek(0)
    loaded = joblib.load(stream)
    assert loaded.get_params() == estimator.get_params()
    assert not hasattr(loaded, "detector_")
    assert not Path("detector.json").exists()
