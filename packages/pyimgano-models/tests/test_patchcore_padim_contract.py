"""PatchCore and PaDiM keep the detector contract, to the last bit between batches."""

from __future__ import annotations

from typing import Callable

from pyimgano.core.testing import parametrize_with_checks
from pyimgano.models.padim import Padim
from pyimgano.models.patchcore import PatchCore


@parametrize_with_checks(
    {
        "patchcore": lambda: PatchCore(input_size=64, coreset_sampling_ratio=0.2, batch_size=4, runtime="torch"),
        "patchcore-of-single-patches": lambda: PatchCore(
            input_size=(64, 96),
            coreset_sampling_ratio=1.0,
            num_neighbors=1,
            patch_size=1,
            map_interpolation="nearest",
            map_sigma=0.0,
            runtime="torch",
        ),
        "patchcore-by-projection": lambda: PatchCore(input_size=64, coreset_projection=32, runtime="torch"),
        "padim": lambda: Padim(input_size=64, n_features=40, batch_size=3, runtime="torch"),
        "padim-with-all-features": lambda: Padim(
            input_size=(96, 64), layers=["blocks.2", "blocks.4"], n_features=None, map_sigma=0, runtime="torch"
        ),
    },
    batch_tolerance=0.0,
)
def test_contract(check: Callable[[], None]) -> None:
    check()
