"""Regions of a map: boxes, areas, peaks, the rule that removes one, and the records, masks and CSV that show them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from pyimgano.core.errors import RunError
from pyimgano.core.images import read_image
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.demo import write_textures
from pyimgano.workbench.inference import RunModels
from pyimgano.workbench.records import PredictionRecord, read_records, write_csv
from pyimgano.workbench.regions import Region, RegionPolicy, find_regions
from pyimgano.workbench.render import read_map
from pyimgano.workbench.runs import RunDirectory
from pyimgano.workbench.training import run_recipe

EVERYTHING = RegionPolicy()


def spots() -> np.ndarray:
    values = np.zeros((20, 30), np.float32)
    values[2:6, 3:10] = 2.0  # 28 pixels
    values[4, 5] = 7.0
    values[10, 10] = 9.0  # one pixel, at the threshold's height and beyond
    values[12:15, 20:22] = 5.0  # touches the next one by a corner
    values[15, 22] = 5.0
    return values


def test_regions_are_connected_by_corners_and_sorted_by_their_highest_score() -> None:
    found = find_regions(spots(), (20, 30), 2.0, EVERYTHING)
    assert found.regions == (
        Region((10, 10, 1, 1), 1, 9.0),
        Region((3, 2, 7, 4), 28, 7.0),
        Region((20, 12, 3, 4), 7, 5.0),
    )
    assert found.left_out == 0
    assert np.array_equal(found.mask, spots() >= 2.0)


def test_a_small_region_is_removed_from_the_mask_and_kept_in_the_list_with_its_rule() -> None:
    found = find_regions(spots(), (20, 30), 2.0, RegionPolicy(min_area=7))
    assert [(region.area, region.removed_by) for region in found.regions] == [(1, "min_area"), (28, None), (7, None)]
    assert not found.mask[10, 10]
    assert found.mask.sum() == 35


def test_what_counts_is_listed_before_what_was_removed_when_there_are_too_many() -> None:
    found = find_regions(spots(), (20, 30), 2.0, RegionPolicy(min_area=7, limit=2))
    assert [region.area for region in found.regions] == [28, 7]
    assert found.left_out == 1


@pytest.mark.parametrize("shape", [(20, 30), (200, 301), (7, 9)])
def test_a_calm_map_has_no_regions_at_any_size(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    found = find_regions(rng.random((20, 30), dtype=np.float32), shape, 1.0 + 1e-6, EVERYTHING)
    assert found.regions == ()
    assert found.mask.shape == shape
    assert not found.mask.any()


def test_a_threshold_between_two_numbers_of_32_bits_lets_the_lower_one_go() -> None:
    low = np.float32(0.1)
    threshold = float(low) + 1e-12  # rounds to `low` in 32 bits
    values = np.full((4, 4), low)
    assert find_regions(values, (4, 4), threshold, EVERYTHING).regions == ()
    values[1, 1] = np.nextafter(low, np.float32(1))
    assert [region.area for region in find_regions(values, (4, 4), threshold, EVERYTHING).regions] == [1]


def test_a_record_keeps_its_regions_through_json() -> None:
    regions = find_regions(spots(), (20, 30), 2.0, RegionPolicy(min_area=7)).regions
    record = PredictionRecord("a.png", group="lot 1", score=1.0, regions=regions, regions_left_out=3)
    assert PredictionRecord.from_json(json.loads(record.to_line())) == record
    assert json.loads(PredictionRecord("b.png", score=1.0, regions=()).to_line())["regions"] == []
    assert "regions" not in json.loads(PredictionRecord("b.png", score=1.0).to_line())


@pytest.mark.parametrize(
    "line",
    ['[{"image": "a.png"}]', "5", '{"image": "a.png", "regions": 5}', '{"image": "a.png", "regions": [{"box": [1]}]}'],
)
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "r.jsonl").write_text('{"image": "b.png"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(RunError, match="not a prediction record") as caught:
        read_records(tmp_path / "r.jsonl")
    assert str(caught.value.where).endswith("r.jsonl:2")


@pytest.mark.parametrize(("key", "value"), [("min_area", -1), ("min_area", 2.5), ("limit", 0), ("limit", True)])
def test_a_policy_that_the_config_would_refuse_is_not_read(key: str, value: object) -> None:
    assert RegionPolicy.from_json({"min_area": 4, "limit": 3}) == RegionPolicy(4, 3)
    with pytest.raises(ValueError, match=key):
        RegionPolicy.from_json({"min_area": 4, "limit": 3, key: value})


def test_a_csv_counts_the_regions_that_were_kept_and_runs_no_formula(tmp_path: Path) -> None:
    regions = find_regions(spots(), (20, 30), 2.0, RegionPolicy(min_area=7)).regions
    records = [
        PredictionRecord("=1+1.png", category="@sum", score=-1.5, regions=regions),
        PredictionRecord("b, c.png", error='ImageError: "no"'),
    ]
    write_csv(records, tmp_path / "r.csv")
    with open(tmp_path / "r.csv", encoding="utf-8-sig", newline="") as stream:
        first, second = csv.DictReader(stream)
    assert (first["image"], first["category"], first["score"], first["regions"]) == ("./=1+1.png", "'@sum", "-1.5", "2")
    assert (second["image"], second["error"], second["regions"]) == ("b, c.png", 'ImageError: "no"', "")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    root = tmp_path_factory.mktemp("regions")
    write_textures(root / "textures", seed=0)
    settings = [
        "model.params.input_size=64",
        'dataset.categories=["brick"]',
        "regions.min_area=100",
        "regions.limit=3",
        "calibration.pixel_method=quantile",
    ]
    settings += ["calibration.pixel_alpha=0.9"]
    settings += ["output.masks=true", "output.maps=true", "calibration.alpha=0.1", "calibration.review_alpha=0.4"]
    flags = {"dataset.root": root / "textures", "model.name": "pixel-gaussian", "output.dir": root / "runs"}
    return run_recipe(load_run_config(settings=settings, flags=flags))


def test_the_mask_of_a_test_image_holds_the_regions_of_its_record(run: RunDirectory) -> None:
    folder = run.category("brick")
    threshold = folder.report()["calibration"]["pixel_threshold"]
    removed = kept = 0
    for record in read_records(folder.per_image):
        assert record.map is not None
        assert record.mask is not None
        full = read_map(folder.path / record.map)
        mask = read_image(folder.path / record.mask)[..., 0] > 0
        assert record.regions is not None
        assert len(record.regions) <= 3
        for region in record.regions:
            x, y, width, height = region.box
            inside = full[y : y + height, x : x + width]
            assert region.score in inside
            assert (region.area < 100) == (region.removed_by == "min_area")
            if region.removed_by is None:
                kept += 1
                assert mask[y : y + height, x : x + width].sum() >= region.area
            else:
                removed += 1
        assert not mask[full < threshold].any()
        if not record.regions_left_out:
            assert mask.sum() == sum(region.area for region in record.regions if region.removed_by is None)
    assert kept
    assert removed


def test_images_whose_decision_and_regions_disagree_are_counted(run: RunDirectory) -> None:
    folder = run.category("brick")
    records = read_records(folder.per_image)
    assert folder.report()["decisions_and_regions"] == {
        "good_with_regions": sum(r.decision == "good" and r.n_kept > 0 for r in records),
        "defective_without_regions": sum(r.decision == "defective" and r.n_kept == 0 for r in records),
    }


def test_the_decisions_are_three_and_the_csv_beside_has_them_all(run: RunDirectory) -> None:
    folder = run.category("brick")
    records = read_records(folder.per_image)
    assert {record.decision for record in records} == {"good", "review", "defective"}
    with open(folder.path / "per_image.csv", encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["image"], row["decision"], float(row["score"])) for row in rows] == [
        (record.image, record.decision, record.score) for record in records
    ]


def test_inference_knows_the_runs_rules(run: RunDirectory) -> None:
    from pyimgano.workbench.inference import Source

    fitted = RunModels(run).fitted(Source("x.png", Path("x.png"), "brick"))
    assert fitted.policy == RegionPolicy(min_area=100, limit=3)
