"""What `infer` takes for images: files, folders, patterns, manifests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyimgano.core.errors import DatasetError
from pyimgano.workbench.inference.sources import InputList


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders with files whose content no listing looks at."""
    for name in (
        "in/b.png",
        "in/a.JPG",
        "in/sub/c.tif",
        "in/notes.txt",
        "in/.hidden.png",
        "other/d.bmp",
        "in/x[1].png",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*inputs: str) -> list[str]:
    return [source.name for source in InputList(inputs)]


@pytest.mark.usefixtures("tree")
def test_a_folder_gives_its_images_sorted_and_then_those_of_the_folders_below() -> None:
    assert names("in") == ["in/a.JPG", "in/b.png", "in/x[1].png", "in/sub/c.tif"]


@pytest.mark.usefixtures("tree")
def test_arguments_keep_their_order() -> None:
    assert names("other", "in/b.png") == ["other/d.bmp", "in/b.png"]


@pytest.mark.usefixtures("tree")
def test_patterns_are_expanded_without_a_shell() -> None:
    assert names("in/*.png") == ["in/b.png", "in/x[1].png"]
    assert names("in/**/*.tif") == ["in/sub/c.tif"]


@pytest.mark.usefixtures("tree")
def test_a_double_star_gives_every_image_once() -> None:
    assert sorted(names("in/**")) == sorted(names("in"))
    assert sorted(names("in/**/*")) == sorted(names("in"))


@pytest.mark.usefixtures("tree")
def test_a_file_whose_name_has_brackets_is_that_file() -> None:
    assert names("in/x[1].png") == ["in/x[1].png"]


@pytest.mark.usefixtures("tree")
def test_a_file_that_is_named_is_taken_whatever_its_ending() -> None:
    assert names("in/notes.txt") == ["in/notes.txt"]


@pytest.mark.usefixtures("tree")
def test_what_a_folder_or_pattern_holds_beside_images_is_counted() -> None:
    found = InputList(["in/*"])
    assert len(list(found)) == 4
    assert found.omissions.counts["not an image"] == 1


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("text", "message"), [("nowhere", "no such file or folder"), ("in/*.webp", "the pattern matches nothing")]
)
def test_an_argument_that_names_nothing_is_refused_before_anything_is_scored(text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        InputList(["in/b.png", text])
    assert caught.value.where == text


def test_a_folder_without_images_is_an_error_and_not_an_empty_result(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DatasetError, match="no images there"):
        list(InputList([str(tmp_path)]))


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_link_to_a_folder_above_does_not_loop(tree: Path) -> None:
    (tree / "in" / "sub" / "up").symlink_to(tree / "in")
    found = InputList(["in"])
    assert [source.name for source in found] == ["in/a.JPG", "in/b.png", "in/x[1].png", "in/sub/c.tif"]
    assert found.omissions.counts["a link to a folder that it lies in"] == 1


def test_a_manifest_gives_its_rows_with_their_categories(tmp_path: Path) -> None:
    import numpy as np

    from pyimgano.core.images import write_png

    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        write_png(np.zeros((8, 8), np.uint8), tmp_path / "images" / f"{name}.png")
    manifest = tmp_path / "list.csv"
    manifest.write_text("image_path,category\nimages/b.png,bolt\nimages/a.png,nut\n")
    sources = list(InputList([str(manifest)]))
    assert {(source.path.name, source.category) for source in sources} == {("a.png", "nut"), ("b.png", "bolt")}
