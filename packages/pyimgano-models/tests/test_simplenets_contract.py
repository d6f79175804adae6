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
        "supersimplenet": lambda: SuperSimpleNet(LITE0, input_size=64, epochs=4, batch_size=4, device="cpu"),
        "supersimplenet-resnet": lambda: SuperSimpleNet(
            "resnet18",
            ["layer2", "layer3"],
            weights="random:3",
            adapt_cls_features=False,
            input_size=(64, 96),
            epochs=2,
            batch_size=5,
            device="cpu",
        ),
    },
    batch_tolerance=0.0,
)
def test_contract(check: Callable[[], None]) -> None:
    check()
