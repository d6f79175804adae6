"""A short training of flows tells good real solar cells from defective ones, with the embedded backbone.

The papers train for hundreds of epochs on eight blocks and images of 256 pixels; here it is two or three epochs on 100
cells of 128 pixels, with fewer blocks and, for CFLOW, five times the paper's learning rate.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

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
def cells() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return good (probability 0) mono cells to train on, and as many good as defective (probability 1) to test."""
    spec = find_spec("elpv_dataset")
    assert spec is not None, "elpv-dataset is not installed"
    assert spec.origin is not None
    root = Path(spec.origin).parent / "data"
    found: dict[float, list[str]] = {0.0: [], 1.0: []}
    for line in (root / "labels.csv").read_text(encoding="utf-8").splitlines():
        if line.strip():
            path, probability, kind = line.split()
            if kind == "mono" and float(probability) in found:
                found[float(probability)].append(path)
    rng = np.random.default_rng(0)
    good, defective = (
        [read_image(root / sorted(found[label])[index]) for index in rng.permutation(len(found[label]))[:count]]
        for label, count in ((0.0, N_TRAIN + N_TEST), (1.0, N_TEST))
    )
    return good[:N_TRAIN], [*good[N_TRAIN:], *defective]


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
