"""`infer` and `bundle run` in shards: the records of one process, each scored once, whoever is killed. Takes 15 s."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

import jsonschema
import numpy as np
import pytest

from pyimgano.cli.main import main
from pyimgano.core.errors import RunError
from pyimgano.core.files import dump_json, load_json, sha256_file
from pyimgano.core.images import write_png
from pyimgano.workbench.bundle.fingerprint import run_fingerprint
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.inference.shard_worker import score_shard
from pyimgano.workbench.inference.shards import ShardedOutput
from pyimgano.workbench.inference.sources import InputList
from pyimgano.workbench.runs import open_run
from pyimgano.workbench.schemas import json_schema
from pyimgano.workbench.training import run_recipe

PROGRAM = "import sys; from pyimgano.cli.main import main; sys.exit(main())"

PARKS = """
import os, time
from pyimgano.core.detector import BaseDetector
from pyimgano.core.specs import ModelSpec
import numpy as np

SPECS = (ModelSpec("tst-parks", "Mean brightness", "tst_parks:Parks"),)

class Parks(BaseDetector):
    "Distance of the mean brightness to that of good images; waits for a file where there is somebody to kill."
    def _fit(self, images):
        self.mean_ = float(np.mean([image.mean() for batch in images for image in batch]))
    def _infer_batch(self, batch, *, maps):
        go = os.environ.get("TST_GO")
        while go and not os.path.exists(go):
            with open(f"{go}.{os.getppid()}", "w"):
                time.sleep(0.1)
        return np.array([abs(image.mean() - self.mean_) for image in batch]), None
    def _get_state(self):
        return {"mean": np.array([self.mean_])}, {}
    def _set_state(self, arrays, facts):
        self.mean_ = float(arrays["mean"][0])
"""


def made_run(folder: Path, data: Path, model: str) -> Path:
    flags = {
        "dataset.root": data,
        "model.name": model,
        "calibration.alpha": 0.2,
        "output.dir": folder,
        "output.name": model,
        "output.report": False,
        "output.thumbnails": 0,
    }
    return run_recipe(load_run_config(flags=flags)).path


@pytest.fixture
def data(make_cells: Callable[..., Path], tmp_path: Path) -> Path:
    return make_cells(tmp_path / "cells")


@pytest.fixture
def images(cell_images: dict[str, list[np.ndarray]], tmp_path: Path) -> Path:
    """Ten images and one that is damaged."""
    folder = tmp_path / "archive"
    folder.mkdir()
    for number, image in enumerate(cell_images["defective"][:5] + cell_images["good"][-5:]):
        write_png(image, folder / f"{number:02d}.png")
    (folder / "04 damaged.png").write_bytes(b"no image")
    return folder


def infer(*arguments: Any) -> int:
    return main(["-q", "infer", *map(str, arguments)])


def joined(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("predictions-*.jsonl")))


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.glob("*/*"))}


def test_shards_hold_the_records_and_pictures_of_one_process(data: Path, images: Path, tmp_path: Path) -> None:
    ask = ("--from-run", made_run(tmp_path, data, "pixel-gaussian"), images, "--maps", "--max-errors", 1, "-o")
    assert infer(*ask, tmp_path / "one") == 0
    assert infer(*ask, tmp_path / "many", "--shard-size", 4, "--jobs", 2) == 0
    assert joined(tmp_path / "many") == (tmp_path / "one" / "predictions.jsonl").read_bytes()
    assert pictures(tmp_path / "many") == pictures(tmp_path / "one") != {}
    found = load_json(tmp_path / "many" / "predictions.json")
    assert [(shard["file"], shard["first"], shard["images"], shard["errors"]) for shard in found["shards"]] == [
        ("predictions-00000.jsonl", 0, 4, 0),
        ("predictions-00001.jsonl", 4, 4, 1),
        ("predictions-00002.jsonl", 8, 3, 0),
    ]
    assert (found["images"], found["errors"]) == (11, 1)
    jsonschema.validate(found, json_schema("shards"))
    for shard in found["shards"]:
        assert shard["sha256"] == sha256_file(tmp_path / "many" / shard["file"])
    assert {path.name for path in (tmp_path / "many").iterdir()} == {
        "maps",
        "predictions.json",
        *(shard["file"] for shard in found["shards"]),
    }
    assert not (tmp_path / "many.partial").exists()
    # The exit codes are those of one process, and --force replaces shards.
    assert infer(*ask[:-3], "-o", tmp_path / "many", "--shard-size", 4) == 2
    assert infer(*ask[:-3], "-o", tmp_path / "many", "--shard-size", 4, "--force") == 4


def test_what_is_done_is_not_scored_again_and_what_is_damaged_is(data: Path, images: Path, tmp_path: Path) -> None:
    run = open_run(made_run(tmp_path, data, "pixel-gaussian"))
    models = {"kind": "run", "fingerprint": run_fingerprint(run), "category": None}
    wanted = {"maps": False, "masks": False, "overlays": False, "regions": True}
    asked = {"models": models, "inputs": [str(images)], "wanted": wanted}
    begun = ShardedOutput(tmp_path / "out", asked, InputList([str(images)]), size=4)
    for shard in begun.shards[:2]:
        request = {"number": shard.number, "first": shard.first, "key": shard.key, "batch_size": None}
        score_shard({**request, "models": {**models, "path": str(run.path)}, "wanted": wanted, "folder": begun.folder})
    kept, damaged = (begun.folder / f"predictions-0000{number}.jsonl" for number in (0, 1))
    before = kept.stat().st_mtime_ns, kept.stat().st_ino
    damaged.write_bytes(damaged.read_bytes().replace(b'"score":0', b'"score":9', 1) + b"\n")
    (images / "zz late.png").write_bytes(b"")  # not listed any more
    ask = ("--from-run", run.path, images, "--max-errors", 1, "-o")
    assert infer(*ask, tmp_path / "out", "--shard-size", 5) == 2
    assert infer(*ask, tmp_path / "out", "--shard-size", 4) == 0
    kept = tmp_path / "out" / kept.name
    assert (kept.stat().st_mtime_ns, kept.stat().st_ino) == before
    (images / "zz late.png").unlink()
    assert infer(*ask, tmp_path / "one") == 0
    assert joined(tmp_path / "out") == (tmp_path / "one" / "predictions.jsonl").read_bytes()


def test_a_shard_is_that_of_its_models_images_and_options(images: Path, tmp_path: Path) -> None:
    def keys(name: str, **asked: Any) -> list[str]:
        output = ShardedOutput(tmp_path / name, {"models": 1, **asked}, InputList([str(images)]), size=4)
        return [shard.key for shard in output.shards]

    first = keys("a")
    assert keys("b") == first
    assert len(set(first)) == 3
    assert not set(keys("c", models=2)) & set(first)
    (images / "00.png").rename(images / "00 renamed.png")
    renamed = keys("d")
    assert renamed[0] != first[0]
    assert renamed[1:] == first[1:]


def test_another_run_in_its_place_is_an_error_and_no_record(data: Path, images: Path, tmp_path: Path) -> None:
    run = made_run(tmp_path, data, "pixel-gaussian")
    ask = ("--from-run", run, images, "--max-errors", 1, "--shard-size", 4, "-o", tmp_path / "out")
    output = ShardedOutput(tmp_path / "x", {"models": 1}, InputList([str(images)]), size=4)
    request = {"models": {"kind": "run", "path": str(run), "fingerprint": "0", "category": None}, "batch_size": None}
    with pytest.raises(RunError, match="another run lies here"):
        score_shard({**request, "folder": output.folder, "number": 0, "first": 0, "key": "k", "wanted": {}})
    assert infer(*ask) == 0
    config = load_json(run / "config.json")
    dump_json({**config, "seed": 1}, run / "config.json")
    assert infer(*ask, "--force") == 0  # it is another one now, and may be used as such


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--jobs", 2), "several processes write shards"),
        (("--jobs", 2, "-o", "out.jsonl"), "several processes write shards"),
        (("--scheduler", "tcp://h:1", "-o", "out"), "--executor dask"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    data: Path, images: Path, tmp_path: Path, options: tuple[Any, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    assert infer("--from-run", tmp_path / "run", images, *options) == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_a_bundle_writes_the_same_shards_in_processes(graph_bundle: Path, texture_images: Path, tmp_path: Path) -> None:
    ask = ["-q", "bundle", "run", str(graph_bundle), str(texture_images / "brick" / "test"), "--category", "brick"]
    assert main([*ask, "-o", str(tmp_path / "one")]) == 0
    assert main([*ask, "-o", str(tmp_path / "many"), "--jobs", "2", "--shard-size", "20"]) == 0
    assert joined(tmp_path / "many") == (tmp_path / "one" / "predictions.jsonl").read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_cluster_whose_worker_is_killed_writes_the_same_records(
    plug_in: Callable[..., Path],
    data: Path,
    images: Path,
    start_cluster: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("distributed")
    plug_in("tst-parks", {"pyimgano.models": {"tst-parks": "tst_parks:SPECS"}}, {"tst_parks": PARKS})
    ask = ["infer", "--from-run", made_run(tmp_path, data, "tst-parks"), images, "--max-errors", 1, "-o"]
    assert infer(*ask[1:], tmp_path / "one") == 0
    go = tmp_path / "go"
    monkeypatch.setenv("TST_GO", str(go))
    running = start_cluster()
    there = [*ask, tmp_path / "many", "--shard-size", 3, "--executor", "dask", "--scheduler", running.file]
    command = [sys.executable, "-c", PROGRAM, *map(str, there)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8") as process:
        parked: list[Path] = []
        while not parked and process.poll() is None:
            time.sleep(0.1)
            parked = list(tmp_path.glob("go.*"))
        assert parked, process.communicate()[1]
        os.kill(int(parked[0].suffix[1:]), signal.SIGKILL)
        go.touch()
        told = process.communicate(timeout=120)[1]
    assert process.returncode == 0, told
    assert joined(tmp_path / "many") == (tmp_path / "one" / "predictions.jsonl").read_bytes()
    assert "11 images" in told
