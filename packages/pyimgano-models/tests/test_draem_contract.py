"""DRÆM keeps the detector contract, to the last bit between batches. Ten to twenty seconds."""

from __future__ import annotations

from typing import Callable

from pyimgano.core.testing import parametrize_with_checks
from pyimgano.models.draem import Draem


@parametrize_with_checks(
    {
        "draem": lambda: Draem(
            input_size=(64, 96),
            reconstruction_width=2,
            segmentation_width=2,
            learning_rate=3e-3,
            epochs=2,
            batch_size=4,
            device="cpu",
        ),
    },
    batch_tolerance=0.0,
)
def test_contract(check: Callable[[], None]) -> None:
    check()
