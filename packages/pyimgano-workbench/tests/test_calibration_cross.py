"""Cross-conformal calibration: folds without leaks, and the overkill that it has in truth."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Union

import numpy as np
import pytest

from pyimgano.core.contracts import Sample
from pyimgano.core.errors import CalibrationError, DatasetError, ParameterError
from pyimgano.core.images import write_png
from pyimgano.datasets import split_folds, split_good
from pyimgano.workbench.calibrate import calibrate, create_method, folds_of, require_images
from pyimgano.workbench.calibrate.cross import out_of_fold


def nearest(train: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the distance to the nearest training point: a detector that overfits as much as one can."""
    return np.sqrt(((points[:, None] - train[None]) ** 2).sum(-1)).min(axis=1)


@pytest.mark.parametrize(("n", "folds"), [(20, 5), (40, 10), (40, "jackknife"), (100, 5)])
def test_the_overkill_of_cross_conformal_is_about_alpha_and_far_below_that_of_scoring_what_was_fitted(
    n: int, folds: Union[int, str]
) -> None:
    rng, alpha = np.random.default_rng(1), 0.1
    method = create_method("cross-conformal", {"folds": folds})
    count = n if folds == "jackknife" else int(folds)
    found, naive = [], []
    for _ in range(150):
        images, new = rng.normal(size=(n, 5)), rng.normal(size=(300, 5))
        parts = [images[start::count] for start in range(count)]
        scores = out_of_fold(parts, lambda number, others, fold: list(nearest(np.array(others), np.array(fold))))
        found.append((nearest(images, new) >= method.threshold(np.array(scores), alpha)).mean())
        naive.append((nearest(images, new) >= method.threshold(nearest(images, images), alpha)).mean())
    # On average 0.08 to 0.1 (more folds, closer to alpha); 0.04 is what a single draw scatters by.
    assert 0.5 * alpha < np.mean(found) < 1.2 * alpha
    assert np.mean(found) < 2.0 * alpha  # the bound of CV+ and jackknife+
    assert np.mean(naive) > 0.9


def test_the_card_of_a_cross_calibration_claims_no_more_than_is_known() -> None:
    card = calibrate(range(30), method="cross-conformal", params={}, alpha=0.1, fingerprint="f", source="cross")
    assert card.interval is None
    assert "depend on each other" in str(card.interval_reason)
    assert "No finite-sample bound is known" in card.guarantee
    assert card.source == "cross"


@pytest.mark.parametrize("folds", [1, 0, -2, 2.5, True, "loo"])
def test_folds_that_are_none_are_refused(folds: object) -> None:
    with pytest.raises(ParameterError, match="folds"):
        create_method("cross-conformal", {"folds": folds})


def test_cross_conformal_needs_as_many_images_as_split_conformal_but_holds_none_out() -> None:
    method = create_method("cross-conformal", {"folds": 12})
    assert folds_of(method) == 12
    assert folds_of(create_method("conformal")) is None
    assert method.images_needed(0.05) == 19
    assert method.images_needed(0.5) == 12
    with pytest.raises(CalibrationError, match="needs at least 19 good images, there are 18") as caught:
        require_images(method, 0.05, 18, where="category 'a'", available=18, source="cross")
    assert "holdout" not in str(caught.value.hint)
    with pytest.raises(CalibrationError) as caught:
        require_images(create_method("conformal"), 0.05, 4, where="category 'a'", available=20)
    assert "cross-conformal" in str(caught.value.hint)
    with pytest.raises(CalibrationError) as caught:
        require_images(create_method("conformal"), 0.05, 4, where="category 'a'", available=18)
    assert "cross-conformal" not in str(caught.value.hint)  # it would be refused as well


@pytest.fixture
def images(tmp_path: Path) -> list[Sample]:
    """Thirty good images; 0–5 are one group, 6–8 another, and 8, 12, 13 are copies of one image."""
    rng = np.random.default_rng(0)
    found = []
    for index in range(30):
        path = tmp_path / f"{index:02d}.png"
        write_png(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), path)
        if index in (12, 13):
            path.write_bytes((tmp_path / "08.png").read_bytes())
        group = "a" if index < 6 else "b" if index < 9 else None
        found.append(Sample(id=path.name, source=path, split="train", label=0, group=group))
    return found


@pytest.mark.parametrize("folds", [2, 5, "jackknife"])
def test_groups_and_copies_are_never_on_both_sides_of_a_fold(images: list[Sample], folds: Union[int, str]) -> None:
    made = split_folds(images, folds, seed=0)
    fold_of = {sample.id: number for number, fold in enumerate(made) for sample in fold}
    assert sorted(fold_of) == [sample.id for sample in images]
    assert len({fold_of[f"{index:02d}.png"] for index in range(6)}) == 1
    assert len({fold_of[f"{index:02d}.png"] for index in (6, 7, 8, 12, 13)}) == 1  # linked by group, then by content
    sizes = Counter(fold_of.values())
    if folds == "jackknife":
        assert sorted(sizes.values()) == [1] * 19 + [5, 6]
    else:
        assert max(sizes.values()) - min(sizes.values()) <= 1


def test_folds_depend_on_the_seed_and_not_on_the_order(images: list[Sample]) -> None:
    shuffled = random.Random(1).sample(images, len(images))
    assert split_folds(shuffled, 5, seed=3) == split_folds(images, 5, seed=3)
    assert split_folds(images, 5, seed=4) != split_folds(images, 5, seed=3)


def test_more_folds_than_there_is_to_separate_are_refused_with_the_number(images: list[Sample]) -> None:
    with pytest.raises(
        DatasetError, match=r"cannot cut 9 good images \(2 groups and single images\) into 3 folds"
    ) as caught:
        split_folds(images[:9], 3, seed=0)
    assert "calibration.params.folds=2" in str(caught.value.hint)
    with pytest.raises(DatasetError, match="into 2 folds"):
        split_folds(images[:6], "jackknife", seed=0)


def test_without_a_hold_out_all_good_images_are_fitted_on(images: list[Sample]) -> None:
    validation = [Sample(id=f"v{s.id}", source=s.source, split="validation", label=0) for s in images[:3]]
    defective = [Sample(id="d", source=images[0].source, split="train", label=1)]
    split = split_good([*images, *validation, *defective], seed=0, cross=True)
    assert split.fit == split.calibration
    assert len(split.fit) == 33
    assert split.source == "cross"
    assert "3 of them validation images" in split.notes[-1]


def test_a_model_that_loses_outcomes_is_noticed() -> None:
    with pytest.raises(ValueError, match="1 outcomes for 2 items"):
        out_of_fold([[1, 2], [3]], lambda number, others, fold: [0])
