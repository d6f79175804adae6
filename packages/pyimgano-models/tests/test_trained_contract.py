"""STFPM and reverse distillation keep the detector contract, to the last bit between batches."""

from __future__ import annotations

from typing import Callable

from pyimgano.core.testing import parametrize_with_checks
from pyimgano.models.reverse_distillation import ReverseDistillation
from pyimgano.models.stfpm import STFPM


@parametrize_with_checks(
    {
        "stfpm": lambda: STFPM(input_size=64, epochs=6, batch_size=4, device="cpu"),
        "stfpm-resnet": lambda: STFPM(
            "resnet18",
            ["layer1", "layer2"],
            weights="random:3",
            input_size=(64, 96),
            epochs=3,
            batch_size=5,
            device="cpu",
        ),
        "reverse-distillation": lambda: ReverseDistillation(
            "efficientnet-lite0", input_size=64, map_sigma=1.0, epochs=4, batch_size=4, device="cpu"
        ),
    },
    batch_tolerance=0.0,
)
def test_contract(check: Callable[[], None]) -> None:
    check()
