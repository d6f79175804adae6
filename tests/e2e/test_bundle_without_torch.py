"""A bundle in the environment that it is for: core, workbench and command line, onnxruntime, and no torch.

The run is made, exported and removed; the bundle is moved. About 30 s, of which the environment takes 15.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pyimgano.cli.main import main
from pyimgano.core.images import read_image, write_png
from pyimgano.workbench.records import read_records

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pyimgano-core", "pyimgano-workbench[onnx]", "pyimgano-cli")
MODELS = ["acme-filter-bank"]
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


@pytest.fixture(scope="module")
def torchless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with what runs a bundle, and nothing else."""
    folder = tmp_path_factory.mktemp("torchless") / "venv"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = [f"{ROOT / 'packages' / name.partition('[')[0]}{name[len(name.partition('[')[0]) :]}" for name in PACKAGES]
    uv = shutil.which("uv")
    if uv is None:
        call([sys.executable, "-m", "venv", folder])
        call([python, "-m", "pip", "install", "--quiet", *wanted])
    else:
        call([uv, "venv", "--quiet", "--python", sys.executable, folder])
        call([uv, "pip", "install", "--quiet", "--python", python, *wanted])
    assert call([python, "-I", "-c", SEEN]).split() == []
    return python


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mono cells of elpv-dataset in MVTec's layout."""
    spec = importlib.util.find_spec("elpv_dataset")
    assert spec is not None
    assert spec.origin is not None
    data = Path(spec.origin).parent / "data"
    rows = [line.split() for line in (data / "labels.csv").read_text().splitlines()]
    root = tmp_path_factory.mktemp("cells")
    of = {
        kind: sorted(row[0] for row in rows if float(row[1]) == probability and row[2] == "mono")
        for kind, probability in (("good", 0.0), ("defective", 1.0))
    }
    for folder, paths in (
        ("train/good", of["good"][:40]),
        ("test/good", of["good"][40:50]),
        ("test/crack", of["defective"][:10]),
    ):
        (root / folder).mkdir(parents=True)
        for index, path in enumerate(paths):
            write_png(read_image(data / path), root / folder / f"{index:03d}.png")
    return root


@pytest.mark.parametrize("model", MODELS)
def test_a_moved_bundle_of_a_removed_run_gives_its_scores_without_torch(
    torchless: Path, cells: Path, tmp_path: Path, model: str
) -> None:
    settings = ("--set", "output.name=run", "--set", "output.report=false", "--set", "calibration.alpha=0.2")
    arguments = ["-q", "train", "--dataset", cells, "--model", model, "--output", tmp_path / "runs", *settings]
    assert main(list(map(str, arguments))) == 0
    run = tmp_path / "runs" / "run"
    (records,) = run.glob("categories/*/per_image.jsonl")
    expected = {record.image: record for record in read_records(records)}
    assert main(["-q", "export", str(run), "--to", str(tmp_path / "bundle.zip")]) == 0
    shutil.rmtree(tmp_path / "runs")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    bundle = Path(shutil.move(str(tmp_path / "bundle.zip"), elsewhere))
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [torchless, "-I", "-m", "pyimgano.cli", "-q", "bundle"]
    told = json.loads(call([*command, "validate", bundle, "--json"], cwd=elsewhere, env=env))
    assert told["valid"] is True
    assert "onnxruntime: installed" in call([*command, "info", bundle], cwd=elsewhere, env=env)
    call([*command, "run", bundle, cells / "test", "-o", "out", "--masks", "--overlays"], cwd=elsewhere, env=env)
    found = read_records(elsewhere / "out" / "predictions.jsonl")
    assert len(found) == len(expected) == 20
    for record in found:
        same = expected[Path(record.image).relative_to(cells).as_posix()]
        assert record.score == pytest.approx(same.score, rel=1e-4)
        assert record.decision == same.decision
        assert record.overlay is not None
