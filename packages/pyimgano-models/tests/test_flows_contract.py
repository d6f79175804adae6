"""FastFlow and CFLOW keep the detector contract, to the last bit between batches."""

from __future__ import annotations

from typing import Callable

from pyimgano.core.testing import parametrize_with_checks
from pyimgano.models.cflow import CFlow
from pyimgano.models.fastflow import FastFlow

SMALL = {"backbone": "efficientnet-lite0", "device": "cpu", "batch_size": 4}


@parametrize_with_checks(
    {
        "fastflow": lambda: FastFlow(**SMALL, input_size=64, flow_steps=2, epochs=6, learning_rate=5e-3),
        "cflow": lambda: CFlow(
            **SMALL, input_size=(64, 96), coupling_blocks=2, fibres=64, epochs=6, learning_rate=5e-3
        ),
    },
    batch_tolerance=0.0,
)
def test_contract(check: Callable[[], None]) -> None:
    check()
