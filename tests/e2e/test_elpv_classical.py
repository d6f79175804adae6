"""Classical detectors find defects of real solar cells, without torch or on patches of the embedded backbone.

The split is that of ``test_elpv_auroc``, its first one. On five splits of fewer cells (`benchmarks/classical`),
`sklearn-pca` has 0.934, `sklearn-nearest-neighbors` on patches 0.944, each with a standard deviation of 0.01; the
floors lie about 0.02 below that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest
from sklearn.metrics import roc_auc_score

from pyimgano.core.creation import create_model

pytestmark = pytest.mark.long

N_TRAIN, N_TEST = 200, 100


@pytest.fixture(scope="module")
def cells(shuffled_cells: Callable[[int], tuple[list[Path], list[Path]]]) -> tuple[list[Path], list[Path]]:
    """Return good and defective mono cells, shuffled by the first split's seed."""
    return shuffled_cells(0)


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
