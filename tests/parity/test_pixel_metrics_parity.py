"""On the same maps and masks, AUROC, F1max and AUPRO are anomalib's."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pyimgano.workbench.evaluate import pixel_metrics


@pytest.fixture(scope="module")
def maps_and_masks(solar_cells: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Real pictures of cells as maps, in [0, 1], brighter where something was marked; each value with many ties."""
    rng = np.random.default_rng(0)
    maps, masks = [], []
    for index, cell in enumerate(solar_cells[:12]):
        mask = np.zeros(cell.shape[:2], dtype=bool)
        for _ in range(index % 3):
            top, left = rng.integers(0, 250, 2)
            mask[top : top + rng.integers(8, 50), left : left + rng.integers(8, 50)] = True
        scores = cell[..., 0].astype(np.float32) / 400 + 0.3 * mask
        maps.append(np.clip(scores, 0, 1).astype(np.float32))
        masks.append(mask)
    return np.stack(maps), np.stack(masks)


def test_pixel_metrics_are_those_of_the_reference(
    reference: None, maps_and_masks: tuple[np.ndarray, np.ndarray]
) -> None:
    import torch
    from anomalib.metrics import AUPRO, AUROC, F1Max

    maps, masks = maps_and_masks
    batch = SimpleNamespace(anomaly_map=torch.from_numpy(maps), gt_mask=torch.from_numpy(masks).int())
    ours = pixel_metrics(lambda i: (maps[i], masks[i]), masks.any(axis=(1, 2)).tolist(), limits=[0.3, 0.05]).metrics
    for name, metric in (
        ("pixel_auroc", AUROC(fields=["anomaly_map", "gt_mask"])),
        ("pixel_f1max", F1Max(fields=["anomaly_map", "gt_mask"])),
        ("pixel_aupro", AUPRO(fields=["anomaly_map", "gt_mask"])),
        ("pixel_aupro_0.05", AUPRO(fields=["anomaly_map", "gt_mask"], fpr_limit=0.05)),
    ):
        metric.update(batch)
        # The reference sums in 32 bits.
        assert ours[name].value == pytest.approx(float(metric.compute()), abs=2e-5), name
