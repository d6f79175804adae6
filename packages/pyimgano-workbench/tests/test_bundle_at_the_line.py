"""A bundle, zipped and moved, watched and served, gives the scores of its run, and finds drift. About 15 s."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pyimgano.core.files import load_json
from pyimgano.workbench.inference import RunModels
from pyimgano.workbench.inference.opening import open_models
from pyimgano.workbench.records import read_records
from pyimgano.workbench.runs import open_run
from pyimgano.workbench.schemas import json_schema

PROGRAM = [sys.executable, "-c", "import sys; from pyimgano.cli.main import main; sys.exit(main())"]


@pytest.fixture
def moved(graph_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(graph_bundle, tmp_path / "moved.zip"))


@pytest.fixture(scope="module")
def expected(graph_run: Path) -> dict[str, Any]:
    """The run's own records of one category, by the name of the image."""
    (path,) = graph_run.glob("categories/brick/per_image.jsonl")
    return {record.image: record for record in read_records(path)}


@pytest.fixture(scope="module")
def textures(graph_run: Path) -> Path:
    return graph_run.parents[1] / "textures"


def test_a_bundle_holds_the_statistics_of_its_calibration_images(graph_bundle: Path, graph_run: Path) -> None:
    with zipfile.ZipFile(graph_bundle) as archive:
        kept = json.loads(archive.read("image_statistics.json"))
    Draft202012Validator(json_schema("image-statistics")).validate(kept)
    assert kept == load_json(graph_run / "artifacts" / "image_statistics.json")
    opened, run = open_models(graph_bundle), RunModels(open_run(graph_run))
    for name in run.categories:
        assert opened.image_statistics(name) == run.image_statistics(name) != {}


def test_what_a_zip_was_unpacked_to_goes_with_its_models(moved: Path) -> None:
    opened = open_models(moved)
    folder = opened.contents.folder  # type: ignore[attr-defined]
    assert folder.is_dir()
    del opened
    assert not folder.exists()


def test_a_watched_bundle_gives_the_runs_scores(
    moved: Path, expected: dict[str, Any], textures: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    names = {}
    for number, name in enumerate(sorted(expected)[:10]):
        names[f"{number}.png"] = name
        shutil.copy(textures / name, tmp_path / "in" / f"{number}.png")
    places = ["--done", str(tmp_path / "done"), "--failed", str(tmp_path / "failed"), "-o", str(tmp_path / "r.jsonl")]
    options = ["--category", "brick", "--once", "--settle", "0", "--poll", "0.05"]
    done = subprocess.run(
        [*PROGRAM, "bundle", "watch", str(moved), str(tmp_path / "in"), *places, *options],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = read_records(tmp_path / "r.jsonl")
    assert len(found) == 10
    for record in found:
        own = expected[names[record.image]]
        assert record.score == pytest.approx(own.score, rel=1e-4)
        assert record.decision == own.decision


def test_a_served_bundle_gives_the_runs_scores(
    moved: Path, expected: dict[str, Any], textures: Path, start_service: Any
) -> None:
    pytest.importorskip("fastapi", reason="the service is an extra")
    service = start_service(moved)
    for name in sorted(expected)[:10]:
        status, answer = service.inspect((textures / name).read_bytes(), "?category=brick")
        assert status == 200
        assert answer["record"]["score"] == pytest.approx(expected[name].score, rel=1e-4)
        assert answer["record"]["decision"] == expected[name].decision
    assert service.inspect((textures / name).read_bytes())[0] == 422  # which of its two categories?


def test_drift_is_found_by_a_bundle_alone(moved: Path, textures: Path, tmp_path: Path) -> None:
    images = textures / "brick" / "test" / "good"
    arguments = [str(moved), str(images), "--category", "brick", "-o", str(tmp_path / "r.jsonl")]
    scored = subprocess.run([*PROGRAM, "bundle", "run", *arguments], capture_output=True, timeout=120, check=False)
    assert scored.returncode == 0, scored.stderr
    # 18 images are too few for a window: the same again, which no line would send.
    text = (tmp_path / "r.jsonl").read_text(encoding="utf-8")
    (tmp_path / "twice.jsonl").write_text(text * 2, encoding="utf-8")
    command = [*PROGRAM, "runs", "drift", str(moved), str(tmp_path / "twice.jsonl"), "--images", "/", "--json"]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    found = json.loads(done.stdout)
    assert done.returncode == (1 if found["drift"] else 0)
    assert found["tests"] == 7


@pytest.mark.parametrize("what", ["nothing", "text", "folder"])
def test_what_is_no_bundle_is_refused(what: str, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    if what == "text":
        path.write_text("no zip")
    elif what == "folder":
        path.mkdir()
    (tmp_path / "in").mkdir()
    places = ["--done", str(tmp_path / "done"), "--failed", str(tmp_path / "failed"), "-o", str(tmp_path / "r.jsonl")]
    done = subprocess.run(
        [*PROGRAM, "bundle", "watch", str(path), str(tmp_path / "in"), *places],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 5
    assert "Traceback" not in done.stderr
