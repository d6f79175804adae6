"""Patch features and anomaly maps equal what PyTorch and SciPy compute in the same places."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pyimgano.core.errors import PyimganoError
from pyimgano.models.anomaly_map import render_maps
from pyimgano.models.patches import aligned_patches, locally_aware_patches
from pyimgano.models.resampling import nearest_indices, resampling_matrix

RNG = np.random.default_rng(1)


def feature_maps(*shapes: tuple[int, int, int], count: int = 2) -> dict[str, np.ndarray]:
    return {f"layer{n}": RNG.standard_normal((count, *shape)).astype(np.float32) for n, shape in enumerate(shapes)}


@pytest.mark.parametrize("patch_size", [1, 3, 5])
@pytest.mark.parametrize("shapes", [((5, 8, 12), (7, 4, 6)), ((5, 7, 7), (3, 4, 4), (2, 1, 1)), ((4, 6, 5),)])
def test_locally_aware_patches_are_pytorchs_pooling_and_interpolation(shapes, patch_size) -> None:
    import torch

    maps = feature_maps(*shapes)
    pool = torch.nn.AvgPool2d(patch_size, stride=1, padding=patch_size // 2)
    expected = [
        torch.nn.functional.interpolate(
            pool(torch.from_numpy(layer)), size=shapes[0][1:], mode="bilinear", align_corners=False
        )
        for layer in maps.values()
    ]
    patches = locally_aware_patches(maps, patch_size=patch_size)
    assert patches.shape == (2, *shapes[0][1:], sum(shape[0] for shape in shapes))
    np.testing.assert_allclose(patches, torch.cat(expected, dim=1).permute(0, 2, 3, 1).numpy(), atol=2e-6)


@pytest.mark.parametrize("shapes", [((5, 8, 12), (7, 4, 6)), ((5, 7, 7), (3, 4, 4), (2, 1, 1))])
def test_aligned_patches_are_pytorchs_nearest_interpolation(shapes) -> None:
    import torch

    maps = feature_maps(*shapes)
    total = sum(shape[0] for shape in shapes)
    channels = np.sort(np.random.default_rng(0).choice(total, total - 3, replace=False))
    expected = torch.cat(
        [
            torch.nn.functional.interpolate(torch.from_numpy(layer), size=shapes[0][1:], mode="nearest")
            for layer in maps.values()
        ],
        dim=1,
    ).numpy()[:, channels]
    assert np.array_equal(aligned_patches(maps, channels), expected.transpose(0, 2, 3, 1))


def test_an_images_patches_do_not_depend_on_the_others() -> None:
    maps = feature_maps((5, 8, 12), (7, 4, 6), count=5)
    together = locally_aware_patches(maps)
    for index in range(5):
        alone = locally_aware_patches({name: layer[index : index + 1] for name, layer in maps.items()})
        assert alone.tobytes() == together[index : index + 1].tobytes()


def test_features_that_are_not_finite_are_an_error_that_says_what_to_do() -> None:
    maps = feature_maps((5, 8, 8))
    maps["layer0"][1, 2, 3, 4] = np.nan
    with pytest.raises(PyimganoError, match="not finite") as caught:
        locally_aware_patches(maps)
    assert "weights" in (caught.value.hint or "")
    with pytest.raises(PyimganoError, match="not finite"):
        aligned_patches(maps, np.arange(5))


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("sigma", [0.0, 0.7, 4.0])
def test_maps_are_pytorchs_interpolation_and_scipys_gaussian(interpolation: str, sigma: float) -> None:
    import torch

    grids = RNG.uniform(0, 9, (3, 7, 10))
    options = {"align_corners": False} if interpolation == "bilinear" else {}
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(grids[:, None]), size=(56, 90), mode=interpolation, **options
    ).numpy()[:, 0]
    expected = [gaussian_filter(one, sigma, mode="mirror", truncate=4.0) if sigma else one for one in resized]
    maps = render_maps(grids, (56, 90), sigma=sigma, interpolation=interpolation)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, expected, rtol=1e-6)


def test_a_map_smaller_than_the_gaussian_is_mirrored_more_than_once() -> None:
    grids = RNG.uniform(0, 1, (1, 3, 2))
    expected = gaussian_filter(np.repeat(np.repeat(grids[0], 2, axis=0), 2, axis=1), 5.0, mode="mirror", truncate=4.0)
    np.testing.assert_allclose(render_maps(grids, (6, 4), sigma=5.0, interpolation="nearest")[0], expected, rtol=1e-6)
    assert np.allclose(render_maps(np.full((1, 1, 1), 2.0), (1, 1), sigma=3.0), 2.0)


def test_a_map_does_not_depend_on_the_others() -> None:
    grids = RNG.uniform(0, 9, (4, 28, 28))
    together = render_maps(grids, (224, 224), sigma=4.0)
    alone = np.concatenate([render_maps(grid[None], (224, 224), sigma=4.0) for grid in grids])
    assert alone.tobytes() == together.tobytes()


@pytest.mark.parametrize(("source", "target"), [(7, 56), (14, 14), (5, 3), (1, 9), (10, 7)])
def test_interpolation_keeps_constants_and_reads_only_what_is_there(source: int, target: int) -> None:
    for interpolation in ("bilinear", "nearest"):
        matrix = resampling_matrix(source, target, interpolation)
        assert matrix.shape == (target, source)
        np.testing.assert_allclose(matrix.sum(axis=1), 1.0)
        assert matrix.min() >= 0.0
    assert nearest_indices(source, target).max() < source
