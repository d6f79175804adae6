"""Runs that look at tiles and at preprocessed images: infer, resuming, moving, and what is refused. About 20 s."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from pyimgano.cli.main import main
from pyimgano.core.errors import CheckpointError, ConfigError, ImageError
from pyimgano.core.files import load_json
from pyimgano.core.images import read_image, write_png
from pyimgano.workbench.config import RunConfigError, load_run_config
from pyimgano.workbench.demo import write_textures
from pyimgano.workbench.records import read_records
from pyimgano.workbench.training import resume_run, run_recipe

SMALL = {"backbone": "efficientnet-lite0", "input_size": 64, "coreset_sampling_ratio": 0.05}


@pytest.fixture(scope="module")
def brick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pipeline") / "textures"
    write_textures(root, seed=0)
    for name in ("grass", "gravel"):
        shutil.rmtree(root / name)
    return root


def config_of(data: Path, runs: Path, name: str, **flags: Any) -> Any:
    fixed = {"dataset.root": data, "output.dir": runs, "output.name": name, "output.thumbnails": 2}
    return load_run_config(
        flags={**fixed, "calibration.alpha": 0.2, **{k.replace("__", "."): v for k, v in flags.items()}}
    )


@pytest.fixture(scope="module")
def tiled(brick: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = config_of(
        brick,
        tmp_path_factory.mktemp("runs"),
        "tiled",
        model={"name": "patchcore", "params": SMALL},
        tiling={"tile": 112, "overlap": 0.5, "tiles_per_image": 4},
        output__masks=True,
    )
    return run_recipe(config).path


def test_a_tiled_run_finds_defects_and_infer_gives_its_scores_where_it_was_moved(
    tiled: Path, brick: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    report = load_json(tiled / "categories" / "brick" / "report.json")
    assert report["metrics"]["image_auroc"]["value"] > 0.9
    assert report["metrics"]["pixel_auroc"]["value"] > 0.9
    config = load_json(tiled / "config.json")
    assert config["tiling"] == {
        "tile": [112, 112],
        "overlap": 0.5,
        "scales": [1.0],
        "merge": "hann",
        "tiles_per_image": 4,
    }
    moved = shutil.copytree(tiled, tmp_path / "elsewhere")
    capfd.readouterr()
    assert main(["infer", "--from-run", str(moved), str(brick / "brick" / "test")]) == 0
    own = {Path(r.image).as_posix(): r for r in read_records(tiled / "categories" / "brick" / "per_image.jsonl")}
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert len(found) == len(own) == 36
    for record in found:
        assert record["score"] == own[Path(record["image"]).relative_to(brick).as_posix()].score


def test_the_same_config_gives_the_same_bytes_and_batches_change_nothing(tiled: Path, tmp_path: Path) -> None:
    again = load_run_config(
        tiled / "config.json", flags={"output.dir": tmp_path, "output.name": "again", "batch_size": 3}
    )
    run = run_recipe(again).path
    for name in ("per_image.jsonl", "per_image.csv"):
        assert (run / "categories" / "brick" / name).read_bytes() == (
            tiled / "categories" / "brick" / name
        ).read_bytes()


def test_an_image_smaller_than_a_tile_is_an_error_record_and_no_score(tiled: Path, tmp_path: Path, capfd) -> None:
    small = np.full((100, 224, 3), 120, dtype=np.uint8)
    write_png(small, tmp_path / "small.png")
    capfd.readouterr()
    assert main(["infer", "--from-run", str(tiled), str(tmp_path / "small.png")]) == 4
    (record,) = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert record.get("score") is None
    assert "224×100 pixels, a tile 112×112" in json.dumps(record["error"], ensure_ascii=False)


def test_preprocessing_is_learned_kept_and_applied_alike(make_cells: Callable[..., Path], tmp_path: Path) -> None:
    data = make_cells(tmp_path / "cells", train=30, good=10, defective=10)
    steps = [
        {"name": "flat-field"},
        {"name": "homomorphic", "params": {"low": 0.2}},
        {"name": "align", "params": {"motion": "shift", "min_correlation": 0.0}},
    ]
    config = config_of(data, tmp_path / "runs", "pre", model={"name": "pixel-gaussian"}, preprocess=steps)
    run = run_recipe(config)
    card = load_json(run.path / "artifacts" / "calibration_card.json")
    assert card["categories"]
    checkpoint = next((run.path / "checkpoints").iterdir())
    kept = load_json(checkpoint / "pipeline" / "detector.json")
    assert [step["name"] for step in kept["preprocess"]] == ["flat-field", "homomorphic", "align"]
    shutil.rmtree(data / "train")  # inference needs the run alone
    own = {r.image: r.score for r in read_records(run.path / "categories" / checkpoint.name / "per_image.jsonl")}
    from pyimgano.workbench.pipeline import load_detector

    detector = load_detector("pixel-gaussian", checkpoint)
    for name, score in own.items():
        assert detector.decision_function([read_image(data / name)])[0] == score
    (checkpoint / "pipeline" / "detector.json").unlink()
    with pytest.raises(CheckpointError, match="not saved to its end"):
        load_detector("pixel-gaussian", checkpoint)


def test_a_run_killed_behind_its_fit_goes_on_with_the_fitted_pipeline(make_cells, tmp_path: Path, monkeypatch) -> None:
    data = make_cells(tmp_path / "cells", train=20, good=4, defective=4)
    steps = [{"name": "flat-field"}]
    whole = run_recipe(config_of(data, tmp_path / "runs", "whole", model={"name": "pixel-gaussian"}, preprocess=steps))
    from pyimgano.recipes import industrial_adapt

    def killed(*given: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(industrial_adapt, "evaluate_category", killed)
        with pytest.raises(KeyboardInterrupt):
            run_recipe(config_of(data, tmp_path / "runs", "cut", model={"name": "pixel-gaussian"}, preprocess=steps))
    (left,) = (tmp_path / "runs").glob("*cut*")
    resumed = resume_run(left)
    for path in (whole.path / "categories").rglob("per_image.jsonl"):
        assert (resumed.path / path.relative_to(whole.path)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("part", ["train", "validation"])
def test_an_image_that_a_step_refuses_is_named(brick: Path, tmp_path: Path, part: str) -> None:
    data = Path(shutil.copytree(brick, tmp_path / "data"))
    good, rng = sorted((data / "brick").glob("*/good/*.png")), np.random.default_rng(0)
    part_image = read_image(good[0]).astype(np.float64)
    for path in good:  # one part in one place, but for one image that shows something else
        write_png(np.clip(part_image + rng.normal(0.0, 2.0, part_image.shape), 0, 255).astype(np.uint8), path)
    odd = data / "brick" / part / "good" / "007.png"
    write_png(rng.integers(0, 256, (224, 224, 3), dtype=np.uint8), odd)
    align = [{"name": "align", "params": {"motion": "shift", "min_correlation": 0.9}}]
    config = config_of(
        data,
        tmp_path / "runs",
        "odd",
        model={"name": "pixel-gaussian"},
        preprocess=align,
        calibration__method="quantile",
    )
    with pytest.raises(ImageError, match="does not show what the template shows") as caught:
        run_recipe(config)
    assert str(caught.value.where).endswith(f"{part}/good/007.png")


@pytest.mark.parametrize(
    ("flags", "place", "message"),
    [
        ({"tiling": {"tile": 8}}, "tiling.tile", "at least 32"),
        ({"tiling": {"tile": 64, "overlap": 1.0}}, "tiling.overlap", "1.0"),
        ({"tiling": {"tile": 64, "scales": []}}, "tiling.scales", "at least one"),
        ({"tiling": {"tile": 64, "merge": "mean"}}, "tiling.merge", "hann"),
        ({"tiling": {"til": 64}}, "tiling.til", "tile"),
        ({"tiling": {"tile": 64}, "model": {"name": "pixel-gaussian"}}, "tiling", "compares every position"),
        ({"preprocess": [{"name": "clahee"}]}, "preprocess.0.name", "clahe"),
        ({"preprocess": [{"name": "clahe", "params": {"cells": 0}}]}, "preprocess.0.params.cells", "1 to 64"),
        (
            {"recipe": "micro-finetune", "preprocess": [{"name": "clahe"}]},
            "preprocess",
            "trains on whole images",
        ),
        ({"recipe": "micro-finetune", "tiling": {"tile": 64}}, "tiling", "trains on whole images"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_before_anything_is_read(tmp_path: Path, flags, place, message) -> None:
    (tmp_path / "data").mkdir()
    model = {"model": {"name": "patchcore", "params": SMALL}}
    with pytest.raises(RunConfigError) as caught:
        load_run_config(flags={"dataset.root": tmp_path / "data", **model, **flags})
    problems = {".".join(map(str, problem.path)): str(problem) for problem in caught.value.problems}
    assert message in problems[place]


def test_a_tile_larger_than_the_images_is_a_config_error_before_the_fit(make_cells, tmp_path: Path) -> None:
    data = make_cells(tmp_path / "cells")
    config = config_of(
        data, tmp_path / "runs", "large", model={"name": "patchcore", "params": SMALL}, tiling={"tile": 65}
    )
    with pytest.raises(ConfigError, match="64×64 pixels, a tile 65×65") as caught:
        run_recipe(config)
    assert caught.value.where == "tiling.tile"
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").iterdir())
