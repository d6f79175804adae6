"""A bundle in the environment that it is for: core, workbench and command line, onnxruntime, and no torch.

The run is made, exported and removed; the bundle is moved. Classical models, which are no graph, need the package of
the models, too. About a minute, of which the environments take 25 s.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Callable

import pytest

from pyimgano.cli.main import main
from pyimgano.core.images import read_image, write_png
from pyimgano.workbench.records import read_records

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pyimgano-core", "pyimgano-workbench[onnx]", "pyimgano-cli")
GRAPHS: dict[str, dict[str, object]] = {
    "acme-filter-bank": {},
    "efficient-ad": {"backbone": "efficientnet-lite0", "input_size": 64, "steps": 20, "batch_size": 4},
    "patchcore": {"coreset_sampling_ratio": 0.01},
}
SEEN = "import importlib.util as u; print(*(n for n in ('torch', 'sklearn', 'pyimgano.models') if u.find_spec(n)))"


def call(command: Sequence[object], **options: object) -> str:
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def environment(folder: Path, packages: Sequence[str]) -> Path:
    """Return the Python of an environment with these packages of ours, and what they need."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = [f"{ROOT / 'packages' / name.partition('[')[0]}{name[len(name.partition('[')[0]) :]}" for name in packages]
    uv = shutil.which("uv")
    if uv is None:
        call([sys.executable, "-m", "venv", folder])
        call([python, "-m", "pip", "install", "--quiet", *wanted])
    else:
        call([uv, "venv", "--quiet", "--python", sys.executable, folder])
        call([uv, "pip", "install", "--quiet", "--python", python, *wanted])
    return python


@pytest.fixture(scope="module")
def torchless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with what runs a bundle of graphs, and nothing else."""
    python = environment(tmp_path_factory.mktemp("torchless") / "venv", PACKAGES)
    assert call([python, "-I", "-c", SEEN]).split() == []
    return python


@pytest.fixture(scope="module")
def classical(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the models as well, and without torch."""
    python = environment(tmp_path_factory.mktemp("classical") / "venv", ("pyimgano-models", *PACKAGES))
    assert call([python, "-I", "-c", SEEN]).split() == ["sklearn", "pyimgano.models"]
    return python


@pytest.fixture(scope="module")
def cells(
    shuffled_cells: Callable[[int], tuple[list[Path], list[Path]]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Mono cells of elpv-dataset in MVTec's layout."""
    good, defective = shuffled_cells(0)
    root = tmp_path_factory.mktemp("cells")
    for folder, paths in (("train/good", good[:40]), ("test/good", good[40:50]), ("test/crack", defective[:10])):
        (root / folder).mkdir(parents=True)
        for index, path in enumerate(paths):
            write_png(read_image(path), root / folder / f"{index:03d}.png")
    return root


def export_and_remove(model: str, params: Mapping[str, object], cells: Path, folder: Path) -> tuple[Path, Any]:
    """Return a moved bundle of a run that is gone, and the run's records by image."""
    settings = ["output.name=run", "output.report=false", "calibration.alpha=0.2"]
    settings += [f"model.params.{name}={value}" for name, value in params.items()]
    given = [part for setting in settings for part in ("--set", setting)]
    arguments = ["-q", "train", "--dataset", cells, "--model", model, "--output", folder / "runs", *given]
    assert main(list(map(str, arguments))) == 0
    run = folder / "runs" / "run"
    (records,) = run.glob("categories/*/per_image.jsonl")
    expected = {record.image: record for record in read_records(records)}
    assert main(["-q", "export", str(run), "--to", str(folder / "bundle.zip")]) == 0
    shutil.rmtree(folder / "runs")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    return Path(shutil.move(str(folder / "bundle.zip"), elsewhere)), expected


def assert_bundle_gives(
    python: Path, bundle: Path, expected: Any, cells: Path, *pictures: str, about_zero: bool = False
) -> None:
    """Assert that a bundle is valid in an environment and gives a run's scores and decisions."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, "-I", "-m", "pyimgano.cli", "-q", "bundle"]
    told = json.loads(call([*command, "validate", bundle, "--json"], cwd=bundle.parent, env=env))
    assert told["valid"] is True
    call([*command, "run", bundle, cells / "test", "-o", "out", *pictures], cwd=bundle.parent, env=env)
    found = read_records(bundle.parent / "out" / "predictions.jsonl")
    assert len(found) == len(expected) == 20
    # The export's own measure: where scores lie about 0, what counts is how far they spread.
    spread = statistics.stdev(record.score for record in expected.values() if record.label == 0) if about_zero else 0.0
    for record in found:
        same = expected[Path(record.image).relative_to(cells).as_posix()]
        assert record.score == pytest.approx(same.score, rel=1e-4, abs=1e-4 * spread)
        assert record.decision == same.decision
        assert (record.overlay is not None) == bool(pictures)


@pytest.mark.parametrize("model", GRAPHS)
def test_a_moved_bundle_of_a_removed_run_gives_its_scores_without_torch(
    torchless: Path, cells: Path, tmp_path: Path, model: str
) -> None:
    bundle, expected = export_and_remove(model, GRAPHS[model], cells, tmp_path)
    assert "onnxruntime: installed" in call([torchless, "-I", "-m", "pyimgano.cli", "bundle", "info", bundle])
    pictures = ("--masks", "--overlays")
    assert_bundle_gives(torchless, bundle, expected, cells, *pictures, about_zero=model == "efficient-ad")


def test_a_classical_model_needs_its_package_and_no_torch(
    torchless: Path, classical: Path, cells: Path, tmp_path: Path
) -> None:
    bundle, expected = export_and_remove("sklearn-pca", {"features": "hog"}, cells, tmp_path)
    assert "pip install pyimgano-models" in call([torchless, "-I", "-m", "pyimgano.cli", "bundle", "info", bundle])
    assert_bundle_gives(classical, bundle, expected, cells)
