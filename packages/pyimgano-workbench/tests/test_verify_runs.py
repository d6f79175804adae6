"""`pyimgano runs verify`: a run's config carried out again gives the run, and any change is found."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pyimgano.core.errors import ConfigError, PyimganoError
from pyimgano.core.images import read_image, write_png
from pyimgano.workbench.compare import measured_run
from pyimgano.workbench.compare.verification import Verification, verify_run
from pyimgano.workbench.runs import open_run

Runs = Mapping[str, Path]


@pytest.fixture
def run(texture_runs: Runs, tmp_path: Path) -> Path:
    """A run of one category with its dataset, moved together."""
    source = texture_runs["one"]
    shutil.copytree(source.parent.parent / "textures", tmp_path / "textures")
    return Path(shutil.copytree(source, tmp_path / "runs" / "one"))


def verified(path: Path, **options: Any) -> Verification:
    return verify_run(measured_run(path), open_run(path).config(), **options)


def content(path: Path) -> dict[str, tuple[str, int]]:
    return {
        file.relative_to(path).as_posix(): (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
        for file in path.rglob("*")
        if file.is_file()
    }


def test_a_run_is_found_identical_and_is_not_touched(run: Path) -> None:
    before = content(run)
    found = verified(run)
    assert found.identical
    assert found.disparities == []
    assert found.environment == {}
    assert found.n_records == 36
    assert found.n_values > 36 * 5
    assert content(run) == before
    assert [path.name for path in run.parent.iterdir()] == ["one"]


def test_the_second_run_can_be_kept(run: Path, tmp_path: Path) -> None:
    found = verified(run, keep=tmp_path / "kept")
    assert found.identical
    (kept,) = (tmp_path / "kept").iterdir()
    assert (kept / "categories/brick/per_image.jsonl").read_bytes() == (
        run / "categories/brick/per_image.jsonl"
    ).read_bytes()


def test_one_score_that_was_changed_is_found(run: Path) -> None:
    path = run / "categories/brick/per_image.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    record = json.loads(lines[5])
    truth = record["score"]
    record["score"] = truth + 1e-7
    lines[5] = json.dumps(record) + "\n"
    path.write_text("".join(lines), encoding="utf-8")
    (found,) = verified(run).disparities
    assert found.file == "categories/brick/per_image.jsonl"
    assert found.place == f"{record['image']}.score"
    assert (found.run, found.again) == (truth + 1e-7, truth)
    assert verified(run, tolerance=1e-6).identical
    assert not verified(run, tolerance=1e-8).identical


def test_a_changed_test_image_changes_the_fingerprint_and_its_record(run: Path, tmp_path: Path) -> None:
    image = tmp_path / "textures/brick/test/good/003.png"
    write_png(255 - read_image(image), image)
    found = {(one.file, one.place) for one in verified(run).disparities}
    assert ("categories/brick/report.json", "data.fingerprints.test") in found
    assert ("categories/brick/per_image.jsonl", "brick/test/good/003.png.score") in found
    changed = {place.rpartition(".")[0] for file, place in found if file.endswith("per_image.jsonl")}
    assert {place for place in changed if "regions" not in place} == {"brick/test/good/003.png"}


def test_a_test_image_that_is_gone_is_a_record_that_is_missing(run: Path, tmp_path: Path) -> None:
    (tmp_path / "textures/brick/test/good/003.png").unlink()
    found = [one for one in verified(run).disparities if one.place == "brick/test/good/003.png"]
    assert [(one.run is None, one.again) for one in found] == [(False, None)]


def test_a_dataset_that_is_gone_is_an_error_and_no_verdict(run: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "textures")
    with pytest.raises(ConfigError, match="textures"):
        verified(run)


def test_a_rerun_that_fails_leaves_nothing_and_offers_nothing_that_is_gone(run: Path, tmp_path: Path) -> None:
    for image in (tmp_path / "textures/brick/validation/good").iterdir():
        image.write_bytes(b"")
    with pytest.raises(PyimganoError) as caught:
        verified(run)
    assert "--resume" not in str(caught.value)
    assert [path.name for path in run.parent.iterdir()] == ["one"]


def pyimgano(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pyimgano.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, encoding="utf-8")
    assert "Traceback" not in done.stderr
    return done


def test_the_command_ends_with_0_or_1_and_names_what_may_explain_a_difference(run: Path) -> None:
    same = pyimgano("runs", "verify", run)
    assert same.returncode == 0, same.stderr
    assert same.stdout.startswith("one: identical (36 records and ")
    path = run / "categories/brick/report.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    report["calibration"]["threshold"] *= 2
    path.write_text(json.dumps(report), encoding="utf-8")
    environment = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    environment["packages"]["numpy"] = "0.1"
    (run / "environment.json").write_text(json.dumps(environment), encoding="utf-8")
    other = pyimgano("runs", "verify", run)
    assert other.returncode == 1
    assert "one: 1 differences" in other.stdout
    assert "categories/brick/report.json: calibration.threshold: " in other.stdout
    assert 'numpy: "0.1" -> ' in other.stdout
    data = json.loads(pyimgano("runs", "verify", run, "--json").stdout)
    assert data["identical"] is False
    assert [one["place"] for one in data["disparities"]] == ["calibration.threshold"]
