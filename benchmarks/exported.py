"""An exported graph beside the parts that it cannot do without: a task of a process of its own."""

from __future__ import annotations

import tempfile
from typing import Any

from benchmarks.elpv import mono_split
from benchmarks.measure import latencies, serve
from benchmarks.ours import build


def graph_and_parts(seed: int, *, n_train: int, ratio: float, threads: int, repeats: int) -> dict[str, Any]:
    """Time PatchCore's exported graph, its backbone alone, and bare products of its patches with its bank.

    Parameters
    ----------
    seed : int
        Seed of the split and of the model.
    n_train : int
        Number of training images.
    ratio : float
        PatchCore's coreset sampling ratio.
    threads : int
        Number of threads of each session; numpy's are fixed by the process's environment.
    repeats : int
        Number of timed calls, of all in turn.

    Returns
    -------
    dict
        Milliseconds of each call, the bank's shape, the file's size.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper
    from PIL import Image

    from pyimgano.models.features import torch_network
    from pyimgano.models.onnx_graphs import export_graph, open_session

    split = mono_split(seed).head(n_train, 1)
    detector = build("patchcore", seed, ratio=ratio).fit([str(path) for path in split.train])
    bank = detector.memory_bank_
    with tempfile.TemporaryDirectory(prefix="pyimgano-bench-graph-") as folder:
        file = detector.export_onnx(folder)
        size = file.stat().st_size
        whole = open_session(file, threads=threads)
    extractor = detector.extractor
    network = torch_network(extractor, weights=detector.weights)
    backbone = open_session(export_graph(network, extractor.layers, extractor.input_size), threads=threads)
    patches = np.random.default_rng(0).random((784, bank.shape[1]), dtype=np.float32)
    columns = np.ascontiguousarray(bank.T)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["patches", "bank"], ["products"])],
        "product",
        [helper.make_tensor_value_info("patches", TensorProto.FLOAT, patches.shape)],
        [helper.make_tensor_value_info("products", TensorProto.FLOAT, (len(patches), len(bank)))],
        [numpy_helper.from_array(columns, "bank")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    product = open_session(model.SerializeToString(), threads=threads)
    image = detector.prepare(np.asarray(Image.open(split.test[0]).convert("RGB")))[None]

    calls: dict[str, Any] = {
        "graph_ms": lambda: whole.run(None, {"image": image}),
        "backbone_ms": lambda: backbone.run(None, {"pixels": image}),
        "product_ms": lambda: product.run(None, {"patches": patches}),
        "numpy_ms": lambda: patches @ columns,
    }
    result: dict[str, Any] = {name: [] for name in calls}
    # In turn: what else the machine does then falls on all of them.
    for turn in range(repeats):
        for name, call in calls.items():
            result[name] += latencies(call, warm_up=3 if turn == 0 else 0, repeats=1)
    return {**result, "bank": list(bank.shape), "bytes": size, "threads": threads}


if __name__ == "__main__":
    serve({"graph_and_parts": graph_and_parts})
