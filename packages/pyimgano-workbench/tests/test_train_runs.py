"""The recipe industrial-adapt on real images: what a run leaves, that it repeats itself, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pyimgano.core.creation import load_model
from pyimgano.core.errors import CalibrationError, ConfigError, DatasetError, ImageError, PyimganoError
from pyimgano.core.images import read_image, read_mask, write_png
from pyimgano.workbench.calibrate import CalibrationCard
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.demo import write_textures
from pyimgano.workbench.records import read_records
from pyimgano.workbench.render import map_at, read_map
from pyimgano.workbench.runs import RunDirectory, open_run
from pyimgano.workbench.training import run_recipe

MODEL = "pixel-gaussian"


def train(data: Path, *settings: str, model: str = MODEL) -> RunDirectory:
    base = ["model.params.input_size=48"] if model == MODEL else []
    flags = {"dataset.root": data, "model.name": model, "output.dir": data.parent / "runs"}
    return run_recipe(load_run_config(settings=[*base, "calibration.alpha=0.2", *settings], flags=flags))


def lines(run: RunDirectory) -> dict[str, bytes]:
    return {folder.name: folder.per_image.read_bytes() for folder in run.categories()}


def values(run: RunDirectory, category: str = "cells") -> dict[str, Any]:
    report = run.category(category).report()
    return {name: metric["value"] for name, metric in report["metrics"].items()}


@pytest.fixture
def cells(make_cells: Callable[..., Path], tmp_path: Path) -> Path:
    return make_cells(tmp_path / "cells")


@pytest.fixture(scope="module")
def textures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("textures") / "textures"
    write_textures(root, seed=0)
    return root


@pytest.fixture(scope="module")
def textured(textures: Path) -> RunDirectory:
    return train(textures, "output.maps=true", "output.masks=true", "output.overlays=true")


def test_a_run_holds_what_it_is_documented_to_hold(cells: Path) -> None:
    run = train(cells)
    found = sorted(path.relative_to(run.path).as_posix() for path in run.path.rglob("*") if path.is_file())
    pictures = [path for path in found if path.startswith("categories/cells/thumbs/")]
    assert len(pictures) == 2 * 10
    assert [path for path in found if path not in pictures] == [
        "artifacts/calibration_card.json",
        "artifacts/image_statistics.json",
        "artifacts/infer_config.json",
        "artifacts/split.json",
        "categories/cells/curves.json",
        "categories/cells/per_image.csv",
        "categories/cells/per_image.jsonl",
        "categories/cells/report.json",
        "checkpoints/cells/detector.json",
        "checkpoints/cells/fit.json",
        "checkpoints/cells/state.safetensors",
        "config.json",
        "environment.json",
        "report.html",
        "report.json",
    ]
    for path in run.path.rglob("*.json*"):
        if path.suffix == ".json":
            assert json.loads(path.read_text(encoding="utf-8"))["schema_version"] in (1, 2), path
        assert str(cells.parent) not in path.read_text(encoding="utf-8"), path
    assert list(run.path.parent.iterdir()) == [run.path]


def test_the_numbers_are_those_of_the_lines(cells: Path) -> None:
    run = train(cells)
    records = read_records(run.category("cells").per_image)
    assert len(records) == 10
    labels, scores = [r.label for r in records], np.array([r.score for r in records])
    found = values(run)
    assert found["image_auroc"] == pytest.approx(roc_auc_score(labels, scores))
    report = run.category("cells").report()
    threshold = report["calibration"]["threshold"]
    assert {r.threshold for r in records} == {threshold}
    assert [r.decision for r in records] == ["defective" if s >= threshold else "good" for s in scores]
    card = CalibrationCard.from_json(report["calibration"], where="report")
    assert [r.p_value for r in records] == [card.p_value(s) for s in scores]
    assert report["metrics"]["overkill"]["n"] == {"good": 5}
    assert report["metrics"]["pixel_auroc"]["value"] is None
    assert "no test image has a ground-truth mask" in report["metrics"]["pixel_auroc"]["reason"]


def test_fit_calibration_and_test_images_are_disjoint_and_the_threshold_is_from_held_out_good_ones(cells: Path) -> None:
    run = train(cells)
    split = json.loads((run.path / "artifacts/split.json").read_text())["categories"]["cells"]
    sets = [set(split[name]) for name in ("fit", "calibration", "test")]
    assert [len(one) for one in sets] == [24, 6, 10]
    assert len(set.union(*sets)) == 40
    assert all(image.startswith("train/good/") for image in sets[0] | sets[1])
    detector = load_model(MODEL, run.category("cells").checkpoint)
    scores = detector.decision_function([cells / image for image in sorted(sets[1])])
    card = json.loads((run.path / "artifacts/calibration_card.json").read_text())["categories"]["cells"]
    assert card["held_out_scores"] == sorted(scores)
    assert card["fingerprint"] == split["fingerprints"]["calibration"]


def test_running_a_runs_config_again_gives_the_same_bytes_from_anywhere(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(cells, "seed=3")
    monkeypatch.chdir("/")
    again = run_recipe(load_run_config(first.path / "config.json"))
    assert again.path.parent == first.path.parent
    assert again.path != first.path
    assert lines(again) == lines(first)
    assert (again.path / "artifacts/split.json").read_bytes() == (first.path / "artifacts/split.json").read_bytes()
    state = "checkpoints/cells/state.safetensors"
    assert (again.path / state).read_bytes() == (first.path / state).read_bytes()


def test_another_seed_holds_out_other_images(cells: Path) -> None:
    assert lines(train(cells, "seed=1")) != lines(train(cells, "seed=2"))


def test_batch_size_never_changes_a_score(cells: Path) -> None:
    assert lines(train(cells, "batch_size=1")) == lines(train(cells, "batch_size=7"))


def test_runs_together_with_their_data_can_be_moved(cells: Path, tmp_path: Path) -> None:
    run = train(cells)
    before = lines(run)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move(str(cells), str(moved / "cells"))
    shutil.move(str(tmp_path / "runs"), str(moved / "runs"))
    there = open_run(moved / "runs" / run.path.name)
    assert lines(run_recipe(there.config())) == before


def test_each_category_has_a_detector_and_the_report_their_means(
    make_cells: Callable[..., Path], tmp_path: Path
) -> None:
    run = train(make_cells(tmp_path / "cells", categories=("left", "right")))
    report = run.report()
    assert [entry["name"] for entry in report["categories"]] == ["left", "right"]
    aurocs = [values(run, name)["image_auroc"] for name in ("left", "right")]
    assert report["means"]["image_auroc"] == {"value": pytest.approx(sum(aurocs) / 2), "n_categories": 2, "of": 2}
    infer = run.infer_config()
    for entry in infer["categories"]:
        assert load_model(infer["model"], run.path / "artifacts" / entry["checkpoint"]).n_images_ == 24
    only = train(tmp_path / "cells", 'dataset.categories=["right"]')
    assert lines(only)["right"] == lines(run)["right"]


def test_pixel_metrics_and_pictures_of_real_textures_with_known_defects(textured: RunDirectory, textures: Path) -> None:
    for folder in textured.categories():
        report = folder.report()
        for name in ("pixel_auroc", "pixel_ap", "pixel_f1max", "pixel_aupro"):
            metric = report["metrics"][name]
            assert 0.0 <= metric["value"] <= 1.0
            assert metric["n"]["regions"] >= 18
        assert report["data"]["calibration_source"] == "validation"
        assert report["metrics"]["pixel_aupro"]["limit"] == 0.3
    folder = textured.category("brick")
    threshold = folder.report()["calibration"]["pixel_threshold"]
    maps, truths = [], []
    for record in read_records(folder.per_image):
        shape = read_image(textures / record.image).shape[:2]
        kept = read_map(folder.path / str(record.map))
        assert kept.shape == shape
        assert np.array_equal(read_mask(folder.path / str(record.mask)), kept >= threshold)
        assert min(read_image(folder.path / str(record.overlay)).shape[:2]) >= shape[0]
        maps.append(kept.ravel())
        mask = textures / record.image.replace("/test/", "/ground_truth/").replace(".png", "_mask.png")
        truths.append(read_mask(mask).ravel() if record.label else np.zeros(kept.size, bool))
    expected = roc_auc_score(np.concatenate(truths), np.concatenate(maps))
    assert values(textured, "brick")["pixel_auroc"] == pytest.approx(expected, abs=1e-6)


def test_maps_are_kept_raw(textured: RunDirectory, textures: Path) -> None:
    folder = textured.category("gravel")
    record = read_records(folder.per_image)[0]
    raw = load_model(MODEL, folder.checkpoint).infer([textures / record.image])
    assert np.array_equal(read_map(folder.path / str(record.map)), map_at(raw.maps[0], (224, 224)))
    assert record.score == raw.image_scores[0]


def test_pixel_metrics_can_be_left_out_and_can_be_insisted_on(textures: Path, cells: Path) -> None:
    run = train(textures, "evaluation.pixel=false", 'dataset.categories=["brick"]')
    assert "switched off" in run.category("brick").report()["metrics"]["pixel_aupro"]["reason"]
    with pytest.raises(ConfigError, match="no defective test image has a mask"):
        train(cells, "evaluation.pixel=true")


def test_the_limit_is_stratified_and_never_the_first_ones(cells: Path) -> None:
    run = train(cells, "dataset.limit=8", "calibration.holdout=4")
    data = run.category("cells").report()["data"]
    assert (data["n_fit"], data["n_calibration"], data["n_test_good"], data["n_test_defective"]) == (4, 4, 4, 4)
    split = json.loads((run.path / "artifacts/split.json").read_text())["categories"]["cells"]
    assert sorted(split["fit"] + split["calibration"]) != [f"train/good/{i:03d}.png" for i in range(8)]


def test_a_model_without_torch_and_one_with_it_run_the_same_way(cells: Path) -> None:
    params = ["model.params.coreset_sampling_ratio=0.05", "model.params.input_size=64"]
    first, again = (train(cells, *params, model="patchcore") for _ in range(2))
    assert lines(first) == lines(again)
    assert values(first)["image_auroc"] > 0.7


# -- what is refused -------------------------------------------------------------------------------------------------


def test_nothing_is_left_of_a_run_that_was_refused_before_anything_was_fitted(cells: Path) -> None:
    with pytest.raises(CalibrationError, match=r"needs at least 99 held-out good images, there are 6"):
        train(cells, "calibration.alpha=0.01")
    assert list((cells.parent / "runs").iterdir()) == []


def test_a_truncated_training_image_is_an_error_that_names_it(cells: Path) -> None:
    for broken in sorted((cells / "train/good").iterdir()):
        data = broken.read_bytes()
        broken.write_bytes(data[: len(data) // 2])
        with pytest.raises(ImageError) as caught:
            train(cells)
        assert caught.value.where == str(broken)
        broken.write_bytes(data)
        if broken.name == "005.png":
            break
    assert list((cells.parent / "runs").iterdir()) == []


def test_unreadable_training_images_can_be_skipped_and_are_listed(cells: Path) -> None:
    (cells / "train/good/003.png").write_bytes(b"")
    (cells / "train/good/004.png").write_text("text")
    run = train(cells, "on_error=skip")
    report = run.category("cells").report()
    assert [entry["image"] for entry in report["data"]["skipped"]] == ["train/good/003.png", "train/good/004.png"]
    assert "empty" in report["data"]["skipped"][0]["error"]
    assert report["data"]["n_fit"] + report["data"]["n_calibration"] == 28
    assert run.report()["skipped"] == 2


def test_an_unreadable_test_image_is_an_error_record_and_counts_in_no_metric(cells: Path) -> None:
    clean = {record.image: record for record in read_records(train(cells).category("cells").per_image)}
    broken = cells / "test/good/001.png"
    broken.write_bytes(broken.read_bytes()[:500])
    run = train(cells)
    records = {record.image: record for record in read_records(run.category("cells").per_image)}
    bad = records.pop("test/good/001.png")
    assert (bad.score, bad.decision) == (None, None)
    assert "truncated" in str(bad.error)
    assert all(clean[image] == record for image, record in records.items())
    report = run.category("cells").report()
    assert report["metrics"]["overkill"]["n"] == {"good": 4}
    assert report["errors"] == [{"image": "test/good/001.png", "error": bad.error}]
    assert run.report()["errors"] == {"n": 1, "max_errors": 0, "tolerated": False}
    assert train(cells, "max_errors=1").report()["errors"]["tolerated"]


def test_an_empty_train_folder_a_missing_category_and_no_dataset_are_told(cells: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nonesuch"):
        train(cells, 'dataset.categories=["nonesuch"]')
    for image in (cells / "train/good").iterdir():
        image.unlink()
    with pytest.raises(DatasetError, match=r"train"):
        train(cells)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError):
        train(tmp_path / "empty")


def test_a_mask_of_another_size_is_an_error_that_names_both(textures: Path, tmp_path: Path) -> None:
    root = tmp_path / "textures"
    shutil.copytree(textures / "brick", root / "brick")
    mask = sorted((root / "brick/ground_truth").rglob("*_mask.png"))[0]
    write_png(np.zeros((32, 32), np.uint8), mask)
    with pytest.raises(ImageError, match=r"the mask has 32×32 pixels, its image .* 224×224") as caught:
        train(root)
    assert caught.value.where == str(mask)
    # The fit is kept, so that mending the mask is all that is left to do.
    assert "--resume" in str(caught.value.hint)


def test_a_test_image_that_is_also_a_training_image_is_an_error(cells: Path) -> None:
    shutil.copy(cells / "train/good/000.png", cells / "test/good/999.png")
    with pytest.raises(DatasetError, match=r"stands in two sets.*999\.png"):
        train(cells)


def test_good_images_alone_give_a_threshold_and_no_metric(cells: Path) -> None:
    shutil.rmtree(cells / "test")
    run = train(cells)
    report = run.category("cells").report()
    assert report["calibration"]["n"] == 6
    assert report["timing"]["test_ms_per_image"] is None
    assert all(metric["value"] is None and metric["reason"] for metric in report["metrics"].values())
    assert run.category("cells").per_image.read_bytes() == b""
    assert run.report()["means"]["image_auroc"]["value"] is None


def test_a_recipe_that_does_not_finish_its_run_is_told(cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyimgano.recipes.industrial_adapt import IndustrialAdapt

    monkeypatch.setattr(IndustrialAdapt, "run", lambda self, config, run: None)
    with pytest.raises(PyimganoError, match="ended without finishing its run"):
        train(cells)


def test_false_regions_on_good_images_are_counted_without_masks_too(cells: Path) -> None:
    run = train(cells, "calibration.pixel_method=quantile", "calibration.pixel_alpha=0.9")
    metrics = run.category("cells").report()["metrics"]
    records = read_records(run.category("cells").per_image)
    good = [record for record in records if record.label == 0]
    assert sum(record.n_kept for record in good) > 0
    counted = metrics["pixel_false_regions_per_good_image"]
    assert counted["value"] == pytest.approx(sum(record.n_kept for record in good) / len(good))
    assert metrics["pixel_segf1"]["value"] is None
