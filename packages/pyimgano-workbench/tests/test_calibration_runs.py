"""Every way to a threshold through the command: what is fitted, held out and written, and what is refused in time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from pyimgano.core.creation import load_model
from pyimgano.core.errors import CalibrationError, DatasetError, ImageError, RunError
from pyimgano.core.files import load_json
from pyimgano.core.images import write_png
from pyimgano.workbench.calibrate import CalibrationCard, method_names
from pyimgano.workbench.config import RunConfigError, load_run_config
from pyimgano.workbench.progress import Silent
from pyimgano.workbench.records import read_records
from pyimgano.workbench.runs import RunDirectory, open_run
from pyimgano.workbench.training import resume_run, run_recipe

BASE = ("model.params.input_size=32", "calibration.alpha=0.2", "output.report=false", "output.thumbnails=0")
METHODS = {
    "conformal": (),
    "cost-ratio": (
        "calibration.params.escape_cost=20",
        "calibration.params.defect_rate=0.05",
        "calibration.defects=train",
    ),
    "cross-conformal": ("calibration.params.folds=4",),
    "gpd": ("calibration.holdout=52", "calibration.params.min_exceedances=10"),
    "mean-sigma": ("calibration.params.robust=true",),
    "pythresh": ("calibration.params.rule=iqr",),
    "quantile": (),
    "target-overkill": ("calibration.holdout=20",),
    "target-recall": (
        "calibration.params.recall=0.7",
        "calibration.params.confidence=0.8",
        "calibration.defects=train",
    ),
}


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory, cell_images: dict[str, list[np.ndarray]]) -> Path:
    """Cells with 65 good and 10 defective training images, and 10 + 10 test images."""
    root = tmp_path_factory.mktemp("calibration") / "cells"
    good, defective = cell_images["good"], cell_images["defective"]
    sets = {
        # Neighbours are cells of one module: the test images are from all of them.
        "train/good": [image for index, image in enumerate(good) if index % 8][:65],
        "test/good": good[::8],
        "test/crack": defective[:10],
        "train/crack": defective[10:],
    }
    for folder, images in sets.items():
        (root / folder).mkdir(parents=True)
        for index, image in enumerate(images):
            write_png(image, root / folder / f"{index:03d}.png")
    return root


def manifest(root: Path, change: Callable[[dict[str, str]], dict[str, str]] = lambda row: row) -> Path:
    """Write a manifest of the cells: defective training images need one, or a layout that knows them."""
    rows = []
    for path in sorted(root.rglob("*.png")):
        split, kind, _ = path.relative_to(root).parts
        rows.append(
            change(
                {
                    "image_path": path.relative_to(root).as_posix(),
                    "split": split,
                    "label": "good" if kind == "good" else "defective",
                }
            )
        )
    file = root / "labels.csv"
    columns = list(rows[0])
    file.write_text("\n".join([",".join(columns), *(",".join(row[name] for name in columns) for row in rows)]) + "\n")
    return file


def config_of(data: Path, runs: Path, *settings: str) -> Any:
    flags = {"dataset.root": data, "model.name": "pixel-gaussian", "output.dir": runs}
    return load_run_config(settings=[*BASE, *settings], flags=flags)


def train(data: Path, runs: Path, *settings: str) -> RunDirectory:
    return run_recipe(config_of(data, runs, *settings))


def only(run: RunDirectory) -> Any:
    (folder,) = run.categories()
    return folder


def card_of(run: RunDirectory) -> CalibrationCard:
    return CalibrationCard.from_json(only(run).report()["calibration"], where="report")


def test_every_method_is_tried_here() -> None:
    assert set(METHODS) == {name for name in method_names() if not name.startswith("acme")}


@pytest.mark.parametrize("method", sorted(METHODS))
def test_train_with_each_method_through_the_command(cells: Path, tmp_path: Path, method: str) -> None:
    if method == "pythresh":
        pytest.importorskip("pythresh", reason="PyThresh is not installed")
    data = manifest(cells)
    settings = [*BASE, f"calibration.method={method}", *METHODS[method]]
    one_threshold = method == "pythresh" or "calibration.defects=train" in settings
    if not one_threshold:
        settings.append("calibration.review_alpha=0.4")
    arguments = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-m", "pyimgano.cli", "train", "--dataset", data, "--model", "pixel-gaussian"]
    done = subprocess.run(
        [*map(str, command), *arguments, "--output", str(tmp_path / "runs")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    run = open_run(done.stdout.strip())
    card, records = card_of(run), read_records(only(run).per_image)
    assert card.method == method
    assert card.pixel_threshold is not None
    assert (card.pixel_method, card.pixel_alpha) == (method, 0.2)
    assert card.n == len(card.held_out_scores)
    assert list(card.held_out_scores) == sorted(card.held_out_scores)
    assert [record.decision for record in records] == [card.decision(record.score) for record in records]
    if card.review_threshold is not None:
        assert card.review_threshold < card.threshold
    else:
        assert one_threshold
    assert (card.interval is None) == (card.interval_reason is not None)
    artifact = load_json(run.path / "artifacts/calibration_card.json")
    assert list(artifact["categories"].values()) == [card.to_json()]


def test_labelled_defects_set_the_threshold_and_are_no_test_images(cells: Path, tmp_path: Path) -> None:
    run = train(manifest(cells), tmp_path, "calibration.method=target-recall", *METHODS["target-recall"])
    split = next(iter(load_json(run.path / "artifacts/split.json")["categories"].values()))
    assert split["defects"] == [f"train/crack/{index:03d}.png" for index in range(10)]
    assert not set(split["defects"]) & {*split["fit"], *split["calibration"], *split["test"]}
    card, report = card_of(run), only(run).report()
    assert card.n_defects == report["data"]["n_calibration_defects"] == 10
    assert card.defects_fingerprint == report["data"]["fingerprints"]["defects"]
    detector = load_model("pixel-gaussian", only(run).checkpoint)
    scores = np.sort(detector.decision_function([cells / image for image in split["defects"]]))
    # 0.7 with confidence 0.8: of ten defective images one may pass.
    assert card.threshold == scores[1]
    assert any("10 defective train images" in note for note in report["data"]["notes"])


def test_a_defect_that_is_a_copy_of_a_test_image_is_an_error_that_names_both(cells: Path, tmp_path: Path) -> None:
    copy = tmp_path / "cells"
    shutil.copytree(cells, copy)
    shutil.copy(copy / "test/crack/003.png", copy / "train/crack/new.png")
    settings = ("calibration.method=target-recall", *METHODS["target-recall"])
    with pytest.raises(DatasetError) as caught:
        train(manifest(copy), tmp_path / "runs", *settings)
    assert "train/crack/new.png (calibration defects)" in caught.value.message
    assert "test/crack/003.png (test)" in caught.value.message
    train(manifest(copy), tmp_path / "runs")  # where it is not used, it harms nothing


def test_cross_conformal_fits_on_all_good_images_and_scores_each_by_a_model_without_it(
    cells: Path, tmp_path: Path
) -> None:
    run = train(cells, tmp_path, "calibration.method=cross-conformal", "calibration.params.folds=5", "seed=3")
    report = only(run).report()
    data = report["data"]
    assert (data["n_fit"], data["n_calibration"], data["calibration_source"], data["n_folds"]) == (65, 65, "cross", 5)
    split = next(iter(load_json(run.path / "artifacts/split.json")["categories"].values()))
    assert split["fit"] == split["calibration"]
    assert sorted(image for fold in split["folds"] for image in fold) == split["fit"]
    assert load_model("pixel-gaussian", only(run).checkpoint).n_images_ == 65
    # The same by hand.
    from pyimgano.core.creation import create_model

    scores = []
    for fold in split["folds"]:
        detector = create_model("pixel-gaussian", input_size=32)
        detector.fit([cells / image for image in split["fit"] if image not in fold])
        scores += list(detector.decision_function([cells / image for image in fold]))
    card = card_of(run)
    assert card.held_out_scores == pytest.approx(sorted(scores))
    assert card.fingerprint == data["fingerprints"]["fit"] == data["fingerprints"]["calibration"]
    assert card.pixel_threshold is not None
    assert not list(run.path.rglob(".scratch"))
    assert len(list((run.path / "checkpoints").iterdir())) == 1


def kept_bytes(run: RunDirectory) -> dict[str, bytes]:
    files = [only(run).per_image, *run.path.glob("artifacts/*")]
    return {path.name: path.read_bytes() for path in files}


def test_an_interrupted_cross_calibration_goes_on_behind_its_last_fold_with_the_same_bytes(
    cells: Path, tmp_path: Path
) -> None:
    settings = ("calibration.method=cross-conformal", "calibration.params.folds=4")
    expected = kept_bytes(train(cells, tmp_path / "expected", *settings))
    seen: list[str] = []

    class Interrupting(Silent):
        last = "fold 3 of 4"

        def stage(self, title: str, total: Any = None) -> Any:
            seen.append(title)
            if self.last and title.endswith(self.last):
                raise KeyboardInterrupt
            return super().stage(title, total)

    with pytest.raises(KeyboardInterrupt):
        run_recipe(config_of(cells, tmp_path / "runs", *settings), progress=Interrupting())
    (left,) = (tmp_path / "runs").iterdir()
    folds = sorted(left.rglob("fold-*.json"))
    assert len(folds) == 2
    before = folds[0].read_bytes()
    folds[0].write_text("{")
    with pytest.raises(RunError, match="kept of a fold is damaged"):
        resume_run(left)
    record = json.loads(before)
    folds[0].write_text(json.dumps({**record, "images": record["images"][1:]}))
    with pytest.raises(RunError, match="of other images"):
        resume_run(left)
    folds[0].write_bytes(before)
    seen.clear()
    progress = Interrupting()
    progress.last = ""
    run = resume_run(left, progress=progress)
    assert kept_bytes(run) == expected
    assert [title.split(", ")[1] for title in seen if ": fit" in title] == ["fold 3 of 4", "fold 4 of 4"]


def test_copies_of_an_image_are_never_in_two_folds_but_may_not_be_test_images(cells: Path, tmp_path: Path) -> None:
    copy = tmp_path / "cells"
    shutil.copytree(cells, copy)
    for index in range(6):
        shutil.copy(copy / "train/good/000.png", copy / f"train/good/copy{index}.png")
    settings = ("calibration.method=cross-conformal", "calibration.params.folds=jackknife", "dataset.format=mvtec")
    run = train(copy, tmp_path / "runs", *settings)
    split = next(iter(load_json(run.path / "artifacts/split.json")["categories"].values()))
    assert sorted(map(len, split["folds"])) == [1] * 64 + [7]
    # The seven copies were scored by a model that has seen none of them.
    shutil.copy(copy / "test/good/000.png", copy / "train/good/leak.png")
    with pytest.raises(DatasetError, match="the same image stands in two sets"):
        train(copy, tmp_path / "runs", *settings)


def test_groups_stay_in_one_fold_of_a_run(cells: Path, tmp_path: Path) -> None:
    copy = tmp_path / "cells"
    shutil.copytree(cells, copy)
    data = manifest(
        copy, lambda row: {**row, "group": f"lot{int(row['image_path'][-6]) if 'train' in row['image_path'] else 99}"}
    )
    run = train(data, tmp_path / "runs", "calibration.method=cross-conformal", "calibration.params.folds=3")
    split = next(iter(load_json(run.path / "artifacts/split.json")["categories"].values()))
    lots = [{image[-6] for image in fold} for fold in split["folds"]]
    assert sum(map(len, lots)) == len(set.union(*lots)) == 7
    with pytest.raises(DatasetError, match="into 20 folds"):
        train(data, tmp_path / "runs", "calibration.method=cross-conformal", "calibration.params.folds=20")


def test_image_and_pixel_thresholds_may_be_found_in_two_ways(cells: Path, tmp_path: Path) -> None:
    settings = ("calibration.holdout=20", "output.maps=true", "output.masks=true", "calibration.review_alpha=0.5")
    run = train(cells, tmp_path, *settings, "calibration.pixel_method=mean-sigma", "calibration.pixel_alpha=0.01")
    same = card_of(train(cells, tmp_path, *settings))
    card = card_of(run)
    assert (card.pixel_method, card.pixel_alpha, same.pixel_method, same.pixel_alpha) == (
        "mean-sigma",
        0.01,
        "conformal",
        0.2,
    )
    assert card.threshold == same.threshold
    assert card.pixel_threshold is not None
    assert same.pixel_threshold is not None
    assert card.pixel_threshold > same.pixel_threshold
    decisions = {record.decision for record in read_records(only(run).per_image)}
    assert "review" in decisions


@pytest.mark.parametrize(
    ("settings", "key", "said"),
    [
        (["calibration.method=target-recall"], "calibration.defects", "needs labelled defective images"),
        (["calibration.defects=train"], "calibration.defects", "takes good images only"),
        (["calibration.defects=test"], "calibration.defects", "'test'"),
        (["calibration.pixel_method=cross-conformal"], "calibration.pixel_method", "other scores"),
        (["calibration.pixel_method=conformall"], "calibration.pixel_method", "unknown method"),
        (["calibration.method=cost-ratio", "calibration.defects=train"], "calibration.params", "missing parameter"),
        (["calibration.method=gpd", "calibration.params.tale=0.1"], "calibration.params.tale", "tale"),
        (
            ["calibration.method=mean-sigma", "calibration.params.sigmas=3", "calibration.review_alpha=0.3"],
            "calibration.review_alpha",
            "no effect",
        ),
        (["calibration.review_alpha=0.1"], "calibration", "must be larger than alpha"),
    ],
)
def test_settings_that_cannot_work_are_told_with_their_place(
    cells: Path, tmp_path: Path, settings: list[str], key: str, said: str
) -> None:
    with pytest.raises(RunConfigError) as caught:
        config_of(cells, tmp_path, *settings)
    (text,) = [line for line in str(caught.value).splitlines() if said in line]
    assert key in text


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        (["calibration.method=target-overkill", "calibration.alpha=0.01"], CalibrationError, "at least 299"),
        (["calibration.method=gpd"], CalibrationError, "at least 100"),
        (["calibration.method=cross-conformal", "calibration.params.folds=66"], CalibrationError, "at least 66 good"),
        (
            ["calibration.method=target-recall", "calibration.defects=train"],
            CalibrationError,
            "at least 59 labelled defective images of the train split, there are 10",
        ),
        (
            ["calibration.method=target-recall", "calibration.defects=validation"],
            CalibrationError,
            "of the validation split, there are 0",
        ),
        (["calibration.pixel_alpha=0.001"], CalibrationError, "at least 999"),
    ],
)
def test_too_few_images_are_told_before_anything_is_fitted(
    cells: Path, tmp_path: Path, settings: list[str], error: type[Exception], said: str
) -> None:
    class NoFit(Silent):
        def stage(self, title: str, total: Any = None) -> Any:
            assert ": fit" not in title
            return super().stage(title, total)

    with pytest.raises(error, match=said):
        run_recipe(config_of(manifest(cells), tmp_path / "runs", *settings), progress=NoFit())
    assert list((tmp_path / "runs").iterdir()) == []


def test_an_unreadable_defective_image_ends_the_run_before_the_fit_or_is_left_out(cells: Path, tmp_path: Path) -> None:
    copy = tmp_path / "cells"
    shutil.copytree(cells, copy)
    (copy / "train/crack/000.png").write_bytes(b"\x89PNG no image")
    settings = ("calibration.method=target-recall", *METHODS["target-recall"])
    data = manifest(copy)
    with pytest.raises(ImageError, match=r"000\.png"):
        train(data, tmp_path / "runs", *settings)
    run = train(data, tmp_path / "runs", *settings, "on_error=skip")
    report = only(run).report()
    assert report["data"]["n_calibration_defects"] == 9
    assert [entry["image"] for entry in report["data"]["skipped"]] == ["train/crack/000.png"]


def test_the_dry_run_says_that_nothing_is_held_out(cells: Path, tmp_path: Path) -> None:
    arguments = ["--set", "calibration.method=cross-conformal", "--dry-run"]
    command = [sys.executable, "-m", "pyimgano.cli", "train", "--dataset", str(cells), "--model", "pixel-gaussian"]
    done = subprocess.run(
        [*command, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "65 good images to fit on, scored in 5 folds" in done.stderr + done.stdout
    assert os.listdir(tmp_path) == []
