"""What a backend brings goes the whole way: config, run directory, inference, benchmark. Takes 20 s.

The CLIP model is a small one of random weights, registered in this process, so the command line runs in it too.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pyimgano.cli import main
from pyimgano.core.images import write_png
from pyimgano.core.testing import make_check_images

MODEL = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 3, "width": 48, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
KERAS = Path(__file__).resolve().parents[2] / "packages/pyimgano-models/tests/assets/keras_features.onnx"


@pytest.fixture(scope="module", autouse=True)
def architecture(tmp_path_factory):
    import open_clip

    folder = tmp_path_factory.mktemp("architecture")
    (folder / "e2e-clip.json").write_text(json.dumps(MODEL), encoding="utf-8")
    open_clip.add_model_config(folder)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Good and defective images in the folders of MVTec AD."""
    root = tmp_path_factory.mktemp("data")
    images = make_check_images(train=24, good=6, defective=6)
    for folder, kept in (
        ("train/good", images.train),
        ("test/good", images.good),
        ("test/bright", images.defective),
    ):
        (root / "cloth" / folder).mkdir(parents=True)
        for index, image in enumerate(kept):
            write_png(image, root / "cloth" / folder / f"{index:03d}.png")
    return root


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Return a function that runs a command in this process and returns what it printed."""
    monkeypatch.setenv("PYIMGANO_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        capsys.readouterr()
        code = main.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return printed.out

    return call


@pytest.mark.parametrize(
    ("model", "params"),
    [
        (
            "winclip",
            {"backbone": "openclip/e2e-clip", "weights": "random", "class_name": "woven cloth", "shots": 4},
        ),
        ("clip-patch-map", {"backbone": "openclip/e2e-clip", "weights": "random", "class_name": "woven cloth"}),
        ("patchcore", {"backbone": "openclip/e2e-clip", "weights": "random", "input_size": 64}),
        ("patchcore", {"backbone": f"onnx/{KERAS}", "input_size": 64}),
    ],
    ids=["winclip", "clip-patch-map", "patchcore-on-openclip", "patchcore-on-onnx"],
)
def test_a_run_and_its_inference(run, dataset, tmp_path, model, params):
    settings = [part for key, value in params.items() for part in ("--set", f"model.params.{key}={json.dumps(value)}")]
    calibration = ["--set", "calibration.alpha=0.2"]
    folder = run(
        "train", "--dataset", dataset, "--model", model, "--output", tmp_path / "runs", *settings, *calibration
    )
    report = json.loads((Path(folder.strip()) / "categories" / "cloth" / "report.json").read_text(encoding="utf-8"))
    assert 0.0 <= report["metrics"]["image_auroc"]["value"] <= 1.0
    assert report["data"]["n_test"] == 12
    config = json.loads((Path(folder.strip()) / "config.json").read_text(encoding="utf-8"))
    assert config["model"]["name"] == model
    assert config["model"]["params"].items() >= params.items()
    images = dataset / "cloth" / "test" / "bright"
    printed = run("infer", images, "--from-run", folder.strip())
    scores = [json.loads(line)["score"] for line in printed.splitlines()]
    assert len(scores) == 6
    assert np.isfinite(scores).all()
