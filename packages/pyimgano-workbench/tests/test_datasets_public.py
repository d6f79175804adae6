"""MVTec AD, LOCO, AD 2 and VisA as they are downloaded: real photographs in the layouts' own folders and names."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import skimage.data
from PIL import Image

from pyimgano.core.errors import DatasetError
from pyimgano.datasets import load_image, load_mask, read_dataset

GRAVEL = skimage.data.gravel()
SHAPE = (40, 56)


@pytest.fixture
def photo():
    count = 0

    def save(path, picture=None):
        nonlocal count
        count += 1
        y, x = divmod(count * 41, 450)
        array = GRAVEL[y : y + SHAPE[0], x : x + SHAPE[1]] if picture is None else picture
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = "JPEG" if path.suffix.lower() == ".jpg" else None
        (array if isinstance(array, Image.Image) else Image.fromarray(array)).save(path, kind)

    return save


def region(row, value=255):
    mask = np.zeros(SHAPE, np.uint8)
    mask[row : row + 5, 10:20] = value
    return mask


def class_ids(row):
    """Return a palette image whose palette is all black, as VisA's masks look."""
    picture = Image.new("P", (SHAPE[1], SHAPE[0]))
    picture.frombytes(region(row, 3).tobytes())
    picture.putpalette([0, 0, 0] * 256)
    return picture


@pytest.fixture
def mvtec(tmp_path, photo):
    root = tmp_path / "mvtec_anomaly_detection"
    for category in ("bottle", "grid"):
        for number in range(3):
            photo(root / category / "train/good" / f"{number:03}.png")
        for number in range(2):
            photo(root / category / "test/good" / f"{number:03}.png")
            photo(root / category / "test/broken" / f"{number:03}.png")
            photo(root / category / "ground_truth/broken" / f"{number:03}_mask.png", region(number * 7))
        (root / category / "readme.txt").write_text("MVTec", encoding="utf-8")
        (root / category / "license.txt").write_text("CC BY-NC-SA 4.0", encoding="utf-8")
    (root / "readme.txt").write_text("MVTec", encoding="utf-8")
    return root


def test_mvtec_ad_is_recognised_with_its_masks(mvtec):
    samples = read_dataset(mvtec)
    assert "Read as 'mvtec'" in samples.notes[0]
    assert "MVTec AD" in samples.notes[0]
    assert len(samples) == 14
    assert samples.categories() == ("bottle", "grid")
    assert len(samples.select("train", 0, "grid")) == 3
    for number, sample in enumerate(samples.select("test", 1, "bottle")):
        assert sample.defect == "broken"
        assert [mask.name for mask in sample.masks] == [f"{number:03}_mask.png"]
        assert np.array_equal(load_mask(sample, SHAPE), region(number * 7) != 0)
    notes = " ".join(samples.notes)
    assert "not an image: 5" in notes
    assert "no mask" not in notes


def test_one_category_of_mvtec_can_be_the_root(mvtec):
    samples = read_dataset(mvtec / "grid")
    assert "Read as 'mvtec'" in samples.notes[0]
    assert samples.categories() == ("grid",)
    assert samples.samples[0].id == "test/broken/000.png"


def test_an_image_in_a_category_without_ground_truth_has_no_mask(mvtec):
    (mvtec / "bottle/ground_truth/broken/001_mask.png").unlink()
    samples = read_dataset(mvtec)
    assert [len(sample.masks) for sample in samples.select("test", 1, "bottle")] == [1, 0]
    assert "1 of 2 defective images of bottle have no mask (bottle/test/broken/001.png)" in " ".join(samples.notes)


def test_a_category_of_mvtec_without_test_folder_is_refused(tmp_path, photo):
    photo(tmp_path / "bottle/train/good/000.png")
    with pytest.raises(DatasetError, match="'bottle' has no test folder"):
        read_dataset(tmp_path, format="mvtec")
    with pytest.raises(DatasetError, match="no category of the MVTec layout"):
        read_dataset(tmp_path / "bottle/train/good", format="mvtec")


def test_loco_has_folders_of_masks_whose_values_are_defect_ids(tmp_path, photo):
    base = tmp_path / "mvtec_loco" / "pushpins"
    for place in ("train/good/000.png", "train/good/001.png", "validation/good/000.png", "test/good/000.png"):
        photo(base / place)
    for kind in ("logical_anomalies", "structural_anomalies"):
        photo(base / "test" / kind / "000.png")
        photo(base / "ground_truth" / kind / "000" / "000.png", region(0, 230))
        photo(base / "ground_truth" / kind / "000" / "001.png", region(20, 1))
    (base / "defects_config.json").write_text("[]", encoding="utf-8")
    samples = read_dataset(tmp_path / "mvtec_loco")
    assert "LOCO" in samples.notes[0]
    assert [sample.id for sample in samples.select("validation", 0)] == ["pushpins/validation/good/000.png"]
    for sample in samples.select("test", 1):
        assert [mask.name for mask in sample.masks] == ["000.png", "001.png"]
        assert np.array_equal(load_mask(sample, SHAPE), (region(0) != 0) | (region(20) != 0))
    assert "without an image" not in " ".join(samples.notes)


def test_ad_2_has_masks_in_test_public_and_private_images_without_label_or_split(tmp_path, photo):
    base = tmp_path / "mvtec_ad_2" / "can" / "can"
    for place in ("train/good/000", "train/good/001", "validation/good/000"):
        photo(base / f"{place}_regular.png")
    for condition in ("regular", "shift_1", "overexposed"):
        photo(base / f"test_public/good/000_{condition}.png")
        photo(base / f"test_public/bad/000_{condition}.png")
        photo(base / f"test_public/ground_truth/bad/000_{condition}_mask.png", region(3))
    photo(base / "test_private/000_regular.png")
    photo(base / "test_private_mixed/000_underexposed.png")
    samples = read_dataset(tmp_path / "mvtec_ad_2")
    assert "MVTec AD 2" in samples.notes[0]
    assert samples.categories() == ("can",)
    assert len(samples.select("train")) == 2
    assert len(samples.select("validation")) == 1
    test = samples.select("test")
    assert sorted((sample.label, sample.meta["condition"]) for sample in test) == [
        (label, condition) for label in (0, 1) for condition in ("overexposed", "regular", "shift_1")
    ]
    assert all(load_mask(sample, SHAPE).any() for sample in samples.select("test", 1))
    private = [sample for sample in samples.samples if sample.split is None]
    assert [(sample.label, sample.meta["subset"], sample.meta["condition"]) for sample in private] == [
        (None, "test_private", "regular"),
        (None, "test_private_mixed", "underexposed"),
    ]
    assert "without an image" not in " ".join(samples.notes)


@pytest.fixture
def visa(tmp_path, photo):
    root = tmp_path / "VisA_20220922"
    rows = []
    for name in ("candle", "pcb1"):
        for number in range(6):
            image = f"{name}/Data/Images/Normal/{number:04}.JPG"
            photo(root / image)
            if number < 5:
                rows.append((name, "train" if number < 3 else "test", "normal", image, ""))
        for number in range(2):
            image, mask = f"{name}/Data/Images/Anomaly/{number:03}.JPG", f"{name}/Data/Masks/Anomaly/{number:03}.png"
            photo(root / image)
            photo(root / mask, class_ids(number * 9))
            rows.append((name, "test", "anomaly", image, mask))
    table = root / "split_csv" / "1cls.csv"
    table.parent.mkdir()
    with open(table, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("object", "split", "label", "image", "mask"), *rows])
    return root


def test_raw_visa_follows_its_split_csv(visa):
    samples = read_dataset(visa)
    assert "Read as 'visa': split_csv/1cls.csv" in samples.notes[0]
    assert samples.categories() == ("candle", "pcb1")
    assert len(samples.select("train", 0, "candle")) == 3
    assert len(samples.select("test", 0, "candle")) == 2
    assert len(samples.select("test", 1)) == 4
    assert "not in the split file: 1 images of candle" in " ".join(samples.notes)
    for number, sample in enumerate(samples.select("test", 1, "pcb1")):
        assert load_image(sample).shape == (*SHAPE, 3)
        assert np.array_equal(load_mask(sample, SHAPE), region(number * 9) != 0)


def test_another_split_of_visa_is_chosen_by_its_file(visa):
    text = (visa / "split_csv/1cls.csv").read_text(encoding="utf-8")
    few = visa / "split_csv" / "2cls_fewshot.csv"
    few.write_text(text.replace("candle,test,anomaly", "candle,train,anomaly", 1), encoding="utf-8")
    samples = read_dataset(few)
    assert "split_csv/2cls_fewshot.csv" in samples.notes[0]
    assert samples.root == visa
    assert len(samples.select("train", 1)) == 1
    assert len(read_dataset(visa).select("train", 1)) == 0


def test_listed_files_that_are_missing_are_named_unless_their_object_is_not_asked_for(visa):
    (visa / "pcb1/Data/Images/Normal/0001.JPG").unlink()
    (visa / "pcb1/Data/Masks/Anomaly/001.png").unlink()
    with pytest.raises(DatasetError, match=r"2 listed files are missing: .*0001\.JPG.*001\.png"):
        read_dataset(visa)
    assert read_dataset(visa, categories=["candle"]).categories() == ("candle",)
    with pytest.raises(DatasetError, match="no object 'candel'") as caught:
        read_dataset(visa, categories=["candel"])
    assert "'candle'" in caught.value.hint


def test_endings_of_another_case_than_listed_are_found(visa):
    path = visa / "candle/Data/Images/Normal/0000.JPG"
    path.rename(path.with_suffix(".jpg"))
    assert "candle/Data/Images/Normal/0000.jpg" in [sample.id for sample in read_dataset(visa).samples]


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [("train,normal", "training,normal", "split 'training'"), ("test,anomaly", "test,bad", "label 'bad'")],
)
def test_a_wrong_cell_of_the_split_csv_is_named_with_its_line(visa, old, new, word):
    table = visa / "split_csv/1cls.csv"
    table.write_text(table.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DatasetError, match=word) as caught:
        read_dataset(visa)
    assert "1cls.csv:" in caught.value.where


def test_raw_visa_without_csv_gets_a_stated_split(visa):
    (visa / "split_csv/1cls.csv").unlink()
    samples = read_dataset(visa)
    assert "Read as 'visa'" in samples.notes[0]
    assert {sample.split for sample in samples.select(label=1)} == {"test"}
    assert len(samples.select("train", 0, "candle")) == 5
    assert all(sample.masks for sample in samples.select(label=1))
    assert "has no split of its own" in " ".join(samples.notes)


@pytest.mark.parametrize("inside", ["", "1cls"])
def test_prepared_visa_is_read_with_its_masks(tmp_path, photo, inside):
    base = tmp_path / "VisA_pytorch" / inside
    for number in range(3):
        photo(base / "candle/train/good" / f"{number:04}.JPG")
    photo(base / "candle/test/good/0007.JPG")
    photo(base / "candle/test/bad/000.JPG")
    photo(base / "candle/ground_truth/bad/000.png", region(4))
    format = "auto" if inside else "visa"
    samples = read_dataset(tmp_path / "VisA_pytorch", format=format)
    assert "Read as 'visa'" in samples.notes[0]
    assert samples.categories() == ("candle",)
    (defective,) = samples.select("test", 1)
    assert defective.id.startswith(inside)
    assert np.array_equal(load_mask(defective, SHAPE), region(4) != 0)


def test_prepared_visa_with_defects_in_train_keeps_the_masks_of_the_splits_apart(tmp_path, photo):
    base = tmp_path / "2cls_fewshot" / "candle"
    photo(base / "train/good/0000.JPG")
    photo(base / "train/good/0001.JPG")
    for split, row in (("train", 2), ("test", 20)):
        photo(base / split / "bad" / "000.JPG")
        photo(base / "ground_truth" / split / "bad" / "000.png", region(row))
    samples = read_dataset(tmp_path / "2cls_fewshot", format="visa")
    for split, row in (("train", 2), ("test", 20)):
        (defective,) = samples.select(split, 1)
        assert np.array_equal(load_mask(defective, SHAPE), region(row) != 0)


def test_what_is_no_visa_is_refused_with_its_layout(tmp_path, photo):
    photo(tmp_path / "a.png")
    with pytest.raises(DatasetError, match="neither raw nor prepared VisA") as caught:
        read_dataset(tmp_path, format="visa")
    assert "split_csv/1cls.csv" in caught.value.allowed
