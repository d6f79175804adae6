"""DRÆM keeps the detector contract, to the last bit between batches. Ten to twenty seconds."""

from __future__ import annotations

from typing import Callable

from pyimgano.core.testing import parametrize_with_checks
from pyimgano.models.draem import Draem


@parametrize_with_checks(
    {
        "draem": lambda: Draem(
            input_size=64,
            opacity=(0.7, 1.0),
            rotation=0.0,
            reconstruction_width=4,
            segmentation_width=4,
            learning_rate=1e-2,
            epochs=6,
            batch_size=4,
            device="cpu",
        ),
    },
    batch_tolerance=0.0,
)
def test_contract(check: Callable[[], None]) -> None:
    check()
