"""`pyimgano infer` in a process of its own, on a real run: records, exit codes, files, bad input."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pyimgano.core.errors import ConfigError, RunError, UnknownNameError
from pyimgano.core.images import read_image
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.demo import write_textures
from pyimgano.workbench.inference import (
    InputList,
    RunModels,
    Source,
    parse_destination,
    predict_stream,
    write_predictions,
)
from pyimgano.workbench.records import CSV_FIELDS, RecordWriter, read_records
from pyimgano.workbench.render import PictureWriter, read_map
from pyimgano.workbench.runs import open_run
from pyimgano.workbench.training import run_recipe

POSIX_ONLY = pytest.mark.skipif(os.name == "nt", reason="Windows has other rules for read-only folders and pipes")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("infer-data") / "textures"
    write_textures(root, seed=0)
    return root


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    """A run over two categories, with maps."""
    config = load_run_config(
        flags={
            "dataset.root": data,
            "dataset.categories": ["brick", "gravel"],
            "model.name": "pixel-gaussian",
            "output.dir": data.parent / "runs",
        }
    )
    return run_recipe(config).path


def pyimgano(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import sys; from pyimgano.cli.main import main; sys.exit(main())"]
    return subprocess.run(
        [*command, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, encoding="utf-8", timeout=120
    )


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_scores_are_those_of_the_run_to_the_last_bit(run: Path, data: Path) -> None:
    result = pyimgano("infer", "--from-run", run, "--category", "brick", data / "brick" / "test")
    assert result.returncode == 0, result.stderr
    own = {record.image: record for record in read_records(run / "categories" / "brick" / "per_image.jsonl")}
    found = lines(result.stdout)
    assert len(found) == len(own) == 36
    for record in found:
        name = Path(record["image"]).relative_to(data.as_posix()).as_posix()
        for key in ("score", "threshold", "decision", "p_value", "category"):
            assert record[key] == getattr(own[name], key)


def test_scores_do_not_depend_on_the_batch_size_or_on_what_else_is_scored(run: Path, data: Path) -> None:
    models = RunModels(open_run(run), category="brick")
    everything = list(InputList([str(data / "brick" / "test")]))
    whole = {s.name: scored.score for s, _, scored in predict_stream(everything, models.fitted)}
    for batch_size in (1, 3, 64):
        part = list(reversed(everything))[::5]
        for source, _, scored in predict_stream(part, models.fitted, batch_size=batch_size):
            assert scored.score == whole[source.name]


def test_data_goes_to_stdout_and_messages_to_stderr(run: Path, data: Path) -> None:
    result = pyimgano("infer", "--from-run", run, "--category", "brick", data / "brick" / "test" / "good")
    assert len(lines(result.stdout)) == 18
    assert "18 images" in result.stderr
    quiet = pyimgano("--quiet", "infer", "--from-run", run, "--category", "brick", data / "brick" / "test" / "good")
    assert quiet.stdout == result.stdout
    assert quiet.stderr == ""


def test_an_unreadable_image_is_an_error_record_and_never_a_score(run: Path, data: Path, tmp_path: Path) -> None:
    good = sorted((data / "brick" / "test" / "good").glob("*.png"))
    shutil.copy(good[0], tmp_path / "a.png")
    (tmp_path / "b_truncated.png").write_bytes(good[1].read_bytes()[:3000])
    (tmp_path / "c_text.jpg").write_text("this is no photograph\n" * 50)
    (tmp_path / "d_empty.png").touch()
    shutil.copy(good[2], tmp_path / "e.png")
    result = pyimgano("infer", "--from-run", run, "--category", "brick", tmp_path)
    assert result.returncode == 4
    records = lines(result.stdout)
    assert [Path(record["image"]).name for record in records] == [
        "a.png",
        "b_truncated.png",
        "c_text.jpg",
        "d_empty.png",
        "e.png",
    ]
    assert ["error" in record for record in records] == [False, True, True, True, False]
    for record in records[1:4]:
        assert record["error"].startswith("ImageError: ")
        assert not {"score", "decision", "p_value"} & record.keys()
    assert "5 images: " in result.stderr
    assert "3 unscored" in result.stderr
    assert "Traceback" not in result.stderr


def test_max_errors_tolerates_that_many_and_no_more(run: Path, data: Path, tmp_path: Path) -> None:
    shutil.copy(data / "brick" / "test" / "good" / "000.png", tmp_path / "a.png")
    for name in ("b.png", "c.png"):
        (tmp_path / name).write_bytes(b"no image")
    ask = ("infer", "--from-run", run, "--category", "brick", tmp_path, "--max-errors")
    assert pyimgano(*ask, 2).returncode == 0
    result = pyimgano(*ask, 1)
    assert result.returncode == 4
    assert len(lines(result.stdout)) == 3


def test_a_run_of_several_categories_asks_for_one_and_lists_them(run: Path, data: Path) -> None:
    result = pyimgano("infer", "--from-run", run, data / "brick" / "test")
    assert result.returncode == 2
    assert result.stdout == ""
    assert "brick, gravel" in result.stderr
    assert "--category" in result.stderr
    with pytest.raises(UnknownNameError, match="no category 'bricks'") as caught:
        RunModels(open_run(run), category="bricks")
    assert "brick" in (caught.value.hint or "")


def test_a_manifest_says_the_category_of_each_image(run: Path, data: Path, tmp_path: Path) -> None:
    rows = [("brick", "test/good/000.png"), ("gravel", "test/good/000.png"), ("brick", "test/good/001.png")]
    manifest = tmp_path / "mixed.csv"
    body = "".join(f"{os.path.relpath(data / c / p, tmp_path)},{c}\n" for c, p in rows)
    manifest.write_text("image_path,category\n" + body, encoding="utf-8")
    result = pyimgano("infer", "--from-run", run, manifest, "-o", tmp_path / "out.jsonl")
    assert result.returncode == 0, result.stderr
    found = {(r.category, Path(r.image).name): r.score for r in read_records(tmp_path / "out.jsonl")}
    for category, path in rows:
        own = {r.image: r.score for r in read_records(run / "categories" / category / "per_image.jsonl")}
        assert found[category, Path(path).name] == own[f"{category}/{path}"]


def test_a_moved_run_works_without_its_dataset(run: Path, data: Path, tmp_path: Path) -> None:
    image = data / "brick" / "test" / "good" / "003.png"
    expected = pyimgano("infer", "--from-run", run, "--category", "brick", image).stdout
    moved = tmp_path / "elsewhere" / "ein Lauf ü"
    moved.parent.mkdir()
    shutil.copytree(run, moved)
    hidden = data.with_name("hidden")
    copy = tmp_path / "003.png"
    shutil.copy(image, copy)
    data.rename(hidden)
    try:
        result = pyimgano("infer", "--from-run", moved, "--category", "brick", copy)
    finally:
        hidden.rename(data)
    assert result.returncode == 0, result.stderr
    assert lines(result.stdout)[0]["score"] == lines(expected)[0]["score"]


def test_a_missing_an_incomplete_and_a_damaged_run_are_told_apart(run: Path, data: Path, tmp_path: Path) -> None:
    image = data / "brick" / "test" / "good" / "000.png"
    missing = pyimgano("infer", "--from-run", tmp_path / "none", image)
    assert missing.returncode == 5
    assert "no such run" in missing.stderr
    shutil.copytree(run, tmp_path / "half.incomplete")
    half = pyimgano("infer", "--from-run", tmp_path / "half.incomplete", image)
    assert half.returncode == 5
    assert "incomplete" in half.stderr
    assert "train --resume" in half.stderr
    shutil.copytree(run, tmp_path / "damaged")
    (tmp_path / "damaged" / "artifacts" / "calibration_card.json").write_text("{")
    with pytest.raises(RunError, match="not valid JSON"):
        RunModels(open_run(tmp_path / "damaged"))
    shutil.copytree(run, tmp_path / "cut")
    state = next((tmp_path / "cut" / "checkpoints" / "brick").glob("*.safetensors"))
    state.write_bytes(state.read_bytes()[:-1])
    cut = pyimgano("infer", "--from-run", tmp_path / "cut", "--category", "brick", image)
    assert cut.returncode == 5
    assert "checksum" in cut.stderr
    assert "Traceback" not in missing.stderr + half.stderr + cut.stderr


def test_an_input_that_is_not_there_is_refused_before_anything_is_scored(run: Path, data: Path) -> None:
    image = data / "brick" / "test" / "good" / "000.png"
    result = pyimgano("infer", "--from-run", run, "--category", "brick", image, "nowhere.png")
    assert result.returncode == 4
    assert result.stdout == ""
    assert "nowhere.png" in result.stderr


def test_a_folder_gets_records_maps_masks_and_overlays_of_the_source_size(
    run: Path, data: Path, tmp_path: Path
) -> None:
    images = data / "brick" / "test" / "stain"
    out = tmp_path / "out"
    options = ("--maps", "--masks", "--overlays", "--json")
    result = pyimgano("infer", "--from-run", run, "--category", "brick", images, "-o", out, *options)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["images"] == 6
    card = RunModels(open_run(run)).card("brick")
    assert card.pixel_threshold is not None
    records = read_records(out / "predictions.jsonl")
    assert len(records) == 6
    for record in records:
        source = read_image(record.image)
        values = read_map(out / str(record.map))
        mask = read_image(out / str(record.mask))[..., 0]
        assert values.shape == mask.shape == source.shape[:2]
        assert np.array_equal(mask, np.where(values >= card.pixel_threshold, 255, 0))
        assert read_image(out / str(record.overlay)).shape[2] == 3
    assert list(tmp_path.iterdir()) == [out]


def test_masks_and_overlays_of_a_held_out_good_image_are_rarely_marked(run: Path, data: Path, tmp_path: Path) -> None:
    """The pixel threshold bounds the share of good images with any false region by alpha = 0.05."""
    images = data / "brick" / "validation" / "good"
    pyimgano("infer", "--from-run", run, "--category", "brick", images, "-o", tmp_path / "out", "--masks")
    masks = [read_image(path) for path in (tmp_path / "out" / "masks").iterdir()]
    assert len(masks) == 20
    assert sum(mask.any() for mask in masks) <= 1


def test_two_images_of_one_name_get_pictures_of_their_own(run: Path, data: Path, tmp_path: Path) -> None:
    images = [data / "brick" / "test" / kind / "000.png" for kind in ("stain", "scratch")]
    out = tmp_path / "out"
    pyimgano("infer", "--from-run", run, "--category", "brick", *images, "-o", out, "--maps")
    first, second = (read_map(out / str(record.map)) for record in read_records(out / "predictions.jsonl"))
    assert not np.array_equal(first, second)


def test_csv_has_the_same_numbers_as_jsonl(run: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    inputs = (data / "brick" / "test" / "good", tmp_path / "bad.png")
    ask = ("infer", "--from-run", run, "--category", "brick", *inputs)
    as_csv = pyimgano(*ask, "--format", "csv").stdout
    rows = list(csv.DictReader(as_csv.splitlines()))
    assert tuple(rows[0]) == CSV_FIELDS
    records = lines(pyimgano(*ask).stdout)
    assert len(rows) == len(records) == 19
    for row, record in zip(rows, records):
        if "regions" in record:
            record["regions"] = len(record["regions"])
        assert {key: value for key, value in row.items() if value} == {k: str(v) for k, v in record.items()}
        assert ("score" in record) == bool(row["score"])


def test_a_model_without_maps_refuses_pictures_before_it_scores(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    config = load_run_config(
        flags={
            "dataset.root": data,
            "dataset.categories": ["brick"],
            "model.name": "pixel-gaussian",
            "output.dir": tmp_path / "runs",
        }
    )
    run = run_recipe(config).path
    # What a run of a model that has no maps holds.
    for name, strip in (("calibration_card.json", _strip_cards), ("infer_config.json", _strip_config)):
        path = run / "artifacts" / name
        path.write_text(json.dumps(strip(json.loads(path.read_text()))))
    result = pyimgano(
        "infer", "--from-run", run, data / "brick" / "test" / "good", "-o", tmp_path / "out", "--overlays"
    )
    assert result.returncode == 2
    assert "--overlays" in result.stderr
    assert "no anomaly maps" in result.stderr
    assert not (tmp_path / "out").exists()
    assert replace(RunModels(open_run(run)).card("brick")).pixel_threshold is None


def _strip_cards(data: dict) -> dict:
    for card in data["categories"].values():
        card.update(pixel_threshold=None, map_low=None)
    return data


def _strip_config(data: dict) -> dict:
    for entry in data["categories"]:
        entry.update(pixel_threshold=None, map_low=None)
    return data


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "which detector"),
        (("--model", "pixel-gaussian"), "--train-dir is missing"),
        (("--train-dir", "."), "--model is missing"),
        (("--from-run", "RUN", "--model", "padim"), "--from-run excludes --model"),
        (("--from-run", "RUN", "--format", "xml"), "unknown format 'xml'"),
        (("--from-run", "RUN", "--maps"), "--maps need a folder"),
        (("--from-run", "RUN", "--json"), "--json needs --output"),
        (("--from-run", "RUN", "-o", "out.csv", "--format", "jsonl"), "the file name says csv"),
    ],
)
def test_options_that_do_not_fit_together_are_usage_errors(run: Path, options: Sequence[str], said: str) -> None:
    given = [str(run) if option == "RUN" else option for option in options]
    result = pyimgano("infer", *given, "image.png")
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


@POSIX_ONLY
def test_the_reader_may_leave_early(run: Path, data: Path) -> None:
    program = "import sys; from pyimgano.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "infer", "--from-run", str(run), "--category", "brick"]
    with subprocess.Popen([*command, str(data)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["score"] > 0
        process.stdout.close()
        messages = process.stderr.read()
        process.wait(60)
    assert "Traceback" not in messages
    assert "BrokenPipe" not in messages
    assert "unexpected" not in messages


AS_NOBODY = """
import os, sys
from pyimgano.cli.main import main
first = main(sys.argv[2:] + ["-o", sys.argv[1] + "/writable"])  # loads all that is needed
assert first == 0, first
if os.geteuid() == 0:  # the superuser may write anywhere
    os.setegid(65534); os.seteuid(65534)
sys.exit(main(sys.argv[2:] + ["-o", sys.argv[1] + "/locked/out"]))
"""


@POSIX_ONLY
def test_a_read_only_folder_is_a_plain_error(run: Path, data: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    for folder in {parent for path in (locked, run / "x", data / "x") for parent in path.parents} - {Path("/")}:
        if folder.stat().st_uid == os.geteuid():  # so that another user may look at it
            folder.chmod(folder.stat().st_mode | 0o555)
    arguments = ["infer", "--from-run", str(run), "--category", "brick", str(data / "brick" / "test" / "good")]
    result = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(tmp_path), *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )
    assert result.returncode == 74, result.stderr
    assert "cannot write" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(locked.iterdir()) == []


def test_an_output_below_a_file_is_a_plain_error(run: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    image = data / "brick" / "test" / "good" / "000.png"
    result = pyimgano("infer", "--from-run", run, "--category", "brick", image, "-o", tmp_path / "file" / "out")
    assert result.returncode != 0
    assert "cannot write" in result.stderr
    assert "Traceback" not in result.stderr


@POSIX_ONLY
def test_a_full_disk_leaves_nothing_under_a_final_name(run: Path, data: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands in for a disk that is full."""
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000));"
        "from pyimgano.cli.main import main; sys.exit(main())"
    )
    ask = ["infer", "--from-run", str(run), "--category", "brick", str(data / "brick" / "test")]
    command = [sys.executable, "-c", program, *ask, "-o", str(tmp_path / "out"), "--maps"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode not in (0, 70)
    assert "cannot write" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_users_own_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"precious")
    with pytest.raises(ConfigError, match="not empty"):
        parse_destination(tmp_path, None, replace=True)
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    (earlier / "predictions.jsonl").touch()
    with pytest.raises(ConfigError, match="not empty") as caught:
        parse_destination(earlier, None)
    assert "--force" in (caught.value.hint or "")
    with parse_destination(earlier, "csv", replace=True).open() as (_, folder):
        assert folder is not None
    assert [path.name for path in earlier.iterdir()] == ["predictions.csv"]


def test_an_interrupted_inference_leaves_nothing_under_the_final_name(run: Path, data: Path, tmp_path: Path) -> None:
    models = RunModels(open_run(run), category="brick")
    sources = list(InputList([str(data / "brick" / "test")]))

    def interrupted() -> None:
        seen = 0

        def each(_: int) -> None:
            nonlocal seen
            seen += 1
            if seen == 5:
                raise KeyboardInterrupt

        with parse_destination(tmp_path / "out", None).open() as (writer, folder):
            assert folder is not None
            write_predictions(predict_stream(sources, models.fitted), writer, PictureWriter(folder), each=each)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_number_of_images(run: Path, data: Path) -> None:
    """Three times as many images, from a stream without an end, need no more."""
    import gc
    import io
    import itertools
    import tracemalloc

    models = RunModels(open_run(run), category="brick")
    paths = sorted((data / "brick" / "test").rglob("*.png"))
    endless = (Source(path.name, path) for path in itertools.cycle(paths))

    class Nowhere(io.RawIOBase):
        def write(self, data: object) -> int:
            return len(data)  # type: ignore[arg-type]

    def score(count: int) -> None:
        stream = predict_stream(itertools.islice(endless, count), models.fitted, maps=True)
        write_predictions(stream, RecordWriter(Nowhere(), "jsonl"), PictureWriter(Path()))

    score(64)  # what is loaded once
    gc.collect()
    tracemalloc.start()
    score(300)
    few = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    score(900)
    many = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert many < 1.1 * few + 1_000_000


def test_names_that_are_not_ascii_survive(run: Path, data: Path, tmp_path: Path) -> None:
    target = tmp_path / "Prüfling 日本" / "naïve – 1.png"
    target.parent.mkdir()
    shutil.copy(data / "brick" / "test" / "good" / "000.png", target)
    result = pyimgano("infer", "--from-run", run, "--category", "brick", target.parent, "-o", tmp_path / "o", "--masks")
    assert result.returncode == 0, result.stderr
    record = read_records(tmp_path / "o" / "predictions.jsonl")[0]
    assert record.image == target.as_posix()
    assert (tmp_path / "o" / str(record.mask)).is_file()


def test_a_model_is_fitted_on_the_spot_and_the_run_kept_on_request(data: Path, tmp_path: Path) -> None:
    flat = tmp_path / "good"
    shutil.copytree(data / "brick" / "train" / "good", flat)
    for path in (data / "brick" / "validation" / "good").iterdir():
        shutil.copy(path, flat / f"v{path.name}")
    image = data / "brick" / "test" / "stain" / "000.png"
    ask = ("infer", "--model", "pixel-gaussian", "--train-dir", flat, image)
    result = pyimgano(*ask, "--save-run", tmp_path / "kept", "--seed", 3)
    assert result.returncode == 0, result.stderr
    record = lines(result.stdout)[0]
    assert record["decision"] in ("good", "defective")
    assert "held-out good images" in result.stderr
    kept = next((tmp_path / "kept").iterdir())
    again = pyimgano("infer", "--from-run", kept, image)
    assert again.stdout == result.stdout
    unknown = pyimgano(*ask, "--set", "sigmaa=2")
    assert unknown.returncode == 2
    assert "sigmaa" in unknown.stderr
