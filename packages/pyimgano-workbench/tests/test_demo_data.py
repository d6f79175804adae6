"""The demo's data: real photographs cut so that no split shares a pixel with another, and real masks."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from pyimgano.core.errors import MissingDependencyError, ParameterError, PyimganoError
from pyimgano.core.images import read_image, read_mask
from pyimgano.core.seeding import generator
from pyimgano.workbench.defects.lines import Scratch
from pyimgano.workbench.defects.pieces import Foreign
from pyimgano.workbench.defects.spots import Stain
from pyimgano.workbench.demo import TEXTURES, textures, write_elpv, write_textures
from pyimgano.workbench.demo.elpv import elpv_split

SKIMAGE = Path(importlib.util.find_spec("skimage").origin).parent / "data"
ELPV = Path(importlib.util.find_spec("elpv_dataset").origin).parent / "data"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "textures"
    write_textures(root, seed=0)
    return root


@pytest.fixture(scope="module", params=["brick", "grass", "gravel"])
def texture(request: pytest.FixtureRequest) -> np.ndarray:
    return read_image(SKIMAGE / f"{request.param}.png")[:224, :224]


def tile_of(path: Path, photograph: np.ndarray) -> tuple[int, int]:
    """Find the tile of the photograph that a good image shows."""
    image = read_image(path)[2::4, 2::4, 0].astype(float)
    best = (np.inf, (0, 0))
    for row in range(0, 512 - textures.TILE + 1, textures.TILE):
        for column in range(0, 512 - textures.TILE + 1, textures.TILE):
            tile = photograph[row : row + textures.TILE, column : column + textures.TILE, 0].astype(float)
            best = min(best, (float(np.abs(tile - image).mean()), (row, column)))
    assert best[0] < 8.0, f"{path} shows no tile of the photograph"
    return best[1]


@pytest.mark.parametrize("name", TEXTURES)
def test_no_two_images_show_the_same_tile(dataset: Path, name: str) -> None:
    photograph = read_image(SKIMAGE / f"{name}.png")
    tiles = [tile_of(path, photograph) for path in sorted((dataset / name).glob("*/good/*.png"))]
    assert len(tiles) == 25 + 20 + 18
    assert len(set(tiles)) == len(tiles)


def test_every_defect_changed_its_image_inside_its_mask_and_not_far_from_it(dataset: Path) -> None:
    photographs = {name: read_image(SKIMAGE / f"{name}.png") for name in TEXTURES}
    masks = sorted(dataset.glob("*/ground_truth/*/*_mask.png"))
    assert len(masks) == 3 * 3 * 6
    for path in masks:
        name, kind, stem = path.parts[-4], path.parts[-2], path.stem[: -len("_mask")]
        image = read_image(dataset / name / "test" / kind / f"{stem}.png")
        mask = read_mask(path, shape=image.shape[:2])
        assert 0.001 < mask.mean() < 0.2
        clean = _nearest_clean_tile(image, mask, photographs[name])
        change = np.abs(image.astype(int) - clean.astype(int)).mean(axis=2)
        assert change[mask].mean() > 10
        far = np.ones(mask.shape, bool)
        rows, columns = np.nonzero(mask)
        far[max(0, rows.min() - 12) : rows.max() + 13, max(0, columns.min() - 12) : columns.max() + 13] = False
        assert change[far].max(initial=0) == 0


def _nearest_clean_tile(image: np.ndarray, mask: np.ndarray, photograph: np.ndarray) -> np.ndarray:
    step = textures.TILE
    tiles = [
        textures._enlarged(photograph[row : row + step, column : column + step])
        for row in range(0, 512 - step + 1, step)
        for column in range(0, 512 - step + 1, step)
    ]
    outside = ~mask
    return min(tiles, key=lambda tile: np.abs(tile.astype(int) - image)[outside].mean())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_images(dataset: Path, tmp_path: Path) -> None:
    write_textures(tmp_path / "again", seed=0)
    write_textures(tmp_path / "other", seed=1)

    def content(root: Path) -> dict[str, bytes]:
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}

    first, again, other = content(dataset), content(tmp_path / "again"), content(tmp_path / "other")
    assert first == again
    assert first.keys() == other.keys()
    assert sum(first[name] != other[name] for name in first) > len(first) * 0.9


def test_a_second_demo_keeps_the_dataset_that_is_there(dataset: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in dataset.rglob("*.png")}
    write_textures(dataset, seed=0)
    assert {path: path.stat().st_mtime_ns for path in dataset.rglob("*.png")} == before


def test_a_folder_of_the_users_own_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.png").write_bytes(b"precious")
    with pytest.raises(PyimganoError, match="not this demo's dataset"):
        write_textures(tmp_path / "mine", seed=0)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["photo.png"]


def test_nothing_is_left_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(textures, "_write", full)
    with pytest.raises(PyimganoError, match="No space left"):
        write_textures(tmp_path / "textures", seed=0)
    assert list(tmp_path.iterdir()) == []


def test_without_scikit_image_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "skimage" else find_spec(name))
    with pytest.raises(MissingDependencyError) as caught:
        write_textures(tmp_path / "textures", seed=0)
    assert caught.value.hint == 'pip install "pyimgano-workbench[demo]"'


def test_the_solar_cells_are_copied_and_split_without_overlap(tmp_path: Path) -> None:
    from pyimgano.core.files import load_json

    facts = write_elpv(tmp_path / "elpv", seed=3)
    split = elpv_split(ELPV, seed=3)
    assert [len(split[part]) for part in ("train", "good", "defect")] == [200, 100, 100]
    assert len({path for part in split.values() for path in part}) == 400
    assert split != elpv_split(ELPV, seed=4)
    assert load_json(tmp_path / "elpv" / "demo.json")["counts"] == facts["counts"]
    import json

    rows = [json.loads(line) for line in (tmp_path / "elpv" / "elpv-mono.jsonl").read_text().splitlines()]
    assert len(rows) == 400
    assert all((tmp_path / "elpv" / row["image_path"]).is_file() for row in rows)
    assert all(row["image_path"].startswith("images/") for row in rows), "records must not name this machine's folders"


@pytest.mark.parametrize("defect", [Scratch(), Stain(), Foreign()], ids=lambda defect: type(defect).__name__)
def test_a_defect_is_repeatable_and_leaves_its_input_alone(defect, texture: np.ndarray) -> None:
    before = texture.copy()
    donor = read_image(SKIMAGE / "coffee.png")
    image, mask = defect(texture, generator(7, "test"), donor=donor)
    again, again_mask = defect(texture, generator(7, "test"), donor=donor)
    assert np.array_equal(texture, before)
    assert np.array_equal(image, again)
    assert np.array_equal(mask, again_mask)
    assert image.dtype == np.uint8
    assert mask.dtype == bool
    assert mask.shape == texture.shape[:2]


@pytest.mark.parametrize("side", [16, 31, 64, 300])
@pytest.mark.parametrize("defect", [Scratch(), Stain(), Foreign()], ids=lambda defect: type(defect).__name__)
def test_a_mask_is_never_empty_and_always_inside(defect, side: int) -> None:
    image = read_image(SKIMAGE / "gravel.png")[:side, :side]
    for seed in range(20):
        _, mask = defect(image, generator(seed, "empty"), donor=image)
        assert mask.any()


def test_a_foreign_piece_without_a_donor_is_refused(texture: np.ndarray) -> None:
    with pytest.raises(ParameterError, match="needs a donor"):
        Foreign()(texture, generator(0))


def test_a_range_that_makes_no_sense_is_refused(texture: np.ndarray) -> None:
    with pytest.raises(ParameterError, match="contrast"):
        Scratch(contrast=(90.0, 50.0))(texture, generator(0))
