"""Post-processing in whole runs: through the command, in inference, on resuming, and what is refused. About 60 s."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from pyimgano.cli.main import main
from pyimgano.core.contracts import Sample
from pyimgano.core.errors import CalibrationError, ConfigError, ImageError, RunError
from pyimgano.core.files import load_json
from pyimgano.core.images import read_image, write_png
from pyimgano.datasets import take_share
from pyimgano.workbench.config import RunConfigError, load_run_config
from pyimgano.workbench.demo import write_textures
from pyimgano.workbench.postprocess.roi import Roi
from pyimgano.workbench.records import PredictionRecord, read_records
from pyimgano.workbench.runs import RunDirectory, open_run
from pyimgano.workbench.schemas import json_schema
from pyimgano.workbench.training import resume_run, run_recipe

CORNERS = [[40, 30], [200, 30], [210, 190], [30, 200]]
SIDE = 224
LEARNED = [{"name": "smooth", "params": {"sigma": 3.0}}, {"name": "normalise", "params": {"scope": "pixel"}}]
FILES = {
    "report.json": "report",
    "config.json": "run-config",
    "artifacts/infer_config.json": "infer-config",
    "artifacts/calibration_card.json": "calibration-card",
    "artifacts/split.json": "split",
    "categories/brick/report.json": "category-report",
}


@pytest.fixture(scope="module")
def textures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Brick: 25 good images to fit on, 20 to calibrate on, 18 good and 18 defective ones to test."""
    root = tmp_path_factory.mktemp("postprocess") / "textures"
    write_textures(root, seed=0)
    for name in ("grass", "gravel"):
        shutil.rmtree(root / name)
    return root


@pytest.fixture(scope="module")
def roi_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("roi") / "roi.png"
    polygon = tuple((float(x), float(y)) for x, y in CORNERS)
    write_png(Roi((polygon,)).inside((SIDE, SIDE)).astype(np.uint8) * 255, path)
    return path


def flags_of(textures: Path, runs: Path, name: str, **settings: Any) -> dict[str, Any]:
    return {
        "dataset.root": textures,
        "model.name": "pixel-gaussian",
        "model.params": {"input_size": 56},
        "calibration.alpha": 0.25,
        "output.dir": runs,
        "output.name": name,
        "output.report": False,
        "output.thumbnails": 0,
        "regions.limit": 1000,
        **{key.replace("__", "."): value for key, value in settings.items()},
    }


def make(textures: Path, runs: Path, name: str, **settings: Any) -> RunDirectory:
    return run_recipe(load_run_config(flags=flags_of(textures, runs, name, **settings)))


@pytest.fixture(scope="module")
def run(textures: Path, roi_file: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Everything at once, by the command and a config file that names the region of interest beside it."""
    folder = tmp_path_factory.mktemp("everything")
    shutil.copy(roi_file, folder / "roi.png")
    config = {
        "dataset": {"root": str(textures)},
        "model": {"name": "pixel-gaussian", "params": {"input_size": 56}},
        "calibration": {"alpha": 0.25, "review_alpha": 0.5},
        "postprocess": {"maps": LEARNED, "holdout": 8, "roi": {"brick": "roi.png"}, "border": 3},
        "regions": {
            "min_area": 150,
            "min_length": 40,
            "hysteresis": 0.7,
            "close": 1,
            "merge": 2,
            "limit": 1000,
            "decide": "regions",
        },
        "output": {"dir": "runs", "name": "run", "masks": True, "overlays": True},
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert main(["train", "--config", str(folder / "config.json")]) == 0
    return open_run(folder / "runs" / "run")


def records_of(run: RunDirectory) -> list[PredictionRecord]:
    return read_records(run.category("brick").per_image)


def report_of(run: RunDirectory) -> dict[str, Any]:
    return run.category("brick").report()


def judged(records: list[PredictionRecord]) -> list[tuple[Any, ...]]:
    keys = ("score", "threshold", "decision", "p_value", "overruled_by", "regions", "regions_left_out")
    return [(Path(record.image).parts[-2:], *(getattr(record, key) for key in keys)) for record in records]


# -- a run and its inference -----------------------------------------------------------------------------------------


def test_inference_says_what_the_run_says_also_when_moved_and_without_the_region_of_interest(
    run: RunDirectory, textures: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(run.path, moved)
    config = load_json(moved / "config.json")
    assert config["postprocess"]["roi"] == {"brick": "../../roi.png"}
    images = textures / "brick" / "test"
    output = tmp_path / "found"
    assert (
        main(["infer", "--from-run", str(moved), str(images), "-o", str(output), "--masks", "--batch-size", "3"]) == 0
    )
    found = sorted(judged(read_records(output / "predictions.jsonl")))
    assert found == sorted(judged(records_of(run)))
    assert {row[3] for row in found} == {"good", "review", "defective"}
    own = {record.image: record.mask for record in records_of(run)}
    for record in read_records(output / "predictions.jsonl"):
        mask = own[Path(record.image).relative_to(textures).as_posix()]
        assert np.array_equal(read_image(output / str(record.mask)), read_image(run.category("brick").path / str(mask)))


def test_every_file_keeps_to_its_schema(run: RunDirectory) -> None:
    for place, name in FILES.items():
        Draft202012Validator(json_schema(name)).validate(load_json(run.path / place))
    for record in records_of(run):
        Draft202012Validator(json_schema("per-image")).validate(record.to_json())


def test_the_report_counts_what_the_records_say(run: RunDirectory) -> None:
    report, records = report_of(run), records_of(run)
    removed: dict[str, int] = {}
    for region in (region for record in records for region in record.regions or ()):
        if region.removed_by is not None:
            removed[region.removed_by] = removed.get(region.removed_by, 0) + 1
    assert report["regions"]["removed"] == removed != {}
    assert report["regions"]["kept"] == sum(record.n_kept for record in records)
    overruled = [record for record in records if record.overruled_by is not None]
    assert report["regions"]["overruled"] == {"min_area": len(overruled)}
    assert overruled
    for record in records:
        assert (record.decision == "defective") == (record.n_kept > 0)
        assert record.threshold is not None
        assert record.score is not None
        let_pass = record.score >= record.threshold and record.decision != "defective"
        assert (record.overruled_by is not None) == let_pass
    confusion = report["confusion"]
    for label, name in ((0, "good"), (1, "defective")):
        own = [record.decision for record in records if record.label == label]
        counted = [confusion[f"{way}_{name}"] for way in ("passed", "review", "rejected")]
        assert counted == [own.count(decision) for decision in ("good", "review", "defective")]
    assert report["metrics"]["overkill"]["count"] == confusion["rejected_good"]
    assert report["decisions_and_regions"]["defective_without_regions"] == 0
    escapes = sum(row["escape"]["count"] for row in report["by_defect"].values())
    assert escapes == confusion["passed_defective"]


def test_the_report_and_the_card_say_what_was_learned_from_what(run: RunDirectory) -> None:
    report = report_of(run)
    split = load_json(run.path / "artifacts" / "split.json")["categories"]["brick"]
    assert len(split["normalisation"]) == report["data"]["n_normalisation"] == 8
    assert len(split["calibration"]) == report["calibration"]["n"] == 12
    sets = [set(split[name]) for name in ("fit", "calibration", "normalisation", "test")]
    assert sum(map(len, sets)) == len(set().union(*sets))
    card = report["calibration"]
    assert card["n_normalisation"] == 8
    assert card["normalisation_fingerprint"] == split["fingerprints"]["normalisation"]
    assert card["map_low"] < card["pixel_low_threshold"] < card["pixel_threshold"]
    assert card["guarantee"].startswith("Regions decide")
    smooth, normalise = report["postprocess"]["maps"]
    assert [smooth, {key: normalise[key] for key in ("name", "params")}] == LEARNED
    assert 0 < normalise["learned"]["scale"][0] < normalise["learned"]["scale"][1]
    assert report["postprocess"]["image_score"] == "max"
    assert re.fullmatch(r"\d+ of 50176 pixels \([0-9a-f]{12}\)", report["metrics"]["pixel_auroc"]["inside"])


def test_what_lies_outside_changes_neither_score_nor_regions(textures: Path, roi_file: Path, tmp_path: Path) -> None:
    """The model must not look that far itself: this one standardises the whole image unless it is told not to."""
    run = make(
        textures,
        tmp_path / "runs",
        "local",
        model__params={"input_size": 56, "normalize": False},
        postprocess__roi=str(roi_file),
        calibration__pixel_alpha=0.9,
    )
    image = read_image(textures / "brick" / "test" / "good" / "000.png")
    spoilt = image.copy()
    spoilt[212:, :] = 255  # more than the smoothing reaches away from the region
    spoilt[:12, :] = 0
    inside = read_image(roi_file)[..., 0] > 0
    assert np.array_equal(image[inside], spoilt[inside])
    pictures = {"clean": image, "spoilt": spoilt, "touched": np.where(inside[..., None], 255 - image, image)}
    for name, picture in pictures.items():
        write_png(picture, tmp_path / f"{name}.png")
    images = [str(tmp_path / f"{name}.png") for name in pictures]
    assert main(["infer", "--from-run", str(run.path), *images, "-o", str(tmp_path / "out.jsonl")]) == 0
    clean, other, touched = read_records(tmp_path / "out.jsonl")
    assert clean.regions
    assert (clean.score, clean.regions) == (other.score, other.regions)
    assert touched.score != clean.score


def test_an_image_of_another_size_than_the_region_is_an_error_and_never_a_score(
    run: RunDirectory, textures: Path, tmp_path: Path
) -> None:
    image = read_image(textures / "brick" / "test" / "good" / "000.png")
    write_png(image[:200], tmp_path / "cut.png")
    write_png(image, tmp_path / "whole.png")
    assert main(["infer", "--from-run", str(run.path), str(tmp_path), "-o", str(tmp_path / "out.jsonl")]) == 4
    cut, whole = read_records(tmp_path / "out.jsonl")
    assert cut.score is None
    assert "224×224" in str(cut.error)
    assert "224×200" in str(cut.error)
    assert whole.score is not None


def test_a_run_that_has_lost_its_region_of_interest_is_damaged(
    run: RunDirectory, textures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run.path, tmp_path / "lost")
    (tmp_path / "lost" / "artifacts" / "roi" / "brick.png").unlink()
    image = str(textures / "brick" / "test" / "good" / "000.png")
    assert main(["infer", "--from-run", str(tmp_path / "lost"), image]) == 5
    assert "brick.png" in capsys.readouterr().err


def test_a_run_can_be_verified(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "verify", str(run.path)]) == 0, capsys.readouterr().err


def test_regions_that_decide_cannot_be_left_out(
    run: RunDirectory, textures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = str(textures / "brick" / "test" / "good" / "000.png")
    assert main(["infer", "--from-run", str(run.path), image, "--no-regions"]) == 2
    assert "regions.decide" in capsys.readouterr().err


def test_scores_need_maps_and_do_not_show_them(textures: Path, tmp_path: Path) -> None:
    made = make(textures, tmp_path, "top", postprocess__image_score="top-mean", evaluation__pixel=False)
    image = str(textures / "brick" / "test" / "stain")
    assert main(["infer", "--from-run", str(made.path), image, "-o", str(tmp_path / "a.jsonl"), "--no-regions"]) == 0
    own = {Path(record.image).parts[-2:]: record.score for record in records_of(made)}
    for record in read_records(tmp_path / "a.jsonl"):
        assert record.score == own[Path(record.image).parts[-2:]]
        assert record.regions is None


# -- the same by other ways ------------------------------------------------------------------------------------------


def test_a_region_of_interest_by_polygon_is_that_by_image(
    textures: Path, roi_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    fractions = [[x / SIDE, y / SIDE] for x, y in CORNERS]
    for number, roi in enumerate(
        (str(roi_file), {"polygons": [CORNERS], "size": [SIDE, SIDE]}, {"polygons": [fractions], "unit": "fraction"})
    ):
        made = make(textures, tmp_path, f"r{number}", postprocess__roi=roi)
        rows.append((judged(records_of(made)), report_of(made)["metrics"]))
    assert rows[0] == rows[1] == rows[2]
    whole = make(textures, tmp_path, "whole")
    assert judged(records_of(whole)) != rows[0][0]
    pixels = [metrics["pixel_auroc"]["n"] for metrics in (rows[0][1], report_of(whole)["metrics"])]
    inside = int(Roi((tuple(map(tuple, CORNERS)),)).inside((SIDE, SIDE)).sum())  # type: ignore[arg-type]
    assert pixels[0]["defective_pixels"] + pixels[0]["good_pixels"] == 36 * inside
    assert pixels[1]["defective_pixels"] + pixels[1]["good_pixels"] == 36 * SIDE * SIDE
    capsys.readouterr()
    assert main(["runs", "compare", str(whole.path), str(tmp_path / "r0"), "--json"]) == 0
    differences = json.loads(capsys.readouterr().out)["categories"][0]["metrics"]
    for name in ("pixel_auroc", "pixel_region_recall", "pixel_false_regions_per_good_image"):
        assert differences[name]["verdict"] == "not compared"
        assert f"of other pixels: all and {inside} of {SIDE * SIDE} pixels" in differences[name]["reason"]
    assert differences["image_auroc"]["verdict"] != "not compared"


def test_regions_reject_no_good_image_that_the_score_passes(textures: Path, tmp_path: Path) -> None:
    common = {"postprocess__image_score": "max", "regions__min_area": 300}
    runs = {way: make(textures, tmp_path, way, regions__decide=way, **common) for way in ("score", "regions")}
    by_score, by_regions = (records_of(runs[way]) for way in ("score", "regions"))
    assert [record.score for record in by_score] == [record.score for record in by_regions]
    rejected = [{r.image for r in records if r.decision == "defective"} for records in (by_score, by_regions)]
    assert rejected[1] < rejected[0]
    counts = [report_of(runs[way])["confusion"]["rejected_good"] for way in ("score", "regions")]
    assert counts[1] < counts[0]
    assert [record.to_json() for record in by_score if record.overruled_by] == []
    # Without rules both say the same: an image's score is the highest value of the regions.
    plain = make(textures, tmp_path, "plain", postprocess__image_score="max", regions__decide="regions")
    assert [record.decision for record in records_of(plain)] == [record.decision for record in by_score]


def test_nothing_set_leaves_no_trace(textures: Path, tmp_path: Path) -> None:
    made = make(textures, tmp_path, "plain")
    assert load_json(made.artifact("infer_config.json"))["regions"] == {"min_area": 0, "limit": 1000}
    assert "postprocess" not in load_json(made.artifact("infer_config.json"))
    report = report_of(made)
    assert not {"postprocess", "regions"} & report.keys()
    assert not {"pixel_low_threshold", "n_normalisation"} & report["calibration"].keys()
    assert "n_normalisation" not in report["data"]
    assert sorted(report["data"]["fingerprints"]) == ["calibration", "fit", "test"]
    from pyimgano.core.creation import load_model

    detector = load_model("pixel-gaussian", made.category("brick").checkpoint)
    images = [textures / record.image for record in records_of(made)]
    assert [record.score for record in records_of(made)] == detector.decision_function(images).tolist()
    assert (
        (made.category("brick").path / "per_image.csv")
        .read_text(encoding="utf-8-sig")
        .startswith("image,category,group,label,defect,score,threshold,decision,p_value,regions,")
    )


# -- resuming --------------------------------------------------------------------------------------------------------


class Stopped(Exception):
    pass


class StopsAt:
    def __init__(self, title: str) -> None:
        self.title = title
        self.seen: list[str] = []

    def note(self, text: str) -> None:
        pass

    @contextlib.contextmanager
    def stage(self, title: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        self.seen.append(title)
        if title == self.title:
            raise Stopped
        yield lambda items: None


def test_a_resumed_run_does_not_learn_again_and_has_the_same_bytes(textures: Path, tmp_path: Path) -> None:
    settings = {"postprocess__maps": LEARNED, "postprocess__holdout": 8}
    expected = make(textures, tmp_path, "expected", **settings)
    config = load_run_config(flags=flags_of(textures, tmp_path, "run", **settings))
    with pytest.raises(Stopped):
        run_recipe(config, progress=StopsAt("brick: calibrate"))
    progress = StopsAt("")
    run = resume_run(tmp_path / "run.incomplete", progress=progress)
    assert "brick: learn the post-processing" not in progress.seen
    for place in ("artifacts/calibration_card.json", "checkpoints/brick/postprocess/state.safetensors"):
        assert (run.path / place).read_bytes() == (expected.path / place).read_bytes()
    assert run.category("brick").per_image.read_bytes() == expected.category("brick").per_image.read_bytes()


def test_images_that_changed_since_the_rules_learned_from_them_are_noticed(textures: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(textures, data)
    settings = {"postprocess__maps": LEARNED, "postprocess__holdout": 8}
    with pytest.raises(Stopped):
        run_recipe(
            load_run_config(flags=flags_of(data, tmp_path, "run", **settings)), progress=StopsAt("brick: calibrate")
        )
    for path in (data / "brick" / "validation" / "good").iterdir():
        write_png(read_image(path)[::-1].copy(), path)
    with pytest.raises(RunError, match="post-processing learns from have changed"):
        resume_run(tmp_path / "run.incomplete")


def test_a_share_keeps_groups_and_copies_together_and_does_not_depend_on_the_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    samples = []
    for number in range(30):
        path = tmp_path / f"{number:02d}.png"
        write_png(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8), path)
        samples.append(Sample(path.name, path, group=f"lot {number // 3}" if number < 15 else None))
    shutil.copy(tmp_path / "20.png", tmp_path / "copy.png")
    samples.append(Sample("copy.png", tmp_path / "copy.png"))
    for seed in range(10):
        taken, left = take_share(samples, 0.4, seed=seed, part="test")
        assert (taken, left) == take_share(samples[::-1], 0.4, seed=seed, part="test")
        assert len(taken) + len(left) == 31
        assert 12 <= len(taken) <= 14
        assert not {s.group for s in taken if s.group} & {s.group for s in left if s.group}
        assert len({"20.png", "copy.png"} & {s.id for s in taken}) in (0, 2)


# -- what is refused -------------------------------------------------------------------------------------------------


def test_too_few_held_out_images_say_how_many_are_needed(textures: Path, tmp_path: Path) -> None:
    settings = {"postprocess__maps": LEARNED, "calibration__alpha": 0.1}
    with pytest.raises(CalibrationError) as caught:
        make(textures, tmp_path, "few", **settings)
    text = str(caught.value)
    assert "at least 8 held-out good images, and the threshold needs 9 others; of the 20 held out" in text
    assert "27 good validation images" in text  # 8 of them, 0.3, would be for the rules
    assert list(tmp_path.iterdir()) == []
    assert make(textures, tmp_path, "enough", postprocess__holdout=10, **settings).complete


def test_a_region_of_another_size_is_refused_before_the_fit(textures: Path, tmp_path: Path) -> None:
    write_png(np.full((100, 120), 255, np.uint8), tmp_path / "roi.png")
    with pytest.raises(ImageError, match="120×100 pixels, the image has 224×224") as caught:
        make(textures, tmp_path / "runs", "size", postprocess__roi=str(tmp_path / "roi.png"))
    assert "brick/validation/good" in str(caught.value)
    with pytest.raises(ImageError, match="a border of 112 pixels leaves nothing of 224×224"):
        make(textures, tmp_path / "runs", "border", postprocess__border=112)
    with pytest.raises(ConfigError, match="no category 'brik'") as unknown:
        make(textures, tmp_path / "runs", "name", postprocess__roi={"brik": str(tmp_path / "roi.png")})
    assert "brick" in str(unknown.value.hint)
    assert not (tmp_path / "runs").exists() or list((tmp_path / "runs").iterdir()) == []


def test_a_recipe_that_knows_no_post_processing_is_not_let_it_leave_out(textures: Path, tmp_path: Path) -> None:
    from pyimgano.workbench.progress import Silent
    from pyimgano.workbench.stages import calibrate_category, prepare_data

    config = load_run_config(flags=flags_of(textures, tmp_path, "x", postprocess__border=3))
    data = prepare_data(config, Silent())
    with pytest.raises(ConfigError, match="has no post-processing"):
        calibrate_category(config, data.categories[0], None, Silent())


MISTAKES = {
    "postprocess.maps[0].name": {"postprocess": {"maps": [{"name": "smoth"}]}},
    "postprocess.maps[0].params.sigma": {"postprocess": {"maps": [{"name": "smooth", "params": {"sigma": -1}}]}},
    "postprocess.maps[1].params.scop": {
        "postprocess": {"maps": [{"name": "smooth"}, {"name": "normalise", "params": {"scop": "pixel"}}]}
    },
    "postprocess.maps": {
        "postprocess": {"maps": [{"name": "normalise"}]},
        "calibration": {"method": "cross-conformal"},
    },
    "postprocess.roi.polygons[0]": {"postprocess": {"roi": {"polygons": [[[0, 0], [5, 5]]]}}},
    "postprocess.roi.brick.polygons[0][1]": {
        "postprocess": {"roi": {"brick": {"polygons": [[[0, 0], [5, "x"], [3, 3]]]}}}
    },
    "postprocess.roi": {"postprocess": {"roi": "nowhere.png"}},
    "postprocess.border": {"postprocess": {"border": -1}},
    "postprocess.image_score": {
        "postprocess": {"roi": {"polygons": [[[0, 0], [5, 5], [0, 5]]]}, "image_score": "model"}
    },
    "postprocess.top_share": {"postprocess": {"top_share": 0.1}},
    "postprocess.holdout": {"postprocess": {"holdout": 0}},
    "regions.merge": {"regions": {"merge": -2}},
    "regions.min_length": {"regions": {"min_length": 10}},
    "regions.max_area": {"regions": {"min_area": 20, "max_area": 10}},
    "regions.hysteresis": {"regions": {"hysteresis": 1.5}},
    "regions.hysteresis_alpha": {"regions": {"hysteresis_alpha": 0.01}},
    "regions.decide": {"regions": {"decide": "vote"}},
    "regions.min_lenght": {"regions": {"min_lenght": 10}},
}


@pytest.mark.parametrize("place", MISTAKES)
def test_a_mistake_is_told_with_its_place(place: str, textures: Path, tmp_path: Path) -> None:
    config = {"dataset": {"root": str(textures)}, "model": {"name": "pixel-gaussian"}, **MISTAKES[place]}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config, indent=1), encoding="utf-8")
    with pytest.raises(RunConfigError) as caught:
        load_run_config(path)
    (problem,) = caught.value.problems
    assert f": {place}: " in str(problem)
    assert str(problem).startswith(f"{path}:")
    assert problem.allowed or problem.hint or "none is left" in problem.message or "must be" in problem.message


def test_a_model_without_maps_cannot_be_post_processed(textures: Path) -> None:
    settings = {
        "postprocess": {"maps": [{"name": "smooth"}], "border": 2, "image_score": "max"},
        "regions": {"decide": "regions"},
    }
    flags = {"dataset.root": textures, "model.name": "sklearn-isolation-forest"}
    flat = {f"{table}.{key}": value for table, part in settings.items() for key, value in part.items()}
    with pytest.raises(RunConfigError) as caught:
        load_run_config(flags={**flags, **flat})
    places = {".".join(map(str, problem.path)) for problem in caught.value.problems}
    assert places == {"postprocess.maps", "postprocess.border", "postprocess.image_score", "regions.decide"}
    assert all("has no anomaly maps" in problem.message for problem in caught.value.problems)
