"""``pyimgano export``: what a bundle holds, and that it is the run. 20 s."""

from __future__ import annotations

import copy
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from acme_inspect.filters import FilterBank
from pyimgano.cli.main import main
from pyimgano.core.files import load_json, sha256_file
from pyimgano.core.images import write_png
from pyimgano.workbench import load_bundle
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.inference import RunModels
from pyimgano.workbench.records import read_records
from pyimgano.workbench.runs import open_run
from pyimgano.workbench.schemas import json_schema
from pyimgano.workbench.training import run_recipe

CATEGORIES = ("brick", "grass")


def export(*arguments: Any) -> int:
    return main(["-q", "export", *map(str, arguments)])


def recorded(run: Path, category: str) -> dict[str, float]:
    """Return the scores of the run's own test images."""
    records = read_records(run / "categories" / category / "per_image.jsonl")
    return {record.image: record.score for record in records if record.score is not None}


# -- what it holds -----------------------------------------------------------------------------------------------------


def test_a_bundle_holds_what_inference_needs_and_relative_paths_only(graph_bundle: Path, graph_run: Path) -> None:
    with zipfile.ZipFile(graph_bundle) as archive:
        names = set(archive.namelist())
        texts = [archive.read(name).decode() for name in names if name.endswith((".json", ".md"))]
    assert names == {
        "manifest.json",
        "bundle.json",
        "calibration_card.json",
        "image_statistics.json",
        "parity.json",
        "MODEL_CARD.md",
        *(f"models/{name}/model.onnx" for name in CATEGORIES),
        *(f"samples/{name}/{file}" for name in CATEGORIES for file in ("input.png", "expected.json")),
    }
    assert not any(str(graph_run.parents[1]) in text for text in texts)


def test_the_manifest_states_every_file_and_what_is_needed(graph_folder: Path, graph_run: Path) -> None:
    manifest = load_json(graph_folder / "manifest.json")
    files = {path.relative_to(graph_folder).as_posix() for path in graph_folder.rglob("*") if path.is_file()}
    assert set(manifest["files"]) == files - {"manifest.json"}
    for name, facts in manifest["files"].items():
        assert facts == {
            "sha256": sha256_file(graph_folder / name),
            "size": (graph_folder / name).stat().st_size,
        }
    assert manifest["kind"] == "graph"
    assert [need["module"] for need in manifest["requires"]] == ["onnxruntime"]
    assert manifest["source"]["run"] == graph_run.name
    assert "acme-inspect" not in manifest["created_with"]


def test_files_keep_to_their_schemas_and_a_changed_one_does_not(graph_folder: Path) -> None:
    described = {
        "manifest.json": "bundle-manifest",
        "bundle.json": "bundle",
        "parity.json": "bundle-parity",
        "calibration_card.json": "calibration-card",
        "samples/brick/expected.json": "bundle-sample",
    }
    for file, name in described.items():
        validator = Draft202012Validator(json_schema(name))
        good = load_json(graph_folder / file)
        assert list(validator.iter_errors(good)) == []
        for key in good:
            assert not validator.is_valid({own: part for own, part in good.items() if own != key}), (file, key)
        assert not validator.is_valid({**good, "more": 1}), file


def test_the_same_run_gives_the_same_bytes(graph_bundle: Path, graph_run: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(graph_run.parents[1], tmp_path / "elsewhere") / "runs" / graph_run.name
    assert export(moved, "--to", tmp_path / "again.zip") == 0
    assert (tmp_path / "again.zip").read_bytes() == graph_bundle.read_bytes()


def test_the_card_tells_people_what_it_is_worth(graph_folder: Path, graph_run: Path) -> None:
    text = (graph_folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    for part in (
        "acme-filter-bank",
        graph_run.name,
        "## brick",
        "## grass",
        "image_auroc",
        "exchangeable",
        "not torch",
    ):
        assert part in text


# -- parity ------------------------------------------------------------------------------------------------------------


def test_the_bundle_gives_the_runs_scores_and_decisions(
    graph_bundle: Path, graph_run: Path, texture_images: Path
) -> None:
    parity = {}
    with load_bundle(graph_bundle) as bundle, zipfile.ZipFile(graph_bundle) as archive:
        parity = {entry["name"]: entry for entry in json.loads(archive.read("parity.json"))["categories"]}
        for category in CATEGORIES:
            scores = recorded(graph_run, category)
            fitted = bundle.models.fitted_category(category)
            found = list(fitted.stream([texture_images / image for image in scores]))
            np.testing.assert_allclose([one.score for one in found], list(scores.values()), rtol=1e-4)
            compared = {image["image"]: image for image in parity[category]["images"]}
            assert set(scores) <= set(compared)
            assert any("/validation/" in image for image in compared)
            assert parity[category]["changed_decisions"] == []
            assert 0 < parity[category]["score_difference"] < 1e-4


def test_an_export_that_gives_other_scores_fails_names_the_image_and_leaves_nothing(
    graph_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = FilterBank.export_onnx

    def wrong(self: FilterBank, directory: Any) -> Path:
        other = copy.copy(self)
        other.mean_ = self.mean_ + np.float32(0.002)
        return right(other, directory)

    monkeypatch.setattr(FilterBank, "export_onnx", wrong)
    assert export(graph_run, "--to", tmp_path / "b.zip") == 1
    told = capsys.readouterr().err
    assert "the exported detector is not the trained one: the score of brick/" in told
    assert "relative difference up to 0.0001" in told
    assert list(tmp_path.iterdir()) == []


def test_a_threshold_moves_within_the_tolerance_so_that_no_decision_changes(
    graph_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = FilterBank.export_onnx

    def rounded(self: FilterBank, directory: Any) -> Path:
        other = copy.copy(self)
        other.spread_ = self.spread_ * np.float32(1 - 5e-6)
        return right(other, directory)

    monkeypatch.setattr(FilterBank, "export_onnx", rounded)
    assert export(graph_run, "--to", tmp_path / "b") == 0
    parity = load_json(tmp_path / "b" / "parity.json")
    before = RunModels(open_run(graph_run))
    for entry in parity["categories"]:
        assert entry["changed_decisions"] == []
        moved = {one["name"]: one for one in entry["moved_thresholds"]}
        assert set(moved) == {"threshold"}
        assert "was moved" in entry["holds"]
        threshold = before.card(entry["name"]).threshold
        assert moved["threshold"]["run"] == threshold
        assert 0 < moved["threshold"]["bundle"] / threshold - 1 < 1e-4
        (config,) = (c for c in load_json(tmp_path / "b" / "bundle.json")["categories"] if c["name"] == entry["name"])
        card = load_json(tmp_path / "b" / "calibration_card.json")["categories"][entry["name"]]
        assert config["threshold"] == card["threshold"] == moved["threshold"]["bundle"]


def test_without_the_dataset_images_must_be_given(
    graph_run: Path, texture_images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = shutil.copytree(graph_run, tmp_path / "moved" / "run")
    assert export(alone, "--to", tmp_path / "b.zip") == 2
    assert "--parity-images FOLDER" in capsys.readouterr().err
    images = tmp_path / "some"
    for category in CATEGORIES:
        shutil.copytree(texture_images / category / "test" / "good", images / category)
    assert export(alone, "--to", tmp_path / "b.zip", "--parity-images", images, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [(entry["source"], entry["n_images"]) for entry in told["categories"]] == [("folder", 18)] * 2
    assert main(["bundle", "validate", str(tmp_path / "b.zip")]) == 0


def test_one_category_and_few_images(graph_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--category", "grass", "--parity-limit", "6", "--json")
    assert export(graph_run, "--to", tmp_path / "b.zip", *arguments) == 0
    (entry,) = json.loads(capsys.readouterr().out)["categories"]
    assert (entry["name"], entry["n_images"]) == ("grass", 6)
    with load_bundle(tmp_path / "b.zip") as bundle:
        assert bundle.categories == ("grass",)
    assert export(graph_run, "--to", tmp_path / "c.zip", "--category", "gras") == 2
    assert "did you mean 'grass'" in capsys.readouterr().err


# -- what is asked for -------------------------------------------------------------------------------------------------


def test_a_name_that_is_taken_is_refused_and_only_a_bundle_is_replaced(
    graph_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--category", "grass", "--parity-limit", "2")
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    (photographs / "a.png").write_bytes(b"precious")
    for force in ((), ("--force",)):
        assert export(graph_run, "--to", photographs, *arguments, *force) == 2
    assert (photographs / "a.png").read_bytes() == b"precious"
    assert "is there already" in capsys.readouterr().err
    target = tmp_path / "bundle"
    assert export(graph_run, "--to", target, *arguments) == 0
    assert export(graph_run, "--to", target, *arguments) == 2
    assert export(graph_run, "--to", target, *arguments, "--force") == 0
    assert main(["bundle", "validate", str(target)]) == 0


def test_options_that_do_not_fit_to_the_model_are_refused(
    texture_runs: dict[str, Path], graph_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run, options, allowed in (
        (texture_runs["one"], ("--precision", "int4"), "fp32, fp16, int8"),
        (graph_run, ("--runtime", "tensorrt"), "auto, onnx, openvino, torch"),
        (graph_run, ("--runtime", "torch", "--precision", "fp16"), "fp32"),
    ):
        assert export(run, "--to", tmp_path / "b.zip", *options) == 2
        assert f"allowed: {allowed}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_state_of_a_run_makes_a_bundle_that_needs_the_models_distribution(graph_run: Path, tmp_path: Path) -> None:
    assert export(graph_run, "--to", tmp_path / "b.zip", "--runtime", "torch") == 0
    with load_bundle(tmp_path / "b.zip") as bundle:
        assert bundle.manifest.kind == "state"
        assert {need.distribution for need in bundle.manifest.requires} == {"acme-inspect"}
        assert isinstance(bundle.models.fitted_category("brick").detector, FilterBank)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_less_precision_lists_every_change_and_needs_leave_to_change_decisions(
    graph_run: Path, tmp_path: Path, precision: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--precision", precision, "--to", tmp_path / "b.zip")
    assert export(graph_run, *arguments) == 1
    told = capsys.readouterr().err
    assert "decisions change" in told
    assert "--allow-changed-decisions" in told
    assert not (tmp_path / "b.zip").exists()
    assert export(graph_run, *arguments, "--allow-changed-decisions") == 0
    table = capsys.readouterr().out
    with load_bundle(tmp_path / "b.zip") as bundle:
        parity = load_json(bundle.contents.folder / "parity.json")
        assert list(Draft202012Validator(json_schema("bundle-parity")).iter_errors(parity)) == []
    changed = [image for entry in parity["categories"] for image in entry["changed_decisions"]]
    assert changed
    for entry in parity["categories"]:
        assert "does not hold" in entry["holds"]
        assert all(image["image"] in table for image in entry["images"])
        assert 1e-5 < entry["score_difference"] < (0.02 if precision == "fp16" else 0.5)
    assert " -> " in table
    assert main(["bundle", "validate", str(tmp_path / "b.zip")]) == 0


# -- all of a run ------------------------------------------------------------------------------------------------------


def test_preprocessing_tiles_rules_and_region_of_interest_go_along(
    texture_images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = np.zeros((224, 224, 3), np.uint8)
    mask[16:200, 16:200] = 255
    write_png(mask, tmp_path / "roi.png")
    flags = {
        "dataset.root": texture_images,
        "dataset.categories": ["brick"],
        "model.name": "acme-filter-bank",
        "model.params": {"size": 48},
        "preprocess": [{"name": "flat-field", "params": {}}],
        "tiling": {"tile": 128, "overlap": 0.25},
        "postprocess.maps": [{"name": "smooth", "params": {"sigma": 1.0}}, {"name": "normalise", "params": {}}],
        "postprocess.roi": str(tmp_path / "roi.png"),
        "regions.decide": "regions",
        "regions.min_area": 10,
        "calibration.alpha": 0.2,
        "output.dir": tmp_path / "runs",
        "output.name": "all",
        "output.report": False,
        "output.thumbnails": 0,
    }
    run = run_recipe(load_run_config(flags=flags)).path
    assert export(run, "--to", tmp_path / "b.zip") == 0, capsys.readouterr().err
    (tmp_path / "roi.png").unlink()
    shutil.rmtree(tmp_path / "runs" / "all" / "checkpoints")
    scores = recorded(run, "brick")
    with load_bundle(tmp_path / "b.zip") as bundle:
        names = set(bundle.manifest.files)
        assert {
            "roi/brick.png",
            "models/brick/pipeline/detector.json",
            "models/brick/postprocess/detector.json",
        } <= names
        found = bundle.models.fitted_category("brick").stream([texture_images / image for image in scores])
        np.testing.assert_allclose([one.score for one in found], list(scores.values()), rtol=1e-4)
        assert bundle.models.decided_by_regions
