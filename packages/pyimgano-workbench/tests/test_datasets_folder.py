"""Folders as people keep them: what is taken for what, what is left out, and what is refused."""

from __future__ import annotations

import os

import numpy as np
import pytest
import skimage.data
from PIL import Image

from pyimgano.core.errors import DatasetError, UnknownNameError
from pyimgano.core.registry import DATASETS
from pyimgano.core.specs import DatasetSpec
from pyimgano.datasets import load_image, load_mask, read_dataset

BRICK = skimage.data.brick()


class Builder:
    """Writes crops of a real photograph, every one another, in the format that the name asks for."""

    def __init__(self, root):
        self.root = root
        self.count = 0

    def images(self, folder, *names):
        for name in names:
            self.count += 1
            y, x = divmod(self.count * 37, 440)
            self.save(folder, name, BRICK[y : y + 48, x : x + 64])

    def masks(self, folder, *names):
        for name in names:
            self.count += 1
            mask = np.zeros((48, 64), np.uint8)
            mask[self.count % 30 : self.count % 30 + 8, 10:20] = 255
            self.save(folder, name, mask)

    def save(self, folder, name, array):
        path = self.root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = {"jpg": "JPEG", "jpeg": "JPEG", "tif": "TIFF"}.get(name.rpartition(".")[2].lower())
        Image.fromarray(array).save(path, kind)


@pytest.fixture
def build(tmp_path):
    return Builder(tmp_path / "part")


def described(samples):
    return {
        sample.id: (sample.split, sample.label, sample.defect, tuple(mask.name for mask in sample.masks))
        for sample in samples.samples
    }


@pytest.mark.parametrize("good", ["good", "normal", "ok", "OK", "Good"])
def test_split_folders_with_defects_and_masks_are_read(build, good):
    build.images(f"train/{good}", "a.png", "b.png")
    build.images(f"test/{good}", "c.png")
    build.images("test/scratch", "a.png", "b.png")
    build.masks("ground_truth/scratch", "a_mask.png", "b.png")
    samples = read_dataset(build.root)
    assert described(samples) == {
        f"train/{good}/a.png": ("train", 0, None, ()),
        f"train/{good}/b.png": ("train", 0, None, ()),
        f"test/{good}/c.png": ("test", 0, None, ()),
        "test/scratch/a.png": ("test", 1, "scratch", ("a_mask.png",)),
        "test/scratch/b.png": ("test", 1, "scratch", ("b.png",)),
    }
    assert [sample.id for sample in samples.samples] == sorted(sample.id for sample in samples.samples)
    assert samples.categories() == ("part",)
    assert "Read as 'folder'" in samples.notes[0]
    for sample in samples.samples:
        assert load_image(sample).shape == (48, 64, 3)
        assert load_mask(sample, (48, 64)).any() == (sample.label == 1)


def test_btad_like_ok_and_ko_with_mixed_formats_are_read(build):
    for category, suffix in (("01", "bmp"), ("02", "png"), ("03", "BMP")):
        build.images(f"BTech_Dataset_transformed/{category}/train/ok", f"0000.{suffix}", f"0001.{suffix}")
        build.images(f"BTech_Dataset_transformed/{category}/test/ok", f"0000.{suffix}")
        build.images(f"BTech_Dataset_transformed/{category}/test/ko", f"0000.{suffix}", f"0001.{suffix}")
        build.masks(f"BTech_Dataset_transformed/{category}/ground_truth/ko", "0000.png", "0001.bmp")
    samples = read_dataset(build.root)
    assert samples.categories() == ("01", "02", "03")
    defective = samples.select(label=1)
    assert {sample.defect for sample in defective} == {"ko"}
    assert all(len(sample.masks) == 1 and sample.masks[0].stem == sample.source.stem for sample in defective)


def test_masks_are_paired_by_stem_although_sort_order_says_otherwise(build):
    build.images("train/good", "0.png", "1.png")
    build.images("test/cut", "1.png", "10.png", "2.png", "11.png")
    build.masks("ground_truth/cut", "10_mask.png", "1_mask.png", "2_mask.png", "111_mask.png")
    samples = read_dataset(build.root)
    masks = {sample.source.name: [mask.name for mask in sample.masks] for sample in samples.select("test")}
    assert masks == {"1.png": ["1_mask.png"], "10.png": ["10_mask.png"], "2.png": ["2_mask.png"], "11.png": []}
    notes = " ".join(samples.notes)
    assert "1 of 4 defective images of part have no mask (test/cut/11.png)" in notes
    assert "a mask without an image: 1 (ground_truth/cut/111_mask.png)" in notes
    (without,) = [sample for sample in samples.select("test") if not sample.masks]
    assert load_mask(without, (48, 64)) is None


def test_masks_may_have_another_ending_and_case_than_their_image(build):
    build.images("train/good", "a.png", "b.png")
    build.images("test/cut", "IMG_1.JPG", "img_2.tif")
    build.masks("ground_truth/cut", "img_1_MASK.bmp", "img_2.PNG")
    masks = [mask.name for sample in read_dataset(build.root).select(label=1) for mask in sample.masks]
    assert masks == ["img_1_MASK.bmp", "img_2.PNG"]


def test_masks_directly_in_ground_truth_serve_every_defect(build):
    build.images("train/good", "a.png", "b.png")
    build.images("test/good", "x.png")
    build.images("test/cut", "1.png")
    build.images("test/hole", "2.png")
    build.masks("masks", "1.png", "2_mask.png", "x.png")
    samples = read_dataset(build.root)
    assert [mask.name for sample in samples.select(label=1) for mask in sample.masks] == ["1.png", "2_mask.png"]
    assert samples.select("test", 0)[0].masks == ()


def test_a_mask_that_fits_two_images_is_refused(build):
    build.images("train/good", "a.png", "b.png")
    build.images("test/cut", "1.png")
    build.images("test/hole", "1.png")
    build.masks("ground_truth", "1.png")
    with pytest.raises(DatasetError, match=r"test/cut/1\.png and test/hole/1\.png"):
        read_dataset(build.root)


def test_two_masks_for_one_image_are_refused(build):
    build.images("train/good", "a.png", "b.png")
    build.images("test/cut", "1.png")
    build.masks("ground_truth/cut", "1_mask.png", "1_mask.bmp")
    with pytest.raises(DatasetError, match=r"1_mask\.bmp, 1_mask\.png"):
        read_dataset(build.root)


def test_masks_beside_their_images_are_no_images(build):
    build.images("train/good", "a.png", "b.png")
    build.images("test/cut", "1.png", "2.png")
    build.masks("test/cut", "1_mask.png", "2_gt.png")
    samples = read_dataset(build.root)
    assert {sample.id: sample.masks[0].name for sample in samples.select("test")} == {
        "test/cut/1.png": "1_mask.png",
        "test/cut/2.png": "2_gt.png",
    }


def test_everything_that_is_no_image_is_left_out_and_named(build):
    build.images("train/good", "a.png", "b.JPeG", "c.TIF", ".hidden.png", "._a.png")
    build.images("test/good", "x.png", "new/y.png")
    (build.root / "train/good/readme.txt").write_text("read me", encoding="utf-8")
    (build.root / "train/good/Thumbs.db").write_bytes(b"x")
    (build.root / "train/good/folder.png").mkdir()
    (build.root / "notes").mkdir()
    samples = read_dataset(build.root)
    assert [sample.id for sample in samples.select("train")] == [
        "train/good/a.png",
        "train/good/b.JPeG",
        "train/good/c.TIF",
    ]
    assert "test/good/new/y.png" in [sample.id for sample in samples.samples]
    notes = " ".join(samples.notes)
    for reason in (
        "hidden: 3 (train/good/._a.png, train/good/.hidden.png, train/good/Thumbs.db)",
        "not an image: 1 (train/good/readme.txt)",
        "a folder without images: 1 (train/good/folder.png)",
        "a folder that is no split: 1 (notes)",
    ):
        assert reason in notes


def test_a_broken_link_is_left_out_and_named(build):
    build.images("train/good", "a.png", "b.png")
    try:
        os.symlink(build.root / "nowhere.png", build.root / "train/good/gone.png")
    except OSError as error:
        pytest.skip(f"this system makes no links: {error}")
    samples = read_dataset(build.root)
    assert len(samples) == 2
    assert "broken link: 1 (train/good/gone.png)" in " ".join(samples.notes)


def test_subfolders_of_a_class_are_groups_and_their_masks_are_found(build):
    build.images("train/good", "lot1/a.png", "lot1/b.png", "lot2/a.png")
    build.images("test/cut", "lot3/a.png")
    build.masks("ground_truth/cut/lot3", "a_mask.png")
    samples = read_dataset(build.root)
    assert [sample.group for sample in samples.select("train")] == ["train/good/lot1"] * 2 + ["train/good/lot2"]
    (defective,) = samples.select(label=1)
    assert defective.group is None
    assert [mask.name for mask in defective.masks] == ["a_mask.png"]


def test_category_names_are_the_users_own_and_can_be_chosen(build):
    for category in ("Gehäuse links", "部品", "pcb-7"):
        build.images(f"{category}/train/good", "a.png", "b.png")
        build.images(f"{category}/test/bad", "a.png")
    build.images("drafts", "a.png")
    samples = read_dataset(build.root)
    assert samples.categories() == ("Gehäuse links", "pcb-7", "部品")
    assert "is not a category (no train or good folder): 1 (drafts)" in " ".join(samples.notes)
    chosen = read_dataset(build.root, categories=["部品"])
    assert {sample.category for sample in chosen.samples} == {"部品"}
    assert {sample.id for sample in chosen.samples} < {sample.id for sample in samples.samples}


def test_a_missing_category_is_refused_with_the_names_that_are_there(build):
    for category in ("bottle", "cable"):
        build.images(f"{category}/train/good", "a.png", "b.png")
    with pytest.raises(DatasetError, match="no category 'botle'") as caught:
        read_dataset(build.root, categories=["cable", "botle"])
    assert "bottle, cable" in caught.value.allowed
    assert "did you mean 'bottle'" in caught.value.hint


def test_a_category_folder_that_is_nested_once_is_found(build):
    build.images("can/can/train/good", "a.png", "b.png")
    build.images("can/can/test/bad", "a.png")
    build.images("rice/train/good", "a.png")
    samples = read_dataset(build.root)
    assert samples.categories() == ("can", "rice")
    assert "can/can/train/good/a.png" in [sample.id for sample in samples.samples]


@pytest.mark.parametrize("folder", ["train/good", "train/bad", "train"])
def test_an_empty_train_folder_is_refused_with_what_was_expected(build, folder):
    build.images("test/good", "a.png")
    (build.root / folder).mkdir(parents=True)
    if folder == "train/bad":
        build.images(folder, "a.png")
    with pytest.raises(DatasetError, match="no good images to train on") as caught:
        read_dataset(build.root)
    assert "train/{good|normal|ok}" in caught.value.allowed
    assert str(build.root) in caught.value.where


def test_only_the_chosen_categories_need_good_images(build):
    build.images("full/train/good", "a.png", "b.png")
    build.images("empty/test/bad", "a.png")
    (build.root / "empty/train/good").mkdir(parents=True)
    assert len(read_dataset(build.root, categories=["full"])) == 2
    with pytest.raises(DatasetError, match="'empty'"):
        read_dataset(build.root)


def test_folders_of_good_and_defective_images_get_a_split_that_the_notes_state(build):
    build.images("good", *(f"{index:02}.png" for index in range(20)))
    build.images("scratch", "a.png", "b.png", "c.png")
    build.masks("masks/scratch", "b.png")
    samples = read_dataset(build.root, seed=3)
    assert len(samples.select("train", 0)) == 16
    assert len(samples.select("test", 0)) == 4
    assert len(samples.select("test", 1)) == 3
    assert len(samples.select("test", 1)[1].masks) == 1
    assert "4 of 20 good images (seed 3) and all 3 defective ones are the test set" in " ".join(samples.notes)
    again = read_dataset(build.root, seed=3)
    other = read_dataset(build.root, seed=4)
    assert again.samples == samples.samples
    assert {s.id for s in other.select("test")} != {s.id for s in samples.select("test")}


def test_a_flat_folder_is_all_good_training_images_and_says_so(build):
    build.images(".", "a.png", "b.jpg", "c.BMP")
    samples = read_dataset(build.root)
    assert [(sample.split, sample.label) for sample in samples.samples] == [("train", 0)] * 3
    assert "all are taken as good training images" in " ".join(samples.notes)
    assert "no test images" in " ".join(samples.notes)


def test_images_directly_in_split_folders_are_good_in_train_and_unlabelled_in_test(build):
    build.images("train", "a.png", "b.png")
    build.images("test", "c.png")
    samples = read_dataset(build.root)
    assert [(sample.split, sample.label) for sample in samples.samples] == [("test", None), ("train", 0), ("train", 0)]
    assert "unlabelled" in " ".join(samples.notes)
    assert load_mask(samples.samples[0], (48, 64)) is None


@pytest.mark.parametrize("layout", ["kolektor", "dagm", "flat"])
def test_images_and_masks_that_nobody_labelled_are_refused_rather_than_taken_as_good(build, layout):
    if layout == "kolektor":
        build.images("train", "10000.png", "10001.png")
        build.masks("train", "10000_GT.png", "10001_GT.png")
        build.images("test", "20000.png")
        build.masks("test", "20000_GT.png")
    elif layout == "dagm":
        build.images("Train", "0576.PNG", "0577.PNG")
        build.masks("Train/Label", "0576_label.PNG")
        build.images("Test", "0001.PNG")
    else:
        build.images(".", "1.png", "2.png")
        build.masks(".", "1_mask.png")
    with pytest.raises(DatasetError, match="no folder that says which images are good") as caught:
        read_dataset(build.root)
    assert "manifest" in caught.value.hint


@pytest.mark.parametrize("content", ["nothing", "texts", "unnamed folders"])
def test_a_folder_that_says_nothing_is_refused_with_the_known_layouts(build, content):
    build.root.mkdir()
    if content == "texts":
        (build.root / "a.txt").write_text("x", encoding="utf-8")
    elif content == "unnamed folders":
        build.images("2024-01", "a.png")
        build.images("2024-02", "a.png")
    with pytest.raises(DatasetError) as caught:
        read_dataset(build.root)
    assert "train/{good|normal|ok}" in caught.value.allowed
    with pytest.raises(DatasetError):
        read_dataset(build.root, format="folder")


def test_a_missing_root_is_named(build):
    with pytest.raises(DatasetError, match="does not exist") as caught:
        read_dataset(build.root / "nowhere")
    assert str(build.root) in caught.value.where


def test_two_folders_for_one_split_are_refused(build):
    build.images("train/good", "a.png")
    build.images("Training/good", "a.png")
    with pytest.raises(DatasetError, match=r"Training and train|train and Training"):
        read_dataset(build.root)


def test_an_unknown_format_suggests_the_nearest(build):
    build.images(".", "a.png")
    with pytest.raises(UnknownNameError) as caught:
        read_dataset(build.root, format="mvtek")
    assert "mvtec" in caught.value.hint


def test_a_mask_of_another_size_is_an_error_that_names_both_files(build):
    build.images("train/good", "a.png", "b.png")
    build.images("test/cut", "1.png")
    build.save("ground_truth/cut", "1_mask.png", np.full((40, 64), 255, np.uint8))
    (sample,) = read_dataset(build.root).select("test")
    with pytest.raises(Exception, match="64×40") as caught:
        load_mask(sample, load_image(sample).shape[:2])
    assert "1_mask.png" in caught.value.where
    assert os.path.join("cut", "1.png") in caught.value.message


class Reader:
    """A stranger's reader that knows a marker file."""

    def detect(self, root):
        return "it has a marker" if (root / "marker.xyz").exists() else None

    def read(self, root, *, categories=None):
        from pyimgano.datasets.folder import FolderReader

        return FolderReader().read(root / "inner", categories=categories)


class Broken(Reader):
    """A stranger's reader that fails when it is asked."""

    def detect(self, root):
        raise RuntimeError(f"lost its way in {root}")


@pytest.fixture
def registered(monkeypatch):
    import sys
    import types

    module = types.ModuleType("strangers_readers")
    module.Reader, module.Broken = Reader, Broken
    monkeypatch.setitem(sys.modules, "strangers_readers", module)
    before = DATASETS.snapshot()
    DATASETS.register(DatasetSpec(name="marked", summary="A test", factory="strangers_readers:Reader"))
    DATASETS.register(DatasetSpec(name="broken", summary="A test", factory="strangers_readers:Broken"))
    yield
    DATASETS.restore(before)


@pytest.mark.usefixtures("registered")
def test_registered_readers_are_asked_before_folder_and_a_broken_one_hurts_nothing(build):
    build.images("inner/train/good", "a.png", "b.png")
    assert "Read as 'folder'" in read_dataset(build.root).notes[0]
    (build.root / "marker.xyz").touch()
    samples = read_dataset(build.root)
    assert samples.notes[0] == "Read as 'marked': it has a marker."
    notes = " ".join(samples.notes)
    assert f"'broken' could not be asked: RuntimeError: lost its way in {build.root.name}" in notes
    assert str(build.root) not in notes, "notes go into reports"
    assert len(samples) == 2


@pytest.mark.usefixtures("registered")
def test_when_two_layouts_fit_the_first_is_taken_and_the_other_named(build):
    build.images("inner/train/good", "a.png", "b.png")
    (build.root / "marker.xyz").touch()
    (build.root / "manifest.csv").write_text("image_path,label\ninner/train/good/a.png,0\n", encoding="utf-8")
    samples = read_dataset(build.root)
    assert "Read as 'manifest'" in samples.notes[0]
    assert "marked fits as well" in samples.notes[1]
    assert "Read as 'marked', as asked for" in read_dataset(build.root, format="marked").notes[0]


def test_masks_inside_a_class_folder_are_no_images(build):
    build.images("train/good", "a.png", "b.png")
    build.images("test/cut", "1.png", "lot1/2.png")
    build.masks("test/cut/masks", "1.png", "lot1/2_mask.png", "9.png")
    samples = read_dataset(build.root)
    assert [(sample.id, sample.masks[0].name) for sample in samples.select("test")] == [
        ("test/cut/1.png", "1.png"),
        ("test/cut/lot1/2.png", "2_mask.png"),
    ]
    assert "a mask without an image: 1 (test/cut/masks/9.png)" in " ".join(samples.notes)


@pytest.mark.parametrize("folder", ["train/good", "test/NG/S0001", "."])
def test_two_images_with_one_stem_are_refused_since_one_may_be_a_mask(build, folder):
    if folder != ".":
        build.images("train/good", "a.png", "b.png")
    build.images(folder, "part_C1.jpg", "part_C1.png", "part_C2.jpg")
    with pytest.raises(DatasetError, match=r"part_C1\.jpg and part_C1\.png") as caught:
        read_dataset(build.root)
    assert "manifest" in caught.value.hint


def test_a_defect_may_be_called_label(build):
    build.images("train/good", "a.png", "b.png")
    build.images("test/good", "c.png")
    build.images("test/label", "d.png")
    assert [sample.defect for sample in read_dataset(build.root).select(label=1)] == ["label"]


def test_accented_names_match_their_masks_in_either_unicode_form(build):
    import unicodedata

    build.images("train/good", "a.png", "b.png")
    build.images("test/cut", unicodedata.normalize("NFD", "Prüfling é.png"))
    build.masks("ground_truth/cut", unicodedata.normalize("NFC", "Prüfling é_mask.png"))
    assert len(read_dataset(build.root).select(label=1)[0].masks) == 1


def test_a_file_name_that_is_no_text_is_left_out_and_named(build):
    build.images("train/good", "a.png", "b.png")
    try:
        with open(os.fsencode(build.root / "train/good") + b"/caf\xe9.png", "wb") as stream:
            stream.write((build.root / "train/good/a.png").read_bytes())
    except OSError as error:
        pytest.skip(f"this system takes no such names: {error}")
    samples = read_dataset(build.root)
    assert len(samples) == 2
    assert "not valid Unicode: 1" in " ".join(samples.notes).encode("utf-8").decode("utf-8")


def test_a_category_without_splits_beside_one_with_splits_gets_its_own(build):
    build.images("a/train/good", "1.png", "2.png")
    build.images("a/test/bad", "3.png")
    build.images("b/good", *(f"{index}.png" for index in range(10)))
    build.images("b/bad", "x.png")
    samples = read_dataset(build.root)
    assert len(samples.select("train", 0, "a")) == 2
    assert len(samples.select("train", 0, "b")) == 8
    assert len(samples.select("test", None, "b")) == 3


def test_training_images_alone_are_read_and_the_notes_say_what_is_missing(build):
    build.images("train/good", "a.png", "b.png")
    assert "no test images" in " ".join(read_dataset(build.root).notes)
