"""The contracts of components, by kind: what can be asked of one without knowing who calls it."""

from __future__ import annotations

import inspect
import itertools
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Callable

from pyimgano.core.contracts import FeatureExtractor, ImageDescriber
from pyimgano.core.errors import ParameterError
from pyimgano.core.files import dumps_json
from pyimgano.core.seeding import generator
from pyimgano.core.sinks import TrackingSink
from pyimgano.core.testing._images import make_check_images
from pyimgano.core.weights import WeightsProvider

__all__ = ["COMPONENT_CHECKS", "check_component", "check_labelled_threshold_method"]

Factory = Callable[..., Any]


def check_features(factory: Factory) -> None:
    """Features of an image are finite float32, the same twice, and do not depend on the rest of the batch."""
    import numpy as np

    made, images = factory(), make_check_images(train=1, good=3, defective=1).good
    extracts, describes = isinstance(made, FeatureExtractor), isinstance(made, ImageDescriber)
    assert extracts or describes, (
        f"a {type(made).__name__} is neither a FeatureExtractor (layers, input_size, prepare, extract) "
        "nor an ImageDescriber (name, facts, describe_batch)"
    )
    if extracts:
        ready = [made.prepare(image) for image in images]
        assert ready[0].shape == (*made.input_size, 3), (
            f"prepare gives {ready[0].shape}, input_size is {made.input_size}"
        )
        assert (made.prepare(ready[0]) == ready[0]).all(), "prepare(prepare(image)) differs from prepare(image)"
        found, alone = made.extract(ready), made.extract(ready[1:2])
        assert set(found) == set(made.layers), f"extract gives {sorted(found)}, layers says {made.layers}"
        for layer, rows in found.items():
            _check_rows(np, rows, alone[layer], 4, len(images), f"layer {layer!r}")
    if describes:
        json.loads(dumps_json(made.facts))
        _check_rows(np, made.describe_batch(images), made.describe_batch(images[1:2]), 2, len(images), "describe_batch")


def _check_rows(np: Any, rows: Any, alone: Any, dimensions: int, count: int, what: str) -> None:
    assert rows.ndim == dimensions and len(rows) == count, f"{what} has shape {rows.shape} for {count} images"
    assert rows.dtype == np.float32, f"{what} has dtype {rows.dtype}, not float32"
    assert np.isfinite(rows).all(), f"{what} is not finite"
    np.testing.assert_allclose(alone[0], rows[1], rtol=1e-4, atol=1e-5, err_msg=f"{what}: alone and in a batch")


def check_augmentation(factory: Factory) -> None:
    """A drift keeps size and type, changes a copy, takes the mask along, and draws from its ``rng`` alone."""
    import numpy as np

    image = make_check_images(train=1, good=1, defective=1).defective[0]
    mask = np.zeros(image.shape[:2], dtype=bool)
    mask[20:40, 20:40] = True
    before = image.copy()
    for severity in (1, 5):
        made = factory(severity=severity)
        assert made.severity == severity, f"severity={severity} makes one with severity {made.severity}"
        assert isinstance(made.geometric, bool), "geometric must be True or False"
        (first, moved), (again, _) = (made(image, generator(0, "kit"), mask=mask) for _ in range(2))
        assert first.shape == image.shape and first.dtype == np.uint8, f"gives {first.dtype} {first.shape}"
        assert (image == before).all(), "changes the image that it is given"
        assert (first == again).all(), "the same rng gives another image: chance comes from elsewhere"
        assert moved is not None and moved.shape == mask.shape and moved.dtype == bool, (
            "the mask is lost or no (H, W) bool"
        )
        assert made.geometric or (moved == mask).all(), "the mask moved, and geometric is False"
        assert made(image, generator(0, "kit"))[1] is None, "without a mask, the second value must be None"
    try:
        factory(severity=6)
    except ParameterError:
        return
    raise AssertionError("severity=6 did not raise ParameterError; severities are 1 to 5")


def check_preprocessing(factory: Factory) -> None:
    """A step keeps size and type, changes a copy, is the same twice, and gives back what it has learned."""
    import numpy as np

    images = make_check_images(train=6, good=1, defective=1)
    made, image = factory(), images.good[0]
    assert isinstance(made.learns, bool), "learns must be True or False"
    assert made.fit(iter(images.train)) is made, "fit must return self"
    before = image.copy()
    changed, moved = made(image)
    assert changed.shape == image.shape and changed.dtype == np.uint8, f"gives {changed.dtype} {changed.shape}"
    assert moved is None or np.shape(moved) == (2, 3), "the second value is None or a (2, 3) matrix"
    assert (image == before).all(), "changes the image that it is given"
    assert (made(image)[0] == changed).all(), "the same image comes out otherwise the second time"
    arrays, facts = made.get_state()
    other = factory()
    other.set_state(arrays, json.loads(dumps_json(facts)))
    assert (other(image)[0] == changed).all(), "one that was given get_state() changes the image otherwise"


def check_map_rule(factory: Factory) -> None:
    """A rule on maps gives a finite float32 copy, the same twice, and gives back what it has learned."""
    import numpy as np

    rng = generator(0, "kit-maps")
    good = [rng.random((18, 18)).astype(np.float32) for _ in range(64)]
    made, given, shape = factory(), good[0], (72, 72)
    if made.learns:
        needed = made.images_needed()
        made.fit(good * (1 + needed // len(good)), [None] * len(good) * (1 + needed // len(good)))
    before = given.copy()
    changed = made(given, shape)
    assert changed.ndim == 2 and changed.dtype == np.float32, f"gives {changed.dtype} {changed.shape}"
    assert np.isfinite(changed).all(), "the map is not finite"
    assert (given == before).all(), "changes the map that it is given"
    assert (made(given, shape) == changed).all(), "the same map comes out otherwise the second time"
    if made.learns:
        arrays, facts = made.state()
        other = factory()
        other.restore(arrays, json.loads(dumps_json(facts)))
        assert (other(given, shape) == changed).all(), "one that was given state() changes the map otherwise"


def check_threshold_method(factory: Factory) -> None:
    """A threshold is finite, the same for scores in any order, and comes with a sentence on what it promises."""
    import numpy as np

    made, alpha = factory(), 0.1
    needed = made.images_needed(alpha)
    assert isinstance(needed, int) and needed >= 1, f"images_needed({alpha}) is {needed!r}"
    scores = generator(0, "kit-scores").normal(10.0, 1.0, max(needed, 40))
    found = float(made.threshold(scores, alpha))
    assert np.isfinite(found), f"the threshold of {len(scores)} finite scores is {found}"
    assert float(made.threshold(scores[::-1].copy(), alpha)) == found, "scores in another order give another threshold"
    told = made.guarantee(alpha, len(scores))
    assert isinstance(told, str) and told, f"guarantee({alpha}, {len(scores)}) is {told!r}"


def check_labelled_threshold_method(factory: Factory) -> None:
    """A threshold from labelled images is finite, the same in any order, and comes with what it promises."""
    import numpy as np

    made, alpha = factory(), 0.1
    needed = made.defects_needed(alpha)
    assert isinstance(needed, int) and needed >= 1, f"defects_needed({alpha}) is {needed!r}"
    rng = generator(0, "kit-scores")
    good, defective = rng.normal(10.0, 1.0, max(made.images_needed(alpha), 40)), rng.normal(13.0, 1.0, max(needed, 40))
    found = float(made.threshold_with_defects(good, defective, alpha))
    assert np.isfinite(found), f"the threshold of {len(good)} and {len(defective)} finite scores is {found}"
    turned = float(made.threshold_with_defects(good[::-1].copy(), defective[::-1].copy(), alpha))
    assert turned == found, "scores in another order give another threshold"
    told = made.guarantee_with_defects(alpha, len(good), len(defective))
    assert isinstance(told, str) and told, f"guarantee_with_defects gives {told!r}"


def check_defect(factory: Factory) -> None:
    """A defect changes a copy inside the region of interest alone, says where, and draws from its ``rng`` alone."""
    import numpy as np

    images = make_check_images(train=1, good=2, defective=1).good
    image, donor = images[0], images[1]
    roi = np.zeros(image.shape[:2], dtype=bool)
    roi[: image.shape[0] // 2, image.shape[1] // 2 :] = True
    before = image.copy()
    for severity, region, draw in itertools.product((1, 5), (None, roi), range(4)):
        made = factory(severity=severity)
        (first, mask), (again, _) = (made(image, generator(draw, "kit"), donor=donor, roi=region) for _ in range(2))
        assert first.shape == image.shape and first.dtype == np.uint8, f"gives {first.dtype} {first.shape}"
        assert (image == before).all(), "changes the image that it is given"
        assert (first == again).all(), "the same rng gives another image: chance comes from elsewhere"
        assert mask.shape == image.shape[:2] and mask.dtype == bool, f"the mask is {mask.dtype} {mask.shape}"
        assert mask.any(), f"severity={severity}: the mask is empty, and every call makes a defect"
        assert region is None or not (mask & ~region).any(), "the mask leaves the region of interest"
        changed = (first != image).any(axis=2)
        assert region is None or not (changed & ~region).any(), "changes pixels outside the region of interest"
    try:
        factory(severity=6)
    except ParameterError:
        return
    raise AssertionError("severity=6 did not raise ParameterError; severities are 1 to 5")


def check_sink(factory: Factory) -> None:
    """A tracker takes a finished run. It is given none here: that could reach a server."""
    made = factory()
    assert isinstance(made, TrackingSink), f"a {type(made).__name__} lacks the method record(run)"
    try:
        inspect.signature(made.record).bind(object())
    except TypeError as error:
        raise AssertionError(f"record cannot be called with a run alone: {error}") from None


def check_weights_provider(factory: Factory) -> None:
    """It is a :class:`~pyimgano.core.weights.WeightsProvider`."""
    made = factory()
    assert isinstance(made, WeightsProvider), f"a {type(made).__name__} lacks a method of WeightsProvider"


COMPONENT_CHECKS: Mapping[str, Callable[[Factory], None]] = MappingProxyType(
    {
        "features": check_features,
        "augment": check_augmentation,
        "preprocess": check_preprocessing,
        "postprocess": check_map_rule,
        "threshold": check_threshold_method,
        "defects": check_defect,
        "sink": check_sink,
        "weights": check_weights_provider,
    }
)
"""Kind → its check; other kinds have a spec alone."""


def check_component(kind: str, factory: Factory) -> None:
    """Check what a component of a kind makes.

    Parameters
    ----------
    kind : str
        One of :data:`COMPONENT_CHECKS`.
    factory : callable
        Returns a new component; takes parameters by name (of the kinds ``augment`` and ``defects``: ``severity``).

    Raises
    ------
    AssertionError
        When a rule is broken.
    ValueError
        When there is no check for the kind.
    """
    if kind not in COMPONENT_CHECKS:
        raise ValueError(f"no check for the kind {kind!r}; there are those of {', '.join(COMPONENT_CHECKS)}")
    COMPONENT_CHECKS[kind](factory)
