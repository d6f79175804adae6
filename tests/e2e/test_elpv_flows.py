"""A short training of flows tells good real solar cells from defective ones, with the embedded backbone.

The papers train for hundreds of epochs on eight blocks and images of 256 pixels; here it is two or three epochs on 100
cells of 128 pixels, with fewer blocks and, for CFLOW, five times the paper's learning rate.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pyimgano.core.images import read_image
from pyimgano.models.cflow import CFlow
from pyimgano.models.fastflow import FastFlow

pytestmark = pytest.mark.long

N_TRAIN, N_TEST = 100, 50
SMALL = {"backbone": "efficientnet-lite0", "input_size": 128, "device": "cpu"}


@pytest.fixture(scope="module")
def cells(
    shuffled_cells: Callable[[int], tuple[list[Path], list[Path]]],
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return good mono cells to train on, and as many good as defective ones to test."""
    good, defective = shuffled_cells(0)
    train, test = good[:N_TRAIN], [*good[N_TRAIN : N_TRAIN + N_TEST], *defective[:N_TEST]]
    return [read_image(path) for path in train], [read_image(path) for path in test]


@pytest.mark.parametrize(
    ("make", "floor"),
    [
        (lambda: FastFlow(**SMALL, layers=["blocks.2", "blocks.4"], flow_steps=4, epochs=3, batch_size=5), 0.70),
        (lambda: CFlow(**SMALL, coupling_blocks=4, fibres=128, epochs=2, learning_rate=1e-3), 0.75),
    ],
    ids=["fastflow", "cflow"],
)
def test_a_few_epochs_lift_a_flow_above_its_untrained_self_and_chance(cells: Any, make: Any, floor: float) -> None:
    train, test = cells

    def auroc(detector: Any) -> float:
        return float(roc_auc_score([0] * N_TEST + [1] * N_TEST, detector.decision_function(test)))

    untrained = make()
    untrained.trainable("full")
    untrained.finish_training(train[:10])
    before, after = auroc(untrained), auroc(make().fit(train))
    assert after >= floor, (before, after)
    assert after >= before + 0.25, (before, after)
