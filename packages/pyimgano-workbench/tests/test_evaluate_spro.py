"""Saturated per-region overlap: by hand, against the definition written out, and from files in LOCO's layout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pyimgano.core.errors import DatasetError, ImageError, ParameterError
from pyimgano.datasets import (
    defects_config,
    inspect_samples,
    load_mask,
    load_regions,
    read_dataset,
    read_defects_config,
)
from pyimgano.datasets.saturation import DefectRule
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.evaluate import pixel_metrics, spro_metrics
from pyimgano.workbench.evaluate import spro as spro_module
from pyimgano.workbench.records import read_records
from pyimgano.workbench.render import read_map
from pyimgano.workbench.training import run_recipe


def measure(maps, regions, kinds, **options):
    return spro_metrics(lambda i: (maps[i], regions[i]), kinds, **options)


def written_out(maps, regions, kinds, limit: float) -> dict[str, float]:
    """Follow the definition: every threshold, every defect, every pixel outside; and the trapezoids up to the limit."""

    def at_least(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
        return scores.size - np.searchsorted(np.sort(scores), thresholds)

    areas = {}
    for name in sorted({kind for kind in kinds if kind is not None}):
        chosen = [index for index, kind in enumerate(kinds) if kind in (None, name)]
        thresholds = np.unique(np.concatenate([maps[i].ravel() for i in chosen]))[::-1]
        outside = [
            maps[i][~np.logical_or.reduce([np.zeros(maps[i].shape, bool)] + [mask for mask, _ in regions[i]])]
            for i in chosen
        ]
        rates = at_least(np.concatenate(outside), thresholds) / sum(scores.size for scores in outside)
        found = [(at_least(maps[i][mask], thresholds), area) for i in chosen for mask, area in regions[i]]
        overlaps = np.mean([np.minimum(count / area, 1.0) for count, area in found], axis=0)
        x, y = np.append(0.0, rates).tolist(), np.append(0.0, overlaps).tolist()
        area = 0.0
        for x0, x1, y0, y1 in zip(x, x[1:], y, y[1:]):
            if x0 < limit:
                end = min(x1, limit)
                height = y0 + (y1 - y0) * (end - x0) / (x1 - x0) if x1 > x0 else y1
                area += (end - x0) * (y0 + height) / 2
        areas[name] = area / limit
    return areas


def row(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float32)


def at(n: int, *places: int) -> np.ndarray:
    mask = np.zeros((1, n), dtype=bool)
    mask[0, list(places)] = True
    return mask


def test_a_saturated_region_counts_as_found_by_hand() -> None:
    # Ten pixels: a region of four that is saturated by two, six outside. From the highest score down:
    # found, outside, found (saturated here), then outside only.
    maps = [row(9, 7, 1, 0, 8, 6, 5, 4, 3, 2)]
    regions = [[(at(10, 0, 1, 2, 3), 2)]]
    found = measure(maps, regions, ["logical"], limits=[1.0, 1 / 6, 0.5])
    # overlap 1/2 up to a rate of 1/6, then 1
    assert found.metrics["pixel_au_spro_1"].value == pytest.approx(1 - 1 / 12)
    assert found.metrics["pixel_au_spro_0.166667"].value == pytest.approx(0.5)
    assert found.metrics["pixel_au_spro_0.5"].value == pytest.approx((0.5 / 6 + 2 / 6) / 0.5)
    without = measure(maps, [[(at(10, 0, 1, 2, 3), 4)]], ["logical"], limits=[1.0])
    assert without.metrics["pixel_au_spro_1"].value == pytest.approx((0.25 + 0.5 * 5) / 6)


def test_two_regions_of_an_image_may_overlap_and_weigh_the_same() -> None:
    maps = [row(5, 4, 3, 2, 1, 0)]
    regions = [[(at(6, 0, 2, 3), 1), (at(6, 2, 3), 2)]]
    # Threshold 5 saturates the first; 4 is outside; 3 is half of the second, 2 all of it.
    found = measure(maps, regions, ["logical"], limits=[1.0])
    assert found.metrics["pixel_au_spro_1"].value == pytest.approx((0.5 + 1 + 1) / 3)
    assert found.by_defect["logical"]["au_spro_1"].n == {"images": 1, "regions": 2, "good_pixels": 3}


def test_each_kind_is_measured_with_the_good_images_and_without_the_others() -> None:
    maps = [row(4, 3, 0), row(9, 5, 5), row(1, 2, 2)]
    regions = [[(at(3, 0), 1)], [(at(3, 1), 1)], []]
    kinds = ["structural", "logical", None]
    found = measure(maps, regions, kinds, limits=[1.0])
    assert found.by_defect["structural"]["au_spro_1"].value == 1.0  # the 9 of the other kind's image does not count
    # Of five pixels outside one scores above the logical defect, one the same, three below.
    assert found.by_defect["logical"]["au_spro_1"].value == pytest.approx((0.5 + 3) / 5)
    mean = found.metrics["pixel_au_spro_1"]
    assert mean.value == pytest.approx((1.0 + 0.7) / 2)
    assert mean.n == {"images": 3, "regions": 2, "kinds": 2}
    assert mean.facts == {"limit": 1.0}


def random_case(seed: int, levels: int | None) -> tuple[list, list, list]:
    rng = np.random.default_rng(seed)
    maps, regions, kinds = [], [], []
    for index in range(7):
        shape = (int(rng.integers(4, 15)), int(rng.integers(4, 15)))
        own = []
        for _ in range(int(rng.integers(1, 4)) if index % 3 else 0):
            mask = rng.random(shape) < 0.15
            mask[int(rng.integers(shape[0])), int(rng.integers(shape[1]))] = True
            own.append((mask, int(rng.integers(1, mask.sum() + 1))))
        scores = rng.normal(size=shape) + sum(1.0 * mask for mask, _ in own)
        maps.append((np.round(scores * levels) / levels if levels else scores).astype(np.float32))
        regions.append(own)
        kinds.append([None, "logical", "structural"][index % 3])
    return maps, regions, kinds


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([None, 4, 1]))
def test_the_area_equals_the_definition_written_out(seed: int, levels: int | None) -> None:
    maps, regions, kinds = random_case(seed, levels)
    for limit in (0.05, 0.3, 1.0):
        expected = written_out(maps, regions, kinds, limit)
        found = measure(maps, regions, kinds, limits=[limit])
        for name, area in expected.items():
            assert found.by_defect[name][f"au_spro_{limit:g}"].value == pytest.approx(area, abs=1e-9)
        assert found.metrics[f"pixel_au_spro_{limit:g}"].value == pytest.approx(
            np.mean(list(expected.values())), abs=1e-9
        )


def test_without_saturation_it_is_aupro() -> None:
    maps, masks = [], []
    for index in range(4):
        mask = np.zeros((30, 30), dtype=bool)
        mask[4:11, 5:9] = mask[20:22, 3:20] = index > 0
        maps.append(np.random.default_rng(index).normal(size=mask.shape).astype(np.float32) + mask)
        masks.append(mask)
    blocks = np.zeros((2, 30, 30), dtype=bool)
    blocks[0, 4:11, 5:9] = blocks[1, 20:22, 3:20] = True
    regions = [[], *[[(block, int(block.sum())) for block in blocks] for _ in range(3)]]
    kinds = [None, "x", "x", "x"]
    found = measure(maps, regions, kinds, limits=[0.3]).metrics["pixel_au_spro_0.3"].value
    pro = pixel_metrics(lambda i: (maps[i], masks[i]), [kind is not None for kind in kinds])
    assert found == pytest.approx(getattr(pro, "metrics", pro)["pixel_aupro"].value, abs=1e-9)


def test_the_size_of_the_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    case = random_case(3, 5)
    whole = measure(*case)
    monkeypatch.setattr(spro_module, "CHUNK", 1)
    assert measure(*case) == whole


def test_what_is_not_defined_is_null_with_a_reason_and_nonsense_is_refused() -> None:
    good = [row(1, 2)]
    assert measure(good, [[]], [None]).metrics["pixel_au_spro_0.05"].reason == "no image shows a defect"
    nothing_good = measure(good, [[(at(2, 0, 1), 1)]], ["x"])
    assert nothing_good.metrics["pixel_au_spro_0.3"].reason == "no good pixels in the ground truth"
    refused = [
        (row(1, np.nan), [(at(2, 0), 1)], "x", "not finite"),
        (row(1, 2, 3), [(at(2, 0), 1)], "x", "shape"),
        (row(1, 2), [(at(2, 0), 2)], "x", "saturation of 2"),
        (row(1, 2), [(at(2, 0), 0)], "x", "saturation of 0"),
        (row(1, 2), [], "x", "no image of 'x'"),
    ]
    for anomaly_map, regions, kind, message in refused:
        with pytest.raises(ParameterError, match=message):
            measure([anomaly_map], [regions], [kind])
    with pytest.raises(ParameterError, match="a good image with defects"):
        measure([row(1, 2), row(1, 2)], [[(at(2, 0), 1)], [(at(2, 0), 1)]], ["x", None])
    with pytest.raises(ParameterError, match="0"):
        measure(good, [[]], [None], limits=[0.0])


# -- from files ------------------------------------------------------------------------------------------------------

CONFIG = [
    {"defect_name": "missing_pushpin", "pixel_value": 255, "saturation_threshold": 30, "relative_saturation": False},
    {"defect_name": "contamination", "pixel_value": 230, "saturation_threshold": 0.29, "relative_saturation": True},
    {"defect_name": "broken", "pixel_value": 7, "saturation_threshold": 1.0, "relative_saturation": True},
]
SHAPE = (48, 64)


@pytest.fixture
def loco(tmp_path: Path) -> Path:
    """Write real textures in MVTec LOCO AD's layout: gravel is good, a patch of grass or brick is the defect."""
    gravel, grass, brick = skimage.data.gravel(), skimage.data.grass(), skimage.data.brick()
    base = tmp_path / "mvtec_loco" / "pushpins"

    def save(path: str, picture: np.ndarray) -> None:
        target = base / path
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(target)

    def photo(number: int) -> np.ndarray:
        y, x = divmod(number * 61, 430)
        return gravel[y : y + SHAPE[0], x : x + SHAPE[1]].copy()

    for number in range(6):
        save(f"train/good/{number:03}.png", photo(number))
    for number in range(8):
        save(f"validation/good/{number:03}.png", photo(10 + number))
        save(f"test/good/{number:03}.png", photo(20 + number))
    places = {
        "logical_anomalies": [(grass, 255, (4, 4, 10, 10)), (brick, 230, (20, 30, 10, 10))],
        "structural_anomalies": [(brick, 7, (30, 10, 5, 8))],
    }
    for kind, defects in places.items():
        for number in range(2):
            picture = photo(30 + number)
            for region, (texture, value, (top, left, height, width)) in enumerate(defects):
                part = (slice(top, top + height), slice(left, left + width))
                picture[part] = texture[part]
                mask = np.zeros(SHAPE, np.uint8)
                mask[part] = value
                save(f"ground_truth/{kind}/{number:03}/{region:03}.png", mask)
            save(f"test/{kind}/{number:03}.png", picture)
    (base / "defects_config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return tmp_path / "mvtec_loco"


def test_regions_come_with_their_names_and_saturations(loco: Path) -> None:
    samples = read_dataset(loco)
    assert len(samples.select("validation", 0)) == 8
    sample = next(sample for sample in samples.select("test", 1) if sample.defect == "logical_anomalies")
    path = defects_config(sample)
    assert path == loco / "pushpins" / "defects_config.json"
    rules = read_defects_config(path)
    regions = load_regions(sample, SHAPE, rules)
    # 29 % of 100 pixels is 28: shares are rounded down, and 0.29 · 100 is 28.999999999999996
    assert [(region.name, region.saturation) for region in regions] == [("missing_pushpin", 30), ("contamination", 28)]
    assert np.array_equal(regions[0].mask | regions[1].mask, load_mask(sample, SHAPE))
    good = samples.select("test", 0)[0]
    assert load_regions(good, SHAPE, rules) == []
    assert defects_config(good) is None


def test_a_saturation_is_at_least_one_pixel_and_at_most_the_region() -> None:
    pixels, share = DefectRule("x", 1, 50.0, False), DefectRule("x", 1, 0.3, True)
    assert [pixels.saturation(area) for area in (1, 49, 51, 1000)] == [1, 49, 50, 50]
    assert [share.saturation(area) for area in (1, 3, 4, 100)] == [1, 1, 1, 30]


def test_a_dataset_without_the_config_has_no_saturation(loco: Path) -> None:
    (loco / "pushpins" / "defects_config.json").unlink()
    assert {defects_config(sample) for sample in read_dataset(loco).samples} == {None}


@pytest.mark.parametrize(
    ("entry", "place", "message"),
    [
        ({"defect_name": ""}, "[1].defect_name", "''"),
        ({"pixel_value": 0}, "[1].pixel_value", "0"),
        ({"pixel_value": 256}, "[1].pixel_value", "256"),
        ({"pixel_value": True}, "[1].pixel_value", "True"),
        ({"pixel_value": 7}, "[2].pixel_value", "7 stands for 'contamination' and for 'broken'"),
        ({"relative_saturation": 1}, "[1].relative_saturation", "1"),
        ({"saturation_threshold": 1.5}, "[1].saturation_threshold", "1.5"),
        ({"saturation_threshold": 0}, "[1].saturation_threshold", "0"),
        ({"saturation_threshold": "0.5"}, "[1].saturation_threshold", "'0.5'"),
        ({"saturation_threshold": 2.5, "relative_saturation": False}, "[1].saturation_threshold", "2.5"),
        ({"saturation_threshold": None}, "[1].saturation_threshold", "None"),
    ],
)
def test_a_malformed_config_is_refused_with_its_file_and_key(tmp_path: Path, entry, place: str, message: str) -> None:
    path = tmp_path / "defects_config.json"
    path.write_text(json.dumps([CONFIG[0], {**CONFIG[1], **entry}, CONFIG[2]]), encoding="utf-8")
    with pytest.raises(DatasetError) as refused:
        read_defects_config(path)
    assert refused.value.message == message
    assert refused.value.where == f"{path}: {place}"
    assert refused.value.allowed


def test_a_malformed_config_is_known_before_anything_is_fitted(loco: Path) -> None:
    (loco / "pushpins" / "defects_config.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(DatasetError, match="a int"):
        read_dataset(loco)


@pytest.mark.parametrize(
    ("text", "message"), [("{}", "a dict"), ("[3]", "a int"), ("[{}]", "no defect_name"), ("[", "not valid JSON")]
)
def test_what_is_no_list_of_defects_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "defects_config.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=message) as refused:
        read_defects_config(path)
    assert str(path) in str(refused.value.where)
    assert "saturation_threshold" in str(refused.value.allowed)


def test_a_mask_that_the_config_does_not_explain_is_refused(loco: Path) -> None:
    sample = next(sample for sample in read_dataset(loco).select("test", 1) if sample.defect == "structural_anomalies")
    rules = read_defects_config(loco / "pushpins" / "defects_config.json")
    mask = np.zeros(SHAPE, np.uint8)
    Image.fromarray(mask).save(sample.masks[0])
    with pytest.raises(DatasetError, match="black"):
        load_regions(sample, SHAPE, rules)
    mask[0, 0] = 8
    Image.fromarray(mask).save(sample.masks[0])
    with pytest.raises(DatasetError, match="the value 8") as refused:
        load_regions(sample, SHAPE, rules)
    assert refused.value.allowed == "7 (broken), 230 (contamination), 255 (missing_pushpin)"
    mask[0, 1] = 255
    Image.fromarray(mask).save(sample.masks[0])
    with pytest.raises(DatasetError, match="the values 8, 255"):
        load_regions(sample, SHAPE, rules)
    Image.fromarray(np.stack([mask] * 2 + [mask // 2], axis=2)).save(sample.masks[0])
    with pytest.raises(ImageError, match="not grey"):
        load_regions(sample, SHAPE, rules)
    Image.fromarray(mask[1:]).save(sample.masks[0])
    with pytest.raises(ImageError, match="64×47 pixels"):
        load_regions(sample, SHAPE, rules)


def test_an_inspection_lists_every_mask_that_the_config_does_not_explain(loco: Path) -> None:
    assert [problem for problem in inspect_samples(read_dataset(loco)).problems if "mask" in problem.kind] == []
    config = loco / "pushpins" / "defects_config.json"
    config.write_text(json.dumps(CONFIG[:2]), encoding="utf-8")
    samples = read_dataset(loco)
    found = [problem for problem in inspect_samples(samples).problems if problem.kind == "unexplained-mask"]
    assert [problem.files[0].rsplit("ground_truth/")[1] for problem in found] == [
        "structural_anomalies/000/000.png",
        "structural_anomalies/001/000.png",
    ]
    assert "the value 7" in found[0].message
    config.write_text(json.dumps([{**CONFIG[0], "pixel_value": 999}]), encoding="utf-8")
    problem = next(problem for problem in inspect_samples(samples).problems if problem.kind == "defects-config")
    assert problem.files == ("pushpins/defects_config.json",)
    assert problem.message == "[0].pixel_value: 999"


def test_a_run_on_locos_layout_reports_each_kind_and_their_mean(loco: Path) -> None:
    settings = ["model.params.input_size=48", "calibration.alpha=0.2", "output.maps=true"]
    flags = {"dataset.root": loco, "model.name": "pixel-gaussian", "output.dir": loco.parent / "runs"}
    folder = run_recipe(load_run_config(settings=settings, flags=flags)).category("pushpins")
    report = folder.report()
    assert report["data"]["calibration_source"] == "validation"
    rules = read_defects_config(loco / "pushpins" / "defects_config.json")
    samples = {sample.id: sample for sample in read_dataset(loco).samples}
    maps, regions, kinds = [], [], []
    for record in read_records(folder.per_image):
        maps.append(read_map(folder.path / str(record.map)))
        found = load_regions(samples[record.image], SHAPE, rules)
        regions.append([(region.mask, region.saturation) for region in found])
        kinds.append(record.defect)
    for limit in (0.3, 0.05):
        expected = written_out(maps, regions, kinds, limit)
        assert sorted(expected) == ["logical_anomalies", "structural_anomalies"]
        for name, area in expected.items():
            metric = report["by_defect"][name][f"au_spro_{limit:g}"]
            assert metric["value"] == pytest.approx(area, abs=1e-6)
            assert metric["n"]["images"] == 8 + 2
        metric = report["metrics"][f"pixel_au_spro_{limit:g}"]
        assert metric["value"] == pytest.approx(np.mean(list(expected.values())), abs=1e-6)
        assert metric["n"] == {"images": 12, "regions": 6, "kinds": 2}
    assert "recall" in report["by_defect"]["logical_anomalies"]
