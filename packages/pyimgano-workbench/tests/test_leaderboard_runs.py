"""`pyimgano runs leaderboard`: runs of the same test images, the best first, and no others beside them."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pyimgano.core.errors import ConfigError, RunError, UnknownNameError
from pyimgano.workbench.compare.ranking import find_runs, rank_runs

Runs = Mapping[str, Path]


def ranked(folder: Path, metric: str = "image_auroc") -> list[list[tuple[object, ...]]]:
    groups = rank_runs(find_runs([folder])[0], metric, resamples=300)
    return [[(row.rank, row.run, row.as_good_as_best) for row in group.rows] for group in groups]


def test_only_runs_of_the_same_test_images_are_ranked_together(copied_runs: Runs) -> None:
    folder = copied_runs["one"].parent
    assert ranked(folder) == [[(1, "coarse", True), (2, "fine", False)], [(1, "one", True)]]


def test_runs_are_found_at_any_depth_and_never_twice(copied_runs: Runs) -> None:
    folder = copied_runs["one"].parent
    deep = folder / "a" / "b"
    shutil.move(str(copied_runs["fine"]), str(deep / "fine"))
    runs, left_out = find_runs([folder, deep, copied_runs["one"]])
    assert sorted(run.name for run in runs) == ["coarse", "fine", "one"]
    assert left_out == []


def test_for_overkill_and_escape_less_is_better_and_equal_values_share_a_rank(copied_runs: Runs) -> None:
    folder = copied_runs["one"].parent
    shutil.rmtree(copied_runs["one"])
    shutil.copytree(copied_runs["coarse"], folder / "twin")
    assert ranked(folder, "escape") == [[(1, "coarse", True), (1, "twin", True), (3, "fine", False)]]


def test_a_pixel_metric_is_ranked_without_a_claim_on_chance(copied_runs: Runs) -> None:
    (both, _) = ranked(copied_runs["one"].parent, "pixel_auroc")
    assert [row[0] for row in both] == [1, 2]
    assert [row[2] for row in both] == [True, None]


def test_a_run_without_the_metric_comes_last_with_the_reason(copied_runs: Runs) -> None:
    path = copied_runs["coarse"] / "categories/grass/report.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    report["metrics"]["image_auroc"].update(value=None, reason="no defective test images")
    path.write_text(json.dumps(report), encoding="utf-8")
    group = rank_runs(find_runs([copied_runs["one"].parent])[0], "image_auroc", resamples=300)[0]
    last = group.rows[-1]
    assert (last.run, last.rank, last.value, last.as_good_as_best) == ("coarse", None, None, None)
    assert last.reason == "grass: no defective test images"


def test_incomplete_and_damaged_runs_are_named_and_left_out(copied_runs: Runs) -> None:
    copied_runs["fine"].rename(copied_runs["fine"].with_name("fine.incomplete"))
    (copied_runs["one"] / "categories/brick/report.json").write_text("{}", encoding="utf-8")
    runs, left_out = find_runs([copied_runs["coarse"].parent])
    assert [run.name for run in runs] == ["coarse"]
    assert len(left_out) == 2
    assert any("fine.incomplete: incomplete" in line for line in left_out)
    assert any("lacks 'data'" in line for line in left_out)


def test_what_cannot_be_ranked_by_is_refused(texture_runs: Runs, tmp_path: Path) -> None:
    runs, _ = find_runs([texture_runs["one"]])
    with pytest.raises(UnknownNameError, match="no metric 'image_aurco'"):
        rank_runs(runs, "image_aurco")
    with pytest.raises(ConfigError, match="neither a higher nor a lower"):
        rank_runs([], "something")
    with pytest.raises(RunError, match="no such folder"):
        find_runs([tmp_path / "none"])


def test_the_command_gives_a_table_csv_and_json(texture_runs: Runs) -> None:
    def leaderboard(*options: str) -> str:
        command = [sys.executable, "-m", "pyimgano.cli", "-q", "runs", "leaderboard"]
        done = subprocess.run(
            [*command, str(texture_runs["one"].parent), *options],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    table = leaderboard()
    assert "textures: brick, grass; 36 good + 36 defective test images, higher image_auroc is better" in table
    rows = list(csv.DictReader(io.StringIO(leaderboard("--csv"))))
    assert [(row["group"], row["rank"], row["run"]) for row in rows] == [
        ("1", "1", "coarse"),
        ("1", "2", "fine"),
        ("2", "1", "one"),
    ]
    assert rows[0]["low"] == ""
    assert float(rows[2]["low"]) < float(rows[2]["value"]) < float(rows[2]["high"])
    groups = json.loads(leaderboard("--json"))["groups"]
    assert [[run["run"] for run in group["runs"]] for group in groups] == [["coarse", "fine"], ["one"]]
    assert groups[0]["runs"][0]["value"] == float(rows[0]["value"])
