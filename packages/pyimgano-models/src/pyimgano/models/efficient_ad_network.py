"""EfficientAD's networks: a frozen teacher, a student of it and of an autoencoder, and the autoencoder."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Callable, NamedTuple, Optional

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pyimgano.core.backbones import IMAGENET_MEAN, IMAGENET_STD
from pyimgano.models.colour_changes import change_colours
from pyimgano.models.feature_autoencoder import FeatureAutoencoder, FeatureDropout
from pyimgano.models.feature_moments import ChannelMoments
from pyimgano.models.networks import PixelNetwork
from pyimgano.models.patch_description import MARGIN, PatchDescriptionNetwork, PatchDescriptions
from pyimgano.models.penalty_images import PenaltyImages
from pyimgano.models.trained_networks import BranchedNetwork, TrainingBatch

__all__ = ["EfficientAdLosses", "EfficientAdNetwork", "GridTeacher"]

HARD = 0.999
HELD_OUT_LEVEL = 0.1


class EfficientAdLosses(NamedTuple):
    """The terms of the loss, scalars; it is their sum.

    Attributes
    ----------
    hard : Tensor
        Mean over the thousandth of the squared differences of student and teacher that are greatest.
    penalty : Tensor or None
        Mean square of what the student says of images of anything.
    autoencoder : Tensor
        Mean squared difference of the autoencoder and the teacher, on the changed images.
    student_autoencoder : Tensor
        Mean squared difference of the student's other half and the autoencoder, on the changed images.
    """

    hard: Tensor
    penalty: Optional[Tensor]
    autoencoder: Tensor
    student_autoencoder: Tensor


class GridTeacher(nn.Module):
    """A frozen backbone whose layers are brought to the student's grid: (N, H, W, 3) pixels in, (N, C, *grid) out.

    A PDN has that grid. The layers of any other backbone are interpolated to a quarter of the image's resolution and
    concatenated; where the student is not padded, the positions that it lacks are cut off.

    Parameters
    ----------
    network : PixelNetwork
    size : (int, int)
        (height, width) of the images.
    padding : bool
        Whether the student is padded.
    """

    def __init__(self, network: PixelNetwork, size: tuple[int, int], *, padding: bool) -> None:
        super().__init__()
        self.margin = 0 if padding else MARGIN
        self.covering = (math.ceil(size[0] / 4), math.ceil(size[1] / 4))
        self.grid = (self.covering[0] - 2 * self.margin, self.covering[1] - 2 * self.margin)
        self.network = network
        if isinstance(network.network, PatchDescriptions):  # it comes padded, as every backbone covers the image
            network.network = PatchDescriptions(network.network.body.with_padding(padding))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the features."""
        layers = [layer if layer.shape[-2:] == self.grid else self._fit(layer) for layer in self.network(pixels)]
        return layers[0] if len(layers) == 1 else torch.cat(layers, dim=1)

    def _fit(self, layer: Tensor) -> Tensor:
        layer = functional.interpolate(layer, size=self.covering, mode="bilinear", align_corners=False)
        (height, width), margin = self.grid, self.margin
        return layer[..., margin : margin + height, margin : margin + width]


class Scale(nn.Module):
    """What is learned without gradients.

    Attributes
    ----------
    mean, deviation : Tensor, (1, C, 1, 1) float32
        Of the teacher's channels on good images.
    levels : Tensor, (2, 2) float32
        The quantiles that become 0 and 0.1: of the map of student and teacher, and of that of student and autoencoder.
    """

    mean: Tensor
    deviation: Tensor
    levels: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("deviation", torch.ones(1, channels, 1, 1))
        self.register_buffer("levels", torch.tensor([[0.0, HELD_OUT_LEVEL], [0.0, HELD_OUT_LEVEL]]))


class EfficientAdNetwork(BranchedNetwork):
    """The frozen teacher; what is trained (``trained.student``, ``trained.autoencoder``); learned (``trained.scale``).

    Parameters
    ----------
    teacher : GridTeacher
    channels : int
        Its channels, C.
    size : (int, int)
        (height, width) of the images.
    model_size : {"small", "medium"}
        The student's. It has 2 C channels: half for the teacher, half for the autoencoder.
    padding : bool
        The student's.
    penalty_images : PenaltyImages, optional
    """

    trained: nn.ModuleDict
    image_mean: Tensor
    image_scale: Tensor

    def __init__(
        self,
        teacher: GridTeacher,
        channels: int,
        size: tuple[int, int],
        *,
        model_size: str,
        padding: bool,
        penalty_images: Optional[PenaltyImages] = None,
    ) -> None:
        trained = {
            "student": PatchDescriptionNetwork(model_size, 2 * channels, padding=padding),
            "autoencoder": FeatureAutoencoder(channels, size, teacher.grid),
            "scale": Scale(channels),
        }
        super().__init__(teacher, nn.ModuleDict(trained))
        self.channels = channels
        self.margin = teacher.margin
        self.penalty_images = penalty_images
        self.register_buffer("image_mean", torch.tensor(IMAGENET_MEAN), persistent=False)
        self.register_buffer("image_scale", 1.0 / torch.tensor(IMAGENET_STD), persistent=False)

    # -- scoring -------------------------------------------------------------------------------------------------

    def difference_maps(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return how student and teacher differ, and student and autoencoder: (N, h, w) each, on the grid.

        Squared differences, their mean over the channels.
        """
        return self._compare([branch(pixels) for branch in self.branches()])

    def branches(self) -> Sequence[Callable[[Tensor], Any]]:
        """Return teacher, student and autoencoder."""
        return (
            self._targets,
            lambda pixels: self.trained["student"](self._normalised(pixels)),
            lambda pixels: self.trained["autoencoder"](self._normalised(pixels)),
        )

    def _compare(self, parts: Sequence[Any]) -> tuple[Tensor, Tensor]:
        targets, answer, rebuilt = parts
        differences = targets - answer[:, : self.channels], rebuilt - answer[:, self.channels :]
        local, whole = (difference.square_().mean(dim=1) for difference in differences)
        return local, whole

    def join(self, parts: Sequence[Any]) -> tuple[Tensor, ...]:
        """Return the maps, (N, ⌈H / 4⌉, ⌈W / 4⌉): the mean of both, each scaled by its levels.

        Positions that an unpadded student lacks have the differences 0.
        """
        low, high = self.trained["scale"].levels.unbind(dim=1)
        maps = torch.stack(self._compare(parts), dim=1)
        maps = functional.pad(maps, 4 * (self.margin,))
        scaled = HELD_OUT_LEVEL * (maps - low.view(2, 1, 1)) / (high - low).view(2, 1, 1)
        return (scaled.mean(dim=1),)

    # -- training ------------------------------------------------------------------------------------------------

    def loss(self, batch: TrainingBatch) -> Tensor:
        """Return the sum of the terms; the lots are drawn for the colours, the penalty's images, then the dropout."""
        pixels = batch.pixels.to(torch.float32)
        changed = change_colours(pixels, batch.chance)
        others = None
        if self.penalty_images is not None:
            others = torch.from_numpy(self.penalty_images.draw(batch.chance, len(pixels))).to(pixels)
        terms = self.losses(pixels, changed, others, FeatureDropout(batch.chance))
        return torch.stack([term for term in terms if term is not None]).sum()

    def losses(
        self, pixels: Tensor, changed: Tensor, others: Optional[Tensor], dropout: Optional[FeatureDropout]
    ) -> EfficientAdLosses:
        """Return the terms of the loss.

        Parameters
        ----------
        pixels, changed : Tensor, (N, H, W, 3) float32
            Good images, 0 … 255, as they are and with their colours changed.
        others : Tensor, (M, H, W, 3) float32, or None
            Images of anything, for the penalty.
        dropout : FeatureDropout or None
            The autoencoder's.
        """
        student, count = self.trained["student"], len(pixels)
        both = torch.cat([changed, pixels])
        with torch.no_grad():
            of_changed, of_pixels = self._targets(both).split(count)
        # All images go through the student together, and each only to the half of the channels that is asked for.
        x = self._normalised(both if others is None else torch.cat([both, others]))
        x = x.contiguous(memory_format=self._layout(learning=True))
        hidden = student.hidden(x)
        answers, answer_of_changed = student.describe(hidden[count:], hidden[:count])
        rebuilt = self.trained["autoencoder"](x[:count], dropout)
        return EfficientAdLosses(
            _hardest((of_pixels - answers[:count]).square()),
            None if others is None else answers[count:].square().mean(),
            functional.mse_loss(rebuilt, of_changed),
            functional.mse_loss(answer_of_changed, rebuilt),
        )

    def learn(self, learning: bool) -> None:
        """Switch between training and scoring: nothing but the order of the weights in memory differs."""
        super().learn(learning)
        self.trained.to(memory_format=self._layout(learning))

    def _layout(self, learning: bool) -> torch.memory_format:
        # The CPU's gradients of these wide convolutions take a third more time in channels-last order.
        plain = learning and self.image_mean.device.type == "cpu"
        return torch.contiguous_format if plain else torch.channels_last

    def part(self, mode: str) -> list[nn.Parameter]:
        """Return the last convolutions of the student and of the autoencoder."""
        last = self.trained["student"].convs[-1], self.trained["autoencoder"].decoder[-1]
        return [parameter for conv in last for parameter in conv.parameters()]

    # -- learning without gradients ------------------------------------------------------------------------------

    def learn_channels(self, images: Iterable[np.ndarray]) -> None:
        """Learn mean and deviation of the teacher's channels from images, (H, W, 3) uint8."""
        moments, scale = ChannelMoments(self.channels), self.trained["scale"]
        assert self.teacher is not None
        with torch.inference_mode():
            for image in images:
                pixels = torch.from_numpy(image[None]).to(scale.mean.device)
                moments.add(self.teacher(pixels)[0].cpu().numpy())
        for buffer, values in ((scale.mean, moments.mean), (scale.deviation, moments.deviation)):
            buffer.copy_(torch.from_numpy(values).view_as(buffer))

    def set_levels(self, levels: np.ndarray) -> None:
        """Set what both maps are scaled by: (2, 2), of each map the quantile that becomes 0 and that which becomes 0.1.

        Equal ones, of maps that are constant, are held apart.
        """
        low, high = np.asarray(levels, dtype=np.float64).T
        apart = np.maximum(high, low + 1e-6 * np.maximum(1.0, np.abs(low)))
        buffer = self.trained["scale"].levels
        buffer.copy_(torch.from_numpy(np.stack([low, apart], axis=1)))

    def _normalised(self, pixels: Tensor) -> Tensor:
        x = (pixels.to(torch.float32) - self.image_mean) * self.image_scale
        return x.permute(0, 3, 1, 2)

    def _targets(self, pixels: Tensor) -> Tensor:
        """Return the teacher's features, each channel with mean 0 and deviation 1 on good images."""
        assert self.teacher is not None
        scale = self.trained["scale"]
        targets: Tensor = (self.teacher(pixels) - scale.mean) / scale.deviation
        return targets


def _hardest(squares: Tensor) -> Tensor:
    """Return the mean of the values that are at or above their quantile 0.999, which lies between two of them."""
    count = squares.numel()
    above = count - math.ceil(HARD * (count - 1))
    return squares.flatten().topk(above, sorted=False).values.mean()
