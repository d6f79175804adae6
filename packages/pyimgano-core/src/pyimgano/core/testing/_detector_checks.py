"""The detector contract, one small function per rule.

Each check takes a :class:`Subject` and raises ``AssertionError`` with what is wrong and how to mend it.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Callable, Optional

from pyimgano.core.detector import Scores
from pyimgano.core.errors import DatasetError, ImageError, NotCalibratedError, NotFittedError
from pyimgano.core.images import to_rgb8, write_png
from pyimgano.core.testing._images import CheckImages, make_check_images

__all__ = ["DETECTOR_CHECKS", "Subject", "detector_checks"]

Check = Callable[["Subject"], None]


class Subject:
    """A detector under test, fitted once for all checks that only read it.

    Parameters
    ----------
    factory : callable
        Returns a new, unfitted detector; always with the same parameters.
    images : CheckImages, optional
        Images to use in place of the generated ones.
    batch_tolerance : float
        Relative difference that a score may show between batches: 0.0 asks for the same bits.
    uses_labels : bool
        The detector learns from defective images as well.
    """

    def __init__(
        self,
        factory: Callable[[], Any],
        *,
        images: Optional[CheckImages] = None,
        batch_tolerance: float = 1e-5,
        uses_labels: bool = False,
    ) -> None:
        self.factory = factory
        self.batch_tolerance = batch_tolerance
        self.uses_labels = uses_labels
        self._images = images

    @cached_property
    def images(self) -> CheckImages:
        """The images of the checks."""
        return self._images or make_check_images()

    @cached_property
    def fitted(self) -> Any:
        """A fitted detector; checks must not change it."""
        return self.fit(self.factory())

    @cached_property
    def scores(self) -> Scores:
        """Scores of ``images.test`` by :attr:`fitted`."""
        return self.fitted.infer(self.images.test)

    def fit(self, detector: Any, images: Optional[Sequence[Any]] = None) -> Any:
        """Fit a detector on ``images`` (default: the training images)."""
        chosen = self.images.train if images is None else images
        if not self.uses_labels:
            return detector.fit(chosen)
        defective = self.images.defective
        return detector.fit([*chosen, *defective], [0] * len(chosen) + [1] * len(defective))


class _Lazy(Sequence[Any]):
    """A sequence that is no list and makes its items when asked."""

    def __init__(self, items: Sequence[Any]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index].copy()


def check_init_only_stores_parameters(subject: Subject) -> None:
    """``__init__`` takes named parameters and stores each under its own name, unchanged."""
    detector = subject.factory()
    signature = inspect.signature(type(detector).__init__)
    for name, parameter in list(signature.parameters.items())[1:]:
        kind = parameter.kind
        assert kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL), (
            f"__init__ takes *{name}: parameters that cannot be listed cannot be checked; name each of them"
        )
        assert hasattr(detector, name), f"__init__ does not store {name!r}; write self.{name} = {name}"
    learned = [name for name in vars(detector) if name.endswith("_") and not name.endswith("__")]
    assert not learned, f"__init__ sets {learned}; what ends in _ is learned by fit"


def check_unfitted_is_refused(subject: Subject) -> None:
    """Scoring before ``fit`` raises ``NotFittedError``."""
    try:
        subject.factory().decision_function(subject.images.good)
    except NotFittedError:
        return
    raise AssertionError("decision_function before fit did not raise pyimgano.core.errors.NotFittedError")


def check_fit_returns_self(subject: Subject) -> None:
    """``fit`` returns the detector itself."""
    detector = subject.factory()
    assert subject.fit(detector) is detector, "fit must return self"


def check_empty_training_set_is_refused(subject: Subject) -> None:
    """``fit([])`` raises ``DatasetError``."""
    try:
        subject.factory().fit([])
    except DatasetError:
        return
    raise AssertionError("fit([]) did not raise pyimgano.core.errors.DatasetError")


def check_scores_are_finite(subject: Subject) -> None:
    """Scores are (N,) floats, all finite; no images give no scores."""
    import numpy as np

    scores = subject.fitted.decision_function(subject.images.test)
    assert isinstance(scores, np.ndarray), f"decision_function returns a {type(scores).__name__}, not an ndarray"
    assert scores.shape == (len(subject.images.test),), f"scores have shape {scores.shape}"
    assert np.issubdtype(scores.dtype, np.floating), f"scores have dtype {scores.dtype}"
    assert np.isfinite(scores).all(), "scores are not all finite"
    assert subject.fitted.decision_function([]).shape == (0,), "no images must give an array of shape (0,)"


def check_defects_score_higher(subject: Subject) -> None:
    """Images with an obvious defect score higher, on average, than good ones that were not fitted on."""
    scores = subject.scores.image_scores
    good, bad = scores[: len(subject.images.good)], scores[len(subject.images.good) :]
    assert bad.mean() > good.mean(), (
        f"good images score {good.mean():.6g} on average, obviously defective ones {bad.mean():.6g}; "
        "higher must mean more anomalous"
    )


def check_infer_equals_decision_function(subject: Subject) -> None:
    """``infer`` gives the scores of ``decision_function``, and maps of shape (N, h, w) that are finite."""
    import numpy as np

    scores = subject.scores
    expected = subject.fitted.decision_function(subject.images.test)
    assert scores.image_scores.tobytes() == expected.astype(scores.image_scores.dtype).tobytes(), (
        "infer(X).image_scores differs from decision_function(X)"
    )
    if scores.maps is not None:
        assert scores.maps.ndim == 3 and len(scores.maps) == len(expected), f"maps have shape {scores.maps.shape}"
        assert np.issubdtype(scores.maps.dtype, np.floating), f"maps have dtype {scores.maps.dtype}"
        assert np.isfinite(scores.maps).all(), "maps are not all finite"


def check_maps_point_at_the_defect(subject: Subject) -> None:
    """Where there are maps, the map of a defective image rises above that of good ones."""
    maps = subject.scores.maps
    if maps is None:
        return
    peaks = maps.reshape(len(maps), -1).max(axis=1)
    good, bad = peaks[: len(subject.images.good)], peaks[len(subject.images.good) :]
    assert bad.mean() > good.mean(), f"map peaks: good {good.mean():.6g}, defective {bad.mean():.6g}"


def check_labels_and_tie_rule(subject: Subject) -> None:
    """``predict`` is in {0, 1}, 1 where score ≥ ``threshold_`` (a tie is defective); without threshold it refuses."""
    import numpy as np

    detector, test = subject.fitted, subject.images.test
    before = getattr(detector, "threshold_", None)
    try:
        if before is None:
            try:
                detector.predict(test)
            except NotCalibratedError:
                pass
            else:
                raise AssertionError("predict without threshold_ did not raise NotCalibratedError")
        scores = subject.scores.image_scores
        detector.threshold_ = float(np.sort(scores)[len(scores) // 2])
        labels = detector.predict(test)
        assert set(np.unique(labels)) <= {0, 1}, f"labels are {np.unique(labels)}"
        assert (labels == (scores >= detector.threshold_)).all(), "predict must say 1 where score ≥ threshold_"
    finally:
        if before is None:
            vars(detector).pop("threshold_", None)
        else:
            detector.threshold_ = before


def _assert_same(actual: Any, expected: Any, tolerance: float, what: str) -> None:
    import numpy as np

    if tolerance == 0.0:
        assert actual.tobytes() == expected.tobytes(), f"{what}: not the same bits, {actual} against {expected}"
    else:
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=0.0, err_msg=what)


def check_score_does_not_depend_on_batch(subject: Subject) -> None:
    """An image scores the same alone, among few and among many."""
    import numpy as np

    scores, test = subject.scores.image_scores, subject.images.test
    alone = np.concatenate([subject.fitted.decision_function([image]) for image in test])
    _assert_same(alone, scores, subject.batch_tolerance, "scores alone and in a batch")
    few = subject.fitted.decision_function(test[:3])
    _assert_same(few, scores[:3], subject.batch_tolerance, "scores among 3 and among all")
    many = subject.fitted.decision_function([*test, *test])
    _assert_same(many[len(test) :], scores, subject.batch_tolerance, "scores at the end of a longer sequence")


def check_score_does_not_depend_on_order(subject: Subject) -> None:
    """Reversed images give reversed scores and maps."""
    reverse = subject.fitted.infer(subject.images.test[::-1])
    _assert_same(reverse.image_scores[::-1], subject.scores.image_scores, subject.batch_tolerance, "reversed scores")
    if subject.scores.maps is not None and reverse.maps is not None and subject.batch_tolerance == 0.0:
        _assert_same(reverse.maps[::-1], subject.scores.maps, 0.0, "reversed maps")


def check_scoring_changes_nothing(subject: Subject) -> None:
    """Scoring twice gives the same scores, and leaves the images as they were."""
    copies = [image.copy() for image in subject.images.test]
    again = subject.fitted.decision_function(subject.images.test)
    assert again.tobytes() == subject.scores.image_scores.tobytes(), "scoring a second time gives other scores"
    for image, copy in zip(subject.images.test, copies):
        assert (image == copy).all(), "scoring changes the images that it is given"


def check_refit_equals_fresh_fit(subject: Subject) -> None:
    """Fitting on other images first leaves no trace; the same fit gives the same bits."""
    first = subject.fit(subject.factory(), subject.images.train[: len(subject.images.train) // 2])
    again = subject.fit(first).decision_function(subject.images.test)
    assert again.tobytes() == subject.scores.image_scores.tobytes(), (
        "a detector fitted a second time scores unlike a fresh one: something of the first fit, or a random state "
        "that is not an argument, is left"
    )


def check_save_and_load(subject: Subject) -> None:
    """``load(save)`` gives the same scores and maps to the last bit, without pickle."""
    detector = subject.fitted
    if not (hasattr(detector, "save") and hasattr(type(detector), "load")):
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "größe 1"  # a name with an umlaut and a space, as users have
        detector.save(target)
        files = [path for path in target.rglob("*") if path.is_file()]
        assert files, "save wrote no file"
        for path in files:
            head = path.read_bytes()[:2]
            assert path.suffix not in (".pkl", ".pickle", ".joblib") and head not in (b"\x80\x02", b"\x80\x04"), (
                f"save wrote a pickle: {path.name}"
            )
        loaded = type(detector).load(target)
        scores = loaded.infer(subject.images.test)
    assert loaded.get_params() == _as_json(detector.get_params()), "the loaded detector has other parameters"
    assert scores.image_scores.tobytes() == subject.scores.image_scores.tobytes(), (
        "the loaded detector scores otherwise"
    )
    if subject.scores.maps is not None:
        assert scores.maps.tobytes() == subject.scores.maps.tobytes(), "the loaded detector has other maps"


def _as_json(value: Any) -> Any:
    import json

    from pyimgano.core.files import dumps_json

    return json.loads(dumps_json(value))


def check_unreadable_image_is_an_error(subject: Subject) -> None:
    """A truncated image and a text file called .png raise ``ImageError`` that names the file, in fit and in infer."""
    with tempfile.TemporaryDirectory() as folder:
        whole, cut, text = (Path(folder) / name for name in ("whole.png", "cut.png", "text.png"))
        write_png(subject.images.good[0], whole)
        cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        text.write_text("this is no image", encoding="utf-8")
        for path in (cut, text, Path(folder) / "absent.png"):
            for action in (
                lambda p=path: subject.fitted.decision_function([whole, p]),
                lambda p=path: subject.factory().fit([*subject.images.train, p]),
            ):
                try:
                    action()
                except ImageError as error:
                    assert path.name in str(error), f"the error does not name {path.name}: {error}"
                else:
                    raise AssertionError(f"{path.name} was taken for an image")


def check_paths_arrays_and_lazy_sequences(subject: Subject) -> None:
    """Paths, arrays, a lazily decoding sequence, and grey or 16-bit versions of an image are all taken."""
    import numpy as np

    detector, test = subject.fitted, subject.images.test[:3]
    expected = subject.scores.image_scores[:3]
    lazy = detector.decision_function(_Lazy(test))
    _assert_same(lazy, expected, subject.batch_tolerance, "scores from a lazy sequence and from arrays")
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"bild-ä-{index}.png" for index in range(len(test))]
        for image, path in zip(test, paths):
            write_png(image, path)
        from_paths = detector.decision_function(paths)
        from_strings = detector.decision_function([str(path) for path in paths])
    _assert_same(from_paths, expected, subject.batch_tolerance, "scores from files and from arrays")
    assert from_strings.tobytes() == from_paths.tobytes(), "str and Path give different scores"
    grey = test[0][..., 0]
    as_rgb = detector.decision_function([to_rgb8(grey)])
    as_16_bit = detector.decision_function([grey.astype(np.uint16) * 257])
    assert detector.decision_function([grey]).tobytes() == as_rgb.tobytes(), "a grey image scores unlike its RGB form"
    assert as_16_bit.tobytes() == as_rgb.tobytes(), "a 16-bit image scores unlike its 8-bit form"


def check_labels_of_training_images(subject: Subject) -> None:
    """``fit(X, y)`` takes labels; a detector that learns from good images alone leaves the others out."""
    train, defective = subject.images.train, subject.images.defective
    labels = [0] * len(train) + [1] * len(defective)
    detector = subject.factory().fit([*train, *defective], labels)
    scores = detector.decision_function(subject.images.test)
    assert scores.tobytes() == subject.scores.image_scores.tobytes() or subject.uses_labels, (
        "fit(X, y) did not leave out the images labelled 1; if the detector means to learn from them, "
        "check it with uses_labels=True"
    )


def check_prepare_is_idempotent(subject: Subject) -> None:
    """``prepare``, where there is one, gives RGB uint8 and changes nothing when applied again."""
    import numpy as np

    prepare = getattr(subject.fitted, "prepare", None)
    if prepare is None:
        return
    once = prepare(subject.images.good[0])
    assert once.dtype == np.uint8 and once.ndim == 3 and once.shape[2] == 3, f"prepare gives {once.dtype} {once.shape}"
    assert (prepare(once) == once).all(), "prepare(prepare(image)) differs from prepare(image)"


DETECTOR_CHECKS: tuple[Check, ...] = (
    check_init_only_stores_parameters,
    check_unfitted_is_refused,
    check_fit_returns_self,
    check_empty_training_set_is_refused,
    check_scores_are_finite,
    check_defects_score_higher,
    check_infer_equals_decision_function,
    check_maps_point_at_the_defect,
    check_labels_and_tie_rule,
    check_score_does_not_depend_on_batch,
    check_score_does_not_depend_on_order,
    check_scoring_changes_nothing,
    check_refit_equals_fresh_fit,
    check_save_and_load,
    check_unreadable_image_is_an_error,
    check_paths_arrays_and_lazy_sequences,
    check_labels_of_training_images,
    check_prepare_is_idempotent,
)


def detector_checks() -> Iterator[tuple[str, Check]]:
    """Yield (name, check) of the detector contract."""
    for check in DETECTOR_CHECKS:
        yield check.__name__, check
