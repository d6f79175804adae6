"""Image towers of OpenCLIP as an extractor and as backbones of other packages' models. Takes 25 s."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pyimgano.core.backbones import BackboneLibrary
from pyimgano.core.contracts import FeatureExtractor
from pyimgano.core.creation import create_component, create_model, load_model
from pyimgano.core.errors import CheckpointError, ImageError, ParameterError, UnknownNameError
from pyimgano.openclip.extractor import OpenClipExtractor
from pyimgano.openclip.networks import create_clip
from pyimgano.openclip.pretrained import Pretrained

TOWERS = ("tiny-clip", "tiny-resnet", "lite0-clip")


def crops(photographs, side=64, count=6):
    rng = np.random.default_rng(0)
    found = []
    for index in range(count):
        image = photographs[index % len(photographs)]
        y, x = rng.integers(0, image.shape[0] - side), rng.integers(0, image.shape[1] - side)
        found.append(np.ascontiguousarray(image[y : y + side, x : x + side]))
    return found


def test_the_component_is_an_extractor_and_a_library():
    extractor = create_component("features", "openclip", {"model": "tiny-clip", "weights": "random", "input_size": 64})
    assert isinstance(extractor, FeatureExtractor)
    assert isinstance(OpenClipExtractor.library, BackboneLibrary)
    assert extractor.layers == ("resblocks.1", "resblocks.2")


@pytest.mark.parametrize("model", TOWERS)
def test_layers_have_the_described_shapes_and_do_not_depend_on_the_batch(model, photographs):
    described = OpenClipExtractor.library.describe(model)
    names = [layer.name for layer in described.layers]
    extractor = OpenClipExtractor(model, layers=names, input_size=64, weights="random")
    images = [extractor.prepare(image) for image in photographs[:3]]
    together = extractor.extract(images)
    for layer in described.layers:
        assert together[layer.name].shape == (3, layer.channels, 64 // layer.stride, 64 // layer.stride)
        assert together[layer.name].dtype == np.float32
        assert np.ptp(together[layer.name]) > 0
    for index, image in enumerate(images):
        alone = extractor.extract([image])
        assert all(alone[name].tobytes() == together[name][index : index + 1].tobytes() for name in names)


def test_the_final_layer_of_a_transformer_is_openclips_own_tokens(photographs):
    """``norm`` is what OpenCLIP's tower returns as tokens."""
    extractor = OpenClipExtractor("tiny-clip", layers=["norm"], input_size=64, weights="random:3")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        clip = create_clip(Pretrained("tiny-clip", "", {}), None, (64, 64))
    clip.visual.output_tokens = True
    image = extractor.prepare(photographs[0])
    mean, std = (np.asarray(v, dtype=np.float32) for v in (extractor.backbone.mean, extractor.backbone.std))
    x = torch.from_numpy((image.astype(np.float32) - mean) / std).permute(2, 0, 1)[None]
    with torch.inference_mode():
        _, tokens = clip.visual(x)
    expected = tokens[0].T.reshape(48, 4, 4).numpy()
    np.testing.assert_allclose(extractor.extract([image])["norm"][0], expected, rtol=1e-4, atol=1e-5)


def test_other_sizes_resample_the_positions(tiny_file, photographs):
    extractor = OpenClipExtractor("tiny-clip", input_size=(48, 96), weights=str(tiny_file))
    (features, _) = extractor.extract([extractor.prepare(photographs[0])]).values()
    assert features.shape == (1, 48, 3, 6)
    with pytest.raises(ParameterError, match="multiples of 16"):
        OpenClipExtractor("tiny-clip", input_size=50, weights="random")


def test_a_tower_of_timm_is_timms_network(photographs):
    """With the same weights, EfficientNet-Lite0 inside CLIP gives what it gives outside."""
    timm = pytest.importorskip("timm")
    from pyimgano.models.features import create_extractor

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        clip = create_clip(Pretrained("lite0-clip", "", {}), None)
        outside = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    trunk = clip.visual.trunk.state_dict()
    outside.load_state_dict({**outside.state_dict(), **trunk})
    image = create_extractor(weights="random", input_size=64, runtime="torch").prepare(photographs[2])
    x = torch.from_numpy(image.astype(np.float32) / 255.0).permute(2, 0, 1)[None]
    from pyimgano.openclip.towers import tower_features

    names = [layer.name for layer in OpenClipExtractor.library.describe("lite0-clip").layers]
    with torch.inference_mode():
        ours = tower_features(clip.visual, names, ["blocks.2", "blocks.6"])(x)
        theirs = outside.eval().forward_intermediates(x, indices=[2, 4], intermediates_only=True)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs))


@pytest.mark.parametrize("model", TOWERS)
def test_patchcore_takes_it_under_both_runtimes(model, photographs, tmp_path):
    images = crops(photographs)
    scores = {}
    for runtime in ("torch", "onnxruntime"):
        detector = create_model(
            "patchcore", backbone=f"openclip/{model}", weights="random", input_size=64, runtime=runtime
        ).fit(images[:4])
        assert detector.extractor_facts_["backbone"] == f"openclip/{model}"
        assert detector.extractor_facts_["runtime"] == runtime
        scores[runtime] = detector.infer(images)
        detector.save(tmp_path / runtime)
        again = load_model("patchcore", tmp_path / runtime)
        assert again.decision_function(images).tobytes() == scores[runtime].image_scores.tobytes()
    np.testing.assert_allclose(scores["torch"].image_scores, scores["onnxruntime"].image_scores, rtol=1e-4, atol=1e-6)
    assert scores["torch"].maps.shape == (6, 64, 64)


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("padim", {"layers": ["resblocks.1", "resblocks.2"], "n_features": 30}),
        ("anomaly-dino", {"layers": ["norm"], "augment_rotations": "off"}),
        ("musc", {"degrees": [1]}),
        ("dfm", {"layers": ["resblocks.2"]}),
    ],
)
def test_other_memory_models_take_it(model, params, photographs):
    images = crops(photographs)
    detector = create_model(
        model, backbone="openclip/tiny-clip", weights="random", input_size=64, runtime="torch", **params
    ).fit(images[:5])
    scores = detector.infer(images)
    assert np.isfinite(scores.image_scores).all()
    assert np.ptp(scores.image_scores) > 0


def test_a_model_that_is_trained_around_a_backbone_takes_it(photographs):
    images = crops(photographs)
    detector = create_model(
        "stfpm", backbone="openclip/tiny-resnet", weights="random", input_size=64, epochs=1, layers=["layer1", "layer2"]
    ).fit(images[:4])
    assert np.isfinite(detector.decision_function(images)).all()


def test_a_detector_is_not_loaded_with_other_weights(photographs, tiny_file, tmp_path):
    import json

    images = crops(photographs)
    create_model(
        "patchcore", backbone="openclip/tiny-clip", weights=str(tiny_file), input_size=64, runtime="torch"
    ).fit(images[:3]).save(tmp_path / "kept")
    record = tmp_path / "kept" / "detector.json"
    saved = json.loads(record.read_text(encoding="utf-8"))
    saved["params"]["weights"] = "random"
    record.write_text(json.dumps(saved), encoding="utf-8")
    with pytest.raises(CheckpointError, match="other weights of openclip/tiny-clip"):
        load_model("patchcore", tmp_path / "kept")


def test_unknown_layers_models_and_images_are_refused(photographs):
    with pytest.raises(ParameterError, match=r"resblocks\.3, norm"):
        OpenClipExtractor("tiny-clip", layers=["resblocks.9"], input_size=64, weights="random")
    with pytest.raises(UnknownNameError, match="did you mean 'tiny-clip'"):
        create_model("patchcore", backbone="openclip/tiny-clap", weights="random").fit(photographs[:2])
    extractor = OpenClipExtractor("tiny-clip", input_size=64, weights="random")
    with pytest.raises(ImageError, match="call prepare"):
        extractor.extract(photographs[:1])
    with pytest.raises(ImageError, match="empty"):
        extractor.extract([])
