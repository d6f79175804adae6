from __future__ import annotations

import copy

import cv2
import numpy as np
import pytest
import timm
import torch

from pyimgano.core.backbones import IMAGENET_MEAN, IMAGENET_STD
from pyimgano.models.backbones import resolve_backbone
from pyimgano.models.efficientnet_lite import EfficientNetLite0, rename_package_keys
from pyimgano.models.weights import find_weights, read_state_dict

LITE0 = resolve_backbone("efficientnet-lite0")
TIMM_LAYERS = ["blocks.0", "blocks.1", "blocks.2", "blocks.4", "blocks.6"]
CATS = {281, 282, 283, 284, 285}  # tabby, tiger cat, Persian, Siamese, Egyptian
ESPRESSO, CUP = 967, 968


@pytest.fixture(scope="module")
def state():
    return rename_package_keys(read_state_dict(find_weights(LITE0).path))


@pytest.fixture(scope="module")
def network(state):
    network = EfficientNetLite0().eval()
    network.load_state_dict(state, strict=True)
    return network


@pytest.fixture(scope="module")
def timm_network(state):
    reference = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    reference.load_state_dict(state, strict=True)
    return reference


def crop224(image: np.ndarray) -> np.ndarray:
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return cv2.resize(image[top : top + side, left : left + side], (224, 224), interpolation=cv2.INTER_AREA)


def normalised(image: np.ndarray, mean=LITE0.mean, std=LITE0.std):
    return torch.from_numpy(((image - np.array(mean)) / np.array(std)).astype(np.float32).transpose(2, 0, 1)[None])


@torch.inference_mode()
def probabilities(network, image, **norm):
    return network(normalised(crop224(image), **norm)).softmax(1)[0].numpy()


@torch.inference_mode()
@pytest.mark.parametrize("size", [(224, 224), (225, 190), (64, 97)], ids=str)
def test_every_layer_equals_timms_on_even_and_odd_sizes(network, timm_network, photographs, size):
    x = normalised(cv2.resize(photographs["astronaut"], size[::-1]))

    ours = network.features(x, TIMM_LAYERS)
    theirs = timm_network.forward_intermediates(x, intermediates_only=True)

    assert len(theirs) == len(ours)
    for a, b in zip(ours, theirs):
        assert a.shape == b.shape
        assert (a - b).abs().max() <= 1e-5 * b.abs().max()


@torch.inference_mode()
def test_logits_equal_timms(network, timm_network, photographs):
    x = normalised(crop224(photographs["coffee"]))
    assert torch.allclose(network(x), timm_network(x), rtol=1e-5, atol=1e-5)


def test_a_photograph_of_a_cat_is_a_cat_and_one_of_coffee_is_espresso(network, photographs):
    cat = probabilities(network, photographs["chelsea"])
    coffee = probabilities(network, photographs["coffee"])

    assert set(np.argsort(cat)[-3:]) <= CATS
    assert cat[sorted(CATS)].sum() > 0.8
    assert coffee.argmax() == ESPRESSO
    assert coffee[[ESPRESSO, CUP]].sum() > 0.9


def test_the_stated_normalisation_is_more_certain_than_the_usual_imagenet_one(network, photographs):
    usual = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    coffee, cat = photographs["coffee"], photographs["chelsea"]

    assert probabilities(network, coffee)[ESPRESSO] > probabilities(network, coffee, **usual)[ESPRESSO] + 0.05
    cats = sorted(CATS)
    assert probabilities(network, cat)[cats].sum() > probabilities(network, cat, **usual)[cats].sum()


@torch.inference_mode()
def test_folding_batch_norm_keeps_every_layer_and_leaves_none(network, photographs):
    x = normalised(crop224(photographs["gravel"]))
    layers = [f"blocks.{index}" for index in range(7)]

    folded = copy.deepcopy(network).fold_batch_norm()

    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    for a, b in zip(folded.features(x, layers), network.features(x, layers)):
        assert (a - b).abs().max() <= 1e-5 * b.abs().max()
    assert torch.allclose(folded(x), network(x), rtol=1e-4, atol=1e-4)


def test_folding_is_refused_in_train_mode(network):
    with pytest.raises(RuntimeError, match="eval mode"):
        copy.deepcopy(network).train().fold_batch_norm()


@torch.inference_mode()
def test_nothing_after_the_last_layer_is_computed(network):
    cut = copy.deepcopy(network)
    for stage in cut.blocks[3:]:
        stage.forward = None  # calling it would raise

    x = torch.zeros(1, 3, 64, 64)
    (features,) = cut.features(x, ["blocks.2"])
    assert torch.equal(features, network.features(x, ["blocks.2"])[0])


def test_the_description_states_the_layers_real_channels_and_strides(network):
    names = [layer.name for layer in LITE0.layers]
    with torch.inference_mode():
        outputs = network.features(torch.zeros(1, 3, 256, 256), names)
    real = [(name, out.shape[1], 256 // out.shape[2]) for name, out in zip(names, outputs)]
    assert real == [(layer.name, layer.channels, layer.stride) for layer in LITE0.layers]
