"""What detectors on CLIP models have in common: the model, its words, and their identity in what is saved."""

from __future__ import annotations

import logging
import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from pyimgano.core.detector import BaseDetector
from pyimgano.core.errors import CheckpointError, ParameterError
from pyimgano.core.parameters import require
from pyimgano.openclip.names import split_name
from pyimgano.openclip.preparation import check_device, check_sides

if TYPE_CHECKING:
    from torch import Tensor

    from pyimgano.openclip.clip_model import ClipModel

__all__ = ["ClipDetector"]

logger = logging.getLogger(__name__)


class ClipDetector(BaseDetector, ABC):
    """Base of detectors that compare images with words.

    Attributes
    ----------
    texts_ : ndarray, (2, D) float32
        Mean embedding of the words for good and for defective parts.
    model_facts_ : dict
        Which model, weights, sizes and device; JSON-friendly. It holds ``warning`` when the weights are random.
    """

    backbone: str
    class_name: str
    input_size: Optional[Union[int, Sequence[int]]]
    temperature: float
    weights: str
    device: str
    texts_: np.ndarray
    model_facts_: dict[str, Any]
    _clip: Optional[ClipModel] = None

    def validate(self) -> None:
        """Check the parameters; neither torch nor open_clip is imported."""
        require(isinstance(self.backbone, str), "backbone", self.backbone, "openclip/<model>[:<pretrained tag>]")
        split_name(self.backbone)
        named = isinstance(self.class_name, str) and self.class_name.strip() != ""
        require(named, "class_name", self.class_name, 'what the images show, in words: "solar cell"')
        check_sides(self.input_size)
        real = isinstance(self.temperature, numbers.Real) and math.isfinite(self.temperature) and self.temperature > 0
        require(real, "temperature", self.temperature, "above 0")
        require(isinstance(self.weights, str), "weights", self.weights, '"default", a tag, a file, or "random"')
        check_device(self.device)
        whole = isinstance(self.batch_size, int) and not isinstance(self.batch_size, bool) and self.batch_size >= 1
        require(whole, "batch_size", self.batch_size, "a whole number, at least 1")

    @abstractmethod
    def _check_model(self, clip: ClipModel) -> None:
        """Raise ParameterError when the model is of a kind that this detector cannot use."""

    @abstractmethod
    def _score_one(self, x: Tensor, *, maps: bool) -> tuple[float, Optional[np.ndarray]]:
        """Return the score and, when ``maps``, the map (H, W) of one normalised image (1, 3, H, W)."""

    def _make_model(self, device: str) -> ClipModel:
        from pyimgano.openclip.clip_model import ClipModel

        clip = ClipModel(self.backbone, self.weights, check_sides(self.input_size), device)
        self._check_model(clip)
        self._clip = clip
        self.model_facts_ = clip.facts
        return clip

    @property
    def clip(self) -> ClipModel:
        """The CLIP model; made when first needed, and anew by every ``fit``."""
        return self._make_model(self.device) if self._clip is None else self._clip

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Resample one RGB uint8 (H, W, 3) image to the size that the model sees, as OpenCLIP does."""
        return self.clip.prepare(image)

    def _learn_words(self) -> None:
        """Make the model and embed the words; the first thing that ``_fit`` does."""
        from pyimgano.openclip.prompts import prompt_ensemble

        clip = self._make_model(self.device)
        self.texts_ = np.stack([clip.mean_text_embedding(prompts) for prompts in prompt_ensemble(self.class_name)])

    def _texts(self) -> Tensor:
        import torch

        return torch.from_numpy(self.texts_).to(self.clip.device)

    def _infer_batch(self, batch: list[np.ndarray], *, maps: bool) -> tuple[np.ndarray, Optional[np.ndarray]]:
        clip = self.clip

        def one(image: np.ndarray) -> tuple[float, Optional[np.ndarray]]:
            return self._score_one(clip.normalised(image), maps=maps)

        found = clip.threads.map(one, batch)
        grids = [grid for _, grid in found if grid is not None]
        return np.asarray([score for score, _ in found]), np.stack(grids) if maps else None

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {"texts": self.texts_}, {"model": self.model_facts_}

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        saved = facts["model"]
        clip = self._make_model(self._device_here())
        if clip.facts["weights_sha256"] != saved["weights_sha256"]:
            raise CheckpointError(
                f"it was fitted with other weights of {self.backbone}: their sha256 was {saved['weights_sha256']}, "
                f"that of {clip.facts['weights']} is {clip.facts['weights_sha256']}",
                hint="give the weights of the fit, or fit again",
            )
        self.texts_ = arrays["texts"]

    def _device_here(self) -> str:
        from pyimgano.openclip.preparation import resolve_device

        try:
            return resolve_device(self.device)
        except ParameterError:
            logger.warning("fitted for device %r, which is not here: using the CPU", self.device)
            return "cpu"
