"""What a model says of its fit before it: sizes are those of the fitted detector, and nothing is changed by asking.

Some 15 s, most of it the import of torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pyimgano.core.creation import create_model
from pyimgano.core.errors import ImageError, ParameterError
from pyimgano.core.estimates import Estimable, ResourceEstimate

SMALL = {"backbone": "efficientnet-lite0", "input_size": 64}
MODELS: list[tuple[str, dict[str, Any]]] = [
    ("patchcore", {"coreset_sampling_ratio": 0.1}),
    ("patchcore", {"coreset_sampling_ratio": 1.0}),
    ("patchcore", {"coreset_sampling_ratio": 0.2, "coreset_projection": 16}),
    ("softpatch", {"coreset_sampling_ratio": 0.1}),
    ("softpatch", {"coreset_sampling_ratio": 1.0, "noise_ratio": 0.25}),
    ("padim", {"n_features": 20}),
    ("stfpm", {"epochs": 1, "batch_size": 4}),
    ("reverse-distillation", {"epochs": 2, "batch_size": 4}),
]
N = 12


@pytest.fixture(scope="module")
def tiles(photographs: dict[str, np.ndarray]) -> list[np.ndarray]:
    brick = photographs["brick"]
    corners = [(y, x) for y in range(0, 270, 90) for x in range(0, 360, 90)]
    return [np.ascontiguousarray(brick[y : y + 90, x : x + 90]) for y, x in corners]


@pytest.mark.parametrize(("name", "params"), MODELS, ids=lambda value: str(value))
def test_sizes_are_those_of_the_fitted_detector(name: str, params: dict[str, Any], tiles: list[np.ndarray]) -> None:
    model = create_model(name, **SMALL, **params)
    assert isinstance(model, Estimable)
    before = dict(model.get_params())
    told = model.resource_estimate(tiles[:3], N)
    assert model.get_params() == before
    assert not hasattr(model, "n_images_")
    assert [key for key in vars(model) if key.endswith("_")] == []

    model.fit(tiles[:N])
    arrays = model._get_state()[0]
    assert told.state_bytes == sum(array.nbytes for array in arrays.values())
    assert told.working_bytes is not None
    assert told.working_bytes > told.state_bytes or told.steps is not None
    if hasattr(model, "memory_bank_"):
        assert told.bank == model.memory_bank_.shape
        assert told.patches == N * 8 * 8
    if hasattr(model, "losses_"):
        assert told.steps == len(model.losses_)


def test_asking_does_not_change_what_a_fitted_detector_says(tiles: list[np.ndarray]) -> None:
    model = create_model("stfpm", **SMALL, epochs=1, batch_size=4).fit(tiles[:4])
    before = model.decision_function(tiles[4:7])
    model.resource_estimate(tiles[:2], 50)
    assert np.array_equal(model.decision_function(tiles[4:7]), before)
    fresh = create_model("stfpm", **SMALL, epochs=1, batch_size=4)
    fresh.resource_estimate(tiles[:2], 50)
    assert np.array_equal(fresh.fit(tiles[:4]).decision_function(tiles[4:7]), before)


def test_more_images_need_more_of_what_grows(tiles: list[np.ndarray]) -> None:
    bank = create_model("patchcore", **SMALL)
    few, many = (bank.resource_estimate(tiles[:2], n) for n in (10, 1000))
    assert many.patches == 100 * few.patches == 64000
    assert many.bank is not None
    assert many.bank[0] == 6400
    assert many.working_bytes > 50 * few.working_bytes
    gaussians = create_model("padim", **SMALL, n_features=20)
    few, many = (gaussians.resource_estimate(tiles[:2], n) for n in (10, 1000))
    assert (many.state_bytes, many.working_bytes) == (few.state_bytes, few.working_bytes)


def test_a_wrong_parameter_and_an_unreadable_image_are_told_as_by_fit(tiles: list[np.ndarray]) -> None:
    model = create_model("patchcore", **SMALL)
    with pytest.raises(ImageError, match="no-such-image"):
        model.resource_estimate(["no-such-image.png"], 5)
    model.set_params(num_neighbors=0)
    with pytest.raises(ParameterError, match="num_neighbors"):
        model.resource_estimate(tiles[:2], 5)


def test_a_model_without_a_rule_is_not_estimable() -> None:
    assert not isinstance(create_model("pixel-gaussian"), Estimable)
    assert ResourceEstimate(10).fit_seconds is None
