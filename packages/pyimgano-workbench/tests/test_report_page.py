"""report.html as a file: when it is made, from what, and what it must never cost."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

import pyimgano.workbench.report
from pyimgano.core.errors import RunError
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.report import write_page, write_run_report
from pyimgano.workbench.report.run import PICTURE_BUDGET
from pyimgano.workbench.runs import RunDirectory, open_run
from pyimgano.workbench.runs.directory import REPORT_JSON
from pyimgano.workbench.training import resume_run, run_recipe

PROGRAM = "import sys; from pyimgano.cli.main import main; sys.exit(main())"


def train(data: Path, *settings: str, progress: Any = None) -> RunDirectory:
    flags = {"dataset.root": data, "model.name": "pixel-gaussian", "output.dir": data.parent / "runs"}
    base = ["model.params.input_size=48", "calibration.alpha=0.2", *settings]
    return run_recipe(load_run_config(settings=base, flags=flags), progress=progress)


def blocks(page: Path) -> dict[str, Any]:
    found = re.findall(r'<script type="application/json" id="([^"]+)">(.*?)</script>', page.read_text(encoding="utf-8"))
    return {name: json.loads(text) for name, text in found}


def command(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, encoding="utf-8", timeout=120)


class Notes:
    """Keeps what a run says."""

    def __init__(self) -> None:
        from pyimgano.workbench.progress import Silent

        self.stage = Silent().stage
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(scope="module")
def run(cell_images: dict[str, list[np.ndarray]], tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    from pyimgano.core.images import write_png

    root = tmp_path_factory.mktemp("page") / "cells"
    sets = {"train/good": ("good", 10, 40), "test/good": ("good", 0, 10), "test/crack": ("defective", 0, 10)}
    for folder, (kind, start, end) in sets.items():
        (root / folder).mkdir(parents=True)
        for index, image in enumerate(cell_images[kind][start:end]):
            write_png(image, root / folder / f"{index:03d}.png")
    return train(root)


def test_a_page_holds_every_record_with_its_full_precision(run: RunDirectory) -> None:
    found = blocks(run.path / "report.html")
    records = [json.loads(line) for line in run.category("cells").per_image.read_text(encoding="utf-8").splitlines()]
    columns = found["category-0"]["records"]
    assert columns["image"] == [record["image"] for record in records]
    assert columns["score"] == [record["score"] for record in records]
    assert found["category-0"]["report"] == run.category("cells").report()
    assert found["run"]["report"] == run.report()
    assert sorted(map(int, found["pictures-0"])) == list(range(20))


def test_a_page_names_no_other_place_than_itself(run: RunDirectory) -> None:
    text = (run.path / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert set(re.findall(r"""https?://[^"'\s<>)]+""", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(link|script|img|iframe)[^>]*\s(src|href)=\"(?!data:,)", text)
    assert str(run.path.parent.parent) not in text


def test_the_command_makes_the_same_page_again_without_data_and_model(run: RunDirectory, tmp_path: Path) -> None:
    moved = tmp_path / "moved" / run.path.name
    shutil.copytree(run.path, moved)
    shutil.rmtree(moved / "checkpoints")
    before = (moved / "report.html").read_bytes()
    (moved / "report.html").unlink()
    result = command("runs", "report", moved, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(moved / "report.html")
    assert (moved / "report.html").read_bytes() == before
    result = command("runs", "report", moved, "--output", "small.html", "--thumbnails", 3, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    result = command("runs", "report", moved, "--output", "small.html", "--thumbnails", 3, "--json", cwd=tmp_path)
    assert json.loads(result.stdout) == {"run": str(moved), "page": "small.html"}
    small = blocks(tmp_path / "small.html")
    assert len(small["pictures-0"]) == 3
    assert small["category-0"]["pictures"]["note"].startswith("3 of 20 images have a picture here")


def test_a_budget_leaves_pictures_out_and_says_so(run: RunDirectory, tmp_path: Path) -> None:
    page = write_run_report(run, tmp_path / "page.html", budget=60_000)
    found = blocks(page)
    kept = found["pictures-0"]
    assert 0 < len(kept) < 20
    assert sum(len(data or "") for pair in kept.values() for data in pair) <= 60_000 < PICTURE_BUDGET
    assert f"{20 - len(kept)} were left out to keep this page small" in found["category-0"]["pictures"]["note"]


def test_a_run_without_a_report_page_has_neither_page_nor_pictures(
    make_cells: Callable[..., Path], tmp_path: Path
) -> None:
    run = train(make_cells(tmp_path / "cells"), "output.report=false")
    assert not (run.path / "report.html").exists()
    assert not (run.category("cells").path / "thumbs").exists()
    page = blocks(write_run_report(run))  # asked for later, it says what it lacks
    assert page["pictures-0"] == {}
    assert "kept no pictures" in page["category-0"]["pictures"]["note"]


def test_a_page_that_cannot_be_made_costs_no_run(
    make_cells: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr(pyimgano.workbench.report, "write_run_report", fail)
    notes = Notes()
    run = train(make_cells(tmp_path / "cells"), progress=notes)
    assert run.complete
    assert not (run.path / "report.html").exists()
    (warning,) = [text for text in notes.said if "no ink" in text]
    assert f'pyimgano runs report "{run.path}"' in warning


def test_a_run_that_was_killed_before_its_page_gets_one_when_resumed(run: RunDirectory, tmp_path: Path) -> None:
    draft = tmp_path / f"{run.path.name}.incomplete"
    shutil.copytree(run.path, draft)
    (draft / "report.html").unlink()
    assert (draft / REPORT_JSON).is_file()
    resumed = resume_run(draft)
    assert resumed.complete
    assert blocks(resumed.path / "report.html")["run"]["name"] == run.name


def test_a_run_of_an_earlier_version_is_shown_with_what_it_has(run: RunDirectory, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(run.path, old)
    folder = open_run(old).category("cells")
    (folder.path / "curves.json").unlink()
    shutil.rmtree(folder.path / "thumbs")
    report = folder.report()
    for key in ("by_defect", "by_group", "curves"):
        report.pop(key)
    folder.report_file.write_text(json.dumps(report), encoding="utf-8")
    assert blocks(write_run_report(open_run(old)))["category-0"]["curves"] == {}


def test_a_damaged_record_is_named_with_its_line(run: RunDirectory, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(run.path, damaged)
    path = open_run(damaged).category("cells").per_image
    path.write_text(path.read_text(encoding="utf-8") + '{"image": "tru', encoding="utf-8")
    with pytest.raises(RunError) as caught:
        write_run_report(open_run(damaged), tmp_path / "page.html")
    assert str(caught.value.where).endswith("per_image.jsonl:21")
    assert not (tmp_path / "page.html").exists()
    result = command("runs", "report", damaged, cwd=tmp_path)
    assert result.returncode == 5
    assert "Traceback" not in result.stderr


def test_nothing_in_the_data_can_end_its_element(tmp_path: Path) -> None:
    evil = {"text": "</script><script>alert(1)</script><!--", "name": os.fsdecode(b"caf\xe9.png")}
    write_page(tmp_path / "page.html", title="<b>&", scripts=("benchmark.js",), blocks=[("benchmark", evil)])
    assert blocks(tmp_path / "page.html") == {"benchmark": evil}
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "alert(1)</script>" not in text
    assert "<title>&lt;b&gt;&amp;</title>" in text


def test_a_benchmark_leaves_a_page_with_links_to_its_runs(make_cells: Callable[..., Path], tmp_path: Path) -> None:
    make_cells(tmp_path / "cells")
    result = command(
        *("benchmark", "--dataset", "cells", "--models", "pixel-gaussian", "--seeds", "0,1", "-o", "b"),
        *("--set", "calibration.alpha=0.2", "--json"),
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    shown = blocks(tmp_path / "b" / "report.html")["benchmark"]
    assert [{k: v for k, v in row.items() if k != "page"} for row in shown["rows"]] == json.loads(result.stdout)["rows"]
    assert len(shown["rows"]) == 2
    for row in shown["rows"]:
        assert (tmp_path / "b" / row["page"]).is_file()
