"""``pyimgano datasets``: what it prints, where, and how it exits."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import skimage.data
from PIL import Image

from pyimgano.datasets import inspect_samples, read_dataset

BRICK = skimage.data.brick()


def run(*arguments, **options):
    """Run the command in a process of its own, as a user does."""
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


def crop(index, height=40, width=60):
    y, x = divmod(index * 61, 440)
    return BRICK[y : y + height, x : x + width]


@pytest.fixture
def healthy(tmp_path):
    root = tmp_path / "Gehäuse"
    index = 0
    for folder, count in (("train/good", 4), ("test/good", 2), ("test/scratch", 2)):
        (root / folder).mkdir(parents=True)
        for number in range(count):
            index += 1
            Image.fromarray(crop(index)).save(root / folder / f"{number}.png")
    masks = root / "ground_truth/scratch"
    masks.mkdir(parents=True)
    for number in range(2):
        mask = np.zeros((40, 60), np.uint8)
        mask[5:9, 5:9] = 255
        Image.fromarray(mask).save(masks / f"{number}_mask.png")
    return root


@pytest.fixture
def sick(healthy):
    def place(name):
        return healthy / name

    place("train/good/text.jpg").write_text("this is no image", encoding="utf-8")
    place("train/good/empty.png").write_bytes(b"")
    whole = place("train/good/0.png").read_bytes()
    place("train/good/cut.png").write_bytes(whole[: len(whole) // 2])
    place("test/good/copy.png").write_bytes(place("train/good/1.png").read_bytes())
    place("test/scratch/relabelled.png").write_bytes(place("test/good/1.png").read_bytes())
    Image.fromarray(crop(30)).save(place("test/scratch/small.png"))
    Image.fromarray(np.full((20, 30), 255, np.uint8)).save(place("ground_truth/scratch/small_mask.png"))
    Image.fromarray(crop(31)).save(place("test/scratch/nothing.png"))
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(place("ground_truth/scratch/nothing_mask.png"))
    Image.fromarray(np.full((40, 60), 255, np.uint8)).save(place("ground_truth/scratch/orphan_mask.png"))
    Image.fromarray(crop(32).astype(np.float32)).save(place("train/good/float.tif"))
    return healthy


def kinds(found):
    return sorted((problem["kind"], problem["files"][0]) for problem in found["problems"])


def test_a_healthy_dataset_has_no_problems_and_its_numbers_are_right(healthy):
    found = inspect_samples(read_dataset(healthy)).to_json()
    assert found["problems"] == []
    (category,) = found["categories"]
    assert category["splits"]["train"] == {"good": 4, "defective": 0, "unlabelled": 0}
    assert category["splits"]["test"] == {"good": 2, "defective": 2, "unlabelled": 0}
    assert category["defects"] == {"scratch": 2}
    assert category["defective_with_mask"] == 2
    assert category["sizes"] == {"distinct": 1, "width": [60, 60], "height": [40, 40], "most_common": [60, 40]}
    assert category["colour_models"] == {"grey": 8}
    assert category["bit_depths"] == {"8 bit": 8}
    low = min(int(crop(index).min()) for index in range(1, 9))
    high = max(int(crop(index).max()) for index in range(1, 9))
    assert category["values"] == [low, high]
    assert [(row["folder"], row["label"], row["images"], row["masks"]) for row in found["folders"]] == [
        ("test/good", "good", 2, 0),
        ("test/scratch", "defective", 2, 2),
        ("train/good", "good", 4, 0),
    ]


def test_every_problem_is_found_and_nothing_else(sick):
    found = inspect_samples(read_dataset(sick)).to_json()
    assert kinds(found) == [
        ("defective-without-mask", "test/scratch/relabelled.png"),
        ("duplicate-across-splits", "test/good/copy.png"),
        ("duplicate-labels", "test/good/1.png"),
        ("empty-mask", "ground_truth/scratch/nothing_mask.png"),
        ("mask-size", "ground_truth/scratch/small_mask.png"),
        ("mask-without-image", "ground_truth/scratch/orphan_mask.png"),
        ("unreadable-image", "train/good/cut.png"),
        ("unreadable-image", "train/good/empty.png"),
        ("unreadable-image", "train/good/text.jpg"),
        ("unusable-values", "train/good/float.tif"),
    ]
    json.dumps(found, allow_nan=False)


def test_progress_is_told_for_each_image(healthy):
    told = []
    inspect_samples(read_dataset(healthy), advance=told.append)
    assert told == [1] * 8


def test_colour_models_and_depths_of_the_files_are_told_apart(tmp_path):
    picture = Image.fromarray(np.ascontiguousarray(skimage.data.astronaut()[:40, :60]))
    modes = {"a.png": "RGB", "b.png": "P", "c.png": "RGBA", "d.jpg": "L", "e.jpg": "CMYK", "f.bmp": "RGB"}
    for name, mode in modes.items():
        picture.convert(mode).save(tmp_path / name)
    Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 16).save(tmp_path / "g.png")
    Image.fromarray(np.asarray(picture.convert("L")).astype(np.float32) / 255).save(tmp_path / "h.tif")
    found = inspect_samples(read_dataset(tmp_path)).to_json()
    (category,) = found["categories"]
    assert category["colour_models"] == {"CMYK": 1, "RGB": 2, "RGBA": 1, "grey": 3, "palette": 1}
    assert category["bit_depths"] == {"16 bit": 1, "32 bit float": 1, "8 bit": 6}
    assert found["problems"] == []
    advice = " ".join(found["advice"])
    assert "several kinds" in advice
    assert "value_range to [0, 4095]" in advice


def test_inspect_prints_its_findings_and_exits_with_0(sick):
    done = run("datasets", "inspect", sick)
    assert done.returncode == 0, done.stderr
    assert "Problems: 10" in done.stdout
    assert "unreadable-image: train/good/cut.png: the image is truncated" in done.stdout
    assert "Read as 'mvtec'" in done.stdout
    assert "60 × 40" in done.stdout
    assert "Traceback" not in done.stderr


def test_fail_on_problems_exits_with_4_only_when_there_is_one(healthy):
    assert run("datasets", "inspect", healthy, "--fail-on-problems").returncode == 0
    (healthy / "test/good/empty.png").write_bytes(b"")
    done = run("datasets", "inspect", healthy, "--fail-on-problems", "--json")
    assert done.returncode == 4
    assert [problem["kind"] for problem in json.loads(done.stdout)["problems"]] == ["unreadable-image"]


def test_what_cannot_be_inspected_is_an_error_without_traceback(tmp_path):
    done = run("datasets", "inspect", tmp_path / "nowhere")
    assert done.returncode == 4
    assert done.stdout == ""
    assert "does not exist" in done.stderr
    assert "Traceback" not in done.stderr
    (tmp_path / "train" / "good").mkdir(parents=True)
    done = run("datasets", "inspect", tmp_path)
    assert done.returncode == 4
    assert "no good images to train on" in done.stderr


def test_categories_and_format_can_be_stated(tmp_path, healthy):
    done = run("datasets", "inspect", tmp_path, "--category", healthy.name, "--format", "folder", "--json")
    found = json.loads(done.stdout)
    assert found["notes"][0] == "Read as 'folder', as asked for."
    assert found["categories"][0]["category"] == "Gehäuse"
    assert run("datasets", "inspect", tmp_path, "--category", "Gehause").returncode == 4


def test_list_and_info_show_the_layouts():
    listed = json.loads(run("datasets", "list", "--json").stdout)
    assert [entry["name"] for entry in listed] == ["folder", "manifest", "mvtec", "visa"]
    assert run("datasets", "list", "--names").stdout.split() == ["folder", "manifest", "mvtec", "visa"]
    assert run("datasets", "list", "--tag", "manifest", "--names").stdout.split() == ["manifest"]
    assert "ground_truth" in run("datasets", "info", "folder").stdout
    assert json.loads(run("datasets", "info", "visa", "--json").stdout)["distribution"] == "pyimgano-workbench"
    unknown = run("datasets", "info", "mvtek")
    assert unknown.returncode == 2
    assert "mvtec" in unknown.stderr


def test_listing_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['pyimgano', 'datasets', 'list', '--names']\n"
        "from pyimgano.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'numpy', 'cv2', 'scipy', 'pydantic', 'torch', 'sklearn'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYIMGANO_PLUGINS": "none"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
