"""Template models of aligned parts: what each one computes. About 4 s on two free cores."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.stats import norm
from skimage.metrics import structural_similarity

from pyimgano.core.creation import create_model
from pyimgano.models.image_sample import sample_images
from pyimgano.models.medoids import greedy_medoids
from pyimgano.models.nearest_image import NearestImage, register
from pyimgano.models.pixel_gaussian import PixelGaussian
from pyimgano.models.pixel_median import MAD_TO_SIGMA, PixelMedian
from pyimgano.models.template_ncc import TemplateNcc, Windows, correlation
from pyimgano.models.template_phase import BlockSpectra, TemplatePhase, peak_response
from pyimgano.models.template_ssim import LocalMoments, TemplateSsim, similarity


def crops(photograph: np.ndarray, count: int, size: int = 64) -> list[np.ndarray]:
    """Return unlike pieces of a photograph."""
    places = [(top, left) for top in range(0, 400, size) for left in range(0, 400, size)][:count]
    return [np.ascontiguousarray(photograph[top : top + size, left : left + size]) for top, left in places]


def part(photograph: np.ndarray, *, noise_seed: int) -> np.ndarray:
    """Return one aligned part, 96 × 96, with a camera's noise."""
    noise = np.random.default_rng(noise_seed).normal(0, 2, (96, 96, 3))
    return np.clip(photograph[100:196, 150:246] + noise, 0, 255).astype(np.uint8)


# -- which images are kept -------------------------------------------------------------------------------------------


def test_the_first_medoid_is_central_and_each_next_one_lowers_the_sum_of_distances_most():
    vectors = np.random.default_rng(0).normal(size=(40, 5))
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    chosen: list[int] = []
    for _ in range(6):
        sums = [distances[:, [*chosen, candidate]].min(axis=1).sum() for candidate in range(40)]
        chosen.append(int(np.argmin(sums)))

    assert greedy_medoids(vectors, 6).tolist() == chosen
    assert greedy_medoids(vectors, 3).tolist() == chosen[:3]


def test_copies_give_one_medoid_and_groups_one_each():
    groups = np.repeat(np.eye(3) * 100.0 + 1e3, 4, axis=0)
    assert sorted(place // 4 for place in greedy_medoids(groups, 10)) == [0, 1, 2]
    assert greedy_medoids(np.ones((5, 3)), 4).tolist() == [0]


def test_a_sample_is_all_images_or_a_draw_by_the_seed():
    assert sample_images(5, 5, 0).tolist() == [0, 1, 2, 3, 4]
    draw = sample_images(1000, 50, 0)
    assert len(draw) == 50
    assert (np.diff(draw) > 0).all()
    assert np.array_equal(draw, sample_images(1000, 50, 0))
    assert not np.array_equal(draw, sample_images(1000, 50, 1))


def test_templates_are_good_images_as_they_were_taken(photographs):
    images = [part(photographs[name], noise_seed=seed) for name in ("chelsea", "coffee") for seed in range(4)]
    detector = TemplateSsim(input_size=96, n_templates=2, max_images=7, seed=3).fit(images)
    assert len({int(place) // 4 for place in detector.template_places_}) == 2  # one of each part
    for place, template in zip(detector.template_places_, detector.templates_):
        np.testing.assert_array_equal(template, images[place])


def test_images_beyond_the_sample_are_not_read(photographs):
    images = [part(photographs["coffee"], noise_seed=seed) for seed in range(6)]

    read = set()

    class Watched(list):
        def __getitem__(self, index):
            read.add(index)
            return super().__getitem__(index)

    NearestImage(max_images=3).fit(Watched(images))
    assert read == set(sample_images(6, 3, 0).tolist())


# -- pixel median ----------------------------------------------------------------------------------------------------


def test_the_median_and_the_scaled_median_deviation_of_every_pixel_are_learned(photographs):
    images = crops(photographs["gravel"], 9, 16)
    detector = PixelMedian(input_size=16, normalize=False, blur_sigma=0.0).fit(images)
    stack = np.stack(images) / 255.0
    median = np.median(stack, axis=0)
    np.testing.assert_allclose(detector.median_, median, rtol=1e-6)
    spread = np.median(np.abs(stack - median), axis=0) / norm.ppf(0.75)
    np.testing.assert_allclose(detector.spread_, spread, rtol=1e-4, atol=1e-6)
    assert MAD_TO_SIGMA == pytest.approx(1.0 / norm.ppf(0.75), rel=1e-14)


def test_bad_images_among_the_good_ones_blind_the_gaussian_and_not_the_median(photographs):
    good = [part(photographs["coffee"], noise_seed=seed) for seed in range(20)]
    bad = [image.copy() for image in good[:4]]
    for image in bad:
        image[40:60, 40:60] = 255
    ratio = {}
    for model in (PixelGaussian, PixelMedian):
        detector = model(input_size=96, normalize=False).fit([*good[4:], *bad])
        defect, clean = detector.infer([bad[0], part(photographs["coffee"], noise_seed=99)]).image_scores
        ratio[model] = defect / clean
    assert ratio[PixelMedian] > 2.0 * ratio[PixelGaussian]


# -- SSIM ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_the_similarity_is_scikit_images(photographs, channels):
    first, second = (photographs[name][:90, :110, :channels] / 255.0 for name in ("coffee", "chelsea"))
    ours = similarity(LocalMoments.of(first), LocalMoments.of(second))
    _, theirs = structural_similarity(
        first, second, data_range=1.0, gaussian_weights=True, use_sample_covariance=False, full=True, channel_axis=2
    )
    np.testing.assert_allclose(ours, theirs.mean(axis=2), rtol=0, atol=1e-12)


def test_every_pixel_takes_its_own_best_template(photographs):
    left, right = part(photographs["coffee"], noise_seed=0), part(photographs["chelsea"], noise_seed=0)
    options = {"input_size": 96, "blur_sigma": 0.0, "map_sigma": 0.0, "normalize": False, "standardize": False}
    detector = TemplateSsim(n_templates=2, **options).fit([left, right])
    half = np.concatenate([left[:, :48], right[:, 48:]], axis=1)

    (map_,) = detector.infer([half]).maps

    assert map_[:, :42].max() < 1e-6
    assert map_[:, 54:].max() < 1e-6
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) / 255.0 for image in (half, left, right)]
    options = {"data_range": 1.0, "gaussian_weights": True, "use_sample_covariance": False, "full": True}
    best = np.maximum(*(structural_similarity(grey[0], other, **options)[1] for other in grey[1:]))
    np.testing.assert_allclose(map_, 1.0 - best, atol=1e-6)


# -- NCC -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_the_correlation_is_opencvs_in_every_window(photographs, channels):
    first, second = (photographs[name][50:80, 60:100, :channels].astype(np.float32) for name in ("coffee", "chelsea"))
    ours = correlation(Windows.of(first, 7), Windows.of(second, 7), 7, 1e-6)
    for top, left in [(0, 0), (3, 20), (11, 5), (23, 33)]:
        windows = [np.ascontiguousarray(image[top : top + 7, left : left + 7]) for image in (first, second)]
        expected = cv2.matchTemplate(*windows, cv2.TM_CCOEFF_NORMED)[0, 0]
        assert ours[top + 3, left + 3] == pytest.approx(expected, abs=2e-4)


def test_a_structure_correlates_fully_with_itself_in_any_light_and_oppositely_with_its_negative(photographs):
    grey = photographs["brick"][:40, :40, :1] / 255.0
    windows = Windows.of(grey, 9)
    brighter, negative = Windows.of(0.5 * grey + 0.3, 9), Windows.of(1.0 - grey, 9)
    np.testing.assert_allclose(correlation(windows, brighter, 9, 1e-9), 1.0, atol=1e-4)
    np.testing.assert_allclose(correlation(windows, negative, 9, 1e-9), -1.0, atol=1e-3)


def test_flat_windows_agree_and_have_nothing_in_common_with_structure(photographs):
    flat, other_flat = (Windows.of(np.full((30, 30, 1), value), 9) for value in (0.2, 0.9))
    structure = Windows.of(photographs["brick"][:30, :30, :1] / 255.0, 9)
    np.testing.assert_allclose(correlation(flat, other_flat, 9, 1e-6), 1.0, atol=1e-6)
    between = correlation(flat, structure, 9, 1e-6)
    np.testing.assert_allclose(between, np.sqrt(1e-6 / (structure.variance + 1e-6)), atol=1e-6)
    assert between.min() < 0.02
    assert between.max() < 0.5  # even the mortar has some structure


def test_a_high_ncc_score_means_anomalous(photographs):
    good = [part(photographs["coffee"], noise_seed=seed) for seed in range(6)]
    scratched = good[0].copy()
    cv2.line(scratched, (20, 70), (50, 40), (250, 250, 250), 2)
    scores = TemplateNcc(input_size=96, standardize=False).fit(good[1:]).infer([good[0], scratched])
    assert scores.image_scores[1] > 2.0 * scores.image_scores[0]
    row, column = np.unravel_index(scores.maps[1].argmax(), scores.maps[1].shape)
    assert abs(row + column - 90) <= 6  # on the line
    assert 15 <= column <= 55


# -- phase correlation -----------------------------------------------------------------------------------------------

PHASE = {"block": 32, "band": 0.5, "epsilon": 1e-3}


def spectra(values: np.ndarray) -> BlockSpectra:
    return BlockSpectra.of(values, PHASE["block"], PHASE["band"])


def test_a_block_responds_with_one_to_itself_and_hardly_to_another(photographs):
    first, second = (photographs[name][:64, :64, :1] / 255.0 for name in ("coffee", "grass"))
    np.testing.assert_allclose(peak_response(spectra(first), spectra(first), shift=0, **PHASE), 1.0, atol=1e-12)
    assert peak_response(spectra(first), spectra(second), shift=0, **PHASE).max() < 0.6


def test_the_response_is_the_phase_correlation_of_numpy_within_the_displacement(photographs):
    photograph = photographs["gravel"][..., :1] / 255.0
    first, second = photograph[10:74, 20:84], photograph[12:76, 19:83]
    options = {"block": 32, "band": 1.0, "epsilon": 1e-30}
    ours = peak_response(*(BlockSpectra.of(values, 32, 1.0) for values in (first, second)), shift=2, **options)
    window = np.outer(*[0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(32) + 0.5) / 32)] * 2)
    # The block (1, 1) is centred at (24, 24): it begins 8 pixels in.
    transformed = []
    for values in (first, second):
        block = values[8:40, 8:40, 0]
        transformed.append(np.fft.fft2((block - (block * window).sum() / window.sum()) * window))
    cross = transformed[0] * transformed[1].conj()
    frequencies = np.fft.fftfreq(32, 1 / 32)
    # All but zero and Nyquist's, which has no opposite.
    inside = (np.abs(frequencies)[:, None] < 16) & (np.abs(frequencies) < 16)
    inside[0, 0] = False
    surface = np.fft.ifft2(np.where(inside, cross / np.abs(cross).clip(1e-30), 0.0)).real * 32**2 / inside.sum()
    allowed = [surface[down, right] for down in range(-2, 3) for right in range(-2, 3)]
    assert ours[1, 1] == pytest.approx(max(allowed), abs=1e-9)
    assert max(allowed) == surface[2, -1]  # content that moved up by 2 and right by 1


def test_a_displaced_block_is_found_where_it_lies_and_a_small_displacement_forgiven(photographs):
    photograph = photographs["gravel"]
    good = [np.ascontiguousarray(photograph[100:228, 100:228])]
    for seed in (1, 2):
        noise = np.random.default_rng(seed).normal(0, 2, good[0].shape)
        good.append(np.clip(good[0] + noise, 0, 255).astype(np.uint8))
    displaced = good[1].copy()
    displaced[32:64, 64:96] = photograph[138:170, 164:196]  # what lies 6 pixels below

    detector = TemplatePhase(shift=1, standardize=False).fit([good[0], good[2]])
    scores = detector.infer([good[1], displaced, photograph[101:229, 100:228]])

    row, column = np.unravel_index(scores.maps[1].argmax(), (128, 128))
    assert 32 <= row < 64
    assert 64 <= column < 96
    assert scores.image_scores[1] > 0.5 > 5.0 * scores.image_scores[0]
    rest = scores.maps[1].copy()
    rest[16:80, 48:112] = 0.0
    assert rest.max() < 0.2
    moved_as_a_whole = scores.maps[2][16:-16, 16:-16]
    assert np.median(moved_as_a_whole) < 0.35
    assert (
        np.median(TemplatePhase(shift=0, standardize=False).fit(good[:1]).infer([photograph[104:232, 100:228]]).maps)
        > 0.6
    )


def test_flat_blocks_agree_and_do_not_respond_to_structure(photographs):
    flat, structure = np.full((64, 64, 1), 0.5), photographs["gravel"][:64, :64, :1] / 255.0
    np.testing.assert_allclose(peak_response(spectra(flat), spectra(flat + 0.2), shift=0, **PHASE), 1.0, atol=1e-9)
    assert peak_response(spectra(flat), spectra(structure), shift=0, **PHASE).max() < 0.5


# -- nearest image ---------------------------------------------------------------------------------------------------


def test_registration_finds_the_displacement_and_leaves_no_difference_inside(photographs):
    photograph = photographs["coffee"].astype(np.float32)
    image, reference = photograph[50:114, 60:140], photograph[48:112, 63:143]
    moved, total = register(image, reference, 3)
    np.testing.assert_array_equal(moved[3:-3, 3:-3], image[3:-3, 3:-3])
    assert total == pytest.approx(np.abs(moved - image).sum(), rel=1e-6)
    assert register(image, reference, 1)[1] > 3.0 * total
    assert register(image, image, 3)[1] == 0.0


def test_the_map_is_the_difference_to_the_nearest_good_image(photographs):
    images = [part(photographs[name], noise_seed=0) for name in ("astronaut", "chelsea", "coffee")]
    options = {
        "input_size": 96,
        "normalize": False,
        "blur_sigma": 0.0,
        "map_sigma": 0.0,
        "shift": 0,
        "standardize": False,
    }
    detector = NearestImage(**options).fit(images)
    query = part(photographs["chelsea"], noise_seed=1)
    query[20:30, 40:50] = (255, 0, 255)

    (map_,) = detector.infer([query]).maps

    expected = np.abs(query.astype(np.float32) - images[1]).mean(axis=2) / 255.0
    np.testing.assert_allclose(map_, expected, atol=1e-6)


def test_a_part_that_moved_by_two_pixels_is_still_good(photographs):
    photograph = photographs["coffee"]
    good = [np.ascontiguousarray(photograph[100:228, 100:228])]
    moved = photograph[102:230, 99:227]
    scores = {shift: NearestImage(shift=shift).fit(good).infer([moved]).maps[0][4:-4, 4:-4].max() for shift in (0, 2)}
    assert scores[2] < 0.1 * scores[0]


# -- standardised maps -----------------------------------------------------------------------------------------------

KEEPERS = {
    "nearest-image": {"neighbors": 2},
    "template-ncc": {"n_templates": 3},
    "template-phase": {"n_templates": 3, "block": 16},
    "template-ssim": {"n_templates": 3},
}


@pytest.mark.parametrize("model", KEEPERS)
def test_a_map_is_counted_in_deviations_of_the_good_images_differences_each_without_itself(model, photographs):
    good = [part(photographs["coffee"], noise_seed=seed) for seed in range(7)]
    options = {"input_size": 48, **KEEPERS[model]}
    query = [part(photographs["coffee"], noise_seed=9), part(photographs["chelsea"], noise_seed=9)]

    detector = create_model(model, **options).fit(good)

    plain = create_model(model, **options, standardize=False).fit(good)
    kept = range(7) if model == "nearest-image" else detector.template_places_.tolist()
    # Fitted anew on what is left of the kept images, in their order: they are all kept.
    differences = []
    for index, image in enumerate(good):
        others = [good[place] for place in kept if place != index]
        alone = create_model(model, **{**options, "n_templates": 9} if "n_templates" in options else options)
        differences.append(alone.set_params(standardize=False).fit(others).infer([image]).maps[0])
    mean, spread = np.mean(differences, axis=0, dtype=np.float64), np.std(differences, axis=0, dtype=np.float64)
    floor = 0.05 * np.median(np.max(differences, axis=(1, 2)))
    expected = (plain.infer(query).maps - mean) / (spread + floor)
    np.testing.assert_allclose(detector.infer(query).maps, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("model", KEEPERS)
def test_one_good_image_has_no_usual_differences(model, photographs):
    good = part(photographs["coffee"], noise_seed=0)
    query = part(photographs["coffee"], noise_seed=1)
    options = {"input_size": 48, **KEEPERS[model]}
    plain = create_model(model, **options, standardize=False).fit([good]).infer([query]).maps
    np.testing.assert_array_equal(create_model(model, **options).fit([good]).infer([query]).maps, plain)


def test_edges_that_never_fit_do_not_hide_a_stain(photographs):
    rng = np.random.default_rng(0)
    photograph = photographs["coffee"]

    def photo() -> np.ndarray:
        top, left = rng.integers(98, 103, 2)
        return np.ascontiguousarray(photograph[top : top + 128, left : left + 128])

    good, held_out = [photo() for _ in range(20)], [photo() for _ in range(10)]
    stained = [image.copy() for image in held_out]
    for image in stained:
        image[90:110, 20:40] = np.uint8(0.8 * image[90:110, 20:40])
    gap = {}
    for standardize in (False, True):
        detector = NearestImage(shift=0, standardize=standardize).fit(good)
        clean, stain = detector.decision_function(held_out), detector.decision_function(stained)
        gap[standardize] = (stain[:, None] > clean[None]).mean()
    assert gap[True] > gap[False]
