"""`pyimgano runs drift` on a real run: what it kept of its calibration images, exit codes, refusals. About 10 s."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from pyimgano.cli.main import main
from pyimgano.core.files import dump_json, load_json
from pyimgano.core.images import read_image, write_png
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.monitor import STATISTICS, image_statistics
from pyimgano.workbench.schemas import json_schema
from pyimgano.workbench.training import run_recipe


@pytest.fixture(scope="module")
def cells(cell_images: dict[str, list[np.ndarray]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run on 40 good cells, and folders of 24 other good ones: as they are, and darker and moved."""
    root = tmp_path_factory.mktemp("drift")
    for index, image in enumerate(cell_images["good"]):
        part = "data/train/good" if index < 40 else "data/test/good" if index < 50 else "calm"
        (root / part).mkdir(parents=True, exist_ok=True)
        write_png(image, root / part / f"{index:03d}.png")
    (root / "data/test/crack").mkdir()
    write_png(cell_images["defective"][0], root / "data/test/crack/000.png")
    (root / "dark").mkdir()
    for path in (root / "calm").iterdir():
        moved = np.roll(read_image(path), 20, axis=0)
        write_png((moved * 0.6).astype(np.uint8), root / "dark" / path.name)
    flags = {
        "dataset.root": root / "data",
        "model.name": "pixel-gaussian",
        "model.params": {"input_size": 16},
        "calibration.alpha": 0.1,
        "calibration.holdout": 20,
        "output.dir": root / "runs",
        "output.name": "run",
        "output.report": False,
        "output.thumbnails": 0,
    }
    return {"run": run_recipe(load_run_config(flags=flags)).path, "root": root}


def records(cells: dict[str, Path], name: str, tmp_path: Path) -> Path:
    path = tmp_path / f"{name}.jsonl"
    assert main(["--quiet", "infer", "--from-run", str(cells["run"]), str(cells["root"] / name), "-o", str(path)]) == 0
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        line["image"] = Path(line["image"]).name
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_a_run_keeps_the_statistics_of_its_calibration_images(cells: dict[str, Path]) -> None:
    kept = load_json(cells["run"] / "artifacts" / "image_statistics.json")
    Draft202012Validator(json_schema("image-statistics")).validate(kept)
    (part,) = kept["categories"].values()
    (split,) = load_json(cells["run"] / "artifacts" / "split.json")["categories"].values()
    own = [image_statistics(read_image(cells["root"] / "data" / name)) for name in split["calibration"]]
    assert part["n"] == len(own) == 20
    assert part["statistics"] == {name: sorted(one[name] for one in own) for name in STATISTICS}


def test_calm_images_are_calm_and_dark_ones_drift(
    cells: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calm, dark = records(cells, "calm", tmp_path), records(cells, "dark", tmp_path)
    capsys.readouterr()
    folder = str(cells["root"] / "calm")
    assert main(["runs", "drift", str(cells["run"]), str(calm), "--images", folder]) == 0
    assert "0 of 1 windows drifted" in capsys.readouterr().out
    folder = str(cells["root"] / "dark")
    assert main(["runs", "drift", str(cells["run"]), str(dark), "--images", folder, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    Draft202012Validator(json_schema("drift")).validate(found)
    (windows,) = found["categories"].values()
    assert found["drift"] is True
    assert found["tests"] == 7
    assert {one["name"] for one in windows[0]["statistics"] if one["drift"]} >= {"score", "brightness", "contrast"}
    assert not {one["name"] for one in windows[0]["statistics"] if one["drift"]} & {"width", "height"}
    assert windows[0]["statistics"][0]["p_value"] < 0.01 / 7
    # Without the images, the scores alone tell.
    assert main(["runs", "drift", str(cells["run"]), str(dark)]) == 1
    out = capsys.readouterr().out
    assert "DRIFT" in out
    assert "(1 exact tests)" in out


def test_a_run_without_statistics_is_compared_by_its_scores(
    cells: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calm = records(cells, "calm", tmp_path)
    old = Path(shutil.copytree(cells["run"], tmp_path / "old"))
    (old / "artifacts" / "image_statistics.json").unlink()
    folder = str(cells["root"] / "calm")
    assert main(["runs", "drift", str(old), str(calm), "--images", folder]) == 0
    captured = capsys.readouterr()
    assert "(1 exact tests)" in captured.out
    assert "the run has no image_statistics.json" in captured.err


@pytest.mark.parametrize("damage", [{"schema_version": 1}, {"schema_version": 2, "categories": {}}, [], {"x": "y"}])
def test_damaged_statistics_are_refused(cells: dict[str, Path], tmp_path: Path, damage: object) -> None:
    calm = records(cells, "calm", tmp_path)
    damaged = Path(shutil.copytree(cells["run"], tmp_path / "damaged"))
    dump_json(damage, damaged / "artifacts" / "image_statistics.json")
    assert main(["runs", "drift", str(damaged), str(calm)]) == 5


def test_errors_are_no_scores_and_too_few_are_refused(
    cells: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calm = records(cells, "calm", tmp_path)
    with open(calm, "a", encoding="utf-8") as stream:
        stream.write('{"image":"broken.png","error":"ImageError: the file is empty"}\n')
    capsys.readouterr()
    assert main(["runs", "drift", str(cells["run"]), str(calm)]) == 0
    assert "1 records without a score are left out" in capsys.readouterr().err
    calm.write_text("".join(calm.read_text(encoding="utf-8").splitlines(keepends=True)[:19]), encoding="utf-8")
    assert main(["runs", "drift", str(cells["run"]), str(calm)]) == 2
    assert "at least 20" in capsys.readouterr().err
    assert main(["runs", "drift", str(tmp_path / "none"), str(calm)]) == 5
    assert "there is no such bundle or run" in capsys.readouterr().err


def test_an_unknown_category_and_a_missing_image_are_named(
    cells: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calm = records(cells, "calm", tmp_path)
    assert main(["runs", "drift", str(cells["run"]), str(calm), "--images", str(tmp_path)]) == 4
    assert "without --images, scores alone are compared" in capsys.readouterr().err
    text = calm.read_text(encoding="utf-8").replace('"category": "data"', '"category": "wood"')
    calm.write_text(text, encoding="utf-8")
    assert main(["runs", "drift", str(cells["run"]), str(calm)]) == 2
    assert "no category 'wood'" in capsys.readouterr().err
