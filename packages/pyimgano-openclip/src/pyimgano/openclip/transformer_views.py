"""What a CLIP transformer sees of an image: as a whole, through windows, and at every patch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from pyimgano.core.errors import ParameterError
from pyimgano.openclip.names import load_open_clip

__all__ = ["TransformerViews", "dense_embeddings"]


class TransformerViews:
    """The image tower of a CLIP model that is a transformer with a class token.

    Parameters
    ----------
    visual : Module
        OpenCLIP's image tower.
    name : str
        Of the model, for messages.

    Attributes
    ----------
    grid : (int, int)
        Rows and columns of patches.

    Raises
    ------
    ParameterError
        When the tower is another kind of network.
    """

    def __init__(self, visual: Any, name: str) -> None:
        kind = load_open_clip().transformer.VisionTransformer
        if not isinstance(visual, kind) or visual.attn_pool is not None or visual.pool_type != "tok":
            raise ParameterError(
                f"the image tower of {name} is no transformer with a class token: it cannot look through windows",
                where="backbone",
                allowed="a plain ViT of OpenCLIP: openclip/ViT-B-16-plus-240, openclip/ViT-B-32, openclip/ViT-L-14, …",
            )
        self.visual = visual
        self.grid: tuple[int, int] = tuple(visual.grid_size)

    def tokens(self, x: Tensor) -> Tensor:
        """Return the tokens that enter the transformer: (1, 1 + h w, width) of one image (1, 3, H, W)."""
        visual = self.visual
        patches = visual.conv1(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([visual.class_embedding.expand(1, 1, -1), patches], dim=1)
        entering: Tensor = visual.ln_pre(tokens + visual.positional_embedding)
        return entering

    def whole(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return the image's embedding, (1, D), and the last block's patch tokens after its norm, (h w, width)."""
        out = self.visual.transformer(tokens)
        normed = self.visual.ln_post(out)
        patches = out if self.visual.final_ln_after_pool else normed
        return self._project(normed[:, 0]), patches[0, 1:]

    def through(self, tokens: Tensor, windows: Tensor) -> Tensor:
        """Return the embeddings of an image seen through windows, (n_windows, D): the other patches are left out.

        Parameters
        ----------
        tokens : Tensor, (1, 1 + h w, width)
            See :meth:`tokens`.
        windows : Tensor, (n_windows, n_patches) int64
            The patches of each window.
        """
        index = torch.cat([torch.zeros_like(windows[:, :1]), windows + 1], dim=1)
        out = self.visual.transformer(tokens[0][index])
        return self._project(self.visual.ln_post(out[:, 0]))

    def values(self, tokens: Tensor) -> Tensor:
        """Return every patch's embedding, (h w, D), with the last block's attention on the patch itself alone.

        As in MaskCLIP: a token takes its own value, not those of others; what follows is as ever.
        """
        transformer = self.visual.transformer
        if not transformer.batch_first or not hasattr(transformer.resblocks[-1].attn, "in_proj_weight"):
            raise ParameterError(
                "the last block of this transformer has an attention of another kind", where="dense", allowed='"tokens"'
            )
        x = tokens
        for block in transformer.resblocks[:-1]:
            x = block(x)
        block = transformer.resblocks[-1]
        attention, width = block.attn, x.shape[-1]
        value = linear(block.ln_1(x), attention.in_proj_weight[2 * width :], attention.in_proj_bias[2 * width :])
        x = x + block.ls_1(attention.out_proj(value))
        x = x + block.ls_2(block.mlp(block.ln_2(x)))
        return self._project(self.visual.ln_post(x)[0, 1:])

    def _project(self, x: Tensor) -> Tensor:
        return x if self.visual.proj is None else x @ self.visual.proj


def dense_embeddings(visual: Any, x: Tensor, *, kind: str, name: str) -> Tensor:
    """Return the embedding of every place of one image: (h, w, D), in the space of the words.

    Parameters
    ----------
    visual : Module
        OpenCLIP's image tower.
    x : Tensor, (1, 3, H, W)
        Normalised.
    kind : {"values", "tokens"}
        Of a transformer: see :meth:`TransformerViews.values`; or the last block's tokens, projected as the class token.
    name : str
        Of the model, for messages.

    Raises
    ------
    ParameterError
        When the tower is neither a transformer with a class token nor a convolutional network whose features are
        averaged and projected linearly.
    """
    trunk = getattr(visual, "trunk", None)
    if trunk is None:
        views = TransformerViews(visual, name)
        tokens = views.tokens(x)
        if kind == "values":
            embeddings = views.values(tokens)
        else:
            out = visual.ln_post(visual.transformer(tokens))[0, 1:]
            embeddings = out if visual.proj is None else out @ visual.proj
        return embeddings.view(*views.grid, -1)
    features = trunk.forward_features(x)
    layers: Sequence[str] = [key for key, _ in visual.head.named_children()]
    if features.ndim != 4 or "proj" not in layers or set(layers) - {"drop", "proj"} or not _averages(trunk):
        raise ParameterError(
            f"the image tower of {name} does not average features that have places",
            where="backbone",
            allowed="a plain ViT of OpenCLIP, or a convolutional tower with average pooling and a linear projection",
        )
    # The mean over places comes before a linear map: the map of every place has the image's embedding as its mean.
    projected: Tensor = visual.head(features[0].permute(1, 2, 0))
    return projected


def _averages(trunk: Any) -> bool:
    """Tell whether a network of timm averages over places and does nothing else before its head."""
    pool = getattr(trunk, "global_pool", None)
    return str(getattr(pool, "pool_type", "")) == "avg"
