"""SPADE, SoftPatch, DFM, AnomalyDINO and MuSc keep the detector contract, to the last bit between batches."""

from __future__ import annotations

from typing import Callable

from pyimgano.core.testing import parametrize_with_checks
from pyimgano.models.anomaly_dino import AnomalyDino
from pyimgano.models.dfm import Dfm
from pyimgano.models.musc import Musc
from pyimgano.models.softpatch import SoftPatch
from pyimgano.models.spade import Spade

LITE0 = "efficientnet-lite0"


@parametrize_with_checks(
    {
        "spade": lambda: Spade(input_size=64, n_images=5, batch_size=4, runtime="torch"),
        "spade-with-several-patches": lambda: Spade(
            input_size=(64, 96), layers=["blocks.2"], retrieval_layer="blocks.4", n_patches=3, runtime="torch"
        ),
        "softpatch": lambda: SoftPatch(input_size=64, batch_size=4, runtime="torch"),
        "softpatch-by-gaussians": lambda: SoftPatch(
            input_size=(64, 96),
            noise_discriminator="gaussian",
            projection=30,
            coreset_sampling_ratio=1.0,
            runtime="torch",
        ),
        "dfm": lambda: Dfm(input_size=64, batch_size=3, runtime="torch"),
        "dfm-by-likelihood": lambda: Dfm(
            input_size=(96, 64), layers=["blocks.2"], pooling=2, score="nll", runtime="torch"
        ),
        "anomaly-dino": lambda: AnomalyDino(LITE0, input_size=64, batch_size=4, runtime="torch"),
        "anomaly-dino-of-a-transformer": lambda: AnomalyDino(
            "timm/test_vit", input_size=(64, 96), weights="random", augment_rotations="off", runtime="torch"
        ),
        "musc": lambda: Musc(LITE0, input_size=64, batch_size=3, runtime="torch"),
        "musc-of-a-transformer": lambda: Musc(
            "timm/test_vit", input_size=64, weights="random", degrees=[1], runtime="torch"
        ),
    },
    batch_tolerance=0.0,
)
def test_contract(check: Callable[[], None]) -> None:
    check()
