"""The small pictures of a run: which images get one, and what is on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from pyimgano.core.images import read_image, write_png
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.demo import write_textures
from pyimgano.workbench.runs import RunDirectory
from pyimgano.workbench.stages.thumbnails import SIDE, choose_thumbnails, thumbnail_files
from pyimgano.workbench.training import run_recipe


def records(n: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Overlapping scores of good (0) and defective (1) images, some without a label or a score."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 1], n)
    scores = rng.normal(labels * 1.5, 1.0)
    made: list[dict[str, Any]] = [
        {"image": f"{at:04d}.png", "label": int(label), "score": float(score)}
        for at, (label, score) in enumerate(zip(labels, scores))
    ]
    made[3]["score"] = None
    made[4]["label"] = None
    return made


def test_the_worst_mistakes_come_first_and_take_half_at_most() -> None:
    some = records(400)
    threshold = 0.8
    chosen = choose_thumbnails(some, threshold, 40)
    assert len(chosen) == len(set(chosen)) == 40
    rejects = sorted((r["score"], i) for i, r in enumerate(some) if r["label"] == 0 and (r["score"] or -9) >= threshold)
    escapes = sorted(
        (r["score"], i)
        for i, r in enumerate(some)
        if r["label"] == 1 and r["score"] is not None and r["score"] < threshold
    )
    assert min(len(rejects), len(escapes)) > 10
    assert chosen[0:20:2] == [index for _, index in rejects[::-1]][:10]
    assert chosen[1:20:2] == [index for _, index in escapes][:10]
    rest = [i for i, r in enumerate(some) if r["score"] is not None and i not in chosen[:20]]
    nearest = min(rest, key=lambda index: abs(some[index]["score"] - threshold))
    assert chosen[20] == nearest
    spread = [some[index]["score"] for index in chosen[20:]]
    others = [some[index]["score"] for index in rest]
    assert min(spread) == min(others)
    assert max(spread) == max(others)


@pytest.mark.parametrize("n", [0, 1, 7, 397, 399, 1000])
def test_as_many_as_asked_for_are_chosen_and_no_image_without_a_score(n: int) -> None:
    some = records(400)
    for threshold in (0.8, None, -100.0, 100.0):
        chosen = choose_thumbnails(some, threshold, n)
        assert len(chosen) == len(set(chosen)) == min(n, 399)
        assert 3 not in chosen


def test_the_choice_does_not_depend_on_the_order_of_the_records() -> None:
    some = records(200)
    shuffled = [some[at] for at in np.random.default_rng(1).permutation(len(some))]
    names = [some[index]["image"] for index in choose_thumbnails(some, 0.8, 50)]
    assert [shuffled[index]["image"] for index in choose_thumbnails(shuffled, 0.8, 50)] == names


def test_no_images_are_no_error() -> None:
    assert choose_thumbnails([], 0.5, 10) == []
    assert choose_thumbnails([{"image": "a", "label": 0, "score": 1.0}], 0.5, 10) == [0]


@pytest.fixture(scope="module")
def textured(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    root = tmp_path_factory.mktemp("thumbs") / "textures"
    write_textures(root, seed=0)
    return train(root, 'dataset.categories=["brick"]', "output.thumbnails=30")


def train(data: Path, *settings: str, model: str = "pixel-gaussian") -> RunDirectory:
    flags = {"dataset.root": data, "model.name": model, "output.dir": data.parent / "runs"}
    return run_recipe(load_run_config(settings=["calibration.alpha=0.2", *settings], flags=flags))


def kept(run: RunDirectory, category: str) -> list[tuple[dict[str, Any], Path, Path]]:
    folder = run.category(category)
    lines = [json.loads(line) for line in folder.per_image.read_text(encoding="utf-8").splitlines()]
    found = [(line, *thumbnail_files(folder.path, line["image"])) for line in lines]
    return [entry for entry in found if entry[1].is_file()]


def test_a_run_keeps_as_many_pictures_as_its_config_says(textured: RunDirectory) -> None:
    found = kept(textured, "brick")
    assert len(found) == 30
    folder = textured.category("brick").path / "thumbs"
    assert sorted(folder.rglob("*.jpg")) == sorted(path for _, plain, heat in found for path in (plain, heat))
    assert not list(folder.rglob("*.part"))


def test_the_truth_is_outlined_in_blue_on_defective_images_only(textured: RunDirectory) -> None:
    for record, plain, heat in kept(textured, "brick"):
        assert max(read_image(plain).shape[:2]) == 224  # as large as its source, which is small
        drawn = read_image(heat).astype(int)
        assert max(drawn.shape[:2]) == SIDE
        blue = ((drawn[..., 2] - drawn[..., 0] > 100) & (drawn[..., 1] > 110)).sum()
        assert (blue > 10) == (record["label"] == 1), record


def test_large_images_are_made_small(cell_images: dict[str, list[np.ndarray]], tmp_path: Path) -> None:
    sets = {"train/good": ("good", 10, 30), "test/good": ("good", 0, 3), "test/crack": ("defective", 0, 3)}
    for folder, (kind, start, end) in sets.items():
        (tmp_path / "cells" / folder).mkdir(parents=True)
        for index, image in enumerate(cell_images[kind][start:end]):
            large = np.repeat(np.repeat(image, 5, axis=0), 9, axis=1)  # 320 × 576
            write_png(large, tmp_path / "cells" / folder / f"{index}.png")
    found = kept(train(tmp_path / "cells"), "cells")
    assert len(found) == 6
    for _, plain, heat in found:
        assert read_image(plain).shape == (142, 256, 3)
        assert read_image(heat).shape == (142, 256, 3)
        assert plain.stat().st_size < 40_000


MAPLESS = """
import numpy as np
from pyimgano.core.detector import BaseDetector
from pyimgano.core.specs import ModelSpec

SPECS = (ModelSpec("tst-bright", "Brightness", "tst_mapless:Bright"),)

class Bright(BaseDetector):
    "Mean brightness."
    def _fit(self, images):
        self.n_ = sum(len(batch) for batch in images)
    def _infer_batch(self, batch, *, maps):
        return np.array([255.0 - image.mean() for image in batch]), None
    def _get_state(self):
        return {}, {"n": self.n_}
    def _set_state(self, arrays, facts):
        self.n_ = facts["n"]
"""


def test_a_model_without_maps_gets_pictures_without_heat_maps(
    make_cells: Callable[..., Path], plug_in: Callable[..., Path], tmp_path: Path
) -> None:
    plug_in("tst-mapless", {"pyimgano.models": {"tst-mapless": "tst_mapless:SPECS"}}, {"tst_mapless": MAPLESS})
    run = train(make_cells(tmp_path / "cells"), model="tst-bright")
    found = kept(run, "cells")
    assert len(found) == 10
    assert not any(heat.exists() for _, _, heat in found)
    assert (run.path / "report.html").is_file()
    # A second run of this process, in which one image has become another.
    images = {record["image"]: plain.read_bytes() for record, plain, _ in found}
    name = found[0][0]["image"]
    file = tmp_path / "cells" / name
    write_png(255 - read_image(file), file)
    again = {
        record["image"]: plain.read_bytes()
        for record, plain, _ in kept(train(file.parents[2], model="tst-bright"), "cells")
    }
    assert {image for image in images if again[image] != images[image]} == {name}
