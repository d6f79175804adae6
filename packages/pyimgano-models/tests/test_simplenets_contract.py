"""SimpleNet and SuperSimpleNet keep the detector contract, to the last bit between batches."""

from __future__ import annotations

from typing import Callable

from pyimgano.core.testing import parametrize_with_checks
from pyimgano.models.simplenet import SimpleNet
from pyimgano.models.supersimplenet import SuperSimpleNet

LITE0 = "efficientnet-lite0"


@parametrize_with_checks(
    {
        "simplenet": lambda: SimpleNet(LITE0, input_size=64, map_sigma=1.0, epochs=4, batch_size=4, device="cpu"),
        # So few steps teach the classification head, whose score the checks ask for, from some seeds only.
        "supersimplenet": lambda: SuperSimpleNet(
            LITE0,
            input_size=32,
            noise_sigma=4.0,
            learning_rate=5e-3,
            epochs=6,
            seed=1,
            batch_size=4,
            device="cpu",
        ),
        "supersimplenet-resnet": lambda: SuperSimpleNet(
            "resnet18",
            ["layer2", "layer3"],
            weights="random:3",
            adapt_cls_features=False,
            input_size=(64, 96),
            epochs=1,
            batch_size=5,
            device="cpu",
        ),
    },
    batch_tolerance=0.0,
)
def test_contract(check: Callable[[], None]) -> None:
    check()
