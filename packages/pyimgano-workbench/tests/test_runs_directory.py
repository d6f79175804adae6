"""Run directories: whole or visibly incomplete, never mixed, movable."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyimgano.core.errors import RunError, UnknownNameError
from pyimgano.workbench.config import RunConfig, load_run_config
from pyimgano.workbench.runs import RunDirectory, describe_environment, list_runs, open_run
from pyimgano.workbench.runs.naming import category_folders, file_stem, run_name, safe_name


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    (tmp_path / "data").mkdir()
    return load_run_config(flags={"dataset.root": tmp_path / "data", "preset": "fast", "output.dir": tmp_path / "runs"})


def test_the_name_is_utc_time_dataset_and_entrypoint() -> None:
    east = timezone(timedelta(hours=9))
    assert run_name("my data", "train", now=datetime(2031, 5, 6, 1, 2, 3, tzinfo=east)) == (
        "20310505T160203Z_my data_train"
    )


def test_a_new_run_is_marked_incomplete_and_can_be_resumed_from_its_first_moment(config: RunConfig) -> None:
    run = RunDirectory.create(config, dataset="data")
    assert run.path.name.endswith("_data_train.incomplete")
    assert open_run(run.path, complete=False).config() == config
    with pytest.raises(RunError, match="incomplete") as caught:
        open_run(run.path)
    assert f'pyimgano train --resume "{run.path}"' in str(caught.value.hint)


def test_finishing_gives_the_final_name_and_removes_the_scratch(config: RunConfig) -> None:
    run = RunDirectory.create(config, dataset="data")
    (run.scratch() / "x").write_text("x")
    with run:
        run.finish({"categories": []})
    assert run.complete
    assert not run.path.name.endswith(".incomplete")
    found = sorted(entry.name for entry in run.path.iterdir())
    assert found == ["config.json", "environment.json", "report.html", "report.json"]
    report = open_run(run.path).report()
    assert (report["schema_version"], report["run"]) == (1, run.path.name)
    with pytest.raises(RunError, match="already complete"):
        run.finish({})


def test_a_taken_name_gets_a_number_and_nothing_is_mixed(config: RunConfig) -> None:
    now = datetime(2031, 5, 6, tzinfo=timezone.utc)
    runs = [RunDirectory.create(config, dataset="data", now=now) for _ in range(3)]
    assert [run.name[-11:] for run in runs] == ["_data_train", "ata_train-2", "ata_train-3"]
    runs[1].finish({"categories": []})
    fourth = RunDirectory.create(config, dataset="data", now=now)
    assert fourth.name.endswith("train-4")
    runs[0].finish({"categories": []})
    assert RunDirectory.create(config, dataset="data", now=now).name.endswith("train-5")


def test_the_final_name_that_somebody_took_meanwhile_gets_a_number(config: RunConfig) -> None:
    run = RunDirectory.create(config, dataset="data")
    taken = run.path.parent / run.name
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    run.finish({"categories": []})
    assert run.path.name == f"{taken.name}-2"
    assert [entry.name for entry in taken.iterdir()] == ["mine.txt"]


def test_many_threads_make_many_runs_of_one_name(config: RunConfig) -> None:
    now = datetime(2031, 5, 6, tzinfo=timezone.utc)
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: RunDirectory.create(config, dataset="data", now=now), range(16)))
    assert len({run.path for run in runs}) == 16
    assert all(run.config() == config for run in runs)


def test_a_run_that_one_process_works_on_is_refused_to_another(config: RunConfig) -> None:
    run = RunDirectory.create(config, dataset="data")
    script = (
        "import sys; from pyimgano.workbench.runs import open_run\nwith open_run(sys.argv[1], complete=False): pass"
    )

    def other() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", script, str(run.path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    with run:
        assert "another process is working on this run" in other().stderr
    assert other().returncode == 0


def test_a_file_in_the_place_of_the_output_folder_is_told(config: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(RunError, match="cannot make the folder") as caught:
        RunDirectory.create(config, dataset="data")
    assert str(tmp_path / "runs") in str(caught.value)


def test_no_artifact_holds_an_absolute_path_or_a_user_name(config: RunConfig, tmp_path: Path) -> None:
    run = RunDirectory.create(config, dataset="data")
    for file in run.path.rglob("*.json"):
        text = file.read_text(encoding="utf-8")
        assert str(tmp_path) not in text, file
        assert str(Path.home()) not in text, file


def test_the_environment_names_versions_and_device() -> None:
    facts = describe_environment()
    assert facts["packages"]["numpy"]
    assert facts["packages"]["pyimgano-core"]
    assert facts["device"]
    json.dumps(facts, allow_nan=False)


def test_listing_shows_complete_incomplete_and_damaged_runs_only(config: RunConfig, tmp_path: Path) -> None:
    moment = datetime(2031, 5, 6, tzinfo=timezone.utc)
    done, open_, broken = (
        RunDirectory.create(config, dataset="data", now=moment + timedelta(days=days)) for days in range(3)
    )
    done.finish({"categories": [], "n_test": 4, "means": {}})
    broken.finish({"categories": []})
    (broken.path / "report.json").write_text("{")
    (tmp_path / "runs" / "other").mkdir()
    found = list_runs(tmp_path / "runs")
    assert [(info.name, info.state) for info in found] == [
        (done.name, "complete"),
        (open_.name, "incomplete"),
        (broken.name, "damaged"),
    ]
    assert (found[0].model, found[0].dataset, found[0].n_test) == ("patchcore", "data", 4)
    assert "not valid JSON" in str(found[2].problem)


def test_a_folder_that_is_no_run_is_told_apart_from_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such run"):
        open_run(tmp_path / "none")
    with pytest.raises(RunError, match=r"no config\.json"):
        open_run(tmp_path)
    with pytest.raises(RunError, match="cannot list"):
        list_runs(tmp_path / "none")


def test_an_incomplete_run_is_found_by_its_final_name(config: RunConfig) -> None:
    run = RunDirectory.create(config, dataset="data")
    assert open_run(run.path.parent / run.name, complete=False).path == run.path


def test_an_unknown_category_is_refused_with_the_nearest_name(config: RunConfig) -> None:
    run = RunDirectory.create(config, dataset="data")
    run.plan(["bottle", "cable"])
    with pytest.raises(UnknownNameError, match="botle") as caught:
        run.category("botle")
    assert "bottle" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["..", ".", "a/b", "a\\b", "CON", "x. ", "", "a:b", "%2E", "naïve", "日本", "a\nb"])
def test_a_category_of_any_name_gets_a_plain_folder(name: str) -> None:
    folder = safe_name(name)
    assert folder not in ("", ".", "..")
    assert not set(folder) & set('/\\:*?"<>|\n')
    assert folder[-1] not in ". "
    assert folder.upper() != "CON"


@given(st.lists(st.text(max_size=8), unique=True, max_size=8))
def test_folders_of_categories_differ_even_where_case_does_not_count(names: list[str]) -> None:
    folders = category_folders(names)
    assert set(folders) == set(names)
    assert len({folder.casefold() for folder in folders.values()}) == len(names)


@given(st.text(min_size=1, max_size=30))
def test_a_file_stem_leads_nowhere_else(name: str) -> None:
    stem = Path(file_stem(name))
    assert not stem.is_absolute()
    assert not set(stem.parts) & {"..", "."}
    assert stem.parts


def test_the_names_of_the_elpv_and_mvtec_layouts_stay_as_they_are() -> None:
    assert file_stem("metal_nut/test/bent/000.png") == "metal_nut/test/bent/000.png"
    assert safe_name("metal_nut") == "metal_nut"
