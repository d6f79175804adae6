"""What `runs submission` writes is what MVTec AD 2's evaluation server takes: read back, and checked by its rules."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from jsonschema import Draft202012Validator

from pyimgano.cli.main import main
from pyimgano.core.creation import load_model
from pyimgano.core.files import load_json
from pyimgano.core.images import read_image, write_png
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.demo import write_textures
from pyimgano.workbench.render import map_at
from pyimgano.workbench.schemas import json_schema
from pyimgano.workbench.submission import OBJECTS, SPLITS, half_map
from pyimgano.workbench.training import run_recipe

MAPS, MASKS = "anomaly_images", "anomaly_images_thresholded"
N_IMAGES = 4


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Textures with defects under the names of two objects, in AD 2's layout, one nested as in some archives."""
    top = tmp_path_factory.mktemp("ad2")
    write_textures(top / "textures", seed=0)
    for texture, place in (("brick", "can"), ("grass", "fabric/fabric")):
        source, base = top / "textures" / texture, top / "dataset" / place
        for split in ("train", "validation"):
            shutil.copytree(source / split, base / split)
        defective = sorted(path for path in (source / "test").glob("*/*.png") if path.parent.name != "good")[::4]
        masks = [source / "ground_truth" / path.parent.name / f"{path.stem}_mask.png" for path in defective]
        for index, (path, mask) in enumerate(zip(defective[:2], masks)):
            for target, image in (
                (base / "test_public" / "bad" / f"{index:03d}_regular.png", path),
                (base / "test_public" / "ground_truth" / "bad" / f"{index:03d}_regular_mask.png", mask),
                (base / "test_public" / "good" / f"{index:03d}_regular.png", source / "test/good" / f"{index:03d}.png"),
            ):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(image, target)
        for split, ending in SPLITS.items():
            (base / split).mkdir()
            for index in range(N_IMAGES):
                image = read_image(defective[index])
                # Sizes differ from that of the training images, and are not square.
                crop = image[: 150 + 10 * index, :200]
                write_png(crop if split == "test_private" else crop // 2, base / split / f"{index:03d}_{ending}.png")
    return top / "dataset"


def make_run(dataset: Path, folder: Path, **settings: Any) -> Path:
    flags = {
        "dataset.root": dataset,
        "model.name": "pixel-gaussian",
        "model.params": {"input_size": 48},
        "calibration.alpha": 0.2,
        "calibration.pixel_alpha": 0.8,
        "output.dir": folder,
        "output.report": False,
        **settings,
    }
    return run_recipe(load_run_config(flags=flags)).path


@pytest.fixture(scope="module")
def run(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(dataset, tmp_path_factory.mktemp("ad2-runs"))


def submit(run: Path, dataset: Path, output: Path, *options: str) -> int:
    return main(["runs", "submission", str(run), str(dataset), "--output", str(output), *options])


def images_of(dataset: Path) -> dict[str, Path]:
    """Return <object>/<split>/<name> → image."""
    return {
        f"{path.parent.parent.name}/{path.parent.name}/{path.stem}": path
        for split in SPLITS
        for path in dataset.glob(f"**/{split}/*.png")
    }


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_every_private_image_gets_a_map_and_a_mask_at_its_own_size(dataset: Path, run: Path, tmp_path: Path) -> None:
    assert submit(run, dataset, tmp_path / "sub") == 0
    images = images_of(dataset)
    assert len(images) == 2 * 2 * N_IMAGES
    wanted = {f"{MAPS}/{name}.tiff" for name in images} | {f"{MASKS}/{name}.png" for name in images}
    assert files_below(tmp_path / "sub") == wanted
    cards = load_json(run / "artifacts" / "calibration_card.json")["categories"]
    marked = 0
    for name, path in images.items():
        half = tifffile.imread(tmp_path / "sub" / MAPS / f"{name}.tiff")
        mask = cv2.imdecode(np.fromfile(tmp_path / "sub" / MASKS / f"{name}.png", np.uint8), cv2.IMREAD_UNCHANGED)
        image = read_image(path)
        assert half.dtype == np.float16
        assert mask.dtype == np.uint8
        assert half.shape == mask.shape == image.shape[:2]
        assert np.isfinite(half).all()
        assert np.array_equal(mask, np.where(half >= 0, 255, 0))
        category = name.split("/")[0]
        detector = load_model("pixel-gaussian", run / "checkpoints" / category)
        raw = map_at(detector.infer([image]).maps[0], image.shape[:2])
        assert np.array_equal(mask == 255, raw.astype(np.float64) >= cards[category]["pixel_threshold"])
        order = np.argsort(raw, axis=None, kind="stable")
        assert (np.diff(half.ravel()[order].astype(np.float64)) >= 0).all()
        marked += int((mask == 255).any())
    assert 0 < marked < len(images)


def test_the_file_beside_says_what_it_was_made_with_and_what_is_missing(
    dataset: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert submit(run, dataset, tmp_path / "sub", "--json", "--splits", "test_private_mixed") == 0
    out, err = capsys.readouterr()
    facts = load_json(tmp_path / "sub.json")
    assert json.loads(out) == facts
    validator = Draft202012Validator(json_schema("submission"))
    assert list(validator.iter_errors(facts)) == []
    assert not validator.is_valid({**facts, "machine": "x"})
    cards = load_json(run / "artifacts" / "calibration_card.json")["categories"]
    assert facts["run"] == run.name
    assert {name: row["pixel_threshold"] for name, row in facts["objects"].items()} == {
        name: card["pixel_threshold"] for name, card in cards.items()
    }
    assert facts["objects"]["fabric"]["splits"] == {"test_private_mixed": {"images": N_IMAGES, "clipped_pixels": 0}}
    assert {name.split("/")[2] for name in files_below(tmp_path / "sub")} == {"test_private_mixed"}
    assert facts["gaps"] == [
        "without fruit_jelly, rice, sheet_metal, vial, wallplugs, walnuts",
        "can/test_private: 321 of 321 images are missing",
        f"can/test_private_mixed: {321 - N_IMAGES} of 321 images are missing",
        "fabric/test_private: 314 of 314 images are missing",
        f"fabric/test_private_mixed: {314 - N_IMAGES} of 314 images are missing",
    ]
    assert all(gap in err for gap in facts["gaps"])
    assert sum(OBJECTS.values()) == 2045


def test_a_complete_submission_has_no_gaps_and_a_wrong_name_is_one(
    dataset: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The real dataset has eight objects and 4090 private images; here it shall have two and 16.
    monkeypatch.setattr("pyimgano.workbench.submission.mvtec_ad2.OBJECTS", {"can": N_IMAGES, "fabric": N_IMAGES})
    assert submit(run, dataset, tmp_path / "sub") == 0
    assert load_json(tmp_path / "sub.json")["gaps"] == []
    renamed = tmp_path / "dataset"
    shutil.copytree(dataset, renamed)
    private = renamed / "can" / "test_private_mixed"
    (private / "003_mixed.png").rename(private / "003_underexposed.png")
    assert submit(run, renamed, tmp_path / "other") == 0
    assert load_json(tmp_path / "other.json")["gaps"] == [
        "can/test_private_mixed: 1 of 4 images are missing",
        "can/test_private_mixed: 1 images that it has not, e.g. 003_underexposed",
    ]


def test_regions_below_the_smallest_area_are_removed_from_masks_and_not_from_maps(
    dataset: Path, run: Path, tmp_path: Path
) -> None:
    large = make_run(dataset, tmp_path / "runs", **{"regions.min_area": 400})
    assert submit(run, dataset, tmp_path / "all") == 0
    assert submit(large, dataset, tmp_path / "large") == 0
    assert load_json(tmp_path / "large.json")["min_area"] == 400
    removed = 0
    for name in images_of(dataset):
        maps = [(tmp_path / each / MAPS / f"{name}.tiff").read_bytes() for each in ("all", "large")]
        assert maps[0] == maps[1]
        before, after = (
            cv2.imdecode(np.fromfile(tmp_path / each / MASKS / f"{name}.png", np.uint8), cv2.IMREAD_UNCHANGED)
            for each in ("all", "large")
        )
        count, labels, stats, _ = cv2.connectedComponentsWithStats(before, connectivity=8)
        kept = [index for index in range(1, count) if stats[index, cv2.CC_STAT_AREA] >= 400]
        removed += count - 1 - len(kept)
        assert np.array_equal(after, np.where(np.isin(labels, kept), 255, 0))
    assert removed > 0


def test_an_earlier_submission_is_replaced_only_when_asked_and_nothing_else_ever(
    dataset: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "sub"
    options = ("--splits", "test_private")
    assert submit(run, dataset, output, *options) == 0
    assert submit(run, dataset, output, *options) == 2
    assert "--force" in capsys.readouterr().err
    (output / MAPS / "can" / "test_private" / "000_regular.tiff").unlink()
    assert submit(run, dataset, output, *options, "--force") == 0
    assert (output / MAPS / "can" / "test_private" / "000_regular.tiff").is_file()
    (output / "photograph.png").write_bytes(b"mine")
    assert submit(run, dataset, output, *options, "--force") == 2
    assert (output / "photograph.png").read_bytes() == b"mine"


def test_an_unreadable_image_leaves_no_submission(
    dataset: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "dataset"
    shutil.copytree(dataset, damaged)
    (damaged / "can" / "test_private" / "002_regular.png").write_bytes(b"no image")
    assert submit(run, damaged, tmp_path / "sub") == 4
    assert "002_regular.png" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_what_cannot_become_a_submission_is_refused_before_anything_is_scored(
    dataset: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert submit(run, dataset, tmp_path / "sub", "--splits", "test_privat") == 2
    assert "test_private" in capsys.readouterr().err
    public = tmp_path / "public"
    shutil.copytree(dataset / "can", public / "can", ignore=shutil.ignore_patterns("test_private*"))
    assert submit(run, public, tmp_path / "sub") == 4
    assert "no images of test_private" in capsys.readouterr().err
    whole = {
        "model.name": "sklearn-isolation-forest",
        "model.params": {"n_estimators": 10},
        "dataset.categories": ["can"],
    }
    assert submit(make_run(dataset, tmp_path / "runs", **whole), dataset, tmp_path / "sub") == 2
    assert "no anomaly maps" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tifffile", None)
    assert submit(run, dataset, tmp_path / "sub") == 3
    assert "pyimgano-workbench[submission]" in capsys.readouterr().err
    assert not (tmp_path / "sub").exists()


def test_16_bits_keep_the_order_and_the_threshold_and_are_never_infinite() -> None:
    values = np.random.default_rng(0).normal(50.0, 2.0, (200, 200)).astype(np.float32)
    threshold = float(np.float64(53.0) + 1e-9)
    values[0, :4] = [53.0, np.nextafter(np.float32(53), np.float32(54)), 1e30, -1e30]
    half, clipped = half_map(values, low=50.0, threshold=threshold)
    assert np.array_equal(half >= 0, values.astype(np.float64) >= threshold)
    assert not half[0, 0] >= 0
    assert half[0, 1] >= 0
    assert np.isfinite(half).all()
    assert clipped == 2
    order = np.argsort(values, axis=None, kind="stable")
    assert (np.diff(half.ravel()[order].astype(np.float64)) >= 0).all()
    # Around the threshold it tells more values apart than the plain ones would.
    near = np.abs(values - threshold) < 0.2
    assert len(np.unique(half[near])) > 4 * len(np.unique(values[near].astype(np.float16)))


def test_maps_without_contrast_stay_finite() -> None:
    half, clipped = half_map(np.array([[0.0, 1.0]], np.float32), low=0.0, threshold=0.0)
    assert np.isfinite(half).all()
    assert list((half >= 0)[0]) == [True, True]
    assert clipped == 1
