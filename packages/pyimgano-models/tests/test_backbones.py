from __future__ import annotations

import json
import subprocess
import sys

import pytest
import timm

from pyimgano.core.errors import ParameterError, UnknownNameError
from pyimgano.models.backbones import (
    PLAIN_NAMES,
    default_layers,
    describe_backbone,
    resolve_backbone,
    select_layers,
)


def test_the_embedded_backbone_and_the_papers_are_described_without_importing_torch():
    code = (
        "import sys; from pyimgano.models.features import describe_backbone, default_layers\n"
        "for name in ('efficientnet-lite0', 'wide_resnet50_2', 'torchvision/resnet18'):\n"
        "    describe_backbone(name); default_layers(name)\n"
        "assert not {'torch', 'timm', 'torchvision', 'sklearn', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_default_layers_are_those_of_stride_8_and_16():
    for name in sorted(set(PLAIN_NAMES) - {"pdn-small", "pdn-medium"}):
        backbone = resolve_backbone(name)
        assert [backbone.layer(layer).stride for layer in default_layers(name)] == [8, 16], name


def test_a_description_is_json_and_names_every_layer_with_channels_and_stride():
    described = json.loads(json.dumps(describe_backbone("resnet18")))
    assert described["name"] == "torchvision/resnet18"
    assert described["layers"][1] == {"name": "layer2", "channels": 128, "stride": 8}


def test_an_unknown_backbone_names_the_nearest_and_the_libraries():
    with pytest.raises(UnknownNameError) as caught:
        resolve_backbone("wide_resnet50")
    assert "'wide_resnet50_2'" in caught.value.hint
    assert "timm/<model>" in caught.value.allowed


def test_an_unknown_layer_names_those_of_the_backbone():
    with pytest.raises(ParameterError) as caught:
        select_layers(resolve_backbone("efficientnet-lite0"), ["blocks.2", "block.4"])
    assert "'block.4'" in str(caught.value)
    assert "blocks.6" in caught.value.allowed
    assert "'blocks.4'" in caught.value.hint


@pytest.mark.parametrize("layers", [[], ["layer2", "layer2"]])
def test_no_layer_and_a_layer_twice_are_refused(layers):
    with pytest.raises(ParameterError, match="layers"):
        select_layers(resolve_backbone("resnet18"), layers)


def test_layers_come_in_the_order_of_the_network():
    assert select_layers(resolve_backbone("resnet18"), ["layer3", "layer1"]) == ("layer1", "layer3")
    assert select_layers(resolve_backbone("resnet18"), "layer3") == ("layer3",)


def test_the_table_of_resnets_is_what_torchvision_has():
    from pyimgano.models.torchvision_backbones import describe_torchvision, torchvision_source
    from pyimgano.models.weights import weights_source

    for name in sorted(set(PLAIN_NAMES) - {"efficientnet-lite0", "pdn-small", "pdn-medium"}):
        ours, theirs = resolve_backbone(name), describe_torchvision(name)
        maps = {layer.name: layer for layer in theirs.layers}
        assert all(maps[layer.name] == layer for layer in ours.layers), name
        assert weights_source(ours, "default") == torchvision_source(name, "default"), name


def test_torchvision_networks_are_described_by_their_feature_maps():
    vgg = resolve_backbone("torchvision/vgg11")
    assert vgg.layer("features.1").channels == 64
    assert vgg.layer("features.20").stride == 32
    with pytest.raises(UnknownNameError, match="no feature maps"):
        resolve_backbone("torchvision/vit_b_16")
    with pytest.raises(UnknownNameError, match="no classification model") as caught:
        resolve_backbone("torchvision/resnet19")
    assert "resnet1" in caught.value.hint


def test_timm_networks_are_described_by_timm():
    backbone = resolve_backbone("timm/mobilenetv3_small_100")
    info = timm.create_model("mobilenetv3_small_100", pretrained=False, features_only=True).feature_info
    assert [layer.name for layer in backbone.layers] == info.module_name()
    assert [layer.channels for layer in backbone.layers] == info.channels()
    assert [layer.stride for layer in backbone.layers] == info.reduction()
    assert backbone.default == ("blocks.1", "blocks.3")


def test_an_unknown_timm_model_names_the_nearest():
    with pytest.raises(UnknownNameError) as caught:
        resolve_backbone("timm/resnett18")
    assert "'resnet18'" in caught.value.hint


def test_a_transformer_of_one_stride_has_no_default_layers_and_takes_whole_patches():
    backbone = resolve_backbone("timm/vit_tiny_patch16_224")
    assert (backbone.fixed_size, backbone.side_multiple) == (None, 16)
    assert [layer.name for layer in backbone.layers[-2:]] == ["blocks.11", "norm"]
    with pytest.raises(ParameterError, match="no default layers") as caught:
        select_layers(backbone, None)
    assert "blocks.11" in caught.value.allowed
