"""The patch description network (PDN) of EfficientAD: a few convolutions, each output of which sees 33 × 33 pixels."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["MARGIN", "PatchDescriptionNetwork", "build_pdn"]

MARGIN = 4
"""Positions on each side that the grid of an unpadded network lacks."""

CHANNELS = 384
_KEY = re.compile(r"^(?:conv|convs\.)?(\d+)\.(weight|bias)$")


@dataclass(frozen=True)
class Convolution:
    """One row of the paper's tables; ``channels`` is None where the network's own number stands."""

    channels: Optional[int]
    kernel: int
    padding: int
    pooled: bool = False


PLANS = {
    "small": (
        Convolution(128, 4, 3, pooled=True),
        Convolution(256, 4, 3, pooled=True),
        Convolution(256, 3, 1),
        Convolution(None, 4, 0),
    ),
    "medium": (
        Convolution(256, 4, 3, pooled=True),
        Convolution(512, 4, 3, pooled=True),
        Convolution(512, 1, 0),
        Convolution(512, 3, 1),
        Convolution(None, 4, 0),
        Convolution(None, 1, 0),
    ),
}


class PatchDescriptionNetwork(nn.Module):
    """Describes patches of 33 × 33 pixels, one every 4 pixels (Batzner et al., WACV 2024, tables of the supplement).

    Input: (N, 3, H, W) float32, normalised. Output: (N, channels, ⌈H / 4⌉, ⌈W / 4⌉); without padding
    :data:`MARGIN` positions less on each side, since patches that reach beyond the image are left out.

    Parameters
    ----------
    size : {"small", "medium"}
    channels : int
        Of the output; with ``"medium"``, of the last but one convolution too.
    padding : bool
        Whether zeros surround the image and the maps inside, as when the paper trains the teacher.
    """

    def __init__(self, size: str, channels: int = CHANNELS, *, padding: bool = True) -> None:
        super().__init__()
        self.plan = PLANS[size]
        self.channels = channels
        self.padding = padding
        convs, inputs = [], 3
        for row in self.plan:
            outputs = row.channels or channels
            convs.append(nn.Conv2d(inputs, outputs, row.kernel))
            inputs = outputs
        self.convs = nn.ModuleList(convs)

    def with_padding(self, padding: bool) -> PatchDescriptionNetwork:
        """Return the network, padded or not, with the same parameters (not copies)."""
        twin = copy.copy(self)
        twin.padding = padding
        return twin

    def hidden(self, x: Tensor) -> Tensor:
        """Return what the last convolution takes."""
        for row, conv in zip(self.plan[:-1], self.convs):
            x = functional.conv2d(x, conv.weight, conv.bias, padding=row.padding if self.padding else 0)
            x = functional.relu(x, inplace=True)
            if row.pooled:
                x = functional.avg_pool2d(x, 2, padding=1 if self.padding else 0)
        return x

    def describe(self, *hidden: Tensor) -> tuple[Tensor, ...]:
        """Return of each of what :meth:`hidden` gave its own share of the output's channels, which are split evenly.

        The others are not computed, which saves half of the last convolution where two images are asked for halves.
        """
        last = self.convs[-1]
        weights, biases = last.weight.chunk(len(hidden)), last.bias.chunk(len(hidden))
        return tuple(functional.conv2d(*given) for given in zip(hidden, weights, biases))

    def forward(self, x: Tensor) -> Tensor:
        """Describe the patches."""
        return self.describe(self.hidden(x))[0]


class PatchDescriptions(nn.Module):
    """A PDN as a backbone: a list of one layer."""

    def __init__(self, body: PatchDescriptionNetwork) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the layers' features."""
        return [self.body(x)]


def build_pdn(architecture: str, state: Optional[Mapping[str, Any]]) -> PatchDescriptions:
    """Return a padded PDN as a backbone, which covers the whole image.

    Parameters
    ----------
    architecture : {"pdn-small", "pdn-medium"}
    state : mapping of str to Tensor, optional
        Its weights, under the names of anomalib's modules (``conv1.weight``), of an ``nn.Sequential`` as in other
        implementations (``0.weight``, ``3.weight``), or its own (``convs.0.weight``).

    Raises
    ------
    RuntimeError
        When they do not fit.
    """
    body = PatchDescriptionNetwork(architecture.partition("-")[2])
    if state is not None:
        body.load_state_dict(_renamed(state))
    return PatchDescriptions(body)


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state with its convolutions numbered in order; a name of another kind stays, and will be refused."""
    found = {key: _KEY.match(key) for key in state}
    numbers = sorted({int(match[1]) for match in found.values() if match})
    return {
        f"convs.{numbers.index(int(match[1]))}.{match[2]}" if match else key: state[key] for key, match in found.items()
    }
