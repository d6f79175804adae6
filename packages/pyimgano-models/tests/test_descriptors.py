"""Descriptors against scikit-image and formulas, on real photographs. About 5 s."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import feature

from pyimgano.core.contracts import ImageDescriber
from pyimgano.core.creation import create_component
from pyimgano.core.errors import ImageError, ParameterError
from pyimgano.models.descriptors.colour import Colour
from pyimgano.models.descriptors.descriptor import grey_levels
from pyimgano.models.descriptors.edges import Edges
from pyimgano.models.descriptors.gabor import GaborBank, gabor_kernel
from pyimgano.models.descriptors.glcm import co_occurrence, texture_measures
from pyimgano.models.descriptors.hog import OrientedGradients
from pyimgano.models.descriptors.lbp import LocalBinaryPatterns, uniform_patterns
from pyimgano.models.descriptors.patch_statistics import PatchStatistics
from pyimgano.models.descriptors.pixels import Pixels
from pyimgano.models.descriptors.spectrum import Spectrum

NAMES = ("colour", "edges", "gabor", "glcm", "hog", "lbp", "patches", "pixels", "spectrum")


@pytest.fixture(scope="module")
def images(photographs):
    return [photographs[name][40:168, 30:190] for name in ("astronaut", "brick", "gravel")]


@pytest.mark.parametrize("name", NAMES)
def test_a_descriptor_keeps_its_contract(name, images):
    descriptor = create_component("features", name)
    assert isinstance(descriptor, ImageDescriber)
    before = [image.copy() for image in images]

    rows = descriptor.describe_batch(images)

    assert rows.dtype == np.float32
    assert rows.shape == (3, descriptor.dimension)
    assert np.isfinite(rows).all()
    assert descriptor.describe(images[1]).tobytes() == rows[1].tobytes(), "a row depends on the batch"
    assert all((a == b).all() for a, b in zip(images, before)), "the image was changed"
    assert descriptor.facts["name"] == name
    assert len({row.tobytes() for row in rows}) == 3, "three photographs are described alike"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("level", [0, 128, 255])
def test_images_of_one_colour_have_finite_features(name, level):
    image = np.full((64, 96, 3), level, dtype=np.uint8)
    assert np.isfinite(create_component("features", name).describe(image)).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_number_of_features_is_the_same_for_every_size(name, photographs):
    descriptor = create_component("features", name)
    sizes = [descriptor.describe(photographs["coffee"][:h, :w]).shape for h, w in ((64, 64), (97, 131), (200, 80))]
    assert set(sizes) == {(descriptor.dimension,)}


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("colour", {"space": "cmyk"}, "rgb, hsv, lab, grey"),
        ("edges", {"low": 200}, "0 to high"),
        ("gabor", {"frequencies": [0.7]}, "cycles per pixel"),
        ("glcm", {"levels": 1}, "2 to 256"),
        ("hog", {"cells": 4, "block": 5}, "1 to 4"),
        ("lbp", {"radii": []}, "radii"),
        ("patches", {"size": 8, "frequencies": 9}, "1 to 8"),
        ("pixels", {"size": 1}, "2 to 256"),
        ("spectrum", {"transform": "wavelet"}, "fft, dct"),
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name(name, params, said):
    with pytest.raises(ParameterError) as refused:
        create_component("features", name, params)
    assert said in str(refused.value)


def test_an_image_that_is_too_small_is_refused():
    with pytest.raises(ImageError, match="too few for the features 'patches'"):
        PatchStatistics(size=32).describe(np.zeros((16, 64, 3), np.uint8))


# -- against scikit-image --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("points", "radius"), [(8, 1), (8, 2), (16, 3), (24, 5)])
def test_local_binary_patterns_are_those_of_scikit_image(points, radius, images):
    for image in images:
        grey = grey_levels(image)
        expected = feature.local_binary_pattern(grey, points, radius, method="uniform")[radius:-radius, radius:-radius]
        found = uniform_patterns(grey, points, radius)
        assert found.shape == expected.shape
        # Ties between a pixel and an interpolated neighbour are broken by rounding.
        assert (found == expected).mean() > 0.995


@pytest.mark.parametrize(("cells", "block"), [(8, 2), (16, 1), (4, 3)])
def test_oriented_gradients_are_those_of_scikit_image(cells, block, images):
    for image in images:
        grey = grey_levels(image)
        size = (grey.shape[0] // cells, grey.shape[1] // cells)
        cut = grey[: size[0] * cells, : size[1] * cells]
        expected = feature.hog(cut.astype(float), 9, size, (block, block), block_norm="L2-Hys")
        rgb = np.repeat(cut[..., None], 3, axis=2)
        np.testing.assert_allclose(OrientedGradients(cells, 9, block).describe(rgb), expected, atol=1e-5)


@pytest.mark.parametrize(("down", "right", "angle"), [(0, 3, 0.0), (-3, 0, np.pi / 2)])
def test_co_occurrence_and_its_measures_are_those_of_scikit_image(down, right, angle, images):
    grey = grey_levels(images[0]).astype(int) * 16 // 256
    expected = feature.graycomatrix(grey, [3], [angle], 16, symmetric=True, normed=True)
    matrix = co_occurrence(grey, 16, down, right)
    np.testing.assert_allclose(matrix, expected[..., 0, 0], atol=1e-12)
    names = ("contrast", "dissimilarity", "homogeneity", "ASM", "correlation")
    wanted = [feature.graycoprops(expected, name)[0, 0] for name in names]
    np.testing.assert_allclose(texture_measures(matrix)[:5], wanted, rtol=1e-9)
    filled = matrix[matrix > 0]
    assert texture_measures(matrix)[5] == pytest.approx(-(filled * np.log2(filled)).sum())


def test_co_occurrence_along_the_diagonal_counts_diagonal_neighbours():
    grey = np.array([[0, 1], [2, 3]])
    matrix = co_occurrence(grey, 4, -1, 1)  # from the lower left to the upper right
    assert matrix[2, 1] == matrix[1, 2] == 0.5
    assert matrix.sum() == 1.0


# -- against formulas ------------------------------------------------------------------------------------------------


def waves(frequency, angle, size=128):
    y, x = np.mgrid[:size, :size]
    grey = 127 + 100 * np.sin(2 * np.pi * frequency * (x * np.cos(angle) + y * np.sin(angle)))
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("frequency", [0.05, 0.1, 0.2, 0.4])
@pytest.mark.parametrize("index", [0, 2, 4])
def test_the_gabor_filter_of_a_waves_frequency_and_direction_responds_most(frequency, index):
    features = GaborBank().describe(waves(frequency, np.pi * index / 6)).reshape(4, 6, 2)
    strongest = np.unravel_index(features[..., 0].argmax(), (4, 6))
    assert strongest == ((0.05, 0.1, 0.2, 0.4).index(frequency), index)


def test_a_gabor_kernel_does_not_respond_to_brightness():
    np.testing.assert_allclose(gabor_kernel(0.2, 0.3, 1.0).sum(axis=(1, 2)), 0.0, atol=1e-6)


@pytest.mark.parametrize("transform", ["fft", "dct"])
def test_a_waves_power_lies_in_its_band(transform):
    bands = Spectrum(transform, bands=8, sectors=4).describe(waves(0.17, 0.0)).reshape(8, 4)
    assert np.unravel_index(bands.argmax(), bands.shape) == (2, 0)  # 0.17 of 0.5 is in the third of eight rings


def test_the_direction_of_a_wave_decides_its_sector():
    sectors = [Spectrum("fft", 4, 4).describe(waves(0.2, np.pi * i / 4)).reshape(4, 4)[1].argmax() for i in range(4)]
    assert sectors == [0, 1, 2, 3]


def test_colour_moments_are_those_of_the_pixels(images):
    image = images[0]
    found = Colour("rgb", bins=4).describe(image).reshape(3, 8)
    values = image.reshape(-1, 3) / 256.0
    np.testing.assert_allclose(found[:, 4], values.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found[:, 5], values.std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found[:, 6], np.cbrt(((values - values.mean(0)) ** 3).mean(0)), rtol=1e-4)
    for channel in range(3):
        expected = np.histogram(image[..., channel], 4, (0, 256))[0] / image[..., channel].size
        np.testing.assert_allclose(found[channel, :4], expected, rtol=1e-5)


def test_cells_are_described_each_by_itself(images):
    image = images[1]
    whole = Colour("grey", grid=2).describe(image).reshape(4, -1)
    np.testing.assert_array_equal(whole[3], Colour("grey").describe(image[64:, 80:]))
    codes = LocalBinaryPatterns(radii=(2,), grid=3).describe(image).reshape(9, -1)
    np.testing.assert_allclose(codes.sum(axis=1), 1.0, rtol=1e-6)


def test_patches_are_described_by_their_cosine_coefficients(images):
    import cv2

    image = images[0]
    grid = PatchStatistics(size=16, stride=8, frequencies=4).describe_patches(image)
    assert grid.shape == (16, 20, 48)
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[20:36, 68:84, 0].astype(np.float32) / 255.0  # mirrored by 4
    np.testing.assert_allclose(grid[3, 9, :16].reshape(4, 4), cv2.dct(luma)[:4, :4], atol=1e-5)


def test_edges_tell_the_direction_of_stripes():
    one = Edges(grid=1).describe(waves(0.1, 0.0))
    other = Edges(grid=1).describe(waves(0.1, np.pi / 2))
    assert min(one[7], one[8], -other[8]) > 0.99


def test_normalised_pixels_do_not_depend_on_brightness_and_contrast(images):
    dimmed = (images[0].astype(np.float64) * 0.5 + 20).round().astype(np.uint8)
    np.testing.assert_allclose(
        Pixels(8).describe(dimmed), Pixels(8).describe(images[0]), atol=0.05
    )  # half the levels: rounding
