"""DRÆM's networks: one gives an image back without defects, one finds what the two versions differ by."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyimgano.models.focal_loss import focal_loss
from pyimgano.models.ssim import structural_similarity
from pyimgano.models.texture_defects import TextureDefects
from pyimgano.models.trained_networks import TrainedNetwork, TrainingBatch

__all__ = ["DraemNetwork", "Losses", "Reconstruction", "Segmentation"]

_SCORE_WINDOW = 21


class Reconstruction(nn.Module):
    """Encoder and decoder, from (N, 3, H, W) to the same; sides are multiples of 16.

    Parameters
    ----------
    width : int
        Channels at full resolution; eight times as many at the coarsest, of stride 16.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(
            _convolutions(inputs, outputs, outputs) for inputs, outputs in _pairs(3, width, 2 * width, 4 * width)
        )
        self.encoder.extend(
            [_convolutions(4 * width, 8 * width, 8 * width), _convolutions(8 * width, 8 * width, 8 * width)]
        )
        self.decoder = nn.ModuleList()
        for inputs, outputs in _pairs(8 * width, 4 * width, 2 * width, width, width):
            self.decoder.append(_doubled(inputs, inputs))
            self.decoder.append(_convolutions(inputs, inputs, outputs))
        self.output = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Give images back."""
        x = self.encoder[0](images)
        for block in self.encoder[1:]:
            x = block(functional.max_pool2d(x, 2))
        for layer in self.decoder:
            x = layer(x)
        result: Tensor = self.output(x)
        return result


class Segmentation(nn.Module):
    """A U-Net, from (N, 6, H, W) to two logits per pixel, good and defective; sides are multiples of 32.

    Parameters
    ----------
    width : int
        Channels at full resolution; eight times as many from stride 8 on.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = [width, 2 * width, 4 * width, 8 * width, 8 * width, 8 * width]
        self.encoder = nn.ModuleList(
            _convolutions(inputs, outputs, outputs) for inputs, outputs in _pairs(6, *channels)
        )
        self.up = nn.ModuleList()
        self.merge = nn.ModuleList()
        inputs = channels[-1]
        for skipped, outputs in zip(channels[-2::-1], (8 * width, 4 * width, 2 * width, width, width)):
            self.up.append(_doubled(inputs, outputs))
            self.merge.append(_convolutions(outputs + skipped, outputs, outputs))
            inputs = outputs
        self.output = nn.Conv2d(width, 2, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        skipped = [self.encoder[0](images)]
        for block in self.encoder[1:]:
            skipped.append(block(functional.max_pool2d(skipped[-1], 2)))
        x = skipped.pop()
        for up, merge in zip(self.up, self.merge):
            x = merge(torch.cat([up(x), skipped.pop()], dim=1))
        result: Tensor = self.output(x)
        return result


class Losses(NamedTuple):
    """The three parts of the loss, scalars, whose sum is minimised.

    Attributes
    ----------
    distance : Tensor
        Mean squared difference of the reconstruction and the good image (range 1).
    dissimilarity : Tensor
        Mean of 1 − their structural similarity.
    segmentation : Tensor
        Mean focal loss of the pixels, γ = 2.
    """

    distance: Tensor
    dissimilarity: Tensor
    segmentation: Tensor


class DraemNetwork(TrainedNetwork):
    """Both networks; ``trained.reconstruction`` and ``trained.segmentation``.

    Parameters
    ----------
    reconstruction_width, segmentation_width : int
        Channels of the two networks at full resolution.
    defects : TextureDefects
        Draws the defects of a training step.
    device : str
        That it will be on. The layout is chosen by it: on CPUs the gradients of these convolutions take twice the time
        with the channels last, on GPUs less.
    """

    trained: nn.ModuleDict

    def __init__(
        self, reconstruction_width: int, segmentation_width: int, defects: TextureDefects, *, device: str = "cpu"
    ) -> None:
        reconstruction = Reconstruction(reconstruction_width).apply(_initialise)
        segmentation = Segmentation(segmentation_width).apply(_initialise)
        super().__init__(None, nn.ModuleDict({"reconstruction": reconstruction, "segmentation": segmentation}))
        self.defects = defects
        self.layout = torch.contiguous_format if device == "cpu" else torch.channels_last

    def as_images(self, pixels: Tensor) -> Tensor:
        """Return (N, H, W, 3) uint8 as (N, 3, H, W) float32 in [0, 1]."""
        images = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=self.layout)
        return images.mul_(1.0 / 255.0)

    def reconstruct(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reconstruction, (N, 3, H, W), and the logits, (N, 2, H, W), of images in [0, 1]."""
        reconstruction = self.trained["reconstruction"](images)
        return reconstruction, self.trained["segmentation"](torch.cat([reconstruction, images], dim=1))

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the maps, (N, H, W) in [0, 1], and the scores, (N,): the greatest means over 21 × 21 pixels.

        Beyond the border the map counts as 0.
        """
        _, logits = self.reconstruct(self.as_images(pixels))
        maps = (logits[:, 1] - logits[:, 0]).sigmoid()
        side, reach = _SCORE_WINDOW, _SCORE_WINDOW // 2
        down = functional.avg_pool2d(maps[:, None], (side, 1), stride=1, padding=(reach, 0))
        smooth = functional.avg_pool2d(down, (1, side), stride=1, padding=(0, reach))
        return maps, smooth.amax(dim=(1, 2, 3))

    def loss(self, batch: TrainingBatch) -> Tensor:
        """Return the sum of :meth:`losses` on images with defects drawn into them."""
        device = batch.pixels.device
        drawn = self.defects(batch.pixels.cpu().numpy(), batch.chance)
        good, texture = (self.as_images(torch.from_numpy(pixels).to(device)) for pixels in (drawn.good, drawn.texture))
        opacity = torch.from_numpy(drawn.opacity).to(device)[:, None]
        return torch.stack(self.losses(good, torch.lerp(good, texture, opacity), opacity > 0.0)).sum()

    def losses(self, good: Tensor, defective: Tensor, mask: Tensor) -> Losses:
        """Return the parts of the loss (equations 1 to 3).

        Parameters
        ----------
        good, defective : Tensor, (N, 3, H, W)
            Images in [0, 1] without and with defects.
        mask : Tensor, (N, 1, H, W) bool
            Where the defects are.
        """
        reconstruction, logits = self.reconstruct(defective)
        return Losses(
            functional.mse_loss(reconstruction, good),
            1.0 - structural_similarity(reconstruction, good).mean(),
            focal_loss(logits[:, 1] - logits[:, 0], mask[:, 0]).mean(),
        )

    def part(self, mode: str) -> list[nn.Parameter]:
        """Return the last layers: those of the segmentation at full resolution, behind its bottleneck."""
        segmentation = self.trained["segmentation"]
        return [
            *segmentation.up[-1].parameters(),
            *segmentation.merge[-1].parameters(),
            *segmentation.output.parameters(),
        ]


def _pairs(*channels: int) -> list[tuple[int, int]]:
    return list(zip(channels, channels[1:]))


def _convolutions(inputs: int, between: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(*_convolution(inputs, between), *_convolution(between, outputs))


def _doubled(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), *_convolution(inputs, outputs)
    )


def _convolution(inputs: int, outputs: int) -> list[nn.Module]:
    # The code's convolutions have a bias, which the normalisation behind them takes away again: with or without it the
    # networks are the same functions, and learn the same.
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
