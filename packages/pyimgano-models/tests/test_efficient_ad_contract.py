"""EfficientAD keeps the detector contract, to the last bit between batches. About 15 s on one core."""

from __future__ import annotations

from typing import Callable

from pyimgano.core.testing import parametrize_with_checks
from pyimgano.models.efficient_ad import EfficientAd


@parametrize_with_checks(
    {
        "efficient-ad": lambda: EfficientAd(
            "efficientnet-lite0", ["blocks.2"], input_size=64, steps=1, batch_size=2, device="cpu"
        ),
        "efficient-ad-pdn": lambda: EfficientAd(
            weights="random:1", input_size=(64, 72), padding=True, steps=1, device="cpu"
        ),
    },
    batch_tolerance=0.0,
)
def test_contract(check: Callable[[], None]) -> None:
    check()
