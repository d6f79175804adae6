"""Patch statistics: what small squares of an image look like, square by square or summed up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pyimgano.core.parameters import require
from pyimgano.models.descriptors.descriptor import Descriptor, check_side

__all__ = ["PatchStatistics"]


@dataclass(frozen=True)
class PatchStatistics(Descriptor):
    """The lowest coefficients of the cosine transform of overlapping patches, and their moments over the image.

    :meth:`describe_patches` gives a vector for every patch, so that a detector can be fitted on patches and make maps;
    :meth:`describe` the mean, the standard deviation, the smallest and the largest value of each over all patches.

    Parameters
    ----------
    size : int
        Side of a patch in pixels.
    stride : int
        Pixels between patches.
    frequencies : int
        Coefficients taken along each side: ``frequencies**2`` of each channel.
    colour : bool
        Whether the three channels are described (in YCrCb), or luma alone.
    """

    size: int = 16
    stride: int = 8
    frequencies: int = 4
    colour: bool = True

    name = "patches"

    def __post_init__(self) -> None:
        require(4 <= self.size <= 128, "size", self.size, "4 to 128 pixels", where="features 'patches'")
        require(1 <= self.stride <= 128, "stride", self.stride, "1 to 128 pixels", where="features 'patches'")
        most = self.size
        require(
            1 <= self.frequencies <= most, "frequencies", self.frequencies, f"1 to {most}", where="features 'patches'"
        )

    @property
    def patch_dimension(self) -> int:
        """Number of features of a patch."""
        return (3 if self.colour else 1) * self.frequencies**2

    @property
    def dimension(self) -> int:
        """Number of features."""
        return 4 * self.patch_dimension

    def describe(self, image: np.ndarray) -> np.ndarray:
        """Return the features of one image; see :meth:`Descriptor.describe`."""
        patches = self.describe_patches(image).reshape(-1, self.patch_dimension).astype(np.float64)
        moments = [patches.mean(axis=0), patches.std(axis=0), patches.min(axis=0), patches.max(axis=0)]
        return np.concatenate(moments).astype(np.float32)

    def describe_patches(self, image: np.ndarray) -> np.ndarray:
        """Return the features of every patch.

        Parameters
        ----------
        image : ndarray, (H, W, 3) uint8
            Its sides are at least ``size``.

        Returns
        -------
        ndarray, (h, w, patch_dimension) float32
            ``h`` is ``H / stride`` where that is whole. The border is mirrored, so that the patches' centres are spread
            evenly over the whole image, as maps take them to be.
        """
        import cv2

        check_side(image, self.size, self.name)
        basis = _cosines(self.size, self.frequencies)
        margin = max(0, self.size - self.stride)
        before, after = margin // 2, margin - margin // 2
        padded = cv2.copyMakeBorder(image, before, after, before, after, cv2.BORDER_REFLECT_101)
        planes = cv2.cvtColor(padded, cv2.COLOR_RGB2YCrCb)
        planes = planes if self.colour else planes[..., :1]
        values = np.ascontiguousarray(planes.transpose(2, 0, 1), dtype=np.float32) / 255.0
        height = (padded.shape[0] - self.size) // self.stride + 1
        width = (padded.shape[1] - self.size) // self.stride + 1
        # Separable: rows of every patch first, at all columns, then the columns of every patch.
        tall = np.lib.stride_tricks.sliding_window_view(values, self.size, axis=1)[:, :: self.stride][:, :height]
        rows = np.einsum("chxs,fs->chfx", tall, basis, optimize=True)
        wide = np.lib.stride_tricks.sliding_window_view(rows, self.size, axis=3)[:, :, :, :: self.stride][
            :, :, :, :width
        ]
        both = np.einsum("chfws,gs->hwcfg", wide, basis, optimize=True)
        return np.ascontiguousarray(both.reshape(height, width, -1), dtype=np.float32)


@lru_cache(maxsize=16)
def _cosines(size: int, frequencies: int) -> np.ndarray:
    """Return the first rows of the orthonormal cosine transform: (frequencies, size) float32."""
    k, n = np.arange(frequencies)[:, None], np.arange(size)[None]
    rows = np.sqrt(2.0 / size) * np.cos(np.pi * (2 * n + 1) * k / (2 * size))
    rows[0] /= np.sqrt(2.0)
    return rows.astype(np.float32)
