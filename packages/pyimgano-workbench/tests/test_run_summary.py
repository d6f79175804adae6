"""The lines that end a run: few, and every number in them is the report's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Callable

from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.summary import format_metric, run_summary
from pyimgano.workbench.training import run_recipe


def test_a_run_ends_with_its_rates_their_intervals_and_what_goes_to_review(
    make_cells: Callable[..., Path], tmp_path: Path
) -> None:
    data = make_cells(tmp_path / "cells", good=8, defective=8)
    settings = ["model.params.input_size=48", "calibration.alpha=0.2", "calibration.review_alpha=0.45"]
    flags = {"dataset.root": data, "model.name": "pixel-gaussian", "output.dir": tmp_path / "runs"}
    run = run_recipe(load_run_config(settings=settings, flags=flags))
    lines = run_summary(run)
    assert len(lines) <= 10
    text = "\n".join(lines)
    metrics = run.category("cells").report()["metrics"]
    auroc = metrics["image_auroc"]
    low, high = auroc["interval"]
    assert f"image AUROC {auroc['value']:.3f} (95 %: {low:.3f}–{high:.3f})   AP " in text
    for name in ("overkill", "escape"):
        assert f"  {name} {metrics[name]['count']}/8 = " in text
    review = [metrics[f"review_{kind}"]["count"] for kind in ("good", "defective")]
    assert re.search(rf"  good to review {review[0]}/8 = .*   defective to review {review[1]}/8 = ", text)
    recalls = [metrics[f"image_recall_at_fpr_{rate}"]["value"] for rate in ("0.01", "0.05")]
    assert f"F1 {metrics['f1']['value']:.3f}   recall {recalls[0]:.3f} at FPR 0.01   recall {recalls[1]:.3f}" in text


def test_a_metric_reads_as_a_sentence_would_say_it() -> None:
    interval = {"interval": [0.002, 0.07], "confidence": 0.95}
    share = {"value": 0.02, "n": {"good": 100}, "count": 2, **interval}
    assert format_metric("overkill", share) == "overkill 2/100 = 2.0 % (95 %: 0.2–7.0 %)"
    assert format_metric("image_fpr_at_recall_0.95", {**share, "limit": 0.95}, interval=False) == (
        "FPR 0.020 at recall 0.95"
    )
    area = {"value": 0.5, "n": {"regions": 3}, "limit": 0.05}
    assert format_metric("pixel_aupro_0.05", area) == "AUPRO 0.500 to FPR 0.05"
    assert format_metric("pixel_au_spro_0.05", area) == "AU-sPRO 0.500 to FPR 0.05"
    assert format_metric("pixel_aupro", {**area, "limit": 0.3}) == "AUPRO 0.500 to FPR 0.3"
    nothing = {"value": None, "n": {"good": 0}, "reason": "no good test images"}
    assert format_metric("image_recall_at_fpr_0.01", nothing) == "recall – at FPR 0.01"
