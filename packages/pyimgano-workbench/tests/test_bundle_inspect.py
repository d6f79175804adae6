"""``load_bundle`` and ``Bundle.inspect``: arrays of any format in, what the run would say out. 10 s."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyimgano.core.errors import ConfigError, ImageError, MissingDependencyError, ParameterError, UnknownNameError
from pyimgano.core.images import read_image
from pyimgano.core.specs import Requirement
from pyimgano.workbench import Inspection, load_bundle
from pyimgano.workbench.bundle.bundle import Bundle
from pyimgano.workbench.bundle.graph_detector import GraphDetector
from pyimgano.workbench.bundle.manifest import Manifest
from pyimgano.workbench.inference import FittedModels, RunModels, Source
from pyimgano.workbench.records import read_records
from pyimgano.workbench.runs import open_run

BLOCKED = """
import sys


class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "sklearn", "timm", "acme_inspect"} or name.startswith("pyimgano.models"):
            raise ImportError(f"{name} is not to be imported")


sys.meta_path.insert(0, Blocked())
import numpy as np
from pyimgano.core.images import read_image
from pyimgano.workbench import load_bundle

with load_bundle(sys.argv[1]) as bundle:
    print(bundle.inspect(read_image(sys.argv[2]), category="brick").score)
print(*sorted({"pydantic", "scipy", "rich", "typer"} & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def bundle(graph_bundle: Path) -> Any:
    with load_bundle(graph_bundle) as opened:
        yield opened


@pytest.fixture(scope="module")
def image(texture_images: Path) -> np.ndarray:
    """A texture, which is grey, with a defect of one colour."""
    pixels = read_image(texture_images / "brick" / "test" / "good" / "000.png").copy()
    pixels[80:120, 90:140] = (250, 10, 60)
    return pixels


def same(found: Inspection, expected: Inspection) -> bool:
    equal = (found.score, found.decision, found.regions) == (expected.score, expected.decision, expected.regions)
    assert found.map is not None
    assert expected.map is not None
    return equal and np.array_equal(found.map, expected.map)


def test_an_inspection_is_what_the_run_recorded(bundle: Bundle, graph_run: Path, texture_images: Path) -> None:
    records = read_records(graph_run / "categories" / "brick" / "per_image.jsonl")
    assert {record.decision for record in records} == {"good", "defective"}
    for record in records:
        found = bundle.inspect(read_image(texture_images / record.image), category="brick")
        assert found.score == pytest.approx(record.score, rel=1e-4)
        assert (found.decision, found.category) == (record.decision, "brick")
        assert found.p_value == pytest.approx(record.p_value, abs=0.06)  # a rank may move by one
        assert found.defective == (record.decision == "defective")
        assert found.record("a.png").to_json().keys() == {
            *("image", "category", "score", "threshold", "decision", "p_value", "regions"),
            *(("regions_left_out",) if found.regions_left_out else ()),
        }


def test_every_format_of_the_same_pixels_gives_the_same(bundle: Bundle, image: np.ndarray) -> None:
    expected = bundle.inspect(image, category="brick")
    assert expected.mask is not None
    assert expected.mask.shape == image.shape[:2] == expected.shape
    assert expected.mask.any()
    wide = image.astype(np.uint16) * 257
    for array, options in (
        (image[..., ::-1], {"color": "bgr"}),
        (image.transpose(2, 0, 1), {"layout": "chw"}),
        (image[..., ::-1].transpose(2, 0, 1), {"color": "bgr", "layout": "chw"}),
        (wide, {}),
        (image.astype(np.uint16) * 16, {"value_range": (0, 4080)}),
        (image.astype(np.float32) / 255, {}),
        (image.astype(np.float64), {"value_range": (0, 255)}),
        (np.asfortranarray(image), {}),
    ):
        assert same(bundle.inspect(array, category="brick", **options), expected), options
    grey = image[..., 0]
    expected = bundle.inspect(np.repeat(grey[..., None], 3, axis=2), category="brick")
    for array, options in (
        (grey, {}),
        (grey[..., None], {}),
        (grey[None], {"layout": "chw"}),
        (grey, {"layout": "chw"}),
        (grey.astype(np.uint16) * 257, {}),
    ):
        assert same(bundle.inspect(array, category="brick", color="gray", **options), expected)


def test_arrays_that_are_something_else_are_refused(bundle: Bundle, image: np.ndarray) -> None:
    for array, options in (
        (image, {"color": "gray"}),
        (image, {"layout": "chw"}),
        (image[..., 0], {}),
        (image.transpose(2, 0, 1), {}),
        (image.astype(np.int32), {}),
        (image.astype(np.float32), {}),
        (np.dstack([image, image[..., :1]]), {}),
        (image[:0], {}),
    ):
        with pytest.raises(ImageError):
            bundle.inspect(array, category="brick", **options)
    for options in ({"color": "rgba"}, {"layout": "nchw"}):
        with pytest.raises(ParameterError):
            bundle.inspect(image, category="brick", **options)


def test_the_category_must_be_clear(bundle: Bundle, graph_bundle: Path, image: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="The bundle has 2"):
        bundle.inspect(image)
    with pytest.raises(UnknownNameError, match="no category 'bric'"):
        bundle.inspect(image, category="bric")
    with load_bundle(graph_bundle, category="brick") as one:
        assert same(one.inspect(image), bundle.inspect(image, category="brick"))
    with pytest.raises(UnknownNameError):
        load_bundle(graph_bundle, category="bric")


def test_runs_and_bundles_offer_the_same(bundle: Bundle, graph_run: Path) -> None:
    run = RunModels(open_run(graph_run))
    for models in (run, bundle.models):
        assert isinstance(models, FittedModels)
    for name in ("model", "categories", "value_range", "has_maps", "decided_by_regions"):
        assert getattr(bundle.models, name) == getattr(run, name)
    source = Source("a.png", Path("a.png"), category="grass")
    assert bundle.models.choose(source) == run.choose(source) == "grass"
    assert bundle.models.card("grass").held_out_scores == run.card("grass").held_out_scores


def test_a_score_depends_neither_on_the_batch_nor_on_the_threads(bundle: Bundle, texture_images: Path) -> None:
    paths = sorted((texture_images / "grass" / "test").rglob("*.png"))[:20]
    graph = bundle.contents.folder / "models" / "grass" / "model.onnx"
    many, one = GraphDetector(graph, threads=4), GraphDetector(graph, threads=1)
    together = many.infer(paths)
    assert together.maps is not None
    for index, path in enumerate(paths):
        for detector in (many, one):
            alone = detector.infer([path])
            assert alone.image_scores[0] == together.image_scores[index]
            assert alone.maps is not None
            assert np.array_equal(alone.maps[0], together.maps[index])
    assert np.array_equal(many.decision_function(paths[::-1]), together.image_scores[::-1])
    assert many.infer([]).image_scores.shape == (0,)


def test_what_is_missing_is_named_with_what_to_type(
    graph_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pyimgano.cli.main import main

    needs = (
        Requirement("no_such_runtime", "pyimgano-workbench", "onnx"),
        Requirement("no_such_model", "acme-models"),
    )
    original = Manifest.from_json.__func__  # type: ignore[attr-defined]

    def needing(cls: Any, data: Any, *, where: str) -> Manifest:
        import dataclasses

        return dataclasses.replace(original(cls, data, where=where), requires=needs)

    monkeypatch.setattr(Manifest, "from_json", classmethod(needing))
    with pytest.raises(MissingDependencyError) as caught:
        load_bundle(graph_bundle)
    assert 'pip install "pyimgano-workbench[onnx]"' in str(caught.value)
    assert "pip install acme-models   (a name that the bundle gives" in str(caught.value)
    assert main(["bundle", "info", str(graph_bundle)]) == 0
    told = capsys.readouterr().out
    assert 'needs no_such_runtime: missing: pip install "pyimgano-workbench[onnx]"' in told
    assert "brick" in told
    assert main(["bundle", "validate", str(graph_bundle)]) == 3


def test_no_model_and_no_heavy_library_is_imported(
    graph_bundle: Path, bundle: Bundle, texture_images: Path, tmp_path: Path
) -> None:
    moved = shutil.copy(graph_bundle, tmp_path / "moved.zip")
    picture = texture_images / "brick" / "test" / "good" / "000.png"
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(moved), str(picture)],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYIMGANO_PLUGINS": "none"},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    score, *heavy = done.stdout.split()
    assert float(score) == bundle.inspect(read_image(picture), category="brick").score
    assert heavy == []
