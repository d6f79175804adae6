"""One CLIP model with its weights, as a detector uses it: images in, words in."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor

from pyimgano.core.errors import ParameterError
from pyimgano.openclip.backbones import pixel_scale
from pyimgano.openclip.image_threads import ImageThreads
from pyimgano.openclip.names import load_open_clip, model_config, root_logger_silenced, split_name
from pyimgano.openclip.networks import create_clip, fingerprint
from pyimgano.openclip.preparation import resize_image, resolve_device
from pyimgano.openclip.pretrained import RANDOM_WARNING, find_pretrained, find_weights

__all__ = ["ClipModel"]

logger = logging.getLogger(__name__)

PROMPTS_AT_ONCE = 21


class ClipModel:
    """A CLIP model on a device.

    Parameters
    ----------
    name : str
        ``openclip/<model>[:<pretrained tag>]``.
    weights : str
        ``"default"``, a tag, a file, ``"random"`` or ``"random:<seed>"``.
    size : (int, int) or None
        (height, width) of the images that it sees; None: its own.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:<n>"``.

    Attributes
    ----------
    model : Module
        OpenCLIP's model, in eval mode.
    size : (int, int)
    threads : ImageThreads
        Computes images beside each other.
    facts : dict
        JSON-friendly: ``backbone``, ``weights``, ``weights_sha256``, ``input_size``, ``device``, ``random``, and
        ``warning`` when random.

    Raises
    ------
    UnknownNameError, ParameterError, WeightsError, MissingDependencyError
        When there is no such model, its words cannot be read offline, or the weights are not here.
    """

    def __init__(self, name: str, weights: str, size: Optional[tuple[int, int]], device: str) -> None:
        architecture, tag = split_name(name)
        self.name = name
        text = model_config(architecture)["text_cfg"]
        if text.get("hf_tokenizer_name") or "siglip" in architecture.lower():
            raise ParameterError(
                f"the words of {architecture!r} are cut by a tokenizer of the hub, which OpenCLIP would download",
                where="backbone",
                allowed="a model with OpenCLIP's own tokenizer, such as openclip/ViT-B-16-plus-240",
            )
        pretrained = find_pretrained(architecture, tag, weights)
        found = find_weights(pretrained, weights)
        place = resolve_device(device)
        with torch.random.fork_rng(devices=[]):  # random weights are drawn from it
            torch.manual_seed(found.seed or 0)
            self.model = create_clip(pretrained, found, size)
        own = self.model.visual.image_size
        self.size = size or ((own, own) if isinstance(own, int) else (int(own[0]), int(own[1])))
        self._check_size()
        self._interpolation = str(pretrained.config.get("interpolation") or "bicubic")
        with root_logger_silenced():
            self._tokenizer = load_open_clip().get_tokenizer(architecture)
        sha256 = found.sha256 or fingerprint(self.model)
        self.model.to(place)
        self.device = place
        self.threads = ImageThreads(place)
        mean, std = pixel_scale(pretrained)
        self._mean = torch.tensor(mean, device=place).view(1, 3, 1, 1)
        self._std = torch.tensor(std, device=place).view(1, 3, 1, 1)
        self.facts: dict[str, Any] = {
            "backbone": name,
            "weights": found.name,
            "weights_sha256": sha256,
            "input_size": list(self.size),
            "device": place,
            "random": found.path is None,
        }
        if found.path is None:
            self.facts["warning"] = RANDOM_WARNING
            logger.warning("%s", RANDOM_WARNING)

    def _check_size(self) -> None:
        patch = getattr(self.model.visual, "patch_size", None)
        if patch is not None and (self.size[0] % patch[0] or self.size[1] % patch[1]):
            raise ParameterError(
                f"input_size = {list(self.size)}",
                where=self.name,
                allowed=f"multiples of {patch[0]}, the side of its patches",
            )

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Resample one RGB uint8 (H, W, 3) image to the size that the model sees; one that has it stays as it is."""
        return resize_image(image, self.size, self._interpolation)

    def normalised(self, image: np.ndarray) -> Tensor:
        """Return a prepared image as the model takes it, (1, 3, H, W) float32, on the device."""
        pixels = torch.from_numpy(np.ascontiguousarray(image[None])).to(self.device)
        return (pixels.permute(0, 3, 1, 2).to(torch.float32) - self._mean) / self._std

    def mean_text_embedding(self, prompts: Sequence[str]) -> np.ndarray:
        """Return the mean of the embeddings of some sentences, (D,) float32, each as the model gives it.

        Raises
        ------
        ParameterError
            When a sentence is too long for the model.
        """
        tokens = self._tokenizer(list(prompts))
        if bool((tokens[:, -1] != 0).any()):  # what is too long is cut without a word
            raise ParameterError(
                f"the words {max(prompts, key=len)!r} are too long for the model",
                where="class_name",
                allowed=f"at most {tokens.shape[1]} tokens in all",
            )
        # In parts of one size, whatever the number of threads: the same words give the same bits.
        parts = self.threads.map(
            lambda part: self.model.encode_text(part.to(self.device)), tokens.split(PROMPTS_AT_ONCE)
        )
        mean: np.ndarray = torch.cat(parts).mean(dim=0).cpu().numpy()
        return mean
