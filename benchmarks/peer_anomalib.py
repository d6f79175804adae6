"""The peer, anomalib, used as its users use it: ``Engine.fit``, ``Engine.predict``, its torch model for one image.

Every function is a task of a process of its own (see :mod:`benchmarks.measure`). What is set for the comparison
and would be otherwise by default is favourable to the peer: no validation pass in ``Engine.fit`` (it would score
test images; ``val_split_mode="none"`` makes 2.7 fail, so the engine's ``limit_val_batches=0`` is used), no
visualiser (it would write a figure per image), no metrics, no normalisation of the scores (it clamps them).
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

from benchmarks import lite0
from benchmarks.elpv import Split, mono_split
from benchmarks.measure import latencies, serve, stopwatch

IMAGE_SIZE = (224, 224)
PATCHCORE_LAYERS = ["blocks.2", "blocks.4"]
PADIM_LAYERS = ["blocks.1", "blocks.2", "blocks.4"]


def build(model: str, *, ratio: float = 0.01, pixels: str = "backbone") -> Any:
    """Return the peer's model with the ImageNet weights of the package.

    Parameters
    ----------
    model : {"patchcore", "padim"}
        Which model.
    ratio : float
        PatchCore's coreset sampling ratio.
    pixels : {"backbone", "default"}
        How pixels are normalised: as the backbone was trained (which is what the project does), or as the peer does
        unless told otherwise (the usual ImageNet mean and deviation).

    Returns
    -------
    anomalib.models.components.AnomalibModule
        The untrained model.
    """
    from anomalib.models import Padim, Patchcore
    from anomalib.post_processing import PostProcessor

    common: dict[str, Any] = {
        "backbone": lite0.TIMM_NAME,
        "pre_trained": False,
        "pre_processor": _pre_processor(pixels),
        "post_processor": PostProcessor(enable_normalization=False, enable_thresholding=False),
        "evaluator": False,
        "visualizer": False,
    }
    if model == "patchcore":
        made = Patchcore(layers=PATCHCORE_LAYERS, coreset_sampling_ratio=ratio, num_neighbors=9, **common)
    else:
        made = Padim(layers=PADIM_LAYERS, n_features=100, **common)
    lite0.load_into(made.model.feature_extractor.feature_extractor)
    return made


def _pre_processor(pixels: str) -> Any:
    """Return the peer's pre-processor: antialiased resizing, then one of the two normalisations."""
    from anomalib.models import Patchcore
    from anomalib.pre_processing import PreProcessor
    from torchvision.transforms.v2 import Compose, Normalize, Resize

    if pixels == "default":
        return Patchcore.configure_pre_processor(image_size=IMAGE_SIZE)
    return PreProcessor(
        transform=Compose(
            [
                Resize(IMAGE_SIZE, antialias=True),
                Normalize(mean=[lite0.PIXEL_MEAN / 255] * 3, std=[lite0.PIXEL_DEVIATION / 255] * 3),
            ]
        )
    )


def folder_of(split: Split, root: Path) -> None:
    """Lay a split out as the folders that the peer's ``Folder`` reads, by links where the system has them.

    Parameters
    ----------
    split : Split
        The images.
    root : Path
        An empty folder.
    """
    for name, paths in (
        ("train/good", split.train),
        ("test/good", split.test_good),
        ("test/defect", split.test_defect),
    ):
        target = root / name
        target.mkdir(parents=True)
        for path in paths:
            try:
                (target / path.name).symlink_to(path)
            except OSError:
                shutil.copy(path, target / path.name)


def _data(root: Path, workers: int) -> Any:
    """Return the peer's data module for a folder made by :func:`folder_of`."""
    from anomalib.data import Folder

    return Folder(
        name="elpv",
        root=root,
        normal_dir="train/good",
        normal_test_dir="test/good",
        abnormal_dir="test/defect",
        num_workers=workers,
        val_split_mode="same_as_test",
    )


def _cores_for_torch(threads: int) -> None:
    """Fix the number of torch's threads and silence the libraries' notes."""
    import torch

    warnings.filterwarnings("ignore")
    torch.set_num_threads(threads)


def fit_predict(
    model: str,
    seed: int,
    *,
    threads: int,
    n_train: int = 200,
    n_test: int = 100,
    predict: bool = True,
    latency_repeats: int = 0,
    workers: int = 8,
    ratio: float = 0.01,
    pixels: str = "backbone",
) -> dict[str, Any]:
    """Fit with ``Engine.fit`` and, if asked for, score the test images with ``Engine.predict``.

    Parameters
    ----------
    model : {"patchcore", "padim"}
        Which model.
    seed : int
        Seed of the split and of the peer's own draws.
    threads : int
        Number of threads.
    n_train, n_test : int
        Number of training images, and of test images of each kind.
    predict : bool
        Whether to score the test images.
    latency_repeats : int
        If above 0, also time this many single images.
    workers : int
        Number of the peer's data-loading processes (its default is 8).
    ratio : float
        PatchCore's coreset sampling ratio.
    pixels : {"backbone", "default"}
        See :func:`build`.

    Returns
    -------
    dict
        Seconds of each part, the peak memory after the fit, raw scores in the order of the split, their AUROC.
    """
    result: dict[str, Any] = {"model": model, "seed": seed, "workers": workers, "n_train": n_train}
    with stopwatch(result, "import_seconds"):
        import lightning
        import torch
        from anomalib.engine import Engine
        from anomalib.models.components import KCenterGreedy
        from anomalib.models.image.padim.torch_model import MultiVariateGaussian

    from benchmarks.measure import peak_rss_mb

    _cores_for_torch(threads)
    lightning.seed_everything(seed, verbose=False)
    _time_method(KCenterGreedy, "sample_coreset", result, "coreset_seconds")
    _time_method(MultiVariateGaussian, "fit", result, "gaussian_seconds")
    split = mono_split(seed).head(n_train, n_test)
    with tempfile.TemporaryDirectory(prefix="pyimgano-bench-peer-") as folder:
        root = Path(folder)
        folder_of(split, root / "data")
        data = _data(root / "data", workers)
        engine = Engine(
            default_root_dir=root / "results",
            accelerator="cpu",
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
        )
        with stopwatch(result, "build_seconds"):
            module = build(model, ratio=ratio, pixels=pixels)
        with stopwatch(result, "fit_seconds"):
            engine.fit(model=module, datamodule=data)
        result["fit_peak_rss_mb"] = peak_rss_mb()
        if predict:
            with stopwatch(result, "predict_seconds"):
                batches = engine.predict(model=module, dataloaders=_test_loader(data), return_predictions=True)
            result["predict_peak_rss_mb"] = peak_rss_mb()
            scores: dict[str, float] = {}
            for batch in batches:
                for path, score in zip(batch.image_path, batch.pred_score.flatten().tolist()):
                    scores[Path(path).name] = float(score)
            result["images"] = [path.name for path in split.test]
            result["labels"] = split.labels
            result["scores"] = [scores[path.name] for path in split.test]
            result["auroc"] = _auroc(result["labels"], result["scores"])
    if model == "patchcore":
        result["bank"] = list(module.model.memory_bank.shape)
    if latency_repeats:
        result.update(_latency(module, split, latency_repeats))
    result["torch_threads"] = torch.get_num_threads()
    return result


def _test_loader(data: Any) -> Any:
    """Return the peer's loader of the test images."""
    data.setup("predict")
    return data.test_dataloader()


def _time_method(owner: type, name: str, into: dict[str, Any], key: str) -> None:
    """Wrap a method of the peer so that its wall seconds are added to a result."""
    original = getattr(owner, name)

    def timed(*args: Any, **kwargs: Any) -> Any:
        with stopwatch(into, key):
            return original(*args, **kwargs)

    setattr(owner, name, timed)


def _auroc(labels: list[int], scores: list[float]) -> float:
    """Return scikit-learn's area under the ROC curve of raw scores."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores))


def _latency(module: Any, split: Split, repeats: int) -> dict[str, Any]:
    """Time one image at a time: uint8 array in, score and map out, through the peer's whole model."""
    import numpy as np
    import torch
    from PIL import Image

    module = module.eval()
    images = [np.asarray(Image.open(path).convert("RGB")) for path in split.test[:: max(1, len(split.test) // 10)]]
    turn = iter(range(10**9))

    def whole() -> Any:
        image = images[next(turn) % len(images)]
        with torch.inference_mode():
            tensor = torch.from_numpy(image).permute(2, 0, 1).unsqueeze(0).float().div_(255)
            out = module(tensor)
        return out.pred_score.numpy(), out.anomaly_map.numpy()

    tensor = torch.rand(1, 3, *IMAGE_SIZE)

    def backbone() -> Any:
        with torch.inference_mode():
            return module.model.feature_extractor(tensor)

    return {
        "latency_ms": latencies(whole, warm_up=5, repeats=repeats),
        "backbone_ms": latencies(backbone, warm_up=5, repeats=repeats),
        "map_shape": list(whole()[1].shape[-2:]),
    }


def features(seed: int, output: str, *, threads: int, n_train: int = 200) -> dict[str, Any]:
    """Write PatchCore's training features, as the peer computes them, to a ``.npy`` file.

    Parameters
    ----------
    seed : int
        Seed of the split.
    output : str
        File to write.
    threads : int
        Number of threads.
    n_train : int
        Number of training images.

    Returns
    -------
    dict
        The shape of what was written.
    """
    import numpy as np
    import torch
    from torchvision.io import ImageReadMode, read_image

    _cores_for_torch(threads)
    module = build("patchcore")
    module.train()
    parts = []
    for path in mono_split(seed).train[:n_train]:
        image = read_image(str(path), mode=ImageReadMode.RGB).unsqueeze(0).float().div_(255)
        with torch.no_grad():
            parts.append(module.model(module.pre_processor(image)).numpy())
        module.model.embedding_store.clear()
    table = np.concatenate(parts).astype(np.float32)
    np.save(output, table)
    return {"shape": list(table.shape)}


def coreset(file: str, *, ratio: float, seed: int, threads: int) -> dict[str, Any]:
    """Time the peer's greedy coreset on features in a file.

    Parameters
    ----------
    file : str
        ``.npy`` file of the features.
    ratio : float
        Share to keep.
    seed : int
        Seed of the peer's random first point and of its random projection.
    threads : int
        Number of threads.

    Returns
    -------
    dict
        Seconds, the selection, the dimension after the peer's projection.
    """
    import numpy as np
    import torch
    from anomalib.models.components import KCenterGreedy

    _cores_for_torch(threads)
    torch.manual_seed(seed)
    np.random.seed(seed)
    table = torch.from_numpy(np.load(file))
    result: dict[str, Any] = {}
    with stopwatch(result, "seconds"):
        sampler = KCenterGreedy(embedding=table, sampling_ratio=ratio)
        selected = sampler.select_coreset_idxs()
    result["selected"] = [int(i) for i in selected]
    result["projected_dimension"] = int(sampler.features.shape[1])
    return result


def pixel_metrics(folder: str, *, threads: int, batch: int = 32) -> dict[str, Any]:
    """Time the peer's four pixel metrics, updated batch by batch as its evaluator does.

    Parameters
    ----------
    folder : str
        Of :func:`benchmarks.maps.make`.
    threads : int
        Number of threads.
    batch : int
        Images per update; 32 is the peer's default.

    Returns
    -------
    dict
        Seconds, values, peak memory beyond the inputs.
    """
    from types import SimpleNamespace

    import torch
    from anomalib.metrics import AUPR, AUPRO, AUROC, F1Max

    from benchmarks.maps import load, resident_mb
    from benchmarks.measure import peak_rss_mb

    _cores_for_torch(threads)
    maps, masks = (torch.from_numpy(part) for part in load(folder))
    fields = ["anomaly_map", "gt_mask"]
    metrics = {
        "pixel_auroc": AUROC(fields=fields),
        "pixel_ap": AUPR(fields=fields),
        "pixel_f1max": F1Max(fields=fields),
        "pixel_aupro": AUPRO(fields=fields),
    }
    held = resident_mb()
    result: dict[str, Any] = {"threads": torch.get_num_threads(), "values": {}}
    with stopwatch(result, "seconds"):
        for name, metric in metrics.items():
            for start in range(0, len(maps), batch):
                part = slice(start, start + batch)
                metric.update(SimpleNamespace(anomaly_map=maps[part], gt_mask=masks[part].int()))
            result["values"][name] = float(metric.compute())
            metric.reset()
    peak = peak_rss_mb()
    result["extra_mb"] = None if held is None or peak is None else peak - held
    return result


if __name__ == "__main__":
    serve({"fit_predict": fit_predict, "features": features, "coreset": coreset, "pixel_metrics": pixel_metrics})
