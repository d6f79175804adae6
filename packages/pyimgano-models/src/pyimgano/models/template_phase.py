"""Phase correlation, block by block, with the best of several templates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Optional, Union

import numpy as np

from pyimgano.core.parameters import require
from pyimgano.models.anomaly_map import render_maps
from pyimgano.models.backbone_detector import is_real, is_whole
from pyimgano.models.parallel import one_blas_thread
from pyimgano.models.resizing import check_size
from pyimgano.models.template_detector import TemplateDetector

__all__ = ["BlockSpectra", "TemplatePhase", "peak_response"]


class BlockSpectra(NamedTuple):
    """The spectra of an image's overlapping blocks.

    Attributes
    ----------
    values : ndarray, (rows, columns, C, F) complex128
        Coefficients in the band, zero frequency left out.
    power : ndarray, (rows, columns, F) float64
        Their squared magnitudes, summed over the channels.
    """

    values: np.ndarray
    power: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, block: int, band: float) -> BlockSpectra:
        """Transform (h, w, C) values in blocks of ``block`` pixels, half a block apart.

        A block's mean is taken away and a Hann window applied, or its edges would correlate with each other. Beyond
        the border the image is mirrored; the block (i, j) is centred at ``(i + 0.5, j + 0.5) block / 2``.
        """
        from scipy import fft

        step = block // 2
        rows, columns = (-(-side // step) for side in values.shape[:2])
        before = (block - step) // 2
        after = [(number - 1) * step + block - before - side for number, side in zip((rows, columns), values.shape)]
        padded = np.pad(values, ((before, after[0]), (before, after[1]), (0, 0)), mode="symmetric").astype(np.float64)
        views: Any = np.lib.stride_tricks.sliding_window_view  # numpy's types lack a tuple of axes
        blocks = views(padded, (block, block), axis=(0, 1))[::step, ::step]
        window = _window(block)
        means = (blocks * window).sum(axis=(-2, -1), keepdims=True) / window.sum()
        spectra = fft.rfft2((blocks - means) * window)
        vertical, horizontal, _ = _frequencies(block, band)
        inside = spectra[..., vertical, horizontal]
        return cls(inside, (inside.real**2 + inside.imag**2).sum(axis=2))


def peak_response(
    x: BlockSpectra, y: BlockSpectra, *, block: int, band: float, shift: int, epsilon: float
) -> np.ndarray:
    """Return, of every block, how high the phase correlation rises within a displacement of ``shift`` pixels.

    With the spectra X and Y of the two blocks and their normalised cross spectrum
    ``R(f) = (X(f) Y*(f) + ε) / √((|X(f)|² + ε)(|Y(f)|² + ε))``, it is ``max over |d| ≤ shift of mean over f of
    Re[R(f) exp(2πi f·d)]``: 1 where one block is the other, near 0 where they have nothing in common, or lie further
    apart. ε, the power of white noise of the variance ``epsilon``, lets a frequency that neither has count as equal;
    with ε = 0 its phase, which is noise, would count as much as any other (and R is the phase correlation).

    Returns
    -------
    ndarray, (rows, columns) float64
        In [-1, 1].
    """
    _, _, weights = _frequencies(block, band)
    cosines, sines = _waves(block, band, shift)
    floor = epsilon * float((_window(block) ** 2).sum())
    cross = (x.values * y.values.conj()).sum(axis=2) + floor
    cross *= weights / weights.sum() / np.sqrt((x.power + floor) * (y.power + floor))
    with one_blas_thread():  # with more, the last bits may be others
        responses = cross.real @ cosines - cross.imag @ sines
    best: np.ndarray = responses.max(axis=-1)
    return np.clip(best, -1.0, 1.0)


@lru_cache(maxsize=8)
def _window(block: int) -> np.ndarray:
    wave = 0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(block) + 0.5) / block)
    return np.outer(wave, wave)


@lru_cache(maxsize=8)
def _frequencies(block: int, band: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the vertical and horizontal frequencies of the band in cycles a block, and how often each one counts.

    The spectrum of real values is symmetric: only half of it is computed, and counts twice but for the column 0.
    """
    highest = max(1, min(int(band * block / 2), block // 2 - 1))
    vertical, horizontal = (part.ravel() for part in np.mgrid[-highest : highest + 1, 0 : highest + 1])
    keep = (vertical != 0) | (horizontal != 0)
    vertical, horizontal = vertical[keep], horizontal[keep]
    return vertical, horizontal, np.where(horizontal == 0, 1.0, 2.0)


@lru_cache(maxsize=8)
def _waves(block: int, band: float, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the real and imaginary parts of exp(2πi f·d) for each frequency and displacement: (F, D) each."""
    vertical, horizontal, _ = _frequencies(block, band)
    down, right = (part.ravel() for part in np.mgrid[-shift : shift + 1, -shift : shift + 1])
    angles = 2.0 * np.pi / block * (np.outer(vertical, down) + np.outer(horizontal, right))
    return np.cos(angles), np.sin(angles)


class TemplatePhase(TemplateDetector):
    """One minus the peak of the phase correlation with the best of several templates, block by block.

    Every image is cut into blocks that overlap by half. ``grid(i, j) = 1 - max_t peak(x, t)(i, j)``, in [0, 2], with
    :func:`peak_response`: the phase correlation (Kuglin & Hines, *The phase correlation image alignment method*,
    ICCS 1975) of the block with the same block of a template, limited to low frequencies (Ito et al., *A fingerprint
    matching algorithm using phase-only correlation*, IEICE Trans. 2004), read off within a displacement of ``shift``
    pixels only. So a block scores high when it shows something else, and when it shows the right thing at another
    place: a part that is displaced, turned or missing. The difference is the grid, interpolated between the blocks'
    centres.

    All frequencies count alike, whatever their power, so brightness, contrast, shading and blur hardly matter, and fine
    structure matters as much as coarse. Small defects change few pixels of a block, and few of its phases.

    The defaults were chosen on good ELPV mono cells of the training part into half of which cracks and stains were
    painted (image AUROC, mean over two splits): 0.936; without ``standardize`` 0.932, and then with 8 templates 0.902
    (blocks of 16 pixels 0.866; band 0.25 or 1: 0.898, 0.662; epsilon 0.001 or 0.1: 0.868, 0.835).

    Parameters
    ----------
    input_size, color, normalize, map_sigma, top_fraction, batch_size
        See :class:`~pyimgano.models.pixel_detector.PixelDetector`.
    blur_sigma : float
        Standard deviation of a Gaussian blur of the images. A blur hardly changes a phase; ``band`` is what limits
        fine detail.
    block : int
        Side of the blocks in pixels of ``input_size``: even, at least 8. The map is as fine as half of it.
    band : float
        Part of the frequencies that counts, from the lowest, in (0, 1].
    shift : int
        Displacement in pixels that is forgiven, in both directions: less than a quarter of ``block``.
    epsilon : float
        Variance of the white noise below whose power a frequency counts as absent: in units of the squared standard
        deviation of a whole image when ``normalize``, else of squared grey levels / 255².
    n_templates, standardize, max_images, seed
        See :class:`~pyimgano.models.template_detector.TemplateDetector`.

    Attributes
    ----------
    templates_, template_places_, map_mean_, map_scale_
        See :class:`~pyimgano.models.template_detector.TemplateDetector`.
    """

    def __init__(
        self,
        input_size: Union[int, Sequence[int]] = 128,
        color: str = "grey",
        normalize: bool = True,
        blur_sigma: float = 0.0,
        block: int = 32,
        band: float = 0.5,
        shift: int = 1,
        epsilon: float = 0.01,
        n_templates: int = 16,
        map_sigma: float = 0.0,
        top_fraction: float = 0.0,
        standardize: bool = True,
        max_images: int = 1000,
        seed: int = 0,
        batch_size: int = 8,
    ) -> None:
        self.input_size = input_size
        self.color = color
        self.normalize = normalize
        self.blur_sigma = blur_sigma
        self.block = block
        self.band = band
        self.shift = shift
        self.epsilon = epsilon
        self.n_templates = n_templates
        self.map_sigma = map_sigma
        self.top_fraction = top_fraction
        self.standardize = standardize
        self.max_images = max_images
        self.seed = seed
        self.batch_size = batch_size

    def validate(self) -> None:
        """Raise :class:`~pyimgano.core.errors.ParameterError` when a parameter is out of range."""
        super().validate()
        side = min(check_size(self.input_size, minimum=8))
        even = is_whole(self.block, 8) and self.block % 2 == 0 and self.block <= side
        require(even, "block", self.block, f"an even number of pixels, at least 8 and at most input_size ({side})")
        require(is_real(self.band) and 0.0 < self.band <= 1.0, "band", self.band, "a fraction in (0, 1]")
        near = is_whole(self.shift, 0) and 4 * self.shift < self.block
        require(near, "shift", self.shift, f"a whole number of pixels below a quarter of block ({self.block})")
        require(is_real(self.epsilon) and self.epsilon > 0.0, "epsilon", self.epsilon, "above 0")

    def _describe(self, values: np.ndarray) -> BlockSpectra:
        return BlockSpectra.of(values, self.block, self.band)

    def _likeness(self, image: BlockSpectra, template: BlockSpectra) -> np.ndarray:
        return peak_response(image, template, block=self.block, band=self.band, shift=self.shift, epsilon=self.epsilon)

    def _compare(self, image: np.ndarray, *, without: Optional[int] = None) -> np.ndarray:
        grid = super()._compare(image, without=without)
        step = self.block // 2
        # The last blocks reach beyond the border: so does the map of whole steps, and is cut.
        whole = (grid.shape[0] * step, grid.shape[1] * step)
        height, width = check_size(self.input_size, minimum=8)
        return render_maps(grid[None], whole, sigma=0.0)[0, :height, :width]
