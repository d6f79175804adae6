"""Bundles whose graphs OpenVINO runs: exported and compared under it, and nothing of onnxruntime asked. Takes 8 s."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pyimgano.cli.main import main
from pyimgano.core.files import load_json
from pyimgano.core.images import read_image
from pyimgano.workbench import load_bundle
from pyimgano.workbench.bundle.graph_detector import GraphDetector

pytest.importorskip("openvino", reason="OpenVINO is not installed: the extra openvino brings it")


@pytest.fixture(scope="module")
def bundle(graph_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("openvino") / "bundle"
    assert main(["-q", "export", str(graph_run), "--runtime", "openvino", "--to", str(target)]) == 0
    return target


def test_it_needs_openvino_and_was_compared_under_it(bundle: Path) -> None:
    manifest = load_json(bundle / "manifest.json")
    assert [need["module"] for need in manifest["requires"]] == ["openvino"]
    assert "openvino" in manifest["created_with"]
    assert "needs openvino, not torch" in (bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    parity = load_json(bundle / "parity.json")
    assert all(category["score_difference"] <= 1e-4 for category in parity["categories"])
    assert not any(category["changed_decisions"] for category in parity["categories"])


def test_it_runs_where_there_is_no_onnxruntime(bundle: Path) -> None:
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from pyimgano.cli.main import main\n"
        f"sys.exit(main(['-q', 'bundle', 'validate', {str(bundle)!r}]))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_both_runtimes_give_the_same_scores_whatever_the_threads_and_the_batch(
    bundle: Path, graph_run: Path, graph_folder: Path
) -> None:
    with load_bundle(bundle) as opened, load_bundle(graph_folder) as other:
        name = opened.categories[0]
        image = read_image(bundle / "samples" / name / "input.png")
        found, expected = (one.inspect(image, category=name) for one in (opened, other))
    assert found.score == pytest.approx(expected.score, rel=1e-5)
    assert found.decision == expected.decision
    graph = bundle / "models" / name / "model.onnx"
    images = [image, image[::-1].copy(), image[:, ::-1].copy()]
    many, one = (GraphDetector(graph, threads=threads, runtime="openvino") for threads in (4, 1))
    together = many.infer(images)
    for index, alone in enumerate(images):
        assert one.infer([alone]).image_scores[0] == together.image_scores[index]
        assert one.infer([alone]).maps[0].tobytes() == together.maps[index].tobytes()


def test_without_openvino_it_says_what_to_install(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pyimgano.workbench.bundle.manifest.installed", lambda module: module != "openvino")
    assert main(["bundle", "run", str(bundle), str(bundle), "--output", "nowhere"]) == 3
    assert 'pip install "pyimgano-workbench[openvino]"' in capsys.readouterr().err


def test_json_says_what_it_needs(graph_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "one.zip"
    arguments = ["export", str(graph_run), "--runtime", "openvino", "--to", str(target), "--json"]
    assert main([*arguments, "--category", "brick", "--parity-limit", "5"]) == 0
    assert json.loads(capsys.readouterr().out)["requires"] == ['pip install "pyimgano-workbench[openvino]"']
