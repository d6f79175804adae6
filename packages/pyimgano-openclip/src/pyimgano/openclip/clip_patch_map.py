"""CLIP patch maps: the features of every place of an image against words for good and defective parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional, Union

import numpy as np

from pyimgano.core.parameters import require
from pyimgano.openclip.clip_detector import ClipDetector

if TYPE_CHECKING:
    from torch import Tensor

    from pyimgano.core.batching import ImageBatches
    from pyimgano.openclip.clip_model import ClipModel

__all__ = ["ClipPatchMap"]

DENSE = ("values", "tokens")


class ClipPatchMap(ClipDetector):
    r"""Dense CLIP features against words: MaskCLIP's features (Zhou, Loy & Dai, ECCV 2022) with WinCLIP's words.

    Every place :math:`ij` has an embedding :math:`F_{ij}` in the space of the words, and scores how much more that
    resembles the words for defective than for good parts:

    .. math:: M_{ij} = \frac{e^{\langle F_{ij}, g_- \rangle / \tau}}
              {e^{\langle F_{ij}, g_+ \rangle / \tau} + e^{\langle F_{ij}, g_- \rangle / \tau}}

    The image's score is the mean of the highest ``top_share`` of its places. Nothing is learned from images: one pass,
    no windows, no references. For parts that words tell little of, and for towers that are no transformers, it is what
    is left of WinCLIP; where WinCLIP runs, expect it to be better and slower.

    Parameters
    ----------
    backbone : str
        ``openclip/<model>[:<pretrained tag>]``: a plain transformer, or a convolutional tower whose features are
        averaged and projected linearly. Its weights are looked for on this machine, and the error says how to get them.
    class_name : str
        What the images show, in words: ``"solar cell"``.
    dense : {"values", "tokens"}
        Of a transformer: ``"values"``, MaskCLIP's, where the last block's attention is on the place itself; or
        ``"tokens"``, the last block's own tokens, projected as the class token, which say less of their place.
    top_share : float
        In (0, 1]; at least one place is taken.
    input_size : int or (int, int), optional
        Side, or (height, width), of the images that the model sees, and of the maps. Default: the model's own.
    temperature : float
        :math:`\tau`.
    weights, device : str
        ``"default"``, a tag, a file, ``"random"``; ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:<n>"``.
    batch_size : int
        Images in memory at once; changes no score.

    Notes
    -----
    MaskCLIP makes labels of such similarities, and refines them by training; here they are scores, and nothing is
    trained.
    """

    def __init__(
        self,
        backbone: str = "openclip/ViT-B-16-plus-240:laion400m_e31",
        class_name: str = "object",
        *,
        dense: str = "values",
        top_share: float = 0.01,
        input_size: Optional[Union[int, Sequence[int]]] = None,
        temperature: float = 0.07,
        weights: str = "default",
        device: str = "auto",
        batch_size: int = 8,
    ) -> None:
        self.backbone = backbone
        self.class_name = class_name
        self.dense = dense
        self.top_share = top_share
        self.input_size = input_size
        self.temperature = temperature
        self.weights = weights
        self.device = device
        self.batch_size = batch_size

    def validate(self) -> None:
        """Check the parameters; neither torch nor open_clip is imported."""
        super().validate()
        require(self.dense in DENSE, "dense", self.dense, ", ".join(DENSE))
        share = self.top_share
        real = isinstance(share, (int, float)) and not isinstance(share, bool) and 0.0 < share <= 1.0
        require(real, "top_share", share, "above 0, at most 1")

    def _check_model(self, clip: ClipModel) -> None:
        import torch

        from pyimgano.openclip.transformer_views import dense_embeddings

        with torch.inference_mode():
            black = clip.normalised(np.zeros((*clip.size, 3), dtype=np.uint8))
            dense_embeddings(clip.model.visual, black, kind=self.dense, name=self.backbone)

    def _fit(self, images: ImageBatches) -> None:
        self._learn_words()
        for _ in images:  # an image that cannot be read is an error all the same
            pass

    def _score_one(self, x: Tensor, *, maps: bool) -> tuple[float, Optional[np.ndarray]]:
        import torch

        from pyimgano.openclip.transformer_views import dense_embeddings
        from pyimgano.openclip.window_scores import defect_probability

        embeddings = dense_embeddings(self.clip.model.visual, x, kind=self.dense, name=self.backbone)
        rows, columns = embeddings.shape[:2]
        scores = defect_probability(embeddings.reshape(rows * columns, -1), self._texts(), self.temperature)
        worst = scores.sort(descending=True).values[: max(1, int(rows * columns * self.top_share))]
        if not maps:
            return float(worst.mean()), None
        size = (int(x.shape[-2]), int(x.shape[-1]))
        grid = scores.view(1, 1, rows, columns)
        rendered = torch.nn.functional.interpolate(grid, size=size, mode="bilinear", align_corners=False)
        return float(worst.mean()), rendered[0, 0].cpu().numpy()
