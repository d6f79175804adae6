"""Every JSON file that commands leave keeps to its schema, whatever the run was like; a changed one does not."""

from __future__ import annotations

import contextlib
import copy
import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from pyimgano.cli.main import main
from pyimgano.core.files import load_json
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.demo import write_textures
from pyimgano.workbench.runs import RunDirectory
from pyimgano.workbench.schemas import json_schema
from pyimgano.workbench.training import resume_run, run_recipe

SCHEMA_OF = {
    "report.json": "report",
    "config.json": "run-config",
    "environment.json": "environment",
    "artifacts/infer_config.json": "infer-config",
    "artifacts/calibration_card.json": "calibration-card",
    "artifacts/split.json": "split",
    "artifacts/image_statistics.json": "image-statistics",
    "categories/*/report.json": "category-report",
    "categories/*/curves.json": "curves",
}
OPEN = {"params", "details", "pixel_params", "recipe_params"}
"""Objects that a plugin fills."""


class Interrupted(Exception):
    """What ends a run in its second half."""


class InterruptsTheTest:
    """A progress that ends the run when the test images of ``category`` are to be scored."""

    def __init__(self, category: str) -> None:
        self.title = f"{category}: test"

    def note(self, text: str) -> None:
        pass

    @contextlib.contextmanager
    def stage(self, title: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        if title == self.title:
            raise Interrupted
        yield lambda items: None


def config_of(root: Path, runs: Path, name: str, **settings: Any) -> Any:
    flags = {
        "dataset.root": root,
        "output.dir": runs,
        "output.name": name,
        "model.name": "pixel-gaussian",
        "model.params": {"input_size": 32},
        "output.report": False,
        **{key.replace("__", "."): value for key, value in settings.items()},
    }
    return load_run_config(flags=flags)


def with_saturation(textures: Path, root: Path) -> Path:
    """Copy a texture into LOCO's layout, in which every defect saturates at 50 pixels."""
    base = root / "brick"
    shutil.copytree(textures / "brick", base)
    for mask in list((base / "ground_truth").rglob("*_mask.png")):
        folder = mask.with_name(mask.name[: -len("_mask.png")])
        folder.mkdir()
        mask.rename(folder / "000.png")
    rule = {"defect_name": "any", "pixel_value": 255, "saturation_threshold": 50, "relative_saturation": False}
    (base / "defects_config.json").write_text(json.dumps([rule]), encoding="utf-8")
    return root


def manifest_of(cells: Path, images: dict[str, list[np.ndarray]]) -> Path:
    """Write cells and their manifest: test images in two lots, one all good, and defective training images."""
    from pyimgano.core.images import write_png

    rows = []
    for kind, split, part in (
        ("good", "train", images["good"][:50]),
        ("good", "test", images["good"][50:60]),
        ("defective", "train", images["defective"][:10]),
        ("defective", "test", images["defective"][10:16]),
    ):
        for index, image in enumerate(part):
            name = f"{split}_{kind}_{index:02d}.png"
            cells.mkdir(parents=True, exist_ok=True)
            write_png(image, cells / name)
            group = f"{split}-{kind}-{index}" if split == "train" else "lot 2" if index > 7 else "lot 1"
            rows.append({"image_path": name, "split": split, "label": kind, "group": group})
    path = cells / "manifest.csv"
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, cell_images: dict[str, list[np.ndarray]]) -> dict[str, Path]:
    """Runs that differ in what their files can hold."""
    top = tmp_path_factory.mktemp("schemas")
    textures, folder = top / "textures", top / "runs"
    write_textures(textures, seed=0)
    loco = with_saturation(textures, top / "loco")
    manifest = manifest_of(top / "cells", cell_images)
    damaged = textures / "grass" / "test" / "good" / "damaged.png"
    damaged.write_bytes(b"no image")
    review = {"calibration__alpha": 0.1, "calibration__review_alpha": 0.3}
    regions = {"calibration__pixel_alpha": 0.8, "regions__min_area": 40, "regions__limit": 2}
    pictures = {"output__maps": True, "output__masks": True, "output__overlays": True, "output__report": True}
    labelled = {
        "calibration__method": "target-recall",
        "calibration__params": {"recall": 0.7, "confidence": 0.8},
        "calibration__defects": "train",
    }
    configs = [
        config_of(textures, folder, "pictures", max_errors=1, **review, **regions, **pictures),
        config_of(loco, folder, "saturation", calibration__alpha=0.3, evaluation__pixel_mode="binned"),
        config_of(manifest, folder, "groups", calibration__method="cross-conformal", **review),
        config_of(manifest, folder, "labelled", **labelled),
        config_of(
            manifest,
            folder,
            "whole images",
            calibration__alpha=0.2,
            model__name="sklearn-isolation-forest",
            model__params={"n_estimators": 20},
        ),
    ]
    made = {config.output.name: run_recipe(config).path for config in configs}
    interrupted = config_of(textures, folder, "resumed", calibration__alpha=0.2, max_errors=1, evaluation__pixel=False)
    with pytest.raises(Interrupted):
        run_recipe(interrupted, progress=InterruptsTheTest("grass"))
    made["resumed"] = resume_run(folder / "resumed").path
    return made


def problems(name: str, value: Any) -> list[str]:
    return [
        f"{error.json_path}: {error.message}" for error in Draft202012Validator(json_schema(name)).iter_errors(value)
    ]


def files_of(run: Path) -> Iterator[tuple[str, Path]]:
    for pattern, name in SCHEMA_OF.items():
        found = sorted(run.glob(pattern))
        assert found, pattern
        for path in found:
            yield name, path


def records_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


KINDS = ("pictures", "saturation", "groups", "labelled", "whole images", "resumed")


@pytest.mark.parametrize("kind", KINDS)
def test_a_runs_files_keep_to_their_schemas(runs: dict[str, Path], kind: str) -> None:
    assert [(name, found) for name, path in files_of(runs[kind]) if (found := problems(name, load_json(path)))] == []
    for path in runs[kind].glob("categories/*/per_image.jsonl"):
        assert [found for record in records_of(path) if (found := problems("per-image", record))] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_has_no_other_json(runs: dict[str, Path], kind: str) -> None:
    described = {path for _, path in files_of(runs[kind])}
    found = {path for path in runs[kind].rglob("*.json") if "checkpoints" not in path.relative_to(runs[kind]).parts}
    assert found == described


def test_the_runs_hold_what_the_schemas_are_to_be_tested_on(runs: dict[str, Path]) -> None:
    def report(kind: str, category: str) -> dict[str, Any]:
        return RunDirectory(runs[kind]).category(category).report()

    grass = report("pictures", "grass")
    assert len(grass["errors"]) == 1
    assert "review_good" in grass["confusion"]
    records = [record for path in runs["pictures"].glob("categories/*/per_image.jsonl") for record in records_of(path)]
    assert {record.get("decision") for record in records} == {None, "good", "review", "defective"}
    assert {"map", "mask", "overlay", "regions", "regions_left_out"} <= set().union(*records)
    found = [region for record in records for region in record.get("regions", ())]
    assert {region.get("removed_by") for region in found} == {None, "min_area"}
    assert grass["decisions_and_regions"]["good_with_regions"] > 0
    saturated = report("saturation", "brick")
    assert "pixel_au_spro_0.05" in saturated["metrics"]
    assert any("au_spro_0.05" in row for row in saturated["by_defect"].values())
    assert "bins" in saturated["metrics"]["pixel_auroc"]
    (grouped,) = load_json(runs["groups"] / "report.json")["categories"]
    grouped = report("groups", grouped["name"])
    assert set(grouped["by_group"]) == {"lot 1", "lot 2"}
    assert grouped["by_group"]["lot 2"]["image_auroc"]["value"] is None
    assert grouped["data"]["n_folds"] > 0
    assert report("labelled", grouped["category"])["data"]["n_calibration_defects"] == 10
    assert report("whole images", grouped["category"])["calibration"]["pixel_threshold"] is None
    assert report("whole images", grouped["category"])["decisions_and_regions"] is None


def objects(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the places of all objects that only pyimgano fills; of a list's items the first stands for all."""
    if isinstance(value, dict):
        yield place
        for key, part in value.items():
            if key not in OPEN:
                yield from objects(part, (*place, key))
    elif isinstance(value, list) and value:
        yield from objects(value[0], (*place, 0))


def at(value: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        value = value[key]
    return value


@pytest.mark.parametrize("kind", ["pictures", "groups"])
def test_a_changed_file_does_not_keep_to_its_schema(runs: dict[str, Path], kind: str) -> None:
    for name, path in files_of(runs[kind]):
        good = load_json(path)
        validator = Draft202012Validator(json_schema(name))
        for place in objects(good):
            changed = copy.deepcopy(good)
            at(changed, place)["unexpected"] = [None]
            assert not validator.is_valid(changed), (name, place)
        for key in good:
            # Of a run config every key may be left to a default; without rules on regions there is nothing to tell.
            if name != "run-config" and (name, key) != ("category-report", "regions"):
                assert not validator.is_valid({own: part for own, part in good.items() if own != key}), key
            other = "text" if isinstance(good[key], dict) else {"of": "another type"}
            assert not validator.is_valid({**good, key: other}), key
        assert not validator.is_valid({**good, "schema_version": good["schema_version"] + 1})


def test_what_infer_writes_keeps_to_the_schema_of_records(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_json(runs["pictures"] / "config.json")
    images = (runs["pictures"] / config["dataset"]["root"] / "grass" / "test").resolve()
    output = tmp_path / "predictions.jsonl"
    arguments = ["infer", "--from-run", str(runs["pictures"]), "--category", "grass", str(images)]
    assert main([*arguments, "--output", str(output), "--max-errors", "1"]) == 0
    found = records_of(output)
    assert sum("error" in record for record in found) == 1
    assert any(record.get("regions") for record in found)
    assert [problem for record in found for problem in problems("per-image", record)] == []


def test_a_benchmarks_leaderboard_keeps_to_its_schema_with_failed_cells_too(tmp_path: Path) -> None:
    root = tmp_path / "textures"
    write_textures(root, seed=0)
    (root / "grass" / "train" / "good" / "damaged.png").write_bytes(b"no image")
    arguments = ["benchmark", "--dataset", str(root), "--models", "pixel-gaussian", "--categories", "brick,grass"]
    settings = ["--set", "model.params.input_size=32", "--set", "calibration.alpha=0.2", "--set", "output.report=false"]
    assert main([*arguments, *settings, "--output", str(tmp_path / "bench")]) != 0
    board = load_json(tmp_path / "bench" / "leaderboard.json")
    assert [row["status"] for row in board["rows"]] == ["ok", "error"]
    assert problems("leaderboard", board) == []
    for place in objects(board):
        changed = copy.deepcopy(board)
        at(changed, place)["unexpected"] = [None]
        assert problems("leaderboard", changed) != [], place
