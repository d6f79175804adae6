"""DRÆM keeps the detector contract, to the last bit between batches."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from pyimgano.core.testing import Subject, detector_checks
from pyimgano.models.draem import Draem

LEARNED = ("check_defects_score_higher", "check_maps_point_at_the_defect")
"""What takes more steps than the other rules, for which a detector that has hardly learned will do."""


def small(**parameters: Any) -> Draem:
    widths = {"reconstruction_width": 4, "segmentation_width": 4}
    ranges = {"opacity": (0.7, 1.0), "rotation": 0.0, "learning_rate": 5e-3}
    return Draem(**{"input_size": 64, **widths, **ranges, "device": "cpu", **parameters})


QUICK = Subject(lambda: small(epochs=2, batch_size=4), batch_tolerance=0.0)
TRAINED = Subject(lambda: small(epochs=20, batch_size=2), batch_tolerance=0.0)
CHECKS = dict(detector_checks())


def test_the_rules_that_take_a_longer_training_are_rules() -> None:
    assert set(LEARNED) <= set(CHECKS)


@pytest.mark.parametrize("name", CHECKS)
def test_contract(name: str) -> None:
    check: Callable[[Subject], None] = CHECKS[name]
    check(TRAINED if name in LEARNED else QUICK)
