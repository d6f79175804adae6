"""`pyimgano infer` lists the regions, groups and decisions that the run itself lists, by the run's rules."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from pyimgano.cli.main import main
from pyimgano.core.errors import RunError
from pyimgano.core.files import dump_json, load_json
from pyimgano.core.images import read_image
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.demo import write_textures
from pyimgano.workbench.inference import RunModels
from pyimgano.workbench.records import PredictionRecord, read_records, write_csv, write_records
from pyimgano.workbench.runs import RunDirectory, open_run
from pyimgano.workbench.training import run_recipe


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run with a review band and rules for regions that take some out."""
    root = tmp_path_factory.mktemp("infer-regions")
    write_textures(root / "textures", seed=0)
    flags = {
        "dataset.root": root / "textures",
        "dataset.categories": ["brick"],
        "model.name": "pixel-gaussian",
        "calibration.alpha": 0.1,
        "calibration.review_alpha": 0.4,
        "calibration.pixel_method": "quantile",
        "calibration.pixel_alpha": 0.5,
        "regions.min_area": 40,
        "regions.limit": 2,
        "output.dir": root / "runs",
        "output.report": False,
    }
    return run_recipe(load_run_config(flags=flags))


@pytest.fixture(scope="module")
def images(run: RunDirectory) -> Path:
    return run.path.parent.parent / "textures" / "brick" / "test"


def infer(run: RunDirectory, *arguments: object) -> int:
    return main(["infer", "--from-run", str(run.path), *map(str, arguments)])


def test_regions_and_decisions_are_those_of_the_run(run: RunDirectory, images: Path, tmp_path: Path) -> None:
    assert infer(run, images, "-o", tmp_path / "found.jsonl") == 0
    own = {Path(record.image).parts[-2:]: record for record in read_records(run.category("brick").per_image)}
    found = {Path(record.image).parts[-2:]: record for record in read_records(tmp_path / "found.jsonl")}
    assert found.keys() == own.keys()
    for name, record in found.items():
        for key in ("score", "decision", "regions", "regions_left_out"):
            assert getattr(record, key) == getattr(own[name], key), (name, key)
    listed = [region for record in own.values() for region in record.regions or ()]
    assert {region.removed_by for region in listed} == {None, "min_area"}
    assert any(record.regions_left_out for record in own.values())


def test_the_summary_counts_what_goes_to_review(
    run: RunDirectory, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert infer(run, images, "-o", tmp_path / "found.jsonl", "--json") == 0
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    decisions = [record.decision for record in read_records(tmp_path / "found.jsonl")]
    for decision in ("good", "review", "defective"):
        assert summary[decision] == decisions.count(decision) > 0
    assert summary["images"] == len(decisions)
    assert f"{summary['review']} to review" in printed.err


def test_masks_and_outlines_show_only_regions_that_count(run: RunDirectory, images: Path, tmp_path: Path) -> None:
    assert infer(run, images, "-o", tmp_path / "out", "--masks", "--overlays") == 0
    removed = 0
    for record in read_records(tmp_path / "out" / "predictions.jsonl"):
        mask = read_image(tmp_path / "out" / str(record.mask))[..., 0] > 0
        picture = read_image(tmp_path / "out" / str(record.overlay))
        factor = picture.shape[0] // mask.shape[0]
        white = (picture == 255).all(axis=2)
        rows, columns = np.nonzero(white)
        assert mask.any() == bool(rows.size)
        assert mask[rows // factor, columns // factor].all()
        kept = [region for region in record.regions or () if region.removed_by is None]
        removed += len(record.regions or ()) - len(kept)
        assert mask.any() == bool(kept)
        if not record.regions_left_out:
            assert mask.sum() == sum(region.area for region in kept)
    assert removed


def test_no_regions_gives_the_same_scores_without_regions(run: RunDirectory, images: Path, tmp_path: Path) -> None:
    assert infer(run, images, "-o", tmp_path / "with.jsonl") == 0
    assert infer(run, images, "-o", tmp_path / "without.jsonl", "--no-regions") == 0
    without = read_records(tmp_path / "without.jsonl")
    assert [record.score for record in without] == [record.score for record in read_records(tmp_path / "with.jsonl")]
    assert all(record.regions is None for record in without)


def test_no_regions_and_pictures_do_not_fit_together(
    run: RunDirectory, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert infer(run, images, "-o", tmp_path / "out", "--masks", "--no-regions") == 2
    assert "--masks" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_manifests_groups_stand_in_the_records(run: RunDirectory, images: Path, tmp_path: Path) -> None:
    rows = [(path, f"lot {number}") for number, path in enumerate(sorted((images / "good").iterdir())[:2])]
    manifest = tmp_path / "list.csv"
    body = "".join(f"{os.path.relpath(path, tmp_path)},{group}\n" for path, group in rows)
    manifest.write_text("image_path,group\n" + body, encoding="utf-8")
    assert infer(run, "--category", "brick", manifest, "-o", tmp_path / "found.jsonl") == 0
    assert [record.group for record in read_records(tmp_path / "found.jsonl")] == ["lot 0", "lot 1"]


def test_rules_for_regions_of_an_older_program_are_refused_and_not_guessed(run: RunDirectory, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "older")
    path = tmp_path / "older" / "artifacts" / "infer_config.json"
    config = load_json(path)
    del config["regions"]
    dump_json({**config, "schema_version": 1}, path)
    with pytest.raises(RunError, match="not of version 2: 1") as caught:
        RunModels(open_run(tmp_path / "older"))
    assert "older program" in str(caught.value.hint)


def test_a_csv_file_tells_spreadsheets_that_it_is_utf8_and_a_pipe_does_not(
    run: RunDirectory, images: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    image = tmp_path / "Prüfling.png"
    shutil.copy(images / "good" / "000.png", image)
    assert infer(run, "--category", "brick", image, "-o", tmp_path / "found.csv") == 0
    assert infer(run, "--category", "brick", image, "--format", "csv") == 0
    sys.stdout.flush()
    in_file, piped = (tmp_path / "found.csv").read_bytes(), capfdbinary.readouterr().out
    assert in_file == b"\xef\xbb\xbf" + piped
    with open(tmp_path / "found.csv", encoding="utf-8-sig", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert Path(row["image"]).name == "Prüfling.png"
    assert (run.category("brick").path / "per_image.csv").read_bytes().startswith(b"\xef\xbb\xbfimage,")


def test_a_file_name_that_is_no_utf8_can_be_written(tmp_path: Path) -> None:
    record = PredictionRecord("Pr\udcfcfling.png", score=1.0)
    write_records([record], tmp_path / "r.jsonl")
    assert read_records(tmp_path / "r.jsonl") == [record]
    write_csv([record], tmp_path / "r.csv")
    assert "Pr\\udcfcfling.png" in (tmp_path / "r.csv").read_text(encoding="utf-8-sig")
