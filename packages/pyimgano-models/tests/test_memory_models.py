"""SPADE, SoftPatch, DFM, AnomalyDINO and MuSc against slow, direct transcriptions of their papers' equations."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import LocalOutlierFactor

from pyimgano.core.errors import DatasetError, ParameterError, WeightsError
from pyimgano.models.anomaly_dino import AnomalyDino
from pyimgano.models.anomaly_map import render_maps
from pyimgano.models.dfm import Dfm
from pyimgano.models.foreground import captures_object, foreground_mask
from pyimgano.models.musc import Musc
from pyimgano.models.noise import gaussian_outlyingness, local_outlier_factors, nearest_outlyingness
from pyimgano.models.patches import locally_aware_patches
from pyimgano.models.softpatch import SoftPatch
from pyimgano.models.spade import Spade

LITE0 = "efficientnet-lite0"
MODELS = [Spade, SoftPatch, Dfm, AnomalyDino, Musc]


@pytest.fixture(scope="module")
def textures(photographs) -> list[np.ndarray]:
    """Crops of photographs of a brick wall, grass and gravel, 96 × 96."""
    chosen = [photographs[name] for name in ("brick", "grass", "gravel")]
    return [p[top : top + 96, left : left + 96] for p in chosen for top in (0, 200) for left in (30, 150, 300)]


def features_of(detector, images, patch_size: int = 1) -> np.ndarray:
    """Return (N, P, D) float64 patch features."""
    maps = detector.extractor.extract([detector.prepare(image) for image in images])
    patches = locally_aware_patches(maps, patch_size=patch_size)
    return patches.reshape(len(images), -1, patches.shape[-1]).astype(np.float64)


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the (n, m) Euclidean distances of rows."""
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=-1))


# -- SPADE


@pytest.mark.parametrize(("n_images", "n_patches"), [(2, 1), (50, 4)])
def test_spade_is_equations_2_and_3_of_the_paper(textures, n_images, n_patches) -> None:
    train, test = textures[:4], textures[8:10]
    detector = Spade(input_size=64, n_images=n_images, n_patches=n_patches, map_sigma=0.0, runtime="torch").fit(train)
    scores = detector.infer(test)

    def described(images):
        maps = detector.extractor.extract([detector.prepare(image) for image in images])
        pooled = maps["blocks.6"].astype(np.float64).mean(axis=(2, 3))
        pyramid = locally_aware_patches({n: maps[n] for n in ("blocks.1", "blocks.2", "blocks.4")}, patch_size=1)
        return pooled, pyramid.reshape(len(images), -1, pyramid.shape[-1]).astype(np.float64)

    (good_pooled, good), (pooled, pyramid) = described(train), described(test)
    for index in range(len(test)):
        squared = distances(pooled[index : index + 1], good_pooled)[0] ** 2
        nearest = np.argsort(squared)[:n_images]
        np.testing.assert_allclose(scores.image_scores[index], squared[nearest].mean(), rtol=1e-5)
        gallery = good[nearest].reshape(-1, good.shape[-1])
        grid = np.sort(distances(pyramid[index], gallery) ** 2, axis=1)[:, :n_patches].mean(axis=1)
        expected = render_maps(grid.reshape(1, 16, 16), (64, 64), sigma=0.0)[0]
        np.testing.assert_allclose(scores.maps[index], expected, rtol=1e-5, atol=1e-5 * expected.max())


def test_spade_keeps_four_bytes_a_feature_of_every_image_and_no_more(textures) -> None:
    detector = Spade(input_size=64, runtime="torch").fit(textures[:7])
    expected = {"blocks.1": (7, 24, 16, 16), "blocks.2": (7, 40, 8, 8), "blocks.4": (7, 112, 4, 4)}
    assert {name: layer.shape for name, layer in detector.pyramid_.items()} == expected
    assert sum(layer.nbytes for layer in detector.pyramid_.values()) == 7 * 4 * (24 * 256 + 40 * 64 + 112 * 16)
    assert detector.pooled_.shape == (7, 320)
    assert set(detector._get_state()[0]) == {"pooled", *(f"pyramid.{name}" for name in expected)}


def test_spade_gives_a_training_image_a_map_of_zeros(textures) -> None:
    detector = Spade(input_size=64, n_images=1, runtime="torch").fit(textures[:4])
    scores = detector.infer(textures[:4])
    assert not scores.maps.any()
    assert not scores.image_scores.any()


def test_spade_refuses_more_patches_than_the_images_have(textures) -> None:
    with pytest.raises(ParameterError, match="n_patches = 600") as caught:
        Spade(input_size=64, n_images=2, n_patches=600, runtime="torch").fit(textures[:3])
    assert caught.value.allowed == "1 to 512"


# -- SoftPatch


@pytest.mark.parametrize("k", [1, 6, 40])
def test_local_outlier_factors_are_scikit_learns(k) -> None:
    points = np.random.default_rng(0).standard_normal((41, 7)).astype(np.float32)
    points[0] *= 9
    theirs = -LocalOutlierFactor(n_neighbors=k).fit(points.astype(np.float64)).negative_outlier_factor_
    np.testing.assert_allclose(local_outlier_factors(points, neighbors=k), theirs, rtol=1e-6)


def test_among_equal_points_no_outlier_is_made_up_and_a_far_one_is_found() -> None:
    points = np.zeros((30, 3), dtype=np.float32)
    points[7] = 1.0
    factors = local_outlier_factors(points, neighbors=4)
    assert factors[7] > 1e6
    assert np.all(np.delete(factors, 7) == 1.0)
    assert nearest_outlyingness(points)[7] == 1.0 + np.sqrt(3.0)
    assert np.all(np.delete(nearest_outlyingness(points), 7) == 1.0)


def test_one_image_has_no_outliers() -> None:
    point = np.ones((1, 5), dtype=np.float32)
    assert local_outlier_factors(point, neighbors=6).tolist() == nearest_outlyingness(point).tolist() == [1.0]


def test_gaussian_outlyingness_is_the_mahalanobis_distance_at_each_position() -> None:
    patches = np.random.default_rng(1).standard_normal((20, 3, 4)).astype(np.float32)
    found = gaussian_outlyingness(patches)
    for position in range(3):
        rows = patches[:, position].astype(np.float64)
        inverse = np.linalg.inv(np.cov(rows.T) + 0.01 * np.eye(4))
        offset = rows - rows.mean(axis=0)
        expected = 1.0 + np.sqrt(np.einsum("ni,ij,nj->n", offset, inverse, offset))
        np.testing.assert_allclose(found[:, position], expected, rtol=1e-5)


@pytest.mark.parametrize("soft", [True, False])
def test_softpatch_is_patchcore_of_the_patches_that_stick_out_least(textures, soft) -> None:
    train, test = textures[:9], textures[9:12]
    detector = SoftPatch(
        input_size=64, coreset_sampling_ratio=1.0, projection=None, soft_weights=soft, map_sigma=0.0, runtime="torch"
    ).fit(train)
    scores = detector.infer(test)
    patches = features_of(detector, train, patch_size=3)
    factors = np.stack(
        [-LocalOutlierFactor(n_neighbors=6).fit(rows).negative_outlier_factor_ for rows in patches.transpose(1, 0, 2)],
        axis=1,
    ).ravel()
    order = np.sort(factors)
    kept = factors <= order[int(np.ceil(0.85 * (len(order) - 1)))]
    assert abs(len(detector.memory_bank_) - 0.85 * len(factors)) <= 1
    bank, weights = patches.reshape(-1, patches.shape[-1])[kept], factors[kept]
    for index, rows in enumerate(features_of(detector, test, patch_size=3)):
        between = distances(rows, bank)
        nearest = between.argmin(axis=1)
        grid = between.min(axis=1) * (weights[nearest] if soft else 1.0)
        np.testing.assert_allclose(scores.image_scores[index], grid.max(), rtol=1e-5)
        expected = render_maps(grid.reshape(1, 8, 8), (64, 64), sigma=0.0)[0]
        np.testing.assert_allclose(scores.maps[index], expected, rtol=1e-5)


@pytest.mark.parametrize("discriminator", ["lof", "nearest", "gaussian"])
def test_a_defect_in_a_training_image_stays_out_of_the_bank(textures, discriminator) -> None:
    wall = [textures[0].copy() for _ in range(12)]
    rng = np.random.default_rng(0)
    train = [np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8) for image in wall]
    train[5][32:64, 32:64] = textures[8][32:64, 32:64]
    noisy = {"lof_neighbors": 6, "noise_discriminator": discriminator}
    detector = SoftPatch(input_size=96, coreset_sampling_ratio=1.0, runtime="torch", **noisy).fit(train)
    dirty = SoftPatch(input_size=96, coreset_sampling_ratio=1.0, noise_ratio=0.0, runtime="torch", **noisy).fit(train)
    assert not dirty.decision_function(train).any()
    scores = detector.decision_function(train)
    assert scores.argmax() == 5
    assert scores[5] > 2 * np.delete(scores, 5).max()


def test_the_share_of_the_bank_counts_the_removed_patches_and_cannot_exceed_what_is_left(textures) -> None:
    small, whole = (
        SoftPatch(input_size=96, coreset_sampling_ratio=ratio, noise_ratio=0.25, runtime="torch").fit(textures[:6])
        for ratio in (0.1, 1.0)
    )
    assert len(small.memory_bank_) == int(6 * 144 * 0.1)
    assert len(whole.memory_bank_) == 6 * 144 * 0.75
    assert {row.tobytes() for row in small.memory_bank_} <= {row.tobytes() for row in whole.memory_bank_}


# -- DFM


@pytest.mark.parametrize("variance", [0.6, 0.97, 1.0])
def test_dfm_is_scikit_learns_pca_with_the_fewest_components_that_hold_the_variance(textures, variance) -> None:
    train, test = textures[:12], textures[12:]
    fre = Dfm(input_size=128, variance=variance, runtime="torch").fit(train)
    nll = Dfm(input_size=128, variance=variance, score="nll", runtime="torch").fit(train)

    def vectors(images):
        maps = fre.extractor.extract([fre.prepare(image) for image in images])["blocks.4"].astype(np.float64)
        return maps.reshape(len(images), 112, 2, 4, 2, 4).mean(axis=(3, 5)).reshape(len(images), -1)

    pca = PCA().fit(vectors(train))
    held = np.cumsum(pca.explained_variance_ratio_)
    count = min(int((held < variance - 1e-12).sum()) + 1, 11)
    assert fre.components_.shape == (count, 448)
    components = pca.components_[:count]
    offsets = vectors(test) - pca.mean_
    within = offsets @ components.T
    variances = pca.explained_variance_[:count] * 11 / 12
    residual = (offsets - within @ components) ** 2
    np.testing.assert_allclose(fre.decision_function(test), residual.sum(axis=1), rtol=1e-8)
    expected = (within**2 / variances).sum(axis=1) + np.log(variances).sum()
    np.testing.assert_allclose(nll.decision_function(test), expected, rtol=1e-8)
    grids = residual.reshape(-1, 112, 2, 2).sum(axis=1)
    np.testing.assert_allclose(fre.infer(test).maps, render_maps(grids, (128, 128), sigma=0.0), rtol=1e-5)
    assert nll.infer(test).maps is None


def test_dfm_of_equal_images_has_a_reconstruction_error_and_refuses_a_likelihood(textures) -> None:
    same = [textures[0]] * 3
    scores = Dfm(input_size=64, runtime="torch").fit(same).decision_function([textures[0], textures[9]])
    assert scores[0] == pytest.approx(0.0, abs=1e-6)
    assert scores[1] > 1.0
    with pytest.raises(ParameterError, match="do not differ") as caught:
        Dfm(input_size=64, score="nll", runtime="torch").fit(same)
    assert "fre" in (caught.value.hint or "")


def test_dfm_refuses_squares_greater_than_the_layer(textures) -> None:
    with pytest.raises(ParameterError, match="pooling = 5") as caught:
        Dfm(input_size=64, pooling=5, runtime="torch").fit(textures[:2])
    assert caught.value.allowed == "1 to 4"


# -- AnomalyDINO


def test_anomaly_dino_is_the_mean_of_the_worst_hundredth_of_cosine_distances(textures) -> None:
    train, test = textures[:4], textures[7:9]
    detector = AnomalyDino(
        LITE0, input_size=(224, 256), augment_rotations="off", masking="off", map_sigma=0.0, runtime="torch"
    ).fit(train)
    scores = detector.infer(test)
    bank = features_of(detector, train).reshape(-1, 112)
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    assert detector.memory_bank_.shape == bank.shape
    for index, rows in enumerate(features_of(detector, test)):
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        grid = (1.0 - rows @ bank.T).min(axis=1)
        np.testing.assert_allclose(scores.image_scores[index], np.sort(grid)[-2:].mean(), rtol=1e-5)  # 1 % of 224
        expected = render_maps(grid.reshape(1, 14, 16), (224, 256), sigma=0.0)[0]
        np.testing.assert_allclose(scores.maps[index], expected, rtol=1e-4, atol=1e-6)


def test_few_images_are_turned_eight_ways_and_many_are_not(textures) -> None:
    few, many = textures[:16], textures[:17]
    sizes = {len(f): len(AnomalyDino(LITE0, input_size=96, runtime="torch").fit(f).memory_bank_) for f in (few, many)}
    assert sizes == {16: 16 * 8 * 36, 17: 17 * 36}


def test_with_rotations_a_turned_image_is_as_good_as_the_image(textures) -> None:
    turned = np.ascontiguousarray(np.rot90(textures[0]))
    on, off = (
        AnomalyDino(LITE0, input_size=96, augment_rotations=switch, masking="off", runtime="torch").fit(textures[:1])
        for switch in ("on", "off")
    )
    plain, turned_on = on.decision_function([textures[0], turned])
    assert plain == pytest.approx(0.0, abs=1e-9)
    assert turned_on < 0.5 * off.decision_function([turned])[0]


def tokens_of_an_object(*, object_first: bool) -> np.ndarray:
    """Features of an object in the middle of 20 × 20 patches, far along one direction from its background."""
    rng = np.random.default_rng(0)
    patches = rng.standard_normal((20, 20, 12))
    patches[4:16, 4:16, 3] += 60.0 if object_first else -60.0
    return patches.astype(np.float32)


@pytest.mark.parametrize("object_first", [True, False])
def test_the_mask_is_the_object_widened_by_a_patch_whichever_way_the_component_points(object_first) -> None:
    mask = foreground_mask(tokens_of_an_object(object_first=object_first), 10.0)
    expected = np.zeros((20, 20), dtype=bool)
    expected[3:17, 3:17] = True
    assert np.array_equal(mask, expected)
    assert captures_object(mask)


def test_a_mask_at_the_edges_or_beside_the_middle_shows_no_object() -> None:
    for mask in (np.ones((20, 20), dtype=bool), np.zeros((20, 20), dtype=bool), np.eye(20, dtype=bool)):
        assert not captures_object(mask)


def coin(photographs, *, scratched: bool = False) -> np.ndarray:
    """A round piece of a gravel photograph before a dark background."""
    y, x = np.mgrid[:224, :224]
    inside = (y - 112) ** 2 + (x - 112) ** 2 < 60**2
    image = np.where(inside[..., None], photographs["gravel"][:224, :224] // 2 + 120, 12).astype(np.uint8)
    if scratched:
        image[20:30, 5:25] = 255
    return image


def test_masking_leaves_the_background_out_and_auto_decides_by_the_first_image(photographs) -> None:
    common = {"input_size": 224, "augment_rotations": "off", "mask_threshold": 10.0, "map_sigma": 0.0}
    image, scratched = coin(photographs), coin(photographs, scratched=True)
    fitted = {
        switch: AnomalyDino(LITE0, masking=switch, runtime="torch", **common).fit([image])
        for switch in ("auto", "on", "off")
    }
    assert [detector.masks_images_ for detector in fitted.values()] == [True, True, False]
    corner = {switch: detector.get_anomaly_map(scratched)[:8, :16].max() for switch, detector in fitted.items()}
    assert corner["on"] == corner["auto"] == 0.0 < corner["off"]
    texture = AnomalyDino(LITE0, runtime="torch", **common).fit([photographs["brick"][:224, :224]])
    assert texture.masks_images_ is False


def test_an_image_without_any_object_patch_is_scored_as_a_whole(textures) -> None:
    common = {"input_size": 96, "augment_rotations": "off", "runtime": "torch"}
    plain = AnomalyDino(LITE0, masking="off", **common).fit(textures[:2])
    masked = AnomalyDino(LITE0, masking="on", mask_threshold=1e9, **common).fit(textures[:2])
    assert masked.decision_function(textures[8:10]).tolist() == plain.decision_function(textures[8:10]).tolist()


def test_the_default_layer_is_the_normed_tokens_or_the_last_of_stride_16() -> None:
    assert AnomalyDino()._default_layers() == ("norm",)
    assert AnomalyDino(LITE0)._default_layers() == ("blocks.4",)


# -- MuSc


def direct_musc(maps: dict[str, np.ndarray], degrees, sizes) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and grids of a set of images, each against all others."""
    count = len(next(iter(maps.values())))
    height, width = next(iter(maps.values())).shape[2:]
    grids = np.zeros((count, height * width))
    for layer in maps.values():
        layer = layer.astype(np.float64)
        layer = layer - layer.mean(axis=(1, 2, 3), keepdims=True)
        layer /= np.sqrt((layer**2).mean(axis=(1, 2, 3), keepdims=True) + 1e-5)
        for degree in degrees:
            radius = degree // 2
            padded = np.pad(layer, ((0, 0), (0, 0), (radius, radius), (radius, radius)))
            patches = np.stack(
                [
                    padded[:, :, y : y + degree, x : x + degree].mean(axis=(2, 3))
                    for y in range(height)
                    for x in range(width)
                ],
                axis=1,
            )
            patches /= np.linalg.norm(patches, axis=2, keepdims=True)
            for i in range(count):
                nearest = np.stack(
                    [distances(patches[i], patches[j]).min(axis=1) for j in range(count) if j != i], axis=1
                )
                grids[i] += np.sort(nearest, axis=1)[:, : max(1, int(0.3 * (count - 1)))].mean(axis=1)
    grids /= len(maps) * len(degrees)
    alone = grids.max(axis=1)
    last = list(maps.values())[-1].astype(np.float64).mean(axis=(2, 3))
    last /= np.linalg.norm(last, axis=1, keepdims=True)
    similarity = last @ last.T
    scores = []
    for k in sizes:
        window = np.zeros_like(similarity)
        for i in range(count):
            chosen = np.argsort(-similarity[i])[:k]
            window[i, chosen] = similarity[i, chosen]
        scores.append(window / window.sum(axis=1, keepdims=True) @ alone)
    return np.mean(scores, axis=0), grids.reshape(count, height, width)


@pytest.fixture(scope="module")
def musc(textures) -> Musc:
    layers = ["blocks.3", "blocks.4"]
    return Musc(LITE0, layers, input_size=96, degrees=(1, 3), batch_size=5, runtime="torch").fit(textures[:12])


def test_musc_of_its_own_images_is_the_papers_transductive_method(musc, textures) -> None:
    maps = musc.extractor.extract([musc.prepare(image) for image in textures[:12]])
    expected, grids = direct_musc(maps, (1, 3), (1, 2, 3))
    scores = musc.infer(textures[:12])
    np.testing.assert_allclose(scores.image_scores, expected, rtol=1e-5)
    np.testing.assert_allclose(scores.maps, render_maps(grids, (96, 96), sigma=0.0), rtol=1e-5)


def test_musc_scores_a_new_image_as_if_it_had_been_in_the_set(musc, textures) -> None:
    new = textures[14]
    alone = Musc(LITE0, musc.layers, input_size=96, degrees=(1, 3), similar_images=[1], runtime="torch")
    maps = musc.extractor.extract([musc.prepare(image) for image in [*textures[:12], new]])
    expected, grids = direct_musc(maps, (1, 3), (1,))
    scores = alone.fit(textures[:12]).infer([new])
    np.testing.assert_allclose(scores.image_scores[0], expected[-1], rtol=1e-5)
    np.testing.assert_allclose(scores.maps, render_maps(grids[-1:], (96, 96), sigma=0.0), rtol=1e-5)


def test_musc_knows_its_images_by_their_pixels_also_when_loaded(musc, textures, tmp_path) -> None:
    almost = textures[0].copy()
    almost[0, 0, 0] ^= 1
    known, changed = musc.decision_function([textures[0], almost])
    assert changed < 0.9 * known
    musc.save(tmp_path)
    assert Musc.load(tmp_path).decision_function([textures[0], almost]).tolist() == [known, changed]


def test_musc_makes_banks_anew_when_they_are_too_great_to_keep(musc, textures, monkeypatch) -> None:
    from pyimgano.models import musc as module

    expected = musc.infer(textures[12:])
    monkeypatch.setattr(module, "_KEEP_BYTES", 0)
    fresh = Musc(LITE0, musc.layers, input_size=96, degrees=(1, 3), runtime="torch").fit(textures[:12])
    assert fresh.infer(textures[12:]).maps.tobytes() == expected.maps.tobytes()
    assert not fresh._banks


def test_musc_brings_layers_of_several_grids_to_the_finest(textures) -> None:
    scores = Musc(LITE0, input_size=96, degrees=[1], runtime="torch").fit(textures[:4]).infer(textures[4:6])
    assert scores.maps.shape == (2, 96, 96)
    assert np.ptp(scores.maps[0]) > 0.0


def test_musc_refuses_a_single_image(textures) -> None:
    with pytest.raises(DatasetError, match="no others"):
        Musc(LITE0, input_size=96, runtime="torch").fit(textures[:1])


def test_the_default_blocks_are_the_papers() -> None:
    assert Musc()._default_layers() == ("blocks.5", "blocks.11", "blocks.17", "blocks.23")


# -- all of them


@pytest.mark.parametrize("model", [AnomalyDino, Musc])
def test_default_weights_that_are_not_here_are_refused_with_how_to_get_them(
    model, textures, tmp_path, monkeypatch
) -> None:
    for name in ("HF_HOME", "HF_HUB_CACHE", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(WeightsError, match="neither installed nor cached") as caught:
        model().fit(textures[:2])
    assert caught.value.hint


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Spade(n_images=0), "n_images = 0"),
        (lambda: Spade(n_patches=1.5), "n_patches = 1.5"),
        (lambda: Spade(map_sigma=-1), "map_sigma = -1"),
        (lambda: Spade(retrieval_layer=3), "retrieval_layer = 3"),
        (lambda: SoftPatch(noise_discriminator="knn"), "noise_discriminator = 'knn'"),
        (lambda: SoftPatch(noise_ratio=1.0), "noise_ratio = 1.0"),
        (lambda: SoftPatch(lof_neighbors=0), "lof_neighbors = 0"),
        (lambda: SoftPatch(soft_weights=1), "soft_weights = 1"),
        (lambda: SoftPatch(coreset_sampling_ratio=0), "coreset_sampling_ratio = 0"),
        (lambda: SoftPatch(projection=0), "projection = 0"),
        (lambda: SoftPatch(patch_size=2), "patch_size = 2"),
        (lambda: SoftPatch(map_sigma=float("nan")), "map_sigma = nan"),
        (lambda: Dfm(layers=["blocks.2", "blocks.4"]), "one layer"),
        (lambda: Dfm(pooling=0), "pooling = 0"),
        (lambda: Dfm(variance=1.1), "variance = 1.1"),
        (lambda: Dfm(score="mse"), "score = 'mse'"),
        (lambda: AnomalyDino(LITE0, augment_rotations=True), "augment_rotations = True"),
        (lambda: AnomalyDino(LITE0, masking="maybe"), "masking = 'maybe'"),
        (lambda: AnomalyDino(LITE0, mask_threshold="10"), "mask_threshold = '10'"),
        (lambda: AnomalyDino(LITE0, map_sigma=-1.0), "map_sigma = -1.0"),
        (lambda: Musc(LITE0, degrees=[2]), "degrees"),
        (lambda: Musc(LITE0, degrees=3), "degrees = 3"),
        (lambda: Musc(LITE0, lowest_share=0.0), "lowest_share = 0.0"),
        (lambda: Musc(LITE0, similar_images=[]), "similar_images"),
    ],
)
def test_parameters_out_of_range_are_refused_with_what_is_allowed(make, message) -> None:
    with pytest.raises(ParameterError) as caught:
        make().validate()
    assert message in str(caught.value)
    assert caught.value.allowed


def test_an_unknown_retrieval_layer_is_refused_with_those_there_are(textures) -> None:
    with pytest.raises(ParameterError, match=r"no layer 'blocks\.9'") as caught:
        Spade(retrieval_layer="blocks.9", runtime="torch").fit(textures[:2])
    assert "blocks.0, blocks.1" in (caught.value.allowed or "")


def test_checking_parameters_imports_no_deep_learning_library() -> None:
    code = (
        "import sys\n"
        "from pyimgano.models import anomaly_dino, dfm, musc, softpatch, spade\n"
        "for model in (anomaly_dino.AnomalyDino, dfm.Dfm, musc.Musc, softpatch.SoftPatch, spade.Spade):\n"
        "    model().validate()\n"
        "    model('efficientnet-lite0').validate()\n"
        "heavy = ('torch', 'onnxruntime', 'cv2', 'sklearn', 'scipy', 'timm')\n"
        "sys.exit(' '.join(name for name in heavy if name in sys.modules) or None)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
