"""The network that adapts a backbone: the backbone, its frozen former self, and a head that looks for defects."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyimgano.core.errors import ParameterError
from pyimgano.models.deepest_layers import deepest_parameters
from pyimgano.models.focal_loss import focal_loss
from pyimgano.models.lora import inject_lora, merged_state
from pyimgano.models.networks import PixelNetwork
from pyimgano.models.trained_networks import TrainedNetwork, TrainingBatch

__all__ = ["AdaptationNetwork"]

ANCHOR = 10.0
"""Weight of staying what it was, against telling defects."""
WIDTH = 64


class AdaptationNetwork(TrainedNetwork):
    """``trained.backbone`` begins as the teacher; ``trained.head`` says of each position whether it is defective.

    Let ``F`` be the backbone's features of a layer and ``F₀`` the teacher's. The loss is

    ``focal(head(F), mask) + 10 Σ_layers mean over good positions of ‖F − F₀‖² / mean ‖F₀‖²``.

    The first term moves the features of defects away from those of good surfaces, to where nearest neighbours and
    Gaussians find them; the second keeps good surfaces together, where the memory expects them. The head is a layer of
    1×1 convolutions, so that what tells a defect has to be in the features of its own position.
    """

    trained: nn.ModuleDict

    def __init__(self, teacher: PixelNetwork, channels: tuple[int, ...]) -> None:
        head = nn.Sequential(nn.Conv2d(sum(channels), WIDTH, 1), nn.ReLU(), nn.Conv2d(WIDTH, 1, 1))
        super().__init__(teacher, nn.ModuleDict({"backbone": copy.deepcopy(teacher), "head": head}))
        # Layers differ in scale by orders of magnitude; the head sees each by its own.
        self.trained.register_buffer("scale", torch.ones(len(channels)))

    @property
    def backbone(self) -> PixelNetwork:
        """The backbone that is adapted."""
        found = self.trained["backbone"]
        assert isinstance(found, PixelNetwork)
        return found

    def measure(self, features: list[Tensor]) -> None:
        """Keep each layer's root mean square, from the frozen features of some good images."""
        scale: Tensor = self.trained.scale
        with torch.no_grad():
            scale.copy_(torch.stack([layer.square().mean().sqrt().clamp_min(1e-12) for layer in features]))

    def _logits(self, features: list[Tensor]) -> Tensor:
        scale: Tensor = self.trained.scale
        size = features[0].shape[2:]
        scaled = [
            functional.interpolate(layer / scale[index], size=size, mode="bilinear", align_corners=False)
            for index, layer in enumerate(features)
        ]
        logits: Tensor = self.trained["head"](torch.cat(scaled, dim=1))[:, 0]
        return logits

    def loss(self, batch: TrainingBatch) -> Tensor:
        """Return the loss of good images and images with masks."""
        features, before = list(self.backbone(batch.pixels)), self.features_of_teacher(batch.pixels)
        logits = self._logits(features)
        shape = batch.pixels.shape
        masks = torch.zeros(shape[:3], device=logits.device) if batch.masks is None else batch.masks.float()
        # A position is defective by the share of its pixels that are: a hair-line leaves no position untouched.
        share = functional.adaptive_avg_pool2d(masks[:, None], list(logits.shape[1:]))[:, 0]
        defective = share > 0
        # Normalised by the defective positions (Lin et al., ICCV 2017), of which a good batch has none.
        loss = focal_loss(logits, defective).sum() / defective.sum().clamp_min(1)
        for layer, former in zip(features, before):
            good = 1.0 - functional.adaptive_max_pool2d(masks[:, None], list(layer.shape[2:]))
            moved = ((layer - former).square().mean(dim=1, keepdim=True) * good).sum() / good.sum().clamp_min(1.0)
            loss = loss + ANCHOR * moved / former.square().mean().clamp_min(1e-12)
        return loss

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the head's probability of a defect at each position, (N, h, w)."""
        return (torch.sigmoid(self._logits(list(self.backbone(pixels)))),)

    def part(self, mode: str) -> list[nn.Parameter]:
        """Return what the head and, of the backbone, its deepest stage (``"backbone-adapt"``) or nothing trains."""
        head = list(self.trained["head"].parameters())
        try:
            return [*deepest_parameters(self.backbone), *head]
        except ParameterError:  # one layer: all of it is its deepest
            return [*self.backbone.parameters(), *head]

    def low_rank_updates(self, rank: int) -> list[nn.Parameter]:
        """Give the backbone low-rank updates, and return them and the head's parameters."""
        return [*inject_lora(self.backbone, rank), *self.trained["head"].parameters()]

    def is_pretrained(self, parameter: nn.Parameter) -> bool:
        """Tell whether a parameter is one of the backbone's own, and neither the head's nor an update."""
        own = {id(one) for name, one in self.backbone.named_parameters() if ".lora_" not in name}
        return id(parameter) in own

    def adapted(self) -> dict[str, Tensor]:
        """Return the backbone's tensors that differ from the teacher's, by name, low-rank updates merged."""
        assert self.teacher is not None
        former = self.teacher.state_dict()
        now = merged_state(self.backbone)
        return {name: tensor for name, tensor in now.items() if not torch.equal(tensor, former[name])}

    def learn(self, learning: bool) -> None:
        """Change nothing: BatchNorm keeps the statistics of the data that it was made with, as in scoring."""
