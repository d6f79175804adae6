"""What SimpleNet and SuperSimpleNet are made of: a feature adaptor, a discriminator, noise on features, and a loss.

Both adapt the joined layers of a frozen backbone by a 1 × 1 convolution, add Gaussian noise to what it gives, and train
a discriminator to tell noisy positions from clean ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pyimgano.models.resampled_convolution import JoinedLayers

__all__ = [
    "Discriminator",
    "FeatureAdaptor",
    "PointwiseFold",
    "adamw",
    "initialise",
    "noise_vectors",
    "truncated_l1",
]

HIDDEN = 1024
SLOPE = 0.2
MARGIN = 0.5


def initialise(module: nn.Module) -> None:
    """Draw the weights of linear layers and convolutions by Xavier's normal distribution; for ``Module.apply``."""
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        nn.init.xavier_normal_(module.weight)


class FeatureAdaptor(nn.Module):
    """A 1 × 1 convolution with bias that keeps the number of channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(channels, channels, 1)
        self.apply(initialise)

    def under(self, kernel: Tensor) -> tuple[Tensor, Tensor]:
        """Return what a convolution of adapted features is to the features themselves.

        Parameters
        ----------
        kernel : Tensor, (out, channels, k, k)

        Returns
        -------
        Tensor, (out, channels, k, k)
            The kernel to convolve the features with.
        Tensor, (out, k, k)
            What each tap adds because of the adaptor's bias, where it lies inside the image.
        """
        flat = kernel.permute(0, 2, 3, 1)
        weight = self.projection.weight.flatten(1)
        assert self.projection.bias is not None
        return (flat @ weight).permute(0, 3, 1, 2), flat @ self.projection.bias


class Discriminator(nn.Module):
    """Two 1 × 1 convolutions with BatchNorm and leaky ReLU between: one value a position, above 0 where it is noisy.

    The first convolution is left to the caller of :meth:`judge`, who may know a shorter way to its result.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, HIDDEN, 1)
        self.norm = nn.BatchNorm2d(HIDDEN)
        self.last = nn.Conv2d(HIDDEN, 1, 1, bias=False)
        self.apply(initialise)

    def judge(self, hidden: Tensor) -> Tensor:
        """Return (N, H, W) of what the first convolution gave, (N, hidden, H, W) in channels-last order."""
        active = functional.leaky_relu(self.norm(hidden), SLOPE, inplace=True)
        return active.permute(0, 2, 3, 1) @ self.last.weight.flatten()


class PointwiseFold:
    """Adaptor and discriminator as scoring needs them: BatchNorm, both biases and both convolutions made one.

    Parameters
    ----------
    adaptor : FeatureAdaptor
    discriminator : Discriminator
        In eval mode.
    """

    def __init__(self, adaptor: FeatureAdaptor, discriminator: Discriminator) -> None:
        first, norm = discriminator.first, discriminator.norm
        assert first.bias is not None
        assert norm.running_mean is not None
        assert norm.running_var is not None
        kernel, bias = adaptor.under(first.weight)
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        self.kernel = (kernel * scale[:, None, None, None]).detach()
        self.bias = ((bias.flatten() + first.bias - norm.running_mean) * scale + norm.bias).detach()
        self.last = discriminator.last.weight.detach().flatten()

    def judge(self, joined: JoinedLayers) -> Tensor:
        """Return the discriminator's (N, H, W)."""
        hidden = joined.convolve(self.kernel).permute(0, 2, 3, 1)
        return functional.leaky_relu(hidden + self.bias, SLOPE, inplace=True) @ self.last


def noise_vectors(
    count: int, channels: int, *, sigma: float, chance: np.random.Generator, device: torch.device
) -> Tensor:
    """Return (count, channels) independent Gaussian noise of standard deviation ``sigma``.

    On the CPU the values are ``chance``'s own. On CUDA, where drawing them on the host would take longer than the rest
    of a step, they are those of the device's generator, seeded by ``chance``.
    """
    if device.type == "cuda":
        source = torch.Generator(device)
        source.manual_seed(int(chance.integers(2**63)))
        return torch.randn(count, channels, generator=source, device=device) * sigma
    drawn = chance.standard_normal((count, channels), dtype=np.float32)
    drawn *= np.float32(sigma)
    return torch.from_numpy(drawn).to(device)


def truncated_l1(clean: Tensor, noisy: Tensor) -> Tensor:
    """Return the truncated L1 loss of the discriminator's values: ``mean max(0, ½ + clean) + mean max(0, ½ − noisy)``.

    Both of its thresholds are ½; a side without values counts 0.
    """
    sides = [value + MARGIN for value in (clean, -noisy) if value.numel()]
    return sum((functional.relu(side).mean() for side in sides), start=clean.new_zeros(()))


def adamw(parameters: Sequence[nn.Parameter], adaptor: Sequence[nn.Parameter], *, rate: float) -> torch.optim.Optimizer:
    """Return AdamW with the decays of both papers' code, and its rates in their proportion.

    Parameters
    ----------
    parameters : sequence of Parameter
        To be trained; the adaptor's among them get half the rate and AdamW's own decay, the others 1e-5.
    adaptor : sequence of Parameter
    rate : float
        Of what is not the adaptor's.
    """
    own = {id(parameter) for parameter in adaptor}
    groups = [
        {"params": [p for p in parameters if id(p) in own], "lr": rate / 2.0},
        {"params": [p for p in parameters if id(p) not in own], "lr": rate, "weight_decay": 1e-5},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=rate)
