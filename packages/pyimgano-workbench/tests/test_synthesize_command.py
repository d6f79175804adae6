"""``pyimgano synthesize``: a dataset that can be read, trained on and repeated. About 20 seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from pyimgano.core.errors import ConfigError, DatasetError, ImageError, StorageError
from pyimgano.core.images import decode_image, read_image, read_mask, write_png
from pyimgano.datasets import inspect_samples, read_dataset
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.defects.placing import Kind, Placing, chosen_kinds
from pyimgano.workbench.synthesis import dataset as writing
from pyimgano.workbench.synthesis import synthesise
from pyimgano.workbench.training import run_recipe

GRAVEL, BRICK = skimage.data.gravel(), skimage.data.brick()


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYIMGANO_PLUGINS": "none", "PYTHONIOENCODING": "utf-8"}
    code = "import sys; from pyimgano.cli.main import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        env=environment,
        timeout=120,
        check=False,
        **options,
    )


def tiles(photo: np.ndarray, folder: Path, count: int, *, start: int = 0, side: int = 64) -> Path:
    folder.mkdir(parents=True)
    for number in range(start, start + count):
        row, column = divmod(number * side, 512 // side * side)
        write_png(photo[row * side : (row + 1) * side, column : column + side], folder / f"{number:03d}.png")
    return folder


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    return tiles(GRAVEL, tmp_path / "gravel", 20)


def content(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_flat_folder_becomes_a_dataset_that_inspect_reads(flat: Path, tmp_path: Path) -> None:
    drawn = ("--kinds", "scratch,tape=2,rust", "--per-image", "1-3", "--severity", "3-5")
    options = (*drawn, "--count", "12", "--seed", "4")
    done = run("synthesize", flat, "-o", tmp_path / "new", *options, "--preview", tmp_path / "sheet.png", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    counts = told["counts"]["gravel"]
    assert counts["train/good"] == 12
    assert counts["test/good"] == 4
    assert sum(number for folder, number in counts.items() if folder.startswith("test/")) == 16
    assert min(read_image(tmp_path / "sheet.png").shape[:2]) > 200

    inspected = run("datasets", "inspect", tmp_path / "new", "--json", "--fail-on-problems")
    assert inspected.returncode == 0, inspected.stdout
    found = json.loads(inspected.stdout)
    assert found["problems"] == []
    assert sum(folder["masks"] for folder in found["folders"]) == 12
    assert {folder["defect"] for folder in found["folders"]} <= {None, "scratch", "tape", "rust", "mixed"}


def test_no_image_stands_on_two_sides_and_the_record_is_true(flat: Path, tmp_path: Path) -> None:
    placing = Placing((Kind("crack"), Kind("stain")), count=(1, 2), severity=(3, 5))
    made = synthesise(flat, tmp_path / "new", placing, count=9, seed=1)
    facts = json.loads((tmp_path / "new" / "synthesis.json").read_text(encoding="utf-8"))
    assert facts == json.loads(json.dumps(made.facts))
    assert str(tmp_path) not in json.dumps(facts)
    roles: dict[str, set[str]] = {}
    for image in facts["images"]:
        role = "changed" if image["defects"] else image["file"].split("/good/")[0]
        roles.setdefault(role, set()).add(image["source"])
    assert {role: len(sources) for role, sources in roles.items()} == {"train": 12, "test": 4, "changed": 4}
    assert len(set.union(*roles.values())) == 20
    listed = {sample.id: sample for sample in read_dataset(tmp_path / "new").samples}
    assert set(listed) == {image["file"] for image in facts["images"]}
    for image in facts["images"]:
        source, result = read_image(flat / image["source"]), read_image(tmp_path / "new" / image["file"])
        if not image["defects"]:
            assert np.array_equal(source, result)
            continue
        kinds = {defect["kind"] for defect in image["defects"]}
        assert listed[image["file"]].defect == (kinds.pop() if len(kinds) == 1 else "mixed")
        mask = read_mask(tmp_path / "new" / image["mask"], shape=result.shape[:2])
        assert listed[image["file"]].masks == (tmp_path / "new" / image["mask"],)
        near = cv2.dilate(mask.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
        differs = np.abs(source.astype(int) - result).max(axis=2)
        assert differs[mask].mean() > 5
        assert not differs[~near].any()
        for x, y, width, height in (defect["box"] for defect in image["defects"]):
            assert mask[y : y + height, x : x + width].any()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(flat: Path, tmp_path: Path) -> None:
    placing = Placing(chosen_kinds([]), count=(1, 2))
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        synthesise(flat, tmp_path / name, placing, count=16, seed=seed)
    one, again, other = (content(tmp_path / name) for name in ("one", "again", "other"))
    assert one == again
    assert one != other


def test_a_dataset_keeps_its_splits_and_its_categories(tmp_path: Path) -> None:
    for name, photo in (("brick", BRICK), ("gravel", GRAVEL)):
        tiles(photo, tmp_path / "data" / name / "train" / "good", 8)
        tiles(photo, tmp_path / "data" / name / "validation" / "good", 3, start=8)
        tiles(photo, tmp_path / "data" / name / "test" / "good", 6, start=11)
        tiles(255 - photo, tmp_path / "data" / name / "test" / "negative", 2)
    made = synthesise(tmp_path / "data", tmp_path / "new", Placing((Kind("foreign"),)), count=5)
    assert made.counts() == {
        name: {"test/foreign": 5, "test/good": 3, "train/good": 8, "validation/good": 3} for name in ("brick", "gravel")
    }
    for image in made.facts["images"]:
        split = image["source"].split("/")[1]
        assert image["file"].split("/")[1] == split
    assert any("2 defective or unlabelled images of brick are left out" in note for note in made.notes)
    assert inspect_samples(read_dataset(tmp_path / "new")).to_json()["problems"] == []


def test_groups_stay_whole_and_copies_are_left_out(flat: Path, tmp_path: Path) -> None:
    rows = [{"image_path": f"gravel/{n:03d}.png", "group": f"part {n // 4}"} for n in range(20)]
    write_png(read_image(flat / "000.png"), tmp_path / "copy.png")
    (flat / "001.png").write_bytes((flat / "000.png").read_bytes())
    (tmp_path / "parts.jsonl").write_text(
        "\n".join(json.dumps({**row, "label": 0, "split": "train"}) for row in rows), encoding="utf-8"
    )
    made = synthesise(tmp_path / "parts.jsonl", tmp_path / "new", Placing((Kind("dent"),)))
    sides: dict[str, set[str]] = {}
    for image in made.facts["images"]:
        role = "changed" if image["defects"] else image["file"].split("/good/")[0]
        sides.setdefault(f"part {int(Path(image['source']).stem) // 4}", set()).add(role)
    assert all(len(roles) == 1 for roles in sides.values())
    assert any("1 images with the content of another are left out" in note for note in made.notes)


def test_sixteen_bits_and_one_channel_are_written_as_what_a_detector_sees(tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    for number in range(6):
        tile = GRAVEL[:64, 64 * number : 64 * number + 64].astype(np.uint16) * 16
        write_png(tile, folder / f"{number}.png")
    made = synthesise(folder, tmp_path / "new", Placing((Kind("pit"),)), value_range=(0, 4080))
    for image in made.facts["images"]:
        raw = decode_image((tmp_path / "new" / image["file"]).read_bytes())
        assert (raw.ndim, raw.dtype) == (2, np.uint8)
        if not image["defects"]:
            assert np.array_equal(raw, GRAVEL[:64, 64 * int(image["source"][0]) :][:, :64])


def test_defects_lie_in_the_region_of_interest_and_come_from_the_bank(flat: Path, tmp_path: Path) -> None:
    roi = np.zeros((64, 64), np.uint8)
    roi[10:40, 20:60] = 255
    write_png(roi, tmp_path / "roi.png")
    crop, mask = np.full((14, 14, 3), 230, np.uint8), np.zeros((14, 14), np.uint8)
    mask[3:11, 3:11] = 1
    (tmp_path / "bank").mkdir()
    write_png(crop, tmp_path / "bank" / "drop.png")
    write_png(mask, tmp_path / "bank" / "drop_mask.png")
    options = ("--kinds", "defect-bank,oil", "--bank", tmp_path / "bank", "--roi", tmp_path / "roi.png", "--count", 10)
    done = run("synthesize", flat, "--output", tmp_path / "new", *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "new")
    masks = list((tmp_path / "new").glob("ground_truth/*/*_mask.png"))
    assert {path.parent.name for path in masks} == {"defect-bank", "oil"}
    assert not any((read_mask(path) & (roi == 0)).any() for path in masks)


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (("--kinds", "scrach"), "did you mean 'scratch'", 2),
        (("--kinds", "scratch,,dent"), "is no kind of defect", 2),
        (("--kinds", "scratch=none"), "is no kind of defect", 2),
        (("--kinds", "defect-bank"), "needs --bank", 2),
        (("--severity", "9"), "a whole number from 1 to 5", 2),
        (("--severity", "4-2"), "'4-2' is no range", 2),
        (("--per-image", "0-2"), "a whole number at least 1", 2),
        (("--bank", "crops"), "beside it, or in a folder masks", 4),
        (("--roi", "small.png"), "the image has 64×64 pixels, the ROI 20×10", 4),
        (("--roi", "black.png"), "the ROI is empty", 4),
        (("--roi", "nowhere.png"), "nowhere.png", 4),
        (("--preview", "nowhere/sheet.png"), "there is no folder", 2),
        (("--preview", "sheet.jpg"), "a name that ends in .png", 2),
        (("--output", "gravel/new"), "lies in the source", 2),
        (("--output", "gravel"), "not an empty folder", 2),
    ],
)
def test_bad_input_is_told_without_a_traceback_and_nothing_is_written(
    flat: Path, tmp_path: Path, arguments: tuple[str, ...], message: str, code: int
) -> None:
    write_png(np.full((10, 20), 255, np.uint8), tmp_path / "small.png")
    write_png(np.zeros((64, 64), np.uint8), tmp_path / "black.png")
    (tmp_path / "crops").mkdir()
    write_png(GRAVEL[:9, :9], tmp_path / "crops" / "one.png")
    before = sorted(path.name for path in tmp_path.iterdir())
    output = () if "--output" in arguments else ("--output", "new")
    done = run("synthesize", flat, *output, *arguments, cwd=tmp_path)
    assert message in done.stderr
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_images_that_are_too_few_or_unreadable_are_an_error(tmp_path: Path, flat: Path) -> None:
    with pytest.raises(DatasetError, match=r"allowed: at least three"):
        synthesise(tiles(GRAVEL, tmp_path / "two", 2), tmp_path / "new", Placing((Kind("dent"),)))
    tiles(GRAVEL, tmp_path / "bad" / "test" / "scratch", 3)
    tiles(GRAVEL, tmp_path / "bad" / "train" / "scratch", 3, start=3)
    with pytest.raises(DatasetError, match="good"):
        synthesise(tmp_path / "bad", tmp_path / "new", Placing((Kind("dent"),)))
    (flat / "007.png").write_bytes(b"text")
    with pytest.raises(ImageError, match=r"007\.png"):
        synthesise(flat, tmp_path / "new", Placing((Kind("dent"),)))
    assert not (tmp_path / "new").exists()


def test_nothing_is_left_when_the_disk_is_full(flat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "_write", full)
    with pytest.raises(StorageError, match="No space left"):
        synthesise(flat, tmp_path / "new", Placing((Kind("dent"),)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gravel"]


def test_an_empty_folder_may_be_the_output_and_a_full_one_stays(flat: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    synthesise(flat, tmp_path / "new", Placing((Kind("dent"),)))
    before = content(tmp_path / "new")
    with pytest.raises(ConfigError, match="not an empty folder"):
        synthesise(flat, tmp_path / "new", Placing((Kind("dent"),)), seed=3)
    assert content(tmp_path / "new") == before


@pytest.mark.parametrize("model", ["pixel-gaussian", "sklearn-isolation-forest"])
def test_a_run_finds_the_defects(cell_images: dict[str, list[np.ndarray]], tmp_path: Path, model: str) -> None:
    (tmp_path / "cells").mkdir()
    for number, image in enumerate(cell_images["good"]):
        write_png(image, tmp_path / "cells" / f"{number}.png")
    kinds = tuple(Kind(name) for name in ("stain", "oil", "tape"))
    synthesise(tmp_path / "cells", tmp_path / "new", Placing(kinds, severity=(5, 5)), count=20)
    flags = {
        "dataset.root": tmp_path / "new",
        "model.name": model,
        "calibration.alpha": 0.15,
        "output.dir": tmp_path / "runs",
        "output.report": False,
    }
    means = run_recipe(load_run_config(flags=flags)).report()["means"]
    assert means["image_auroc"]["value"] > 0.8
    if model == "pixel-gaussian":
        assert means["pixel_auroc"]["value"] > 0.8


def test_kinds_are_drawn_by_their_weights(flat: Path, tmp_path: Path) -> None:
    made = synthesise(flat, tmp_path / "new", Placing((Kind("pit", 9.0), Kind("tape", 1.0))), count=40)
    counts = Counter(d["kind"] for image in made.facts["images"] for d in image["defects"])
    assert counts["pit"] > 3 * counts["tape"]
