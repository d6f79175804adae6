"""Image towers of OpenCLIP as a feature extractor of their own, and as backbones of every model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, ClassVar, Optional, Union

import numpy as np

from pyimgano.core.backbones import BackboneLibrary
from pyimgano.core.errors import ParameterError
from pyimgano.core.names import unknown_name_hint
from pyimgano.core.resizing import check_prepared
from pyimgano.openclip.backbones import OpenClipLibrary
from pyimgano.openclip.image_threads import ImageThreads
from pyimgano.openclip.names import LIBRARY, split_name
from pyimgano.openclip.preparation import check_sides, resize_image, resolve_device
from pyimgano.openclip.pretrained import RANDOM_WARNING

__all__ = ["OpenClipExtractor"]

logger = logging.getLogger(__name__)


class OpenClipExtractor:
    """A :class:`~pyimgano.core.contracts.FeatureExtractor`: the component ``features/openclip``.

    As a backbone, ``openclip/<model>[:<tag>]``, the same towers run in every model that takes backbones by name, under
    any runtime; that is what :attr:`library` is for. This class needs no other package than core.

    Parameters
    ----------
    model : str
        ``<model>[:<pretrained tag>]``, as OpenCLIP calls them.
    layers : sequence of str, optional
        See :class:`~pyimgano.openclip.backbones.OpenClipLibrary`.
    input_size : int or (int, int)
        Side, or (height, width), of the images; of a transformer, multiples of the side of its patches.
    weights : str
        ``"default"``, a tag, a file, ``"random"`` or ``"random:<seed>"``.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:<n>"``.
    threads : int, optional
        Images computed at the same time on the CPU; changes no result.

    Attributes
    ----------
    facts : dict
        JSON-friendly: ``backbone``, ``layers``, ``input_size``, ``runtime``, ``device``, ``weights``,
        ``weights_sha256``, ``random`` and, when random, ``warning``.

    Raises
    ------
    UnknownNameError, ParameterError, WeightsError, MissingDependencyError
        When there is no such model, layer or size, or the weights are not here.
    """

    library: ClassVar[BackboneLibrary] = OpenClipLibrary()

    def __init__(
        self,
        model: str,
        layers: Optional[Sequence[str]] = None,
        input_size: Union[int, Sequence[int]] = 224,
        weights: str = "default",
        device: str = "auto",
        threads: Optional[int] = None,
    ) -> None:
        name = f"{LIBRARY}/{model}"
        split_name(name)
        self.backbone = self.library.describe(model)
        self.layers = _select([layer.name for layer in self.backbone.layers], self.backbone.default, layers, name)
        size = check_sides(input_size) or (224, 224)
        multiple = self.backbone.side_multiple
        if size[0] % multiple or size[1] % multiple:
            allowed = f"multiples of {multiple}, the side of its patches"
            raise ParameterError(f"input_size = {input_size!r}", where=name, allowed=allowed)
        self.input_size = size
        self._threads = ImageThreads(resolve_device(device), threads)
        self._make(weights)

    def _make(self, weights: str) -> None:
        import torch

        from pyimgano.openclip.networks import fingerprint

        found = self.library.find_weights(self.backbone, weights)
        with torch.random.fork_rng(devices=[]):  # random weights are drawn from it
            torch.manual_seed(found.seed or 0)
            network = self.library.build(self.backbone, self.layers, found, self.input_size)
        self._network = network.eval().requires_grad_(False).to(self._threads.device)
        self._mean = torch.tensor(self.backbone.mean, device=self._threads.device).view(1, 3, 1, 1)
        self._scale = 1.0 / torch.tensor(self.backbone.std, device=self._threads.device).view(1, 3, 1, 1)
        self.weights_sha256 = found.sha256 or fingerprint(network)
        self.facts: dict[str, Any] = {
            "backbone": self.backbone.name,
            "layers": list(self.layers),
            "input_size": list(self.input_size),
            "runtime": "torch",
            "device": self._threads.device,
            "weights": found.name,
            "weights_sha256": self.weights_sha256,
            "random": found.path is None,
        }
        if found.path is None:
            self.facts["warning"] = RANDOM_WARNING
            logger.warning("%s", RANDOM_WARNING)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Resize one RGB uint8 (H, W, 3) image to ``input_size``; one that has it is returned as it is."""
        return resize_image(image, self.input_size)

    def extract(self, batch: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Return layer → (N, C, h, w) float32 of prepared images; a row does not depend on the rest of the batch.

        Raises
        ------
        ImageError
            When an image is not prepared, or the batch is empty.
        """
        check_prepared(batch, self.input_size)
        per_image = self._threads.map(self._one, batch)
        return {layer: np.concatenate(maps) for layer, maps in zip(self.layers, zip(*per_image))}

    def _one(self, image: np.ndarray) -> list[np.ndarray]:
        import torch

        pixels = torch.from_numpy(np.ascontiguousarray(image[None])).to(self._threads.device)
        x = (pixels.permute(0, 3, 1, 2).to(torch.float32) - self._mean) * self._scale
        return [output.contiguous().cpu().numpy() for output in self._network(x)]


def _select(
    known: Sequence[str], default: tuple[str, ...], layers: Optional[Sequence[str]], name: str
) -> tuple[str, ...]:
    if layers is None and not default:
        raise ParameterError(f"{name} has no default layers: name them", where="layers", allowed=known)
    chosen = default if layers is None else (layers,) if isinstance(layers, str) else tuple(layers)
    unknown = [layer for layer in chosen if layer not in known]
    if unknown or not chosen or len(set(chosen)) != len(chosen):
        raise ParameterError(
            f"layers = {list(chosen)!r} of {name}",
            where="layers",
            allowed=known,
            hint=unknown_name_hint(str(unknown[0]), known) if unknown else None,
        )
    return tuple(layer for layer in known if layer in chosen)
