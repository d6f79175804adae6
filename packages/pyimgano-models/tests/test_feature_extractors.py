from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from pyimgano.core.contracts import FeatureExtractor
from pyimgano.core.creation import create_component
from pyimgano.core.errors import (
    CheckpointError,
    ImageError,
    MissingDependencyError,
    ParameterError,
    PyimganoError,
    WeightsError,
)
from pyimgano.models import devices
from pyimgano.models.features import create_extractor, describe_backbone, reopen_extractor
from pyimgano.models.onnx_graphs import FILE, GraphKey

RUNTIMES = ["torch", "onnxruntime"]
LITE0_LAYERS = [f"blocks.{index}" for index in range(7)]


def batch_of(extractor, photographs):
    """Nine different real images."""
    crops = [image[50:250, 40 : 40 + 200 + 5 * index] for index, image in enumerate(photographs.values())]
    crops += [image[:120, :120] for image in list(photographs.values())[:3]]
    return [extractor.prepare(np.ascontiguousarray(crop)) for crop in crops]


def relative_error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / np.abs(b).max())


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_extractor_keeps_the_contract(runtime, photographs):
    extractor = create_extractor(layers=["blocks.4", "blocks.1"], input_size=(96, 128), runtime=runtime)
    batch = batch_of(extractor, photographs)

    features = extractor.extract(batch)

    assert isinstance(extractor, FeatureExtractor)
    assert extractor.layers == ("blocks.1", "blocks.4") == tuple(features)
    assert features["blocks.1"].shape == (9, 24, 24, 32)
    assert features["blocks.4"].shape == (9, 112, 6, 8)
    assert all(maps.dtype == np.float32 and np.isfinite(maps).all() for maps in features.values())
    facts = json.loads(json.dumps(extractor.facts))
    assert facts["runtime"] == runtime
    assert facts["weights_sha256"] == extractor.weights_sha256


@pytest.mark.parametrize("size", [224, (200, 257)], ids=str)
def test_onnxruntime_gives_torchs_features_on_every_layer(size, photographs):
    a, b = (create_extractor(layers=LITE0_LAYERS, input_size=size, runtime=r) for r in ("onnxruntime", "torch"))
    batch = batch_of(a, photographs)
    ours, theirs = a.extract(batch), b.extract(batch)
    assert {layer: relative_error(ours[layer], theirs[layer]) for layer in LITE0_LAYERS} == pytest.approx(
        dict.fromkeys(LITE0_LAYERS, 0.0), abs=1e-5
    )


@pytest.mark.parametrize(
    "backbone", ["torchvision/resnet18", "timm/mobilenetv3_small_100", "timm/swin_tiny_patch4_window7_224"]
)
def test_runtimes_agree_on_the_libraries_backbones(backbone, photographs):
    described = describe_backbone(backbone)
    described["layers"] = described["layers"][:3]
    layers = [layer["name"] for layer in described["layers"]]
    options = {"layers": layers, "weights": "random", "input_size": tuple(described["fixed_size"] or (128, 128))}
    a, b = (create_extractor(backbone, runtime=r, **options) for r in ("onnxruntime", "torch"))
    batch = batch_of(a, photographs)[:2]

    ours, theirs = a.extract(batch), b.extract(batch)

    height, width = a.input_size
    for layer in described["layers"]:
        maps, stride = ours[layer["name"]], layer["stride"]
        assert maps.shape[1:] == (layer["channels"], height // stride, width // stride)
        assert relative_error(maps, theirs[layer["name"]]) <= 1e-5


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_images_features_have_the_same_bits_in_every_batch_and_with_any_number_of_threads(runtime, photographs):
    reference = create_extractor(layers=LITE0_LAYERS, runtime=runtime, threads=1)
    batch = batch_of(reference, photographs)
    alone = [reference.extract([image]) for image in batch]
    for threads in (1, 2, 3):
        extractor = create_extractor(layers=LITE0_LAYERS, runtime=runtime, threads=threads)
        for size in (1, 3, 8, 9):
            for start in range(0, len(batch), size):
                found = extractor.extract(batch[start : start + size])
                for offset, expected in enumerate(alone[start : start + size]):
                    for layer in LITE0_LAYERS:
                        assert np.array_equal(found[layer][offset], expected[layer][0]), (threads, size, layer)
        backwards = extractor.extract(batch[::-1])
        assert all(np.array_equal(backwards[layer][0], alone[-1][layer][0]) for layer in LITE0_LAYERS)


def test_extracting_leaves_torchs_thread_setting_alone(photographs):
    before = torch.get_num_threads()
    extractor = create_extractor(runtime="torch", threads=2)
    extractor.extract(batch_of(extractor, photographs))
    assert torch.get_num_threads() == before


def area_weights(size: int, target: int) -> np.ndarray:
    """Row i: the share of every input pixel in the area of output pixel i."""
    edges = np.arange(target + 1)[:, None] * size / target
    covered = np.clip(edges - np.arange(size), 0.0, 1.0)
    return np.diff(covered, axis=0) * target / size


def test_images_are_resized_without_aliasing_and_only_once(photographs):
    extractor = create_extractor(input_size=(224, 200), runtime="torch")
    for name, image in photographs.items():
        prepared = extractor.prepare(image)
        assert prepared.shape == (224, 200, 3)
        assert prepared.dtype == np.uint8
        assert extractor.prepare(prepared) is prepared
        averaged = area_weights(image.shape[0], 224) @ image.reshape(image.shape[0], -1)
        averaged = averaged.reshape(224, -1, 3).transpose(0, 2, 1) @ area_weights(image.shape[1], 200).T
        assert np.abs(prepared - averaged.transpose(0, 2, 1)).max() <= 1.0, name


def test_a_side_that_shrinks_is_averaged_although_the_other_grows():
    stripes = np.zeros((100, 1000, 3), np.uint8)
    stripes[:, ::2] = 200
    extractor = create_extractor(input_size=(200, 250), runtime="torch")
    assert set(np.unique(extractor.prepare(stripes))) == {100}


@pytest.mark.parametrize(
    "image", [np.zeros((224, 223, 3), np.uint8), np.zeros((224, 224, 3), np.float32), np.zeros((224, 224), np.uint8)]
)
def test_an_image_that_is_not_prepared_is_refused(image):
    extractor = create_extractor(runtime="torch")
    with pytest.raises(ImageError, match="image 1 of the batch") as caught:
        extractor.extract([np.zeros((224, 224, 3), np.uint8), image])
    assert "prepare(image)" in caught.value.allowed
    with pytest.raises(ImageError, match="empty"):
        extractor.extract([])


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"runtime": "tensorrt"}, "runtime"),
        ({"device": "gpu"}, "device"),
        ({"device": "cuda", "runtime": "onnxruntime"}, "device"),
        ({"threads": 0}, "threads"),
        ({"input_size": 16}, "input_size"),
        ({"input_size": (224,)}, "input_size"),
        ({"input_size": 224.0}, "input_size"),
        ({"layers": ["layer2"]}, "blocks.2"),
    ],
)
def test_options_out_of_range_are_refused_with_what_is_allowed(options, name):
    with pytest.raises(ParameterError) as caught:
        create_extractor(**options)
    assert name in str(caught.value)
    assert caught.value.allowed


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_an_error():
    with pytest.raises(ParameterError, match="no CUDA device"):
        create_extractor(device="cuda")


def test_a_network_of_one_size_refuses_others():
    with pytest.raises(ParameterError) as caught:
        create_extractor("timm/mixer_s32_224", layers=["blocks.5"], weights="random", input_size=256)
    assert "[224, 224]" in caught.value.allowed


def test_extractors_are_components_by_name(photographs):
    made = create_component("features", "efficientnet-lite0", {"layers": ["blocks.1"], "runtime": "torch"})
    assert made.facts["backbone"] == "efficientnet-lite0"
    options = {"weights": "random", "runtime": "torch"}
    assert create_component("features", "timm", {"model": "resnet18", **options}).layers == ("layer2", "layer3")
    assert create_component("features", "torchvision", {"model": "resnet18", **options}).layers == ("layer2", "layer3")


def test_a_saved_extractor_opens_only_with_the_weights_that_it_had():
    extractor = create_extractor(layers=["blocks.1"], input_size=64, weights="random:4", runtime="torch")
    facts = json.loads(json.dumps(extractor.facts))
    again = reopen_extractor(facts, weights="random:4", runtime="torch")
    assert again.facts == extractor.facts
    with pytest.raises(CheckpointError, match="other weights"):
        reopen_extractor(facts, weights="random:5", runtime="torch")


# -- the exported graph ----------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PYIMGANO_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def graph_folder(extractor):
    return GraphKey(extractor.backbone, extractor.layers, extractor.input_size, extractor.weights_sha256).folder


SMALL = {"layers": ["blocks.1"], "input_size": 64, "runtime": "onnxruntime"}
EXPORT = (
    "from pyimgano.models.features import create_extractor\n"
    "e = create_extractor(layers=['blocks.1'], input_size=64, runtime='onnxruntime')\n"
    "import numpy as np, hashlib\n"
    "print(hashlib.sha256(e.extract([np.full((64, 64, 3), 99, np.uint8)])['blocks.1'].tobytes()).hexdigest())\n"
)


def test_a_graph_is_exported_once_and_then_run_without_importing_torch(cache):
    extractor = create_extractor(**SMALL)
    folder = graph_folder(extractor)
    written = (folder / FILE).stat().st_mtime_ns
    sidecar = json.loads((folder / (FILE + ".json")).read_text())

    code = EXPORT + "import sys; assert not {'torch', 'onnx', 'timm'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

    assert (folder / FILE).stat().st_mtime_ns == written
    assert sidecar["model"] == "efficientnet-lite0"
    assert sidecar["input_size"] == [64, 64]
    assert sidecar["weights_sha256"] == extractor.weights_sha256
    assert sorted(path.name for path in folder.iterdir()) == [FILE, FILE + ".json"]


def test_layers_sizes_and_weights_have_graphs_of_their_own(cache):
    first = create_extractor(**SMALL)
    others = [{"layers": ["blocks.2"]}, {"input_size": (64, 96)}]
    folders = {graph_folder(first)} | {graph_folder(create_extractor(**{**SMALL, **other})) for other in others}
    assert len(folders) == 3
    assert all((folder / FILE).is_file() for folder in folders)
    assert graph_folder(create_extractor(**SMALL, weights="random")) not in folders


def test_a_graph_that_was_tampered_with_is_refused(cache):
    path = graph_folder(create_extractor(**SMALL)) / FILE
    with open(path, "r+b") as stream:
        stream.seek(path.stat().st_size // 2)
        stream.write(b"\x01\x02\x03")
    with pytest.raises(WeightsError, match="checksum mismatch"):
        create_extractor(**SMALL)


def test_a_graph_under_another_graphs_name_is_refused(cache):
    mine = graph_folder(create_extractor(**SMALL))
    other = graph_folder(create_extractor(**{**SMALL, "layers": ["blocks.2"]}))
    for name in (FILE, FILE + ".json"):
        os.replace(other / name, mine / name)
    with pytest.raises(WeightsError, match="describes another graph"):
        create_extractor(**SMALL)


def test_a_cache_that_cannot_be_written_costs_a_warning_not_the_run(cache, caplog):
    cache.write_text("a file where the cache should be")
    extractor = create_extractor(**SMALL)
    assert "cannot be kept" in caplog.text
    assert np.isfinite(extractor.extract([np.zeros((64, 64, 3), np.uint8)])["blocks.1"]).all()


def test_processes_that_export_at_the_same_time_leave_one_whole_graph(cache):
    processes = [
        subprocess.Popen([sys.executable, "-c", EXPORT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]

    assert [process.returncode for process in processes] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    (folder,) = (cache / "graphs").iterdir()
    assert folder == graph_folder(create_extractor(**SMALL))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_process_killed_while_it_writes_a_graph_leaves_none_that_is_not_whole(cache):
    code = (
        "import os, time\n"
        "def slow(handle, real=os.fsync):\n"
        "    print('writing', flush=True); time.sleep(60); real(handle)\n"
        "os.fsync = slow\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code + EXPORT], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    process.kill()
    process.communicate(timeout=60)

    names = [path.name for path in (cache / "graphs").iterdir()]
    assert names
    assert all(name.startswith(".export-") for name in names)
    folder = graph_folder(create_extractor(**SMALL))
    assert (folder / FILE).is_file()


def test_auto_takes_onnxruntime_on_a_cpu_and_torch_where_it_is_not_installed(cache, monkeypatch):
    if torch.cuda.is_available():
        pytest.skip("auto takes the GPU here")
    assert create_extractor(**{**SMALL, "runtime": "auto"}).facts["runtime"] == "onnxruntime"
    real = devices.installed
    monkeypatch.setattr(devices, "installed", lambda module: module != "onnxruntime" and real(module))
    assert create_extractor(**{**SMALL, "runtime": "auto"}).facts["runtime"] == "torch"
    with pytest.raises(MissingDependencyError) as caught:
        create_extractor(**SMALL)
    assert caught.value.hint == 'pip install "pyimgano-models[onnx]"'
    monkeypatch.setattr(devices, "installed", lambda module: module != "torch" and real(module))
    with pytest.raises(MissingDependencyError) as caught:
        create_extractor(**{**SMALL, "runtime": "torch"})
    assert caught.value.hint == 'pip install "pyimgano-models[lite]"'


def test_a_backbone_that_cannot_be_exported_runs_on_torch_when_auto_and_is_an_error_when_asked_for(
    cache, monkeypatch, caplog
):
    def refuse(*args, **kwargs):
        raise RuntimeError("Exporting the operator 'aten::strange' is not supported")

    monkeypatch.setattr(torch.onnx, "export", refuse)
    with pytest.raises(PyimganoError, match="aten::strange") as caught:
        create_extractor(**SMALL)
    assert caught.value.hint == 'runtime = "torch"'
    if not torch.cuda.is_available():
        assert create_extractor(**{**SMALL, "runtime": "auto"}).facts["runtime"] == "torch"
        assert "runtime torch is taken" in caplog.text


def test_a_graph_that_gives_other_features_is_not_accepted(cache, monkeypatch):
    real = torch.onnx.export

    def exports_another_network(network, *args, **kwargs):
        network.mean += 1.0
        try:
            return real(network, *args, **kwargs)
        finally:
            network.mean -= 1.0

    exports_another_network.__signature__ = inspect.signature(real)
    monkeypatch.setattr(torch.onnx, "export", exports_another_network)
    with pytest.raises(PyimganoError, match="gives other features than torch"):
        create_extractor(**SMALL)
    assert not (cache / "graphs").exists()
