"""Models with a memory or statistics leave Python as one graph that gives their scores and maps. About a minute."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from pyimgano.core.errors import MissingDependencyError, NotFittedError, PyimganoError
from pyimgano.core.resizing import resize_image
from pyimgano.models.anomaly_dino import AnomalyDino
from pyimgano.models.dfm import Dfm
from pyimgano.models.foreground import foreground_mask
from pyimgano.models.graph_export import TOLERANCE, GraphExport
from pyimgano.models.neighbors import Neighbors
from pyimgano.models.padim import Padim
from pyimgano.models.patchcore import PatchCore
from pyimgano.models.pixel_gaussian import PixelGaussian
from pyimgano.models.pixel_median import PixelMedian
from pyimgano.models.softpatch import SoftPatch
from pyimgano.models.spade import Spade
from pyimgano.models.specs import MODELS as SPECS
from pyimgano.models.template_ncc import TemplateNcc
from pyimgano.models.template_ssim import TemplateSsim

onnx = pytest.importorskip("onnx", reason="onnx is not installed: the extra onnx brings it")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: the extra onnx brings it")
torch = pytest.importorskip("torch", reason="torch is not installed: the extra lite brings it")

WIDE = {"input_size": (64, 96)}
DINO = {"backbone": "efficientnet-lite0", "augment_rotations": "off"}
GREY = {"color": "grey", "normalize": False, "top_fraction": 0.02, "input_size": (40, 57)}

CASES = {
    "patchcore": (PatchCore, {"input_size": 96, "coreset_sampling_ratio": 0.3}),
    "patchcore, one neighbour, every patch": (
        PatchCore,
        {**WIDE, "num_neighbors": 1, "patch_size": 1, "map_sigma": 0, "coreset_sampling_ratio": 1.0},
    ),
    "patchcore, one layer, squares": (
        PatchCore,
        {"input_size": 96, "layers": ["blocks.4"], "patch_size": 5, "map_interpolation": "nearest"},
    ),
    "softpatch": (SoftPatch, {"input_size": 96, "coreset_sampling_ratio": 0.3}),
    "softpatch, nearest, every patch": (
        SoftPatch,
        {**WIDE, "noise_discriminator": "nearest", "coreset_sampling_ratio": 1.0, "patch_size": 1, "map_sigma": 0},
    ),
    "padim": (Padim, {"input_size": 64, "n_features": 30}),
    "padim, all features, unsmoothed": (
        Padim,
        {**WIDE, "n_features": None, "layers": ["blocks.2", "blocks.4"], "epsilon": 1e-4, "map_sigma": 0},
    ),
    "padim, fewer features than bands": (Padim, {"input_size": 64, "n_features": 3, "layers": ["blocks.2"]}),
    "spade": (Spade, {"input_size": 48, "n_images": 3}),
    "spade, several patches of all images": (
        Spade,
        {"input_size": (48, 64), "n_images": 50, "n_patches": 4, "layers": ["blocks.2", "blocks.4"], "map_sigma": 0},
    ),
    "spade, more patches than an image has": (
        Spade,
        {"input_size": 32, "n_images": 3, "n_patches": 20, "layers": ["blocks.2"], "retrieval_layer": "blocks.2"},
    ),
    "dfm": (Dfm, {"input_size": 96, "pooling": 2}),
    "dfm, likelihood": (Dfm, {"input_size": (64, 100), "pooling": 3, "score": "nll", "variance": 0.9}),
    "dfm, another layer": (Dfm, {**WIDE, "pooling": 1, "layers": ["blocks.2"], "variance": 0.5}),
    "anomaly-dino": (AnomalyDino, {**DINO, "input_size": 96, "masking": "off"}),
    "anomaly-dino, masked": (AnomalyDino, {**DINO, **WIDE, "masking": "on", "mask_threshold": 0.5, "map_sigma": 0}),
    "anomaly-dino, few shots": (AnomalyDino, {**DINO, **WIDE, "augment_rotations": "on", "layers": ["blocks.2"]}),
    "pixel-gaussian": (PixelGaussian, {"input_size": 64}),
    "pixel-gaussian, grey": (PixelGaussian, {**GREY, "blur_sigma": 0, "map_sigma": 0}),
    "pixel-median": (PixelMedian, {"input_size": 64, "blur_sigma": 1.1}),
    "pixel-median, grey": (PixelMedian, {**GREY, "map_sigma": 2.7}),
    "template-ssim": (TemplateSsim, {"input_size": 64, "n_templates": 3}),
    "template-ssim, colour": (TemplateSsim, {**GREY, "color": "rgb", "standardize": False}),
    "template-ncc": (TemplateNcc, {"input_size": 64, "n_templates": 3}),
    "template-ncc, colour": (TemplateNcc, {**GREY, "color": "rgb", "window": 7, "standardize": False}),
}


@pytest.fixture(scope="module")
def textures(photographs) -> list[np.ndarray]:
    """Crops of photographs of a brick wall, grass and gravel, 150 × 130."""
    images = [photographs[name] for name in ("brick", "grass", "gravel")]
    return [image[top : top + 150, left : left + 130] for top in (0, 200) for left in (30, 250) for image in images]


@pytest.fixture(scope="module")
def unseen(photographs, textures) -> list[np.ndarray]:
    """Two textures, and two photographs that are nothing like them."""
    return [*textures[8:10], photographs["chelsea"], photographs["coffee"]]


def run(path: Path, image: np.ndarray) -> dict[str, np.ndarray]:
    """Return the outputs of a graph for an image of any size, as a program without Python would get them."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert (given.name, given.type) == ("image", "tensor(uint8)")
    assert session.get_modelmeta().custom_metadata_map["pyimgano.resize"] == "area"
    names = [output.name for output in session.get_outputs()]
    pixels = resize_image(image, tuple(given.shape[1:3]))[None]
    return dict(zip(names, session.run(names, {"image": pixels})))


def assert_graph_agrees(path: Path, detector, images: list[np.ndarray]) -> None:
    scores = detector.infer(images)
    assert np.ptp(scores.image_scores) > 10 * TOLERANCE * np.abs(scores.image_scores).max()
    for index, image in enumerate(images):
        outputs = run(path, image)
        assert outputs["score"].dtype == np.float32
        assert outputs["score"].shape == (1,)
        np.testing.assert_allclose(outputs["score"][0], scores.image_scores[index], rtol=TOLERANCE)
        assert ("map" in outputs) == (scores.maps is not None)
        if scores.maps is not None:
            assert outputs["map"].dtype == np.float32
            assert outputs["map"].shape == (1, *scores.maps.shape[1:])
            difference = np.abs(outputs["map"][0] - scores.maps[index]).max()
            assert difference <= TOLERANCE * np.abs(scores.maps[index]).max()


@pytest.mark.parametrize("case", CASES)
def test_a_model_is_one_graph_of_standard_operators_with_its_scores(case, textures, unseen, tmp_path: Path) -> None:
    make, parameters = CASES[case]
    detector = make(**parameters).fit(textures[:8])
    path = detector.export_onnx(tmp_path / "not there yet")
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]
    model = onnx.load(str(path), load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert {node.domain for node in model.graph.node} == {""}
    assert not {node.op_type for node in model.graph.node} & {"If", "Loop", "Scan", "RandomNormal", "RandomUniform"}
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)
    shapes = [[d.dim_value for d in value.type.tensor_type.shape.dim] for value in model.graph.input]
    assert shapes == [[1, *detector.prepare(textures[0]).shape]]
    assert_graph_agrees(path, detector, unseen)


def test_a_small_transformer_with_masking_and_few_shots_is_exported(textures, unseen, tmp_path: Path) -> None:
    pytest.importorskip("timm", reason="timm is not installed: the extra torch brings it")
    detector = AnomalyDino(
        "timm/vit_tiny_patch16_224", weights="random", input_size=(64, 96), masking="on", mask_threshold=1.0
    ).fit(textures[:2])
    assert len(detector.memory_bank_) == 2 * 8 * 24
    assert_graph_agrees(detector.export_onnx(tmp_path), detector, unseen)


def test_the_adapted_backbone_is_the_one_in_the_graph(textures, unseen, tmp_path: Path) -> None:
    plain = PatchCore(input_size=64, device="cpu").fit(textures[:4])
    detector = PatchCore(input_size=64, device="cpu")
    detector.begin_training(textures[:4])
    optimizer = torch.optim.SGD(detector.trainable("backbone-adapt"), lr=1.0)
    detector.training_step(textures[:4]).backward()
    optimizer.step()
    detector.finish_training(textures[:4])
    difference = np.abs(detector.decision_function(unseen) - plain.decision_function(unseen))
    assert difference.max() > 10 * TOLERANCE * np.abs(plain.decision_function(unseen)).max()
    assert_graph_agrees(detector.export_onnx(tmp_path / "adapted"), detector, unseen)
    detector.save(tmp_path / "saved")
    loaded = PatchCore.load(tmp_path / "saved")
    assert_graph_agrees(loaded.export_onnx(tmp_path / "loaded"), detector, unseen)


def test_the_same_detector_gives_the_same_bytes(textures, tmp_path: Path) -> None:
    detector = SoftPatch(input_size=64).fit(textures[:4])
    first = detector.export_onnx(tmp_path / "first").read_bytes()
    detector.save(tmp_path / "saved")
    assert SoftPatch.load(tmp_path / "saved").export_onnx(tmp_path / "second").read_bytes() == first


def test_the_bank_is_in_the_file_once(textures, tmp_path: Path) -> None:
    small, great = (PatchCore(input_size=128, coreset_sampling_ratio=ratio).fit(textures[:8]) for ratio in (0.1, 1.0))
    sizes = [detector.export_onnx(tmp_path / str(i)).stat().st_size for i, detector in enumerate((small, great))]
    grown = great.memory_bank_.nbytes - small.memory_bank_.nbytes
    assert grown < sizes[1] - sizes[0] < 1.5 * grown


@pytest.mark.parametrize("count", [1, 2, 57, 113, 900])
def test_the_nearest_row_of_a_bank_of_any_size_is_found(count: int) -> None:
    from pyimgano.models.graphs.nearest import NearestRows

    rng = np.random.default_rng(count)
    bank = rng.standard_normal((count, 7), dtype=np.float32) + 40.0
    queries = np.concatenate([rng.standard_normal((50, 7), dtype=np.float32) + 40.0, bank[:5]])
    module = NearestRows(bank)
    squared, rows = (out.numpy() for out in module(torch.from_numpy(queries)))
    distances, nearest = Neighbors(bank).query(queries)
    assert (module.rows[rows] == nearest[:, 0]).all()
    np.testing.assert_allclose(np.sqrt(squared), distances[:, 0], rtol=1e-4, atol=1e-6)
    assert (bank[module.rows[module.places]] == bank).all()


def test_of_equal_rows_of_a_bank_the_first_is_the_nearest() -> None:
    from pyimgano.models.graphs.nearest import NearestRows

    rng = np.random.default_rng(0)
    once = rng.standard_normal((300, 5), dtype=np.float32)
    bank = np.concatenate([once, once[::-1], once])
    module = NearestRows(bank)
    _, rows = module(torch.from_numpy(once))
    assert (module.rows[rows.numpy()] == np.arange(300)).all()
    assert (bank[module.rows[module.places]] == bank).all()


@pytest.mark.parametrize("threshold", [0.5, 3.0])
@pytest.mark.parametrize("turned", [1.0, -1.0])
def test_the_mask_in_a_graph_is_the_one_of_the_detector(threshold: float, turned: float) -> None:
    from pyimgano.models.graphs.foreground import ForegroundMask

    rng = np.random.default_rng(3)
    patches = rng.standard_normal((9, 12, 20), dtype=np.float32)
    patches[2:7, 3:9] += turned * 4.0
    wanted = foreground_mask(patches, threshold)
    assert 0 < wanted.sum() < wanted.size
    found = ForegroundMask(threshold)(torch.from_numpy(np.ascontiguousarray(patches.transpose(2, 0, 1)))[None])
    assert (found[0].numpy() == wanted).all()


def test_a_graph_that_gives_other_scores_is_refused_and_not_written(textures, tmp_path: Path, monkeypatch) -> None:
    detector = PatchCore(input_size=64).fit(textures[:4])
    detector._graph_head()  # what it needs is imported
    from pyimgano.models.graphs import maps

    monkeypatch.setattr(maps.RenderedMap, "forward", lambda self, scores: scores.new_zeros(1, 64, 64))
    with pytest.raises(PyimganoError, match="the graph gives another map than PatchCore itself: it differs by"):
        detector.export_onnx(tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_export_needs_a_fitted_detector(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError, match="PixelGaussian is not fitted"):
        PixelGaussian(input_size=64).export_onnx(tmp_path)


@pytest.mark.parametrize(("module", "extra"), [("torch", "lite"), ("onnx", "onnx"), ("onnxruntime", "onnx")])
def test_a_missing_library_is_named_with_the_extra_that_brings_it(
    module: str, extra: str, textures, tmp_path: Path, monkeypatch
) -> None:
    from pyimgano.models import graph_export

    detector = PixelGaussian(input_size=16).fit(textures[:2])
    monkeypatch.setattr(graph_export, "installed", lambda name: name != module)
    with pytest.raises(MissingDependencyError, match=f"exporting a graph needs '{module}'") as caught:
        detector.export_onnx(tmp_path)
    assert f"pyimgano-models[{extra}]" in str(caught.value)


# Those of PyOD cannot be imported where it is not installed; none of them is exported.
@pytest.mark.parametrize("spec", [s for s in SPECS if not s.name.startswith("pyod-")], ids=lambda spec: spec.name)
def test_a_spec_says_whether_its_model_can_be_exported(spec) -> None:
    module, _, attribute = spec.factory.partition(":")
    assert spec.export == (("onnx",) if issubclass(getattr(import_module(module), attribute), GraphExport) else ())
