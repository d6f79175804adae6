"""Backbones that are ONNX files: a Keras network's export against Keras itself, others against torch. Takes 10 s."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pyimgano.core.contracts import FeatureExtractor
from pyimgano.core.creation import create_component, create_model, load_model
from pyimgano.core.errors import CheckpointError, ParameterError, WeightsError
from pyimgano.core.weights import weights_provider
from pyimgano.models.backbones import resolve_backbone
from pyimgano.models.features import create_extractor

onnx = pytest.importorskip("onnx", reason="the extra onnx has no wheels for this Python")
ASSETS = Path(__file__).parent / "assets"


@pytest.fixture
def keras(tmp_path):
    """The export of a Keras network (see ``assets/make_keras_features.py``), as a backbone's name."""
    return f"onnx/{shutil.copy(ASSETS / 'keras_features.onnx', tmp_path)}"


@pytest.fixture
def save(tmp_path):
    """Return a function that writes a graph of some nodes and returns the backbone's name."""

    def write(nodes, inputs, outputs, initialisers=(), name="graph.onnx"):
        types = {np.uint8: onnx.TensorProto.UINT8, np.float32: onnx.TensorProto.FLOAT}
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node(*node[:3], **(node[3] if len(node) > 3 else {})) for node in nodes],
            "graph",
            [onnx.helper.make_tensor_value_info(name, types[kind], shape) for name, kind, shape in inputs],
            [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs],
            [onnx.numpy_helper.from_array(array, name) for name, array in initialisers],
        )
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
        path = tmp_path / name
        onnx.save(model, path)
        return f"onnx/{path}"

    return write


KERNEL = np.random.default_rng(0).normal(size=(5, 3, 4, 4)).astype(np.float32)
CONVOLUTION = ("Conv", ["pixels", "kernel"], ["maps"], {"strides": [4, 4]})


@pytest.fixture
def convolution(save):
    """A graph as PyTorch exports one: channels first, a fixed size."""
    return save([CONVOLUTION], [("pixels", np.float32, [1, 3, 48, 64])], ["maps"], [("kernel", KERNEL)])


def test_a_keras_network_gives_what_keras_gives(keras):
    answer = np.load(ASSETS / "keras_features.npz")
    extractor = create_extractor(keras, input_size=(48, 64))
    assert isinstance(extractor, FeatureExtractor)
    found = extractor.extract([answer["image"]])
    expected = [answer["fine"], answer["coarse"]]
    assert [layer.stride for layer in extractor.backbone.layers] == [4, 8]
    for features, theirs in zip(found.values(), expected):
        assert features.dtype == np.float32
        np.testing.assert_allclose(features, theirs.transpose(0, 3, 1, 2), atol=1e-5)


def test_it_takes_any_size_where_the_graph_does(keras, photographs):
    for size in ((64, 64), (96, 160)):
        extractor = create_extractor(keras, input_size=size)
        shapes = [maps.shape for maps in extractor.extract([extractor.prepare(photographs["coffee"])]).values()]
        assert shapes == [(1, 12, size[0] // 4, size[1] // 4), (1, 16, size[0] // 8, size[1] // 8)]


def test_a_row_does_not_depend_on_the_batch(keras, photographs):
    extractor = create_extractor(keras, input_size=64, threads=2)
    images = [extractor.prepare(image) for image in photographs.values()]
    together = extractor.extract(images)
    for index, image in enumerate(images):
        for layer, maps in extractor.extract([image]).items():
            assert maps.tobytes() == together[layer][index : index + 1].tobytes()


@pytest.mark.parametrize("model", ["patchcore", "dfm", "spade", "sklearn-isolation-forest"])
def test_memory_models_take_it_save_and_load(model, keras, photographs, tmp_path):
    images = [image[:200, :200] for image in photographs.values()]
    params = {"layers": list(create_extractor(keras, input_size=64).layers)} if model == "spade" else {}
    if model == "spade":
        params["retrieval_layer"] = params["layers"][-1]
    detector = create_model(model, backbone=keras, input_size=64, **params).fit(images)
    scores = detector.infer(images)
    detector.save(tmp_path / "kept")
    assert load_model(model, tmp_path / "kept").decision_function(images).tobytes() == scores.image_scores.tobytes()
    assert detector.extractor_facts_["random"] is False


def test_another_file_under_the_same_name_is_not_loaded(convolution, save, photographs, tmp_path):
    images = [image[:200, :200] for image in photographs.values()]
    create_model("patchcore", backbone=convolution, input_size=(48, 64)).fit(images).save(tmp_path / "kept")
    save([CONVOLUTION], [("pixels", np.float32, [1, 3, 48, 64])], ["maps"], [("kernel", 2 * KERNEL)])
    with pytest.raises(CheckpointError, match="other weights"):
        load_model("patchcore", tmp_path / "kept")


def test_channels_first_is_torchs_convolution(convolution, photographs):
    import torch

    extractor = create_extractor(convolution, input_size=(48, 64))
    image = extractor.prepare(photographs["chelsea"])
    x = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]
    expected = torch.nn.functional.conv2d(x, torch.from_numpy(KERNEL), stride=4).numpy()
    (features,) = extractor.extract([image]).values()
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-2)


def test_pixels_are_scaled_as_the_file_beside_it_says(convolution, photographs):
    plain = create_extractor(convolution, input_size=(48, 64))
    beside = Path(f"{convolution[5:]}.json")
    beside.write_text(json.dumps({"mean": [127.5, 100, 50], "std": [2, 4, 8]}), encoding="utf-8")
    scaled = create_extractor(convolution, input_size=(48, 64))
    assert (scaled.backbone.mean, scaled.backbone.std) == ((127.5, 100.0, 50.0), (2.0, 4.0, 8.0))
    assert scaled.weights_sha256 != plain.weights_sha256
    image = scaled.prepare(photographs["chelsea"])
    pixels = ((image - np.float32([127.5, 100, 50])) / np.float32([2, 4, 8])).transpose(2, 0, 1)[None]
    expected = plain.runtime.session.run(None, {"pixels": np.ascontiguousarray(pixels)})[0]
    np.testing.assert_array_equal(next(iter(scaled.extract([image]).values())), expected)
    beside.write_text(json.dumps({"mean": [1, 2], "std": [1, 1, 1]}), encoding="utf-8")
    with pytest.raises(ParameterError, match="does not say how pixels are scaled"):
        create_extractor(convolution, input_size=(48, 64))


def test_a_graph_may_take_bytes(save, photographs):
    cast = ("Cast", ["image"], ["pixels"], {"to": onnx.TensorProto.FLOAT})
    name = save([cast, CONVOLUTION], [("image", np.uint8, [None, 3, 64, 64])], ["maps"], [("kernel", KERNEL)])
    extractor = create_extractor(name, input_size=64)
    (features,) = extractor.extract([extractor.prepare(photographs["coffee"])]).values()
    assert features.shape == (1, 5, 16, 16)


def test_the_component_makes_it(keras):
    extractor = create_component("features", "onnx", {"file": keras[5:], "input_size": 64})
    assert len(extractor.layers) == 2


def test_the_cache_knows_it_and_has_nothing_to_fetch(keras):
    provider = weights_provider(keras)
    info = provider.describe(keras)
    assert (info.place, info.path) == ("file", Path(keras[5:]))
    with pytest.raises(ParameterError, match="nothing to fetch"):
        provider.fetch(keras)


def test_what_is_no_feature_graph_is_refused_with_what_was_found(save, tmp_path):
    noise = tmp_path / "noise.onnx"
    noise.write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsError, match="cannot run it"):
        resolve_backbone(f"onnx/{noise}")
    with pytest.raises(WeightsError, match="there is no such ONNX file"):
        create_model("patchcore", backbone="onnx/absent.onnx").fit([np.zeros((64, 64, 3), np.uint8)])
    mean = ("ReduceMean", ["pixels"], ["mean"], {"axes": [2, 3], "keepdims": 0})
    with pytest.raises(WeightsError, match=r"none of its outputs is a feature map: mean \(1, 3\)"):
        resolve_backbone(save([mean], [("pixels", np.float32, [1, 3, 64, 64])], ["mean"]))
    add = ("Add", ["a", "b"], ["sum"])
    with pytest.raises(WeightsError, match="does not take one image: a tensor"):
        resolve_backbone(save([add], [(n, np.float32, [1, 3, 8, 8]) for n in "ab"], ["sum"]))
    with pytest.raises(WeightsError, match=r"\(1, H, W, 3\) or \(1, 3, H, W\)"):
        resolve_backbone(save([CONVOLUTION], [("pixels", np.float32, [4, 3, 48, 64])], ["maps"], [("kernel", KERNEL)]))


def test_what_a_graph_cannot_do_is_refused(convolution, photographs):
    image = [photographs["coffee"]]
    for params, reason in (
        ({"input_size": 64}, r"\[48, 64\] only"),
        ({"input_size": (48, 64), "runtime": "torch"}, "a graph that onnxruntime runs"),
        ({"input_size": (48, 64), "weights": "random"}, "a graph holds its weights"),
        ({"input_size": (48, 64), "layers": ["gone"]}, "has no layer 'gone'"),
    ):
        with pytest.raises(ParameterError, match=reason):
            create_model("patchcore", backbone=convolution, **params).fit(image)
    with pytest.raises(ParameterError, match="no network that can be trained or adapted"):
        create_model("stfpm", backbone=convolution, layers=["maps"], input_size=(48, 64), epochs=1).fit(image * 2)
