"""Images, runs and bundles that can only be read, and folders in which nothing can be made. Takes 10 s."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.training import run_recipe

COMMANDS = """
import json, sys
from pyimgano.cli.main import main
print(json.dumps([main(arguments) for arguments in json.loads(sys.argv[1])]), file=sys.stderr)
"""


def unprivileged() -> list[str]:
    """Return what begins a command that permissions hold for: the superuser writes anywhere."""
    if os.name == "nt":
        pytest.skip("folders have other permissions on Windows")
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("run by the superuser, and there is no setpriv to drop that power")
    return ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search"]


def run_all(commands: list[list[object]], cwd: Path) -> tuple[list[int], str]:
    """Run commands in one process, and return their exit codes and what stood on stderr."""
    import json

    listed = json.dumps([[str(argument) for argument in command] for command in commands])
    done = subprocess.run(
        [*unprivileged(), sys.executable, "-c", COMMANDS, listed],
        cwd=cwd,
        env={**os.environ, "PYIMGANO_CACHE_DIR": str(cwd / "locked" / "cache")},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    text, _, codes = done.stderr.rstrip().rpartition("\n")
    return json.loads(codes), text


@pytest.fixture(scope="module")
def home(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with ``data``, a ``run`` and a ``bundle`` that can only be read, and an empty one, ``locked``."""
    top = tmp_path_factory.mktemp("read-only")
    shutil.copytree(parts, top / "data")
    flags = {"dataset.root": top / "data", "model.name": "pixel-gaussian", "output.dir": top, "output.name": "run"}
    run_recipe(load_run_config(flags=flags, settings=["calibration.alpha=0.6"]))
    (top / "locked").mkdir()
    (codes, text) = run_all([["export", "run", "--runtime", "torch", "--to", "bundle"]], top)
    assert codes == [0], text
    kept = [top / "locked", *(path for name in ("data", "run", "bundle") for path in (top / name).rglob("*"))]
    kept += [top / "data", top / "run", top / "bundle"]
    for path in kept:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield top
    for path in kept:
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_what_can_only_be_read_is_used(home: Path) -> None:
    image = home / "data" / "00.png"
    codes, text = run_all(
        [
            ["infer", "--from-run", "run", "--category", "bolt", image, "--output", "records.jsonl"],
            ["bundle", "run", "bundle", "--category", "bolt", image, "--output", "again.jsonl"],
            ["runs", "verify", "run"],
            ["datasets", "inspect", "data"],
            [
                "train",
                "--dataset",
                "data",
                "--model",
                "sklearn-pca",
                "--set",
                "calibration.alpha=0.6",
                "--output",
                "new",
            ],
        ],
        home,
    )
    assert codes == [0, 0, 0, 0, 0], text
    assert (home / "records.jsonl").stat().st_size > 0
    assert (home / "again.jsonl").stat().st_size > 0


def test_an_output_that_cannot_be_made_is_named_and_nothing_is_left(home: Path) -> None:
    image = home / "data" / "00.png"
    codes, text = run_all(
        [
            ["infer", "--from-run", "run", "--category", "bolt", image, "--output", "locked/records.jsonl"],
            ["infer", "--from-run", "run", "--category", "bolt", image, "--output", "locked/records", "--maps"],
            ["export", "run", "--to", "locked/bundle.zip"],
            ["runs", "report", "run"],
            ["benchmark", "--dataset", "data", "--models", "pixel-gaussian", "--output", "locked/table"],
            ["init", "data", "--output", "locked/run.toml"],
        ],
        home,
    )
    assert codes == [74] * 6, text
    for name in ("records.jsonl", "records", "bundle.zip", "table", "run.toml"):
        assert f"locked/{name}: cannot " in text
    assert list((home / "locked").iterdir()) == []
