"""Rules on maps, regions of interest and image scores, on arrays. Takes about 5 s."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyimgano.core.creation import create_component
from pyimgano.core.errors import CalibrationError, ConfigError, ImageError, ParameterError
from pyimgano.core.images import write_png
from pyimgano.workbench.calibrate import CalibrationCard, PixelWay, calibrate
from pyimgano.workbench.evaluate import confusion
from pyimgano.workbench.postprocess import normalise
from pyimgano.workbench.postprocess.normalise import Normalise
from pyimgano.workbench.postprocess.processing import PostProcess
from pyimgano.workbench.postprocess.roi import Roi, roi_problems
from pyimgano.workbench.postprocess.settings import keep_learned, load_kept
from pyimgano.workbench.postprocess.smooth import Smooth
from pyimgano.workbench.region_policy import RegionPolicy
from pyimgano.workbench.render import map_at
from pyimgano.workbench.scoring import ScoredImage
from pyimgano.workbench.verdict import Judge


def scored(values: np.ndarray, shape: tuple[int, int] | None = None, score: float = 0.0) -> ScoredImage:
    return ScoredImage(0, "image", score, values.astype(np.float32), shape or values.shape)


def good_maps(n: int, seed: int = 0, shape: tuple[int, int] = (12, 16)) -> list[np.ndarray]:
    """Maps that are restless in their right half."""
    rng = np.random.default_rng(seed)
    spread = np.where(np.arange(shape[1]) < shape[1] // 2, 1.0, 5.0)
    return [(10.0 + spread * rng.normal(size=shape)).astype(np.float32) for _ in range(n)]


def nowhere(n: int) -> list[None]:
    return [None] * n


# -- smooth ----------------------------------------------------------------------------------------------------------


def test_smoothing_spreads_a_point_as_far_as_its_sigma_in_pixels_of_the_source() -> None:
    for factor in (1, 2, 4):  # the map has the image's resolution, a half, a quarter
        point = np.zeros((240 // factor, 320 // factor), np.float32)
        row, column = point.shape[0] // 2, point.shape[1] // 2
        point[row, column] = 1.0
        smooth = Smooth(sigma=12.0)(point, (240, 320)).astype(np.float64)
        assert smooth.sum() == pytest.approx(1.0, abs=1e-4)
        rows, columns = np.indices(point.shape)
        for axis, centre in ((rows, row), (columns, column)):
            spread = math.sqrt(float((smooth * (axis - centre) ** 2).sum())) * factor
            assert spread == pytest.approx(12.0, rel=0.02)


def test_a_constant_map_is_smooth_already_and_the_given_one_is_left_alone() -> None:
    values = np.full((20, 30), 3.25, np.float32)
    assert np.allclose(Smooth(sigma=5.0)(values, (20, 30)), 3.25, atol=1e-6)
    noise = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    before = noise.copy()
    assert Smooth(sigma=2.0)(noise, (20, 30)).std() < noise.std() / 2
    assert np.array_equal(noise, before)


# -- normalise -------------------------------------------------------------------------------------------------------


def test_over_all_pixels_the_median_becomes_zero_and_the_deviation_one() -> None:
    maps = good_maps(10)
    rule = Normalise()
    rule.fit(maps, nowhere(10))
    together = np.concatenate([rule(one, one.shape).ravel() for one in maps])
    assert np.median(together) == pytest.approx(0.0, abs=1e-5)
    assert 1.4826 * np.median(np.abs(together - np.median(together))) == pytest.approx(1.0, abs=1e-4)


def test_percentiles_become_zero_and_one_and_nothing_is_clamped() -> None:
    maps = good_maps(10)
    rule = Normalise(method="percentile", low=20.0, high=95.0)
    rule.fit(maps, nowhere(10))
    together = np.concatenate([rule(one, one.shape).ravel() for one in maps])
    assert np.percentile(together, 20.0) == pytest.approx(0.0, abs=1e-5)
    assert np.percentile(together, 95.0) == pytest.approx(1.0, abs=1e-5)
    assert together.min() < -0.5
    assert together.max() > 1.2


def test_what_does_not_count_is_no_part_of_the_statistics() -> None:
    maps = good_maps(10)
    left = np.zeros(maps[0].shape, bool)
    left[:, :8] = True
    wild = [np.where(left, one, 1e6).astype(np.float32) for one in maps]
    one, other = Normalise(), Normalise()
    one.fit(wild, [left] * 10)
    other.fit([part[:, :8] for part in maps], nowhere(10))
    assert np.array_equal(one(maps[0], maps[0].shape), other(maps[0], maps[0].shape))


@pytest.mark.parametrize("block", [1, 1 << 12, 1 << 27])
def test_pixel_by_pixel_each_has_its_own_centre_and_scale(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalise, "BLOCK_BYTES", block)  # one row at a time, several, all
    maps = good_maps(40)
    rule = Normalise(scope="pixel", floor=1e-9)
    rule.fit(maps, nowhere(40))
    stack = np.stack(maps).astype(np.float64)
    middle = np.median(stack, axis=0)
    spread = 1.4826022185056018 * np.median(np.abs(stack - middle), axis=0)
    new = good_maps(1, seed=9)[0]
    assert np.allclose(rule(new, new.shape), (new - middle) / spread, rtol=1e-4, atol=1e-4)
    both = np.stack([rule(one, one.shape) for one in good_maps(30, seed=3)])
    assert both[:, :, 8:].std() == pytest.approx(both[:, :, :8].std(), rel=0.25)  # 5 times apart before


def test_where_good_images_agree_the_scale_has_a_floor() -> None:
    maps = [np.where(np.arange(16) < 4, 1.0, one).astype(np.float32) for one in good_maps(20)]
    rule = Normalise(scope="pixel", floor=0.2)
    rule.fit(maps, nowhere(20))
    _, facts = rule.state()
    arrays, _ = rule.state()
    least = 0.2 * np.median(1.4826022185056018 * np.median(np.abs(np.stack(maps) - np.median(maps, axis=0)), axis=0))
    assert np.allclose(arrays["scale"][:, :4], least)
    assert facts["scale"][0] == pytest.approx(float(least))


def test_statistics_that_are_none_are_refused() -> None:
    with pytest.raises(CalibrationError, match="at least 100 good images, there are 20"):
        Normalise(scope="pixel", method="percentile").fit(good_maps(20), nowhere(20))
    with pytest.raises(CalibrationError, match="do not differ"):
        Normalise().fit([np.ones((4, 4), np.float32)] * 5, nowhere(5))
    mixed = good_maps(7) + good_maps(1, shape=(10, 16))
    with pytest.raises(CalibrationError, match="16×10 and of 16×12"):
        Normalise(scope="pixel").fit(mixed, nowhere(8))
    rule = Normalise(scope="pixel")
    rule.fit(good_maps(8), nowhere(8))
    with pytest.raises(ImageError, match="16×10 pixels, those that 'normalise' learned from 16×12"):
        rule(good_maps(1, shape=(10, 16))[0], (10, 16))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("smooth", {"sigma": 0}),
        ("smooth", {"sigma": True}),
        ("normalise", {"method": "zscore"}),
        ("normalise", {"scope": "image"}),
        ("normalise", {"low": 99.0, "high": 99.0}),
        ("normalise", {"floor": 0}),
    ],
)
def test_a_wrong_parameter_is_named(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=next(reversed(params))):
        create_component("postprocess", name, params)


def test_what_was_learned_is_kept_without_pickle_and_gives_the_same_maps(tmp_path: Path) -> None:
    learned = [Smooth(sigma=2.0), Normalise(scope="pixel"), Normalise()]
    maps = good_maps(12)
    learned[1].fit(maps, nowhere(12))
    learned[2].fit(maps, nowhere(12))
    keep_learned(learned, tmp_path, {"fingerprint": "a"})
    fresh = [Smooth(sigma=2.0), Normalise(scope="pixel"), Normalise()]
    assert load_kept(fresh, tmp_path, {"fingerprint": "b"}) is False
    assert load_kept(fresh, tmp_path, {"fingerprint": "a"}) is True
    values = good_maps(1, seed=5)[0]
    one, other = (PostProcess(tuple(rules), image_score="max")(scored(values)) for rules in (learned, fresh))
    assert np.array_equal(one.map, other.map)
    assert one.score == other.score
    assert {path.suffix for path in (tmp_path / "postprocess").iterdir()} == {".safetensors", ".json"}


# -- region of interest ----------------------------------------------------------------------------------------------

STAR = ((10.2, 3.1), (30.7, 8.4), (57.9, 2.2), (41.3, 20.6), (55.5, 41.7), (28.8, 30.1), (4.4, 44.9), (17.3, 22.2))


def test_a_pixel_belongs_to_a_polygon_if_its_centre_does() -> None:
    from skimage.measure import points_in_poly

    rows, columns = np.indices((48, 64))
    centres = np.stack((columns.ravel() + 0.5, rows.ravel() + 0.5), axis=1)
    for polygon in (STAR, STAR[::-1], STAR[:3]):
        expected = points_in_poly(centres, polygon).reshape(48, 64)
        assert expected.any()
        assert np.array_equal(Roi((polygon,)).inside((48, 64)), expected)


def test_a_box_of_a_record_is_the_polygon_of_its_pixels() -> None:
    x, y, width, height = 3, 5, 10, 7
    corners = ((x, y), (x + width, y), (x + width, y + height), (x, y + height))
    expected = np.zeros((20, 30), bool)
    expected[y : y + height, x : x + width] = True
    assert np.array_equal(Roi((corners,)).inside((20, 30)), expected)
    whole = Roi((((0, 0), (1, 0), (1, 1), (0, 1)),), "fraction")
    for shape in ((20, 30), (7, 5), (1, 1)):
        assert whole.inside(shape).all()


def test_polygons_together_are_the_region_and_an_image_of_them_is_the_same(tmp_path: Path) -> None:
    table = {"polygons": [[list(corner) for corner in STAR], [[40, 30], [63, 30], [63, 47]]], "size": [64, 48]}
    polygons = Roi.from_config(table)
    inside = polygons.inside((48, 64))
    parts = [Roi.from_config({"polygons": [polygon]}).inside((48, 64)) for polygon in table["polygons"]]
    assert np.array_equal(inside, parts[0] | parts[1])
    assert (parts[0] & parts[1]).any()
    write_png(inside.astype(np.uint8) * 7, tmp_path / "roi.png")
    assert np.array_equal(Roi.from_config(str(tmp_path / "roi.png")).inside((48, 64)), inside)
    scaled = [[[x / 64, y / 48] for x, y in polygon] for polygon in table["polygons"]]
    assert np.array_equal(Roi.from_config({"polygons": scaled, "unit": "fraction"}).inside((48, 64)), inside)
    assert Roi.from_config(polygons.to_json()).fingerprint() == polygons.fingerprint()


def test_a_region_for_another_size_is_refused_and_both_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"is for 64×48 pixels, the image has 32×24"):
        Roi((STAR,), size=(64, 48)).inside((24, 32))
    with pytest.raises(ImageError, match=r"reaches to 57.9×44.9, the image has 50×48"):
        Roi((STAR,)).inside((48, 50))
    write_png(np.full((48, 64), 255, np.uint8), tmp_path / "roi.png")
    with pytest.raises(ImageError, match=r"is for 64×48 pixels, the image has 32×24"):
        Roi.from_config(str(tmp_path / "roi.png")).inside((24, 32))
    write_png(np.zeros((48, 64), np.uint8), tmp_path / "empty.png")
    with pytest.raises(ImageError, match="empty"):
        Roi.from_config(str(tmp_path / "empty.png"))
    with pytest.raises(ImageError, match="no pixel"):
        Roi((((1.1, 1.1), (1.3, 1.1), (1.2, 1.3)),)).inside((10, 10))


@pytest.mark.parametrize(
    ("value", "place", "text"),
    [
        ({"polygons": [[[0, 0], [1, 1]]]}, ("polygons", 0), "has 2 corners"),
        ({"polygons": []}, ("polygons",), r"\[\]"),
        ({"polygons": [[[0, 0], [1, 1], [2]]]}, ("polygons", 0, 2), r"\[2\]"),
        ({"polygons": [[[0, 0], [1, -1], [2, 2]]]}, ("polygons", 0, 1), "-1"),
        ({"polygons": [[[0, 0], [1, 0], [0, 2]]], "unit": "fraction"}, ("polygons", 0, 2), r"\[0, 2\]"),
        ({"polygons": [[[0, 0], [1, 0], [0, 2]]], "unit": "mm"}, ("unit",), "'mm'"),
        ({"polygons": [[[0, 0], [1, 0], [0, 2]]], "scale": 2}, ("scale",), "unknown key"),
        ({"polygons": [[[0, 0], [1, 0], [0, 2]]], "size": [4]}, ("size",), r"\[4\]"),
        (3, (), "3"),
        ({"brick": 3}, ("brick",), "3"),
    ],
)
def test_a_wrong_region_says_where(value: Any, place: Sequence[Any], text: str) -> None:
    import re

    ((where, message, allowed),) = roi_problems(value, categories=True)
    assert where == place
    assert re.search(text, message)
    assert allowed
    with pytest.raises(ConfigError):
        Roi.from_config(value)


# -- image scores ----------------------------------------------------------------------------------------------------


def test_the_score_is_the_maximum_of_what_counts_at_the_size_of_the_image() -> None:
    values = np.random.default_rng(2).normal(size=(12, 16)).astype(np.float32)
    roi = Roi((((10, 10), (30, 10), (30, 30), (10, 30)),))
    full = map_at(values, (48, 64))
    assert PostProcess(roi=roi, image_score="max")(scored(values, (48, 64))).score == full[10:30, 10:30].max()
    bordered = PostProcess(border=5, image_score="max")
    assert bordered(scored(values, (48, 64))).score == full[5:-5, 5:-5].max()
    both = PostProcess(roi=roi, border=15, image_score="max")
    assert both(scored(values, (48, 64))).score == full[15:30, 15:30].max()
    assert PostProcess(image_score="max")(scored(values, (48, 64))).score == full.max()


def test_the_mean_of_the_highest_is_that_of_a_sorted_map() -> None:
    values = np.random.default_rng(2).normal(size=(40, 50)).astype(np.float32)
    highest = np.sort(values[4:-4, 4:-4].ravel())[::-1]
    for share, count in ((0.05, math.ceil(0.05 * highest.size)), (1e-9, 1), (1.0, highest.size)):
        processing = PostProcess(border=4, image_score="top-mean", top_share=share)
        assert processing(scored(values)).score == pytest.approx(float(highest[:count].mean(dtype=np.float64)))


def test_nothing_set_changes_nothing() -> None:
    one = scored(np.ones((4, 4)), score=3.5)
    assert PostProcess()(one) is one
    assert not PostProcess().active
    assert PostProcess().inside((4, 4)) is None


def test_an_image_that_does_not_fit_becomes_an_error_and_the_stream_goes_on() -> None:
    processing = PostProcess(border=4, image_score="max")
    images = [scored(np.ones(shape)) for shape in ((20, 20), (8, 20), (20, 20))]
    first, second, third = processing.stream(images)
    assert first.score == third.score == 1.0
    assert second.score is None
    assert second.map is None
    assert "20×8" in str(second.error)
    with pytest.raises(ImageError, match="20×8"):
        list(processing.stream(images, on_error="raise"))


# -- the promise -----------------------------------------------------------------------------------------------------


def overkill(n_repeats: int, *, shared: bool) -> float:
    """Return the share of new good images that are rejected at alpha = 0.2, with a normalisation pixel by pixel."""
    alpha, n_learn, n_new = 0.2, 8, 40
    rejected = 0
    for seed in range(n_repeats):
        maps = good_maps(n_learn + 19 + n_new, seed=seed, shape=(6, 8))
        rule = Normalise(scope="pixel")
        rule.fit(maps[:n_learn], nowhere(n_learn))
        processing = PostProcess((rule,), image_score="max")
        scores = [float(processing(scored(one)).score or 0.0) for one in maps]
        held_out = scores[: n_learn + 11] if shared else scores[n_learn : n_learn + 19]
        card = calibrate(held_out, method="conformal", params={}, alpha=alpha, fingerprint="0" * 64)
        rejected += sum(card.decision(score) == "defective" for score in scores[-n_new:])
    return rejected / (n_repeats * n_new)


def test_the_promised_overkill_holds_since_no_image_is_learned_from_and_calibrated_on() -> None:
    """alpha (n + 1) is whole for n = 19 and 0.2, so that split conformal calibration rejects just 0.2 on average."""
    own = overkill(150, shared=False)
    assert own == pytest.approx(0.2, abs=0.03)  # three standard errors, of about 0.1 / sqrt(150)
    assert overkill(150, shared=True) > own + 0.05


# -- thresholds and decisions ----------------------------------------------------------------------------------------


def test_the_low_threshold_is_calibrated_by_its_alpha_or_lies_at_its_fraction() -> None:
    maxima = [float(number) for number in range(1, 40)]
    medians = [0.5] * 39
    common: dict[str, Any] = {"method": "conformal", "params": {}, "alpha": 0.05, "fingerprint": "0" * 64}

    def card(**way: float) -> CalibrationCard:
        return calibrate(maxima, map_maxima=maxima, map_medians=medians, pixel=PixelWay(**way), **common)  # type: ignore[arg-type]

    wider = calibrate(maxima, map_maxima=maxima, map_medians=medians, **{**common, "alpha": 0.5})
    assert card(low_alpha=0.5).pixel_low_threshold == wider.pixel_threshold
    assert card(low_fraction=0.25).pixel_low_threshold == pytest.approx(0.5 + 0.25 * (card().pixel_threshold - 0.5))
    assert card().pixel_low_threshold is None
    assert "pixel_low_threshold" not in card().to_json()
    for one in (card(), card(low_alpha=0.5)):
        assert CalibrationCard.from_json(one.to_json(), where="card") == one


def test_where_regions_decide_the_card_promises_what_the_pixel_threshold_does() -> None:
    maxima = [float(number) for number in range(1, 40)]
    common: dict[str, Any] = {"method": "conformal", "params": {}, "alpha": 0.05, "fingerprint": "0" * 64}
    card = calibrate(
        maxima, map_maxima=maxima, map_medians=maxima, pixel=PixelWay(alpha=0.2), by_regions=True, **common
    )
    assert "probability at most 0.2" in card.guarantee.split(" Of the score: ")[0]
    assert card.interval is None
    assert "regions decide" in str(card.interval_reason)


def test_counts_are_of_the_decisions_where_these_are_given() -> None:
    scores, labels = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 0, 1, 1])
    decisions = ["good", "defective", "review", "defective"]
    counts = confusion(scores, labels, 10.0, review_threshold=9.0, decisions=decisions)
    assert counts == {
        "rejected_defective": 1,
        "rejected_good": 1,
        "passed_good": 1,
        "passed_defective": 0,
        "review_good": 0,
        "review_defective": 1,
    }
    own = ["defective" if score >= 3.0 else "review" if score >= 2.0 else "good" for score in scores]
    by_score = confusion(scores, labels, 3.0, review_threshold=2.0)
    assert confusion(scores, labels, 3.0, review_threshold=2.0, decisions=own) == by_score
    for wrong in (["good"] * 3, ["good", "bad", "good", "good"]):
        with pytest.raises(ParameterError, match="decisions"):
            confusion(scores, labels, 1.0, decisions=wrong)


def judge_of(policy: RegionPolicy) -> Judge:
    scores = [float(number) for number in range(1, 40)]
    card = calibrate(
        scores,
        method="conformal",
        params={},
        alpha=0.05,
        review_alpha=0.5,
        fingerprint="0" * 64,
        map_maxima=scores,
        map_medians=scores,
    )
    return Judge(card, policy)


@pytest.mark.parametrize(
    ("size", "peak", "score", "expected"),
    [
        (6, 50.0, 50.0, ("defective", None)),  # a region is left
        (2, 50.0, 50.0, ("review", "min_area")),  # all were removed: the review band is below the threshold
        (2, 1.0, 50.0, ("review", "no-region")),  # the score says what the map does not
        (2, 1.0, 25.0, ("review", None)),
        (2, 1.0, 2.0, ("good", None)),
        (6, 50.0, 2.0, ("defective", None)),  # regions decide, whatever the score
    ],
)
def test_the_verdict_where_regions_decide(size: int, peak: float, score: float, expected: tuple[str, Any]) -> None:
    values = np.zeros((20, 20), np.float32)
    values[4 : 4 + size, 4 : 4 + size] = peak
    image = ScoredImage(0, "image", score, values, values.shape)
    verdict = judge_of(RegionPolicy(min_area=10, decide="regions"))(image)
    assert (verdict.decision, verdict.overruled_by) == expected
    plain = judge_of(RegionPolicy(min_area=10))(image)
    assert plain.decision == {50.0: "defective", 25.0: "review", 2.0: "good"}[score]
    assert plain.overruled_by is None
