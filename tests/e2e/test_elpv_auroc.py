"""PatchCore, PaDiM and trained models find defects of real solar cells with the embedded backbone.

The split is the development benchmark's, the same as in ``benchmarks/elpv.py``: ELPV's mono cells, 200 good ones to
fit on, 100 good and 100 defective ones to test on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pyimgano.core.images import read_image
from pyimgano.models.efficient_ad import EfficientAd
from pyimgano.models.padim import Padim
from pyimgano.models.patchcore import PatchCore
from pyimgano.models.simplenet import SimpleNet
from pyimgano.models.supersimplenet import SuperSimpleNet

pytestmark = pytest.mark.long

SEEDS = range(2)  # the benchmarks take five
N_TRAIN, N_TEST = 200, 100


Cells = Callable[[int], tuple[list[Path], list[Path]]]
Split = Callable[[int], tuple[list[Path], list[Path], list[Path]]]


@pytest.fixture(scope="module")
def split(shuffled_cells: Cells) -> Split:
    """Give a seed's good cells to fit on, good ones to test, and defective ones to test."""

    def of(seed: int) -> tuple[list[Path], list[Path], list[Path]]:
        good, defective = shuffled_cells(seed)
        return good[:N_TRAIN], good[N_TRAIN : N_TRAIN + N_TEST], defective[:N_TEST]

    return of


def image_aurocs(make: Callable[[int], Any], split: Split) -> list[float]:
    """Return the image AUROC of each seed."""
    aurocs = []
    for seed in SEEDS:
        train, test_good, test_defective = split(seed)
        detector = make(seed).fit(train)
        scores = detector.decision_function([*test_good, *test_defective])
        aurocs.append(float(roc_auc_score([0] * N_TEST + [1] * N_TEST, scores)))
    return aurocs


def test_the_split_leaves_no_good_cell_on_both_sides(split: Split) -> None:
    train, test_good, test_defective = split(0)
    assert (len(train), len(test_good), len(test_defective)) == (N_TRAIN, N_TEST, N_TEST)
    assert not {read_image(path).tobytes() for path in train} & {read_image(path).tobytes() for path in test_good}


def test_patchcore_with_a_bank_of_one_percent_reaches_an_image_auroc_of_0_93(split: Split) -> None:
    aurocs = image_aurocs(lambda seed: PatchCore(coreset_sampling_ratio=0.01, seed=seed), split)
    assert np.mean(aurocs) >= 0.93, aurocs


def test_padim_reaches_an_image_auroc_of_0_91(split: Split) -> None:
    aurocs = image_aurocs(lambda seed: Padim(seed=seed), split)
    assert np.mean(aurocs) >= 0.91, aurocs


SMALL = {"backbone": "efficientnet-lite0", "input_size": 128, "epochs": 3}
"""A short training of about 20 seconds on one core; the papers' takes a hundred epochs and four times the pixels."""


def test_three_epochs_lift_simplenet_above_its_untrained_self_and_chance(split: Split) -> None:
    train, test_good, test_defective = split(0)

    def auroc(detector: Any) -> float:
        scores = detector.decision_function([*test_good, *test_defective])
        return float(roc_auc_score([0] * N_TEST + [1] * N_TEST, scores))

    detector = SimpleNet(**SMALL)
    detector.trainable("full")
    detector.finish_training(train)
    untrained = auroc(detector)
    trained = auroc(detector.fit(train))
    assert trained >= 0.8, (untrained, trained)
    assert trained >= untrained + 0.25, (untrained, trained)


def test_labels_of_thirty_defective_cells_lift_supersimplenet_above_its_untrained_self_and_chance(
    shuffled_cells: Cells, split: Split
) -> None:
    """Nobody says where the defects are. About 15 seconds on one core."""
    train, test_good, test_defective = split(0)
    known = sorted({*shuffled_cells(0)[1]} - {*test_defective})[:30]

    def auroc(detector: Any) -> float:
        scores = detector.decision_function([*test_good, *test_defective])
        return float(roc_auc_score([0] * N_TEST + [1] * N_TEST, scores))

    detector = SuperSimpleNet("efficientnet-lite0", input_size=64, epochs=2, learning_rate=1e-3, batch_size=16)
    detector.trainable("full")
    detector.finish_training(train)
    untrained = auroc(detector)
    labels = [0] * len(train) + [1] * len(known)
    trained = auroc(detector.fit([*train, *known], labels, masks=[None] * len(labels)))
    assert trained >= 0.7, (untrained, trained)
    assert trained >= untrained + 0.15, (untrained, trained)


def test_forty_steps_lift_efficient_ad_above_its_untrained_self_and_chance(split: Split) -> None:
    """About 15 seconds on one core; the paper takes 70,000 steps, at a tenth of the rate and 16 times the pixels."""
    train, test_good, test_defective = split(0)

    def auroc(detector: EfficientAd) -> float:
        scores = detector.decision_function([*test_good[:50], *test_defective[:50]])
        return float(roc_auc_score([0] * 50 + [1] * 50, scores))

    detector = EfficientAd("efficientnet-lite0", input_size=64, steps=40, batch_size=2, learning_rate=1e-3)
    detector.trainable("full")
    detector.begin_training(train[:40])
    detector.finish_training(train[:40], train[40:50])
    untrained = auroc(detector)
    trained = auroc(detector.fit(train[:80]))
    assert trained >= 0.75, (untrained, trained)
    assert trained >= untrained + 0.15, (untrained, trained)
