"""Classical detectors find defects of real solar cells, without torch or on patches of the embedded backbone.

The split is that of ``test_elpv_auroc``, its first one. Measured on five splits: `sklearn-pca` with its defaults 0.935,
`sklearn-nearest-neighbors` on patches 0.942, each with a standard deviation of 0.01; the floors lie 0.02 below that.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pyimgano.core.creation import create_model

pytestmark = pytest.mark.long

N_TRAIN, N_TEST = 200, 100


@pytest.fixture(scope="module")
def cells() -> tuple[list[Path], list[Path]]:
    """Return good (probability 0) and defective (probability 1) mono cells, shuffled by the first split's seed."""
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
    good, defective = ([root / path for path in sorted(found[label])] for label in (0.0, 1.0))
    shuffled_good = [good[index] for index in rng.permutation(len(good))]
    return shuffled_good, [defective[index] for index in rng.permutation(len(defective))]


@pytest.mark.parametrize(
    ("name", "params", "floor"),
    [
        ("sklearn-pca", {}, 0.915),
        (
            "sklearn-nearest-neighbors",
            {"features": "embedding", "level": "patch", "steps": [], "max_patches": 15_000},
            0.92,
        ),
    ],
)
def test_defective_cells_score_higher(
    name: str, params: dict[str, Any], floor: float, cells: tuple[list[Path], list[Path]]
) -> None:
    good, defective = cells
    detector = create_model(name, **params).fit(good[:N_TRAIN])
    test = [*good[N_TRAIN : N_TRAIN + N_TEST], *defective[:N_TEST]]
    labels = [0] * N_TEST + [1] * N_TEST
    assert roc_auc_score(labels, detector.decision_function(test)) >= floor
