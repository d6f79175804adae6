"""The peer's side of the training rows: anomalib's models through its ``Engine``, with random weights.

What its models would download is left out: ``timm`` makes its backbones without weights, and EfficientAD keeps the
random teacher that it was made with. Neither changes what a step computes.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from benchmarks.elpv import mono_split
from benchmarks.measure import latencies, peak_rss_mb, serve
from benchmarks.peer_anomalib import folder_of
from benchmarks.training_ours import SIZE


def build(model: str, folder: str) -> Any:
    """Return the peer's model; see :func:`benchmarks.training_ours.build`."""
    import timm
    from anomalib.models import EfficientAd, Stfpm, Supersimplenet
    from anomalib.post_processing import PostProcessor

    make = timm.create_model
    timm.create_model = lambda name, **given: make(name, **{**given, "pretrained": False})
    common: dict[str, Any] = {
        "post_processor": PostProcessor(enable_normalization=False, enable_thresholding=False),
        "evaluator": False,
        "visualizer": False,
    }
    if model == "efficient-ad":
        made = EfficientAd(imagenet_dir=folder, model_size="small", **common)
        made.prepare_pretrained_model = lambda: None
        return made
    if model == "stfpm":
        return Stfpm(backbone="resnet18", **common)
    return Supersimplenet(backbone="wide_resnet50_2", adapt_cls_features=True, **common)


def train(
    model: str, *, batch_size: int, steps: int, repeats: int, folder: str, threads: int, workers: int = 0
) -> dict[str, Any]:
    """Time the steps of ``Engine.fit``, each from the start of one to the start of the next, then single images.

    Parameters
    ----------
    model, batch_size, steps, repeats, folder, threads
        See :func:`benchmarks.training_ours.train`.
    workers : int
        Data-loading processes; 0 was faster than the default of 8 on two cores.

    Returns
    -------
    dict
        ``step_seconds``, ``latency_ms``, ``fit_peak_rss_mb``.
    """
    import lightning
    import numpy as np
    import torch
    from anomalib.data import Folder
    from anomalib.engine import Engine
    from PIL import Image

    warnings.filterwarnings("ignore")
    torch.set_num_threads(threads)
    lightning.seed_everything(0, verbose=False)
    starts: list[float] = []

    class Clock(lightning.Callback):
        def on_train_batch_start(self, *given: Any) -> None:
            starts.append(time.perf_counter())

    split = mono_split(0).head(batch_size * steps, 4)
    with tempfile.TemporaryDirectory(prefix="pyimgano-bench-peer-") as place:
        folder_of(split, Path(place) / "data")
        data = Folder(
            name="elpv",
            root=Path(place) / "data",
            normal_dir="train/good",
            normal_test_dir="test/good",
            abnormal_dir="test/defect",
            train_batch_size=batch_size,
            num_workers=workers,
            val_split_mode="same_as_test",
        )
        module = build(model, folder)
        engine = Engine(
            default_root_dir=Path(place) / "results",
            accelerator="cpu",
            max_steps=steps,
            callbacks=[Clock()],
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
        )
        engine.fit(model=module, datamodule=data)
    peak = peak_rss_mb()
    module = module.eval()
    images = [np.asarray(Image.open(path).convert("RGB")) for path in mono_split(0).test[::20]]
    turn = iter(range(10**9))

    def whole() -> Any:
        image = images[next(turn) % len(images)]
        with torch.inference_mode():
            out = module(torch.from_numpy(image).permute(2, 0, 1).unsqueeze(0).float().div_(255))
        return out.pred_score.numpy(), out.anomaly_map.numpy()

    times = latencies(whole, warm_up=3, repeats=repeats)
    size = list(whole()[1].shape[-2:])
    assert size == [SIZE, SIZE], size
    return {
        "step_seconds": [after - before for before, after in zip(starts, starts[1:])],
        "latency_ms": times,
        "fit_peak_rss_mb": peak,
    }


if __name__ == "__main__":
    serve({"train": train})
