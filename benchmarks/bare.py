"""What nothing can be faster than: the bare parts, without pyimgano and without the peer.

Tasks of processes of their own (see :mod:`benchmarks.measure`), and the smallest typer app there is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.measure import latencies, serve, stopwatch

TYPER_APP = '''\
import typer

app = typer.Typer()


@app.command()
def hello(name: str = "world") -> None:
    """Say hello."""
    print("hello", name)


if __name__ == "__main__":
    app()
'''


def export_backbone(output: str, *, threads: int, size: int = 224) -> dict[str, Any]:
    """Export EfficientNet-Lite0 cut at PatchCore's layers to ONNX, with nothing around it.

    Parameters
    ----------
    output : str
        File to write.
    threads : int
        Number of threads.
    size : int
        Side of the input.

    Returns
    -------
    dict
        The number of bytes written.
    """
    import timm
    import torch

    from benchmarks import lite0

    torch.set_num_threads(threads)
    backbone = timm.create_model(
        lite0.TIMM_NAME, pretrained=False, features_only=True, exportable=True, out_indices=(2, 3)
    ).eval()
    reached = [info["module"] for info in backbone.feature_info.get_dicts()]
    if reached != ["blocks.2", "blocks.4"]:
        raise RuntimeError(f"expected blocks.2 and blocks.4, timm gives {reached}")
    lite0.load_into(backbone)
    torch.onnx.export(backbone, (torch.zeros(1, 3, size, size),), output, input_names=["image"], dynamo=False)
    return {"bytes": Path(output).stat().st_size}


def backbone_and_gemm(file: str, bank: int, *, threads: int, repeats: int, size: int = 224) -> dict[str, Any]:
    """Time one forward pass of the bare ONNX backbone, and one bare product of its patches with a bank.

    Parameters
    ----------
    file : str
        ONNX file from :func:`export_backbone`.
    bank : int
        Number of rows of the bank.
    threads : int
        Number of threads.
    repeats : int
        Number of timed calls.
    size : int
        Side of the input.

    Returns
    -------
    dict
        Milliseconds of the backbone, of the product, and of one after the other.
    """
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    image = rng.random((1, 3, size, size), dtype=np.float32)
    first, second = session.run(None, {"image": image})
    patches = rng.random((first.shape[2] * first.shape[3], first.shape[1] + second.shape[1]), dtype=np.float32)
    table = rng.random((bank, patches.shape[1]), dtype=np.float32)

    def backbone() -> Any:
        return session.run(None, {"image": image})

    def product() -> Any:
        return patches @ table.T

    def both() -> Any:
        return backbone(), product()

    return {
        "both_ms": latencies(both, warm_up=10, repeats=repeats),
        "backbone_ms": latencies(backbone, warm_up=10, repeats=repeats),
        "product_ms": latencies(product, warm_up=10, repeats=repeats),
    }


def dense_product(file: str, ratio: float, *, threads: int) -> dict[str, Any]:
    """Time the product of all features with a coreset's worth of them, in tiles that fit the memory.

    Parameters
    ----------
    file : str
        ``.npy`` file of the features.
    ratio : float
        The coreset's share.
    threads : int
        Number of threads; fixed by the process's environment and its cores.

    Returns
    -------
    dict
        Seconds.
    """
    import numpy as np

    table = np.load(file)
    centres = np.ascontiguousarray(table[: max(1, int(len(table) * ratio))].T)
    tile = np.empty((2048, centres.shape[1]), dtype=np.float32)
    result: dict[str, Any] = {"threads": threads}
    with stopwatch(result, "seconds"):
        for start in range(0, len(table), len(tile)):
            rows = table[start : start + len(tile)]
            np.matmul(rows, centres, out=tile[: len(rows)])
    return result


def plain_greedy(file: str, *, ratio: float, first: int, precision: str, threads: int) -> dict[str, Any]:
    """Select a coreset by the plain greedy algorithm, as it stands in a textbook.

    Keep every point's smallest distance to the chosen ones, take the farthest point, measure all points against
    it by ``sum((x - c) ** 2)``, and so on. The rows are worked on in blocks only to stay in the cache; the
    arithmetic of each distance is direct.

    Parameters
    ----------
    file : str
        ``.npy`` file of the features.
    ratio : float
        Share to keep.
    first : int
        The first point.
    precision : {"float32", "float64"}
        Precision of the distances.
    threads : int
        Number of threads of the blocks' loop (the loop itself is numpy).

    Returns
    -------
    dict
        Seconds and the selection in its order.
    """
    import numpy as np

    table = np.load(file).astype(precision)
    count = max(1, int(len(table) * ratio))
    block = 1024
    nearest: Any = np.full(len(table), np.inf, dtype=precision)
    difference = np.empty((block, table.shape[1]), dtype=precision)
    distance: Any = np.empty(block, dtype=precision)
    selected = [first]
    result: dict[str, Any] = {"threads": threads}
    with stopwatch(result, "seconds"):
        while len(selected) < count:
            centre = table[selected[-1]]
            for start in range(0, len(table), block):
                rows = table[start : start + block]
                diff, dist = difference[: len(rows)], distance[: len(rows)]
                np.subtract(rows, centre, out=diff)
                np.einsum("ij,ij->i", diff, diff, out=dist)
                np.minimum(nearest[start : start + block], dist, out=nearest[start : start + block])
            selected.append(int(nearest.argmax()))
    result["selected"] = selected
    return result


def sort_scores(count: int, *, seed: int, threads: int) -> dict[str, Any]:
    """Time one sort of image scores.

    Parameters
    ----------
    count : int
        Number of scores.
    seed : int
        Of the draw.
    threads : int
        Number of threads; NumPy sorts with one.

    Returns
    -------
    dict
        Seconds: the least of three, as each side does it.
    """
    import numpy as np

    from benchmarks.maps import image_scores

    scores, _ = image_scores(count, seed)
    times = []
    for _ in range(3):
        result: dict[str, Any] = {}
        with stopwatch(result, "seconds"):
            np.sort(scores)
        times.append(result["seconds"])
    return {"seconds": min(times), "threads": threads}


if __name__ == "__main__":
    serve(
        {
            "export_backbone": export_backbone,
            "backbone_and_gemm": backbone_and_gemm,
            "dense_product": dense_product,
            "plain_greedy": plain_greedy,
            "sort_scores": sort_scores,
        }
    )
