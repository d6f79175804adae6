"""Checkpoints and exports that anomalib wrote: raw scores, safe loading, state, export. Takes 25 s."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pyimgano.core.creation import create_model, load_model
from pyimgano.core.errors import CheckpointError, MissingDependencyError, ParameterError
from pyimgano.core.testing import check_detector

ASSETS = Path(__file__).resolve().parent / "assets"
SIDE = 72
"""Of the graphs in the folder assets, which ``make_exports.py`` there had anomalib write."""


@pytest.fixture(scope="module")
def files(results: Path) -> dict[str, Path]:
    """Kind → file: of a training just now, and of one whose graphs are kept."""
    place = results / "Patchcore" / "weave" / "v0" / "weights"
    return {
        "ckpt": place / "lightning" / "model.ckpt",
        "pt": place / "torch" / "model.pt",
        "onnx": ASSETS / "patchcore.onnx",
        "openvino": ASSETS / "patchcore.xml",
    }


@pytest.fixture(scope="module")
def module(files: dict[str, Path]):
    """anomalib's own module, loaded by anomalib from its checkpoint."""
    from pyimgano.anomalib.making import import_anomalib

    import_anomalib()
    from anomalib.models import Patchcore

    from pyimgano.anomalib.backbone_files import networks_without_weights
    from pyimgano.anomalib.surroundings import quiet

    with quiet(), networks_without_weights():
        return Patchcore.load_from_checkpoint(files["ckpt"], map_location="cpu").eval()


def opened(files: dict[str, Path], kind: str, **more):
    return create_model(
        "anomalib-checkpoint", path=str(files[kind]), **({"trust": True} if kind == "pt" else {}), **more
    )


@pytest.mark.parametrize("kind", ["ckpt", "pt"])
def test_scores_and_maps_are_raw_and_those_of_anomalibs_network(files, module, images, kind) -> None:
    import torch

    scores = opened(files, kind).fit(images.train).infer(images.test)
    for index, image in enumerate(images.test):
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            answer = module.model(module.pre_processor.transform(pixels))
            judged = module.post_processor(answer)
        np.testing.assert_allclose(scores.image_scores[index], float(answer.pred_score[0]), rtol=1e-5)
        np.testing.assert_allclose(scores.maps[index], answer.anomaly_map[0, 0].numpy(), rtol=1e-5, atol=1e-6)
        assert 0.0 <= float(judged.pred_score) <= 1.0  # what anomalib itself would say
    assert scores.image_scores.max() > 1.0


def like_raw(found, raw, kind):
    """Return raw values as a graph has them: OpenVINO folds a normalisation into the weights, and the limits go."""
    if kind == "onnx":
        return raw
    (factor, summand), *_ = np.linalg.lstsq(
        np.stack([raw.ravel(), np.ones(raw.size)], axis=1), found.ravel(), rcond=None
    )
    assert factor > 0.0
    return factor * raw + summand


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_a_graphs_outputs_are_those_before_the_post_processor(files, images, kind) -> None:
    """What anomalib's network said in torch when the graph was exported; its post-processor says 0 to most of it."""
    kept = np.load(ASSETS / "patchcore.npz")
    scores = opened(files, kind).fit(images.train).infer(list(kept["images"]))
    np.testing.assert_allclose(
        scores.image_scores, like_raw(scores.image_scores, kept["scores"], kind), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(scores.maps, like_raw(scores.maps, kept["maps"], kind), rtol=1e-4, atol=1e-5)
    assert kept["normalised_scores"].min() == 0.0
    assert (kept["normalised_maps"] == 0.0).any()
    assert len(np.unique(scores.image_scores)) == len(scores)


@pytest.mark.parametrize("kind", ["ckpt", "pt", "onnx", "openvino"])
def test_a_saved_detector_needs_neither_the_file_nor_trust(files, images, kind, tmp_path) -> None:
    copies = tmp_path / "Patchcore"
    copies.mkdir()
    for beside in files[kind].parent.glob(f"{files[kind].stem}.*"):
        shutil.copy(beside, copies)
    moved = {kind: copies / files[kind].name}
    detector = opened(moved, kind).fit(images.train)
    scores = detector.infer(images.test)
    detector.save(tmp_path / "saved")
    record = (
        (tmp_path / "saved" / "detector.json").read_text(encoding="utf-8").replace('"trust": true', '"trust": false')
    )
    (tmp_path / "saved" / "detector.json").write_text(record, encoding="utf-8")
    shutil.rmtree(copies)
    loaded = load_model("anomalib-checkpoint", tmp_path / "saved")
    again = loaded.infer(images.test)
    assert again.image_scores.tobytes() == scores.image_scores.tobytes()
    assert again.maps.tobytes() == scores.maps.tobytes()


@pytest.mark.parametrize("kind", ["ckpt", "onnx"])
def test_contract(files, kind) -> None:
    check_detector(lambda: opened(files, kind), batch_tolerance=0.0)


def test_a_graph_with_our_signature_gives_our_scores(files, images, tmp_path) -> None:
    import onnx
    import onnxruntime

    detector = opened(files, "onnx").fit(images.train)
    path = detector.export_onnx(tmp_path / "out")
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [(value.name, value.shape, value.type) for value in session.get_inputs()] == [
        ("image", [1, SIDE, SIDE, 3], "tensor(uint8)")
    ]
    assert {value.name: value.shape for value in session.get_outputs()} == {"score": [1], "map": [1, SIDE, SIDE]}
    assert session.get_modelmeta().custom_metadata_map["pyimgano.resize"] == "area"
    expected = detector.infer(images.test)
    for index, image in enumerate(images.test):
        score, plane = session.run(["score", "map"], {"image": detector.prepare(image)[None]})
        np.testing.assert_allclose(score[0], expected.image_scores[index], rtol=1e-5)
        np.testing.assert_allclose(plane[0], expected.maps[index], rtol=1e-4, atol=1e-4)
    with pytest.raises(CheckpointError, match="only an ONNX graph") as caught:
        opened(files, "openvino").fit(images.train).export_onnx(tmp_path)
    assert "--export_type onnx" in str(caught.value)


def test_earlier_releases_graphs_are_understood(tmp_path) -> None:
    """Max(Min((raw - threshold) / range + 0.5, 1), 0), as anomalib 2.0 wrote it; and raw outputs as they are."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    from pyimgano.anomalib.graph_checkpoint import OnnxCheckpoint

    def constant(name, value):
        return numpy_helper.from_array(np.array(value, dtype=np.float32), name)

    def node(kind, inputs, output, **attributes):
        return helper.make_node(kind, inputs, [output], **attributes)

    network = [node("ReduceMean", ["input"], "plane", axes=[1], keepdims=1)]
    normalised = [
        node("Sub", ["plane", "threshold"], "a"),
        node("Div", ["a", "range"], "b"),
        node("Add", ["b", "half"], "c"),
        node("Min", ["c", "one"], "d"),
        node("Max", ["d", "zero"], "anomaly_map"),
    ]
    unknown = [node("Clip", ["plane", "zero", "one"], "anomaly_map")]
    plain = [node("Identity", ["plane"], "anomaly_map")]
    constants = [("threshold", 0.1), ("range", 0.2), ("half", 0.5), ("one", 1.0), ("zero", 0.0)]

    def graph(rest, batch="n"):
        return helper.make_model(
            helper.make_graph(
                network + rest,
                "g",
                [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, 8, 8])],
                [helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, [batch, 1, 8, 8])],
                [constant(name, value) for name, value in constants],
            ),
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=8,
        ).SerializeToString()

    image = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    for rest, batch in ((normalised, "n"), (plain, "n"), (plain, 2)):  # two at once is what some models are fixed to
        checkpoint = OnnxCheckpoint(graph(rest, batch))
        score, plane = checkpoint(image, maps=True)
        np.testing.assert_allclose(plane, image.mean(axis=2) / 255, rtol=1e-5)
        assert score == plane.max()
        session = onnxruntime.InferenceSession(checkpoint.export((8, 8)), providers=["CPUExecutionProvider"])
        exported = session.run(["score", "map"], {"image": image[None]})
        assert exported[0].shape == (1,)
        np.testing.assert_allclose(exported[1][0], plane, rtol=1e-6)
        assert exported[0][0] == exported[1].max()
    with pytest.raises(CheckpointError, match="limited in a way that is not anomalib's normalisation"):
        OnnxCheckpoint(graph(unknown))
    other = graph([node("Identity", ["plane"], "something"), *plain]).replace(b"anomaly_map", b"another_one")
    with pytest.raises(CheckpointError, match="no graph that anomalib 2 exported"):
        OnnxCheckpoint(other)


# -- safe loading ------------------------------------------------------------------------------------------------------


class _Evil:
    def __reduce__(self):
        return (exec, ("open('ran', 'w').close()",))


def test_no_code_of_a_checkpoint_runs_unless_it_is_trusted(files, images, nowhere) -> None:
    import torch

    content = torch.load(files["ckpt"], map_location="cpu", weights_only=False)
    content["hyper_parameters"]["extra"] = _Evil()
    path = nowhere / "evil.ckpt"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="could run code") as caught:
        create_model("anomalib-checkpoint", path=str(path), model="patchcore").fit(images.train)
    assert "--set model.params.trust=true" in str(caught.value)
    assert not (nowhere / "ran").exists()
    create_model("anomalib-checkpoint", path=str(path), model="patchcore", trust=True).fit(images.train)
    assert (nowhere / "ran").exists()


def test_an_exported_pt_asks_for_trust_and_says_why(files, images) -> None:
    with pytest.raises(CheckpointError, match="pickled model: loading it runs whatever code") as caught:
        create_model("anomalib-checkpoint", path=str(files["pt"])).fit(images.train)
    assert "take the .ckpt" in str(caught.value)


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_of_the_model_that_its_folder_or_the_user_names(files, images, tmp_path) -> None:
    alone = tmp_path / "model.ckpt"
    shutil.copy(files["ckpt"], alone)
    with pytest.raises(ParameterError, match="does not say which model it is of") as caught:
        create_model("anomalib-checkpoint", path=str(alone)).fit(images.train)
    assert "model=patchcore" in str(caught.value)
    named = create_model("anomalib-checkpoint", path=str(alone), model="anomalib-patchcore").fit(images.train)
    found = opened(files, "ckpt").fit(images.train)
    assert named.decision_function(images.test).tobytes() == found.decision_function(images.test).tobytes()
    with pytest.raises(ParameterError, match="no image model 'patchcor'"):
        create_model("anomalib-checkpoint", path=str(alone), model="patchcor").fit(images.train)
    with pytest.raises(CheckpointError, match="does not fit Stfpm"):
        create_model("anomalib-checkpoint", path=str(alone), model="stfpm").fit(images.train)


def test_a_size_and_pixels_of_ones_own(files, images) -> None:
    other = opened(files, "ckpt", input_size=96).fit(images.train).infer(images.test)
    assert other.maps.shape[1:] == (96, 96)
    usual = opened(files, "ckpt").fit(images.train).decision_function(images.test)
    pixels = opened(files, "ckpt", pixel_mean=[0.5] * 3, pixel_std=[0.5] * 3).fit(images.train)
    assert not np.allclose(pixels.decision_function(images.test), usual, rtol=1e-3)
    with pytest.raises(CheckpointError, match="takes images of 72 × 72 pixels, not 96 × 96"):
        opened(files, "onnx", input_size=96).fit(images.train)
    with pytest.raises(ParameterError, match="pixel_mean"):
        opened(files, "onnx", pixel_mean=[0.5] * 3)


def test_damaged_and_foreign_files_are_refused(files, images, tmp_path) -> None:
    def refused(name: str, told: str, **more) -> None:
        with pytest.raises(CheckpointError, match=told) as caught:
            create_model("anomalib-checkpoint", path=str(tmp_path / name), **more).fit(images.train)
        assert name in str(caught.value)

    refused("absent.ckpt", "there is no such file")
    (tmp_path / "text.ckpt").write_text("no checkpoint", encoding="utf-8")
    refused("text.ckpt", "is not a file of torch, or is damaged", model="patchcore")
    (tmp_path / "cut.ckpt").write_bytes(files["ckpt"].read_bytes()[:5000])
    refused("cut.ckpt", "cannot be read", model="patchcore")
    with zipfile.ZipFile(tmp_path / "zip.ckpt", "w") as archive:
        archive.writestr("something", "else")
    refused("zip.ckpt", "cannot be read", model="patchcore")
    (tmp_path / "text.onnx").write_text("no graph", encoding="utf-8")
    refused("text.onnx", "is no ONNX graph")
    (tmp_path / "alone.xml").write_bytes(files["openvino"].read_bytes())
    with pytest.raises(CheckpointError, match="cannot be read"):
        create_model("anomalib-checkpoint", path=str(tmp_path / "alone.xml")).fit(images.train)
    with pytest.raises(ParameterError, match=r"model\.h5"):
        create_model("anomalib-checkpoint", path="model.h5")


@pytest.mark.parametrize(("kind", "library"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_a_missing_runtime_is_named_with_its_extra(files, images, kind, library, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, library, None)
    with pytest.raises(MissingDependencyError, match=library) as caught:
        opened(files, kind).fit(images.train)
    assert f'pip install "pyimgano-anomalib[{kind}]"' in str(caught.value)
