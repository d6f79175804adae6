"""Manifests: every column means what the documentation says, and every faulty line is named."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import skimage.data

from pyimgano.core.errors import DatasetError
from pyimgano.core.images import write_png
from pyimgano.datasets import load_mask, read_dataset, split_good

GRASS = skimage.data.grass()
ROWS = [
    {"image_path": f"img/{index}.png", "label": "good", "split": "train", "group": f"lot{index // 2}", "line": "7"}
    for index in range(6)
] + [
    {"image_path": "img/6.png", "label": "0", "split": "test", "group": "lot9", "line": "8"},
    {
        "image_path": "img/7, b.png",
        "label": "1",
        "split": "test",
        "mask_path": "masks/7.png",
        "defect": "Kratzer",
        "group": "lot9",
        "line": "8",
    },
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "img").mkdir()
    (tmp_path / "masks").mkdir()
    for index, row in enumerate(ROWS):
        write_png(GRASS[index * 9 : index * 9 + 30, 5:45], tmp_path / row["image_path"])
    mask = np.zeros((30, 40), np.uint8)
    mask[3:9, 4:12] = 255
    write_png(mask, tmp_path / "masks/7.png")
    return tmp_path


def write_csv(path, rows, delimiter=",", encoding="utf-8"):
    columns = sorted({name for row in rows for name in row})
    with open(path, "w", encoding=encoding, newline="") as stream:
        writer = csv.DictWriter(stream, columns, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["jsonl", "csv", "semicolon", "bom", "folder"])
def test_every_kind_of_manifest_gives_the_same_samples(folder, kind):
    if kind == "jsonl":
        path = write_jsonl(folder / "list.jsonl", ROWS)
    elif kind == "folder":
        write_csv(folder / "manifest.csv", ROWS)
        path = folder
    else:
        options = {"semicolon": {"delimiter": ";"}, "bom": {"encoding": "utf-8-sig"}}.get(kind, {})
        path = write_csv(folder / "list.csv", ROWS, **options)
    samples = read_dataset(path)
    assert "Read as 'manifest'" in samples.notes[0]
    assert samples.root == folder
    assert [sample.id for sample in samples.samples] == [row["image_path"] for row in ROWS]
    assert [sample.label for sample in samples.samples] == [0] * 7 + [1]
    assert [sample.split for sample in samples.samples] == ["train"] * 6 + ["test"] * 2
    assert [sample.group for sample in samples.samples] == [
        "lot0",
        "lot0",
        "lot1",
        "lot1",
        "lot2",
        "lot2",
        "lot9",
        "lot9",
    ]
    assert samples.samples[0].meta == {"line": "7"}
    defective = samples.samples[7]
    assert defective.defect == "Kratzer"
    assert load_mask(defective, (30, 40)).sum() == 48
    assert samples.categories() == ()


def test_groups_of_a_manifest_stay_on_one_side(folder):
    samples = read_dataset(write_jsonl(folder / "list.jsonl", ROWS))
    for seed in range(8):
        split = split_good(samples, 0.34, seed=seed)
        assert {s.group for s in split.fit}.isdisjoint({s.group for s in split.calibration})
        assert len(split.calibration) == 2


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (0, 0),
        (1, 1),
        (True, 1),
        (0.0, 0),
        ("NG", 1),
        ("OK", 0),
        ("Anomaly", 1),
        ("normal", 0),
        (None, None),
        ("", None),
    ],
)
def test_labels_are_understood_in_the_words_of_the_field(folder, label, expected):
    path = write_jsonl(folder / "list.jsonl", [{"image_path": "img/0.png", "split": "test", "label": label}])
    assert read_dataset(path).samples[0].label == expected


def test_a_defect_alone_says_defective_and_several_masks_are_united(folder):
    other = np.zeros((30, 40), np.uint8)
    other[20:22, 20:30] = 1
    write_png(other, folder / "masks/b.png")
    row = {"image_path": "img/0.png", "split": "test", "defect": "dent", "mask_path": ["masks/7.png", "masks/b.png"]}
    (sample,) = read_dataset(write_jsonl(folder / "list.jsonl", [row])).samples
    assert sample.label == 1
    assert load_mask(sample, (30, 40)).sum() == 48 + 20


def test_a_manifest_without_splits_gets_one_that_the_notes_state(folder):
    rows = [{name: value for name, value in row.items() if name != "split"} for row in ROWS]
    samples = read_dataset(write_csv(folder / "list.csv", rows), seed=5)
    assert samples.select("test", 1)
    # lot9 holds a defective image, so its good one belongs to the test set, whatever the seed.
    assert "img/6.png" in [sample.id for sample in samples.select("test", 0)]
    assert "The dataset has no split" in " ".join(samples.notes)
    assert "seed 5" in " ".join(samples.notes)


def test_categories_can_be_chosen_and_a_missing_one_is_named(folder):
    rows = [{**row, "category": "left" if index % 2 else "right"} for index, row in enumerate(ROWS)]
    path = write_jsonl(folder / "list.jsonl", rows)
    assert read_dataset(path).categories() == ("left", "right")
    assert len(read_dataset(path, categories=["left"])) == 4
    with pytest.raises(DatasetError, match="no category 'lefd'") as caught:
        read_dataset(path, categories=["lefd"])
    assert "'left'" in caught.value.hint


def test_absolute_paths_and_paths_beside_the_manifest_have_relative_ids(folder):
    lists = folder / "lists"
    lists.mkdir()
    rows = [{"image_path": str(folder / "img" / "0.png")}, {"image_path": "../img/./1.png"}]
    samples = read_dataset(write_jsonl(lists / "a.jsonl", [{**row, "label": 0, "split": "train"} for row in rows]))
    assert [sample.id for sample in samples.samples] == ["../img/0.png", "../img/1.png"]
    assert all(sample.source.is_file() for sample in samples.samples)


def test_all_faulty_lines_are_reported_at_once(folder):
    rows = [dict(row) for row in ROWS]
    rows[0]["label"] = "maybe"
    rows[1]["split"] = "trian"
    rows[2]["image_path"] = "img/none.png"
    rows[3]["image_path"] = "img/4.png"
    rows[7]["mask_path"] = "masks/none.png"
    with pytest.raises(DatasetError) as caught:
        read_dataset(write_jsonl(folder / "list.jsonl", rows))
    message = caught.value.message
    for part in (
        "line 1: label 'maybe'",
        "line 2: split 'trian'",
        "line 3: img/none.png does not exist",
        "line 5: img/4.png is listed in line 4 already",
        "line 8: masks/none.png does not exist",
    ):
        assert part in message
    assert caught.value.where == str(folder / "list.jsonl")


@pytest.mark.parametrize(
    ("rename", "meant"),
    [({"label": "lable"}, "label"), ({"image_path": "path"}, "image_path"), ({"split": "Split"}, "split")],
)
def test_a_slip_in_a_column_name_is_refused_rather_than_kept_as_free_text(folder, rename, meant):
    rows = [{rename.get(name, name): value for name, value in row.items()} for row in ROWS]
    with pytest.raises(DatasetError, match="unknown column") as caught:
        read_dataset(write_csv(folder / "list.csv", rows))
    assert f"'{meant}'" in caught.value.hint


def test_some_lines_with_a_split_and_some_without_are_refused(folder):
    rows = [dict(row) for row in ROWS]
    del rows[2]["split"]
    with pytest.raises(DatasetError, match=r"1 images have no split, the others do: img/2\.png"):
        read_dataset(write_jsonl(folder / "list.jsonl", rows))


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("a.jsonl", '{"image_path": "img/0.png"}\n{"image_path": }\n', ":2:"),
        ("a.jsonl", '{"image_path": "img/0.png", "score": NaN}\n', ":1"),
        ("a.jsonl", '["img/0.png"]\n', ":1"),
        ("a.jsonl", "", "a.jsonl"),
        ("a.csv", "image_path,label\nimg/0.png,0,7\n", ":2"),
        ("a.csv", "image_path,image_path\nimg/0.png,x\n", ":1"),
        ("a.csv", "label\n0\n", "a.csv"),
        ("a.csv", 'image_path\n"img/0.png\n', "a.csv"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused_with_the_place(folder, name, text, place):
    (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError) as caught:
        read_dataset(folder / name)
    assert place in caught.value.where


def test_text_in_another_encoding_is_refused(folder):
    (folder / "a.csv").write_bytes("image_path,label\nGröße.png,0\n".encode("latin-1"))
    with pytest.raises(DatasetError, match="not UTF-8"):
        read_dataset(folder / "a.csv")


def test_an_unknown_kind_of_file_is_refused(folder):
    (folder / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(DatasetError, match="no known layout"):
        read_dataset(folder / "a.xlsx")
    with pytest.raises(DatasetError, match=r"'\.xlsx'"):
        read_dataset(folder / "a.xlsx", format="manifest")
    with pytest.raises(DatasetError, match="no manifest here"):
        read_dataset(folder, format="manifest")
