"""AnomalyDINO: nearest neighbours among the patch tokens of a few good images, by cosine distance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from pyimgano.core.parameters import require
from pyimgano.models.anomaly_map import render_maps
from pyimgano.models.backbone_detector import is_real
from pyimgano.models.backbones import resolve_backbone
from pyimgano.models.exported_backbone import ExportedBackbone
from pyimgano.models.foreground import captures_object, foreground_mask
from pyimgano.models.neighbors import Neighbors
from pyimgano.models.patches import locally_aware_patches, unit_vectors

if TYPE_CHECKING:
    from torch import nn

    from pyimgano.core.batching import ImageBatches

__all__ = ["AnomalyDino"]

SWITCH = ("auto", "on", "off")
FEW_SHOTS = 16
"""The greatest number of good images that the paper calls few."""
ANGLES = (0, 45, 90, 135, 180, 225, 270, 315)
WORST_SHARE = 0.01


class AnomalyDino(ExportedBackbone):
    """AnomalyDINO (Damm et al., WACV 2025, arXiv 2405.14529).

    The patch tokens of the good images, normalised to length 1, are the memory bank; all are kept. A patch's score is
    its cosine distance to the nearest one, an image's the mean over the worst 1 % of its patches. Patches of the
    background, where it can be told from the object, score 0.

    Parameters
    ----------
    backbone : str
        See :func:`pyimgano.models.features.create_extractor`. Any will do; the paper's is the default, DINOv2.
    layers : sequence of str, optional
        Default: ``"norm"``, a transformer's last block after its final norm, as in the paper; of another network the
        last layer of stride 16. Several are joined on the grid of the finest.
    input_size : int or (int, int)
        Side, or (height, width), of the images that the backbone sees, and of the maps; of a transformer, multiples of
        the side of its patches.
    augment_rotations : {"auto", "on", "off"}
        Whether the bank takes every good image turned by multiples of 45° too. ``"auto"``: when there are at most 16,
        as in the paper's few-shot setting; it multiplies the bank by eight.
    masking : {"auto", "on", "off"}
        Whether patches outside the object are left out when an image is scored. ``"auto"``: when the mask of the first
        good image looks like an object (see :func:`~pyimgano.models.foreground.captures_object`).
    mask_threshold : float
        See :func:`~pyimgano.models.foreground.foreground_mask`; another backbone needs another.
    map_sigma : float
        Standard deviation, in pixels of the map, of the Gaussian that smooths it; 0 leaves it out.
    runtime, weights, device : str
        See :func:`pyimgano.models.features.create_extractor`.
    batch_size : int
        Images per forward pass; changes no score.

    Attributes
    ----------
    memory_bank_ : ndarray, (M, D) float32
        Rows of length 1.
    masks_images_ : bool
        What ``masking`` came to.
    extractor_facts_ : dict
        See :class:`~pyimgano.models.backbone_detector.BackboneDetector`.

    Notes
    -----
    The bank takes ``4 h w D`` bytes an image and as much again for the search; with the defaults 1.5 MB twice, times
    eight with rotations.

    Differences to the authors' code: images are scaled to ``input_size``, not by their shorter side (give a height and
    a width in the images' proportion), and turned after that. Whether masks are good is decided by rule, where the
    authors look at the first image. Positions are resampled to the size of the images by timm, with antialiasing, which
    DINOv2's own code leaves out. An image in which no patch belongs to the object is scored as a whole: a mask that
    failed must not pass it as good.
    """

    memory_bank_: np.ndarray
    masks_images_: bool

    def __init__(
        self,
        backbone: str = "timm/vit_small_patch14_dinov2.lvd142m",
        layers: Optional[Sequence[str]] = None,
        *,
        input_size: Union[int, Sequence[int]] = 448,
        augment_rotations: str = "auto",
        masking: str = "auto",
        mask_threshold: float = 10.0,
        map_sigma: float = 4.0,
        runtime: str = "auto",
        weights: str = "default",
        device: str = "auto",
        batch_size: int = 8,
    ) -> None:
        self.backbone = backbone
        self.layers = layers
        self.input_size = input_size
        self.augment_rotations = augment_rotations
        self.masking = masking
        self.mask_threshold = mask_threshold
        self.map_sigma = map_sigma
        self.runtime = runtime
        self.weights = weights
        self.device = device
        self.batch_size = batch_size

    def validate(self) -> None:
        """Check the parameters; imports no deep learning library unless the backbone is a library's."""
        super().validate()
        turn, mask = self.augment_rotations, self.masking
        require(turn in SWITCH, "augment_rotations", turn, ", ".join(SWITCH))
        require(mask in SWITCH, "masking", mask, ", ".join(SWITCH))
        require(is_real(self.mask_threshold), "mask_threshold", self.mask_threshold, "a number")
        require(is_real(self.map_sigma) and self.map_sigma >= 0.0, "map_sigma", self.map_sigma, "at least 0")

    def _default_layers(self) -> Optional[tuple[str, ...]]:
        layers = resolve_backbone(self.backbone).layers
        if layers[-1].name == "norm":
            return ("norm",)
        last = {layer.stride: layer.name for layer in layers}
        return (last[16],) if 16 in last else None

    def _fit(self, images: ImageBatches) -> None:
        self._make_extractor()
        turned = self.augment_rotations == "on" or (self.augment_rotations == "auto" and len(images) <= FEW_SHOTS)
        masked: Optional[bool] = {"on": True, "off": False}.get(self.masking)
        bank, filled = np.empty((0, 0), dtype=np.float32), 0
        for batch in images:
            views = [_rotate(image, angle) for image in batch for angle in (ANGLES if turned else ANGLES[:1])]
            patches = self._patches(views)
            if masked is None:
                masked = captures_object(foreground_mask(patches[0], self.mask_threshold))
            rows = unit_vectors(patches.reshape(-1, patches.shape[-1]))
            if filled == 0:
                bank = np.empty((len(images) * len(rows) // len(batch), rows.shape[1]), dtype=np.float32)
            bank[filled : filled + len(rows)] = rows
            filled += len(rows)
        self.masks_images_ = bool(masked)
        self._set_bank(bank)

    def _patches(self, batch: list[np.ndarray]) -> np.ndarray:
        return locally_aware_patches(self.extractor.extract(batch), patch_size=1)

    def _set_bank(self, bank: np.ndarray) -> None:
        self.memory_bank_ = bank
        self._neighbors = Neighbors(bank)

    def _infer_batch(self, batch: list[np.ndarray], *, maps: bool) -> tuple[np.ndarray, Optional[np.ndarray]]:
        patches = self._patches(batch)
        count, height, width, dimension = patches.shape
        distances, _ = self._neighbors.query(unit_vectors(patches.reshape(-1, dimension)))
        # Of vectors of length 1, half the squared Euclidean distance is the cosine distance.
        grids = (distances**2 / 2.0).reshape(count, height, width)
        if self.masks_images_:
            for grid, features in zip(grids, patches):
                mask = foreground_mask(features, self.mask_threshold)
                if mask.any():
                    grid[~mask] = 0.0
        worst = _worst_count(height, width)
        scores = np.sort(grids.reshape(count, -1), axis=1)[:, -worst:].mean(axis=1)
        return scores, render_maps(grids, self.extractor.input_size, sigma=self.map_sigma) if maps else None

    def _graph_head(self) -> nn.Module:
        from pyimgano.models.graphs.anomaly_dino import AnomalyDinoGraph
        from pyimgano.models.graphs.foreground import ForegroundMask
        from pyimgano.models.graphs.maps import RenderedMap

        grid = self._graph_grid()
        return AnomalyDinoGraph(
            self.memory_bank_,
            worst=_worst_count(*grid),
            mask=ForegroundMask(float(self.mask_threshold)) if self.masks_images_ else None,
            renderer=RenderedMap(grid, self.extractor.input_size, sigma=self.map_sigma),
        )

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        facts = {"extractor": self.extractor_facts_, "masks_images": self.masks_images_}
        return {"memory_bank": self.memory_bank_}, facts

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        self._restore_extractor(facts["extractor"])
        self.masks_images_ = bool(facts["masks_images"])
        self._set_bank(arrays["memory_bank"])


def _worst_count(height: int, width: int) -> int:
    return max(1, int(height * width * WORST_SHARE))


def _rotate(image: np.ndarray, angle: float) -> np.ndarray:
    """Return an image turned about its middle; what comes in at the corners is mirrored, as in the authors' code."""
    import cv2

    if angle == 0:
        return image
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2.0, height / 2.0), angle, 1.0)
    turned: np.ndarray = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return turned
