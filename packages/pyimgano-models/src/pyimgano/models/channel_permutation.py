"""The fixed permutation of channels between the coupling blocks of a flow."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ChannelPermutation"]


class ChannelPermutation(nn.Module):
    """Puts the channels, axis 1, into another order that is drawn once: ``y[:, i] = x[:, order[i]]``.

    The order comes from torch's global CPU generator, as initial weights do: seed it, and put its state back. It is a
    buffer, so it is saved with the weights, which mean nothing without it. The log-determinant is 0.

    Parameters
    ----------
    channels : int

    Attributes
    ----------
    order : Tensor, (channels,) int64
    """

    order: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("order", torch.randperm(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Permute (N, C) or (N, C, h, w)."""
        permuted: Tensor = _Permute.apply(x, self.order)
        return permuted


class _Permute(torch.autograd.Function):
    """A gather whose gradient is the gather by the inverse order.

    Indexing's own gradient adds into zeros, entry by entry: slower, and on CUDA in no fixed order.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        return _gather(x, order)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (order,) = ctx.saved_tensors
        return _gather(gradients[0], order.argsort()), None


def _gather(x: Tensor, order: Tensor) -> Tensor:
    if x.is_contiguous():
        return x.index_select(1, order)  # whole planes are copied
    # As rows of channels, which are contiguous in channels-last images.
    last = x.movedim(1, -1)
    return last.reshape(-1, len(order)).index_select(1, order).view(last.shape).movedim(-1, 1)
