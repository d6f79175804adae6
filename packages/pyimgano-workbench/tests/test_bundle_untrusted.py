"""Bundles from strangers: everything that is refused, each by an error that names it. 15 s."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import stat
import struct
import zipfile
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pyimgano.cli.main import main
from pyimgano.core.errors import CheckpointError, PyimganoError
from pyimgano.workbench import load_bundle
from pyimgano.workbench.bundle.contents import open_contents
from pyimgano.workbench.bundle.graph_check import check_graph
from pyimgano.workbench.bundle.graph_detector import GraphDetector
from pyimgano.workbench.bundle.names import check_names
from pyimgano.workbench.bundle.validation import validate_bundle

POSIX_ONLY = pytest.mark.skipif(os.name == "nt", reason="Windows needs rights to make links")


def members(bundle: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(path: Path, files: Any) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, data)
    return path


def sealed(files: dict[str, bytes], **changes: Any) -> dict[str, bytes]:
    """Return the files with a manifest that states them as they are, and some keys of it changed."""
    manifest = json.loads(files["manifest.json"])
    manifest["files"] = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for name, data in files.items()
        if name != "manifest.json"
    }
    return {**files, "manifest.json": json.dumps({**manifest, **changes}).encode()}


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        open_contents(path)
    return str(caught.value)


# -- names -------------------------------------------------------------------------------------------------------------

NAMES = [
    "../evil.txt",
    "models/../../evil.txt",
    "/etc/evil",
    "C:/evil",
    "C:evil",
    "models\\..\\..\\evil.txt",
    "..\\evil.txt",
    "//server/share/evil",
    "models//evil",
    "./evil",
    "models/./evil",
    "models/brick/.",
    "nul",
    "models/aux.json",
    "COM1",
    "evil.",
    "evil ",
    "a\x00b",
    "a\nb",
    "a:stream",
    "~evil|",
    "\u202eevil",
    "x" * 300,
    "/".join("x" * 20),
    "",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_elsewhere_is_refused_in_zips_and_manifests(
    graph_bundle: Path, tmp_path: Path, name: str
) -> None:
    files = members(graph_bundle)
    evil = list(files.items())
    info = zipfile.ZipInfo("placeholder")
    info.filename = name  # unlike the constructor, this changes nothing
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        for own, data in evil:
            archive.writestr(own, data)
        archive.writestr(info, b"evil")
    before = set(tmp_path.parent.iterdir())
    assert refusal(tmp_path / "evil.zip")
    assert set(tmp_path.parent.iterdir()) == before
    manifest = json.loads(files["manifest.json"])
    manifest["files"][name] = {"sha256": "0" * 64, "size": 4}
    assert refusal(zipped(tmp_path / "listed.zip", {**files, "manifest.json": json.dumps(manifest).encode()}))
    with pytest.raises(CheckpointError):
        check_names([name], where="test")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a.txt", "A.TXT"], "one file on some systems"),
        (["models/x/a", "Models/y/a"], "folders"),
        (["straße", "STRASSE"], "one file on some systems"),
        (["a", "a/b"], "a file and a folder"),
        (["a", "a"], "twice"),
    ],
)
def test_names_that_are_one_file_somewhere_are_refused(names: list[str], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        check_names(names, where="test")


def test_names_of_categories_in_any_script_are_taken() -> None:
    check_names(["models/Gehäuse (links)/model.onnx", "models/部品/model.onnx", "roi/%2E%2E.png"], where="test")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_there_twice_is_refused(graph_bundle: Path, tmp_path: Path) -> None:
    files = list(members(graph_bundle).items())
    assert "twice" in refusal(zipped(tmp_path / "b.zip", [*files, ("bundle.json", b"{}")]))


# -- links and devices -------------------------------------------------------------------------------------------------


@POSIX_ONLY
def test_links_are_refused_in_zips_and_folders(graph_bundle: Path, graph_folder: Path, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("MODEL_CARD.md")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    files = members(graph_bundle)
    del files["MODEL_CARD.md"]
    assert "is a link" in refusal(zipped(tmp_path / "b.zip", [*files.items(), (link, b"/etc/passwd")]))
    card = graph_folder / "MODEL_CARD.md"
    (tmp_path / "card.md").write_bytes(card.read_bytes())
    card.unlink()
    card.symlink_to(tmp_path / "card.md")  # of the right content, and so of the right checksum
    assert "is a link" in refusal(graph_folder)
    card.unlink()
    os.mkfifo(card)
    assert "is no file" in refusal(graph_folder)


@POSIX_ONLY
def test_a_folder_that_is_a_link_is_refused(graph_folder: Path, tmp_path: Path) -> None:
    (graph_folder / "samples").rename(tmp_path / "samples")
    (graph_folder / "samples").symlink_to(tmp_path / "samples")
    assert "is a link" in refusal(graph_folder)


# -- sizes -------------------------------------------------------------------------------------------------------------


def test_a_zip_bomb_is_refused_before_it_is_unpacked(graph_bundle: Path, tmp_path: Path) -> None:
    bomb = bytes(300_000_000)
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sealed({**members(graph_bundle), "models/bomb": bomb}).items():
            archive.writestr(name, data)
    assert (tmp_path / "b.zip").stat().st_size < 1_000_000
    assert "a zip bomb" in refusal(tmp_path / "b.zip")


def test_a_file_that_is_longer_than_its_directory_says_is_refused(graph_bundle: Path, tmp_path: Path) -> None:
    # The directory of the zip and the manifest state a few bytes; the compressed data hold many.
    files = members(graph_bundle)
    files["models/long"] = b"\0" * 100
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sealed(files).items():
            archive.writestr(name, b"\0" * 50_000_000 if name == "models/long" else data)
        for info in archive.infolist():
            if info.filename == "models/long":
                info.file_size = 100
    (tmp_path / "b.zip").write_bytes(stream.getvalue())
    assert refusal(tmp_path / "b.zip")


@pytest.mark.parametrize("size", [-1, 1.0, True, "1", 1 << 50, None])
def test_a_size_that_is_none_is_refused(graph_bundle: Path, tmp_path: Path, size: Any) -> None:
    files = members(graph_bundle)
    manifest = json.loads(files["manifest.json"])
    manifest["files"]["bundle.json"]["size"] = size
    assert refusal(zipped(tmp_path / "b.zip", {**files, "manifest.json": json.dumps(manifest).encode()}))


def test_huge_sizes_in_the_directory_are_refused_unread(graph_bundle: Path, tmp_path: Path) -> None:
    data = bytearray(graph_bundle.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", 0xFFFFFFF0)
    (tmp_path / "b.zip").write_bytes(data)
    assert refusal(tmp_path / "b.zip")


# -- what the manifest states ------------------------------------------------------------------------------------------


def test_every_file_must_be_as_the_manifest_states(graph_bundle: Path, graph_folder: Path, tmp_path: Path) -> None:
    files = members(graph_bundle)
    for name in files:
        if name == "manifest.json":
            continue
        changed = {**files, name: files[name][:-1] + bytes([files[name][-1] ^ 1])}
        assert f"{name}: is not the file that the manifest states" in refusal(zipped(tmp_path / "b.zip", changed))
        missing = {own: data for own, data in files.items() if own != name}
        assert f"lacks '{name}'" in refusal(zipped(tmp_path / "b.zip", missing))
        (graph_folder / name).write_bytes(changed[name])
        assert f"{name}: is not the file that the manifest states" in refusal(graph_folder)
        (graph_folder / name).write_bytes(files[name])
    open_contents(graph_folder).close()
    assert "holds 'more.txt'" in refusal(zipped(tmp_path / "b.zip", {**files, "more.txt": b""}))
    (graph_folder / "Thumbs.db").write_bytes(b"")
    assert "holds 'Thumbs.db'" in refusal(graph_folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema_version": 2}, "a newer program wrote it"),
        ({"schema_version": "1"}, "unknown schema version"),
        ({"format": "zip"}, "is no manifest"),
        ({"kind": "pickle"}, "is damaged"),
        ({"precision": "fp64"}, "is damaged"),
        ({"files": []}, "is damaged"),
        ({"files": {}}, "lists no bundle.json"),
        ({"requires": [{"module": "os; evil", "distribution": "x", "extra": None}]}, "is damaged"),
        ({"requires": [{"module": "evil.package", "distribution": "x", "extra": None}]}, "lies in a package"),
        ({"requires": [{"module": "x", "distribution": "--index-url=evil", "extra": None}]}, "is damaged"),
        ({"source": {"run": "a\nb"}}, "is damaged"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(
    graph_bundle: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    files = members(graph_bundle)
    manifest = {**json.loads(files["manifest.json"]), **change}
    assert said in refusal(zipped(tmp_path / "b.zip", {**files, "manifest.json": json.dumps(manifest).encode()}))


@pytest.mark.parametrize(
    "text",
    [
        b'{"format": NaN}',
        b'{"format": 1e999}',
        b'{"format": "pyimgano-bundle", "format": "other"}',
        b"[" * 100_000,
        b"\xff\xfe",
        b"",
        b"null",
    ],
)
def test_json_that_is_not_strict_is_refused(
    graph_bundle: Path, graph_folder: Path, tmp_path: Path, text: bytes
) -> None:
    assert refusal(zipped(tmp_path / "b.zip", {**members(graph_bundle), "manifest.json": text}))
    (graph_folder / "manifest.json").write_bytes(text)
    assert refusal(graph_folder)


def test_nan_in_the_other_files_is_refused_although_their_checksums_are_right(
    graph_bundle: Path, tmp_path: Path
) -> None:
    for name in ("bundle.json", "calibration_card.json"):
        files = members(graph_bundle)
        changed = json.loads(files[name])
        changed["more"] = float("nan")
        files[name] = json.dumps(changed).encode()
        with pytest.raises(CheckpointError, match="NaN is not JSON"):
            load_bundle(zipped(tmp_path / "b.zip", sealed(files)))


@pytest.mark.parametrize(
    "change",
    [
        {"folder": "models/other"},
        {"folder": ".."},
        {"folder": ""},
        {"folder": None},
        {"roi": "../secret.png"},
        {"roi": "/etc/passwd"},
        {"name": None, "folder": 1},
    ],
)
def test_bundle_json_names_only_files_of_the_bundle(graph_bundle: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    files = members(graph_bundle)
    config = json.loads(files["bundle.json"])
    config["categories"][0].update(change)
    files["bundle.json"] = json.dumps(config).encode()
    with pytest.raises(CheckpointError):
        load_bundle(zipped(tmp_path / "b.zip", sealed(files)))


def test_damaged_configs_are_errors_that_name_the_file(graph_bundle: Path, tmp_path: Path) -> None:
    config = json.loads(members(graph_bundle)["bundle.json"])
    for change in (
        {"schema_version": 2},
        {"categories": []},
        {"categories": None},
        {"regions": {"min_area": -1, "limit": 20}},
        {"value_range": [0]},
        {"postprocess": {"maps": [{"name": "os.system", "params": {}}]}},
    ):
        files = {**members(graph_bundle), "bundle.json": json.dumps({**config, **change}).encode()}
        with pytest.raises(PyimganoError) as caught:
            load_bundle(zipped(tmp_path / "b.zip", sealed(files)))
        assert caught.value.exit_code in (2, 5)


# -- any bytes ---------------------------------------------------------------------------------------------------------


def test_no_damage_to_a_zip_is_another_error_or_another_bundle(graph_bundle: Path, tmp_path: Path) -> None:
    whole, lots = graph_bundle.read_bytes(), random.Random(0)
    directory = whole.rindex(b"PK\x01\x02")
    for trial in range(150):
        data = bytearray(whole)
        kind = trial % 3
        if kind == 0:
            del data[lots.randrange(len(data)) :]
        else:
            first = 0 if kind == 1 else directory
            for _ in range(lots.randint(1, 8)):
                data[lots.randrange(first, len(data))] = lots.randrange(256)
        (tmp_path / "b.zip").write_bytes(data)
        try:
            contents = open_contents(tmp_path / "b.zip")
        except CheckpointError:
            continue
        # Damage where nothing is read, e.g. in a time stamp: then every file is as it was.
        found = {path.relative_to(contents.folder).as_posix(): path for path in contents.folder.rglob("*.*")}
        expected = members(graph_bundle)
        assert {name: path.read_bytes() for name, path in found.items() if path.is_file()} == expected
        contents.close()


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip", b"PK\x05\x06" + bytes(18), bytes(1000)])
def test_what_is_no_zip_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "b.zip").write_bytes(data)
    assert refusal(tmp_path / "b.zip")
    assert refusal(tmp_path / "missing.zip")
    assert refusal(tmp_path)


def test_what_was_unpacked_is_gone_after_closing_and_after_a_refusal(
    graph_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    with load_bundle(graph_bundle) as bundle:
        assert bundle.contents.folder.parent == place
        if os.name != "nt":
            assert stat.S_IMODE(bundle.contents.folder.stat().st_mode) == 0o700
    assert list(place.iterdir()) == []
    files = members(graph_bundle)
    assert refusal(zipped(tmp_path / "b.zip", {**files, "parity.json": b"x" * len(files["parity.json"])}))
    assert list(place.iterdir()) == []


# -- graphs ------------------------------------------------------------------------------------------------------------


def graph_of(
    *,
    nodes: Any = None,
    inputs: Any = None,
    outputs: Any = None,
    weights: Any = None,
    opsets: Any = (("", 17),),
    props: Any = None,
) -> Any:
    """Return a graph that scores an image by its largest value, with parts of it replaced."""
    made = helper.make_graph(
        nodes
        or [
            helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["floats", "scale"], ["scaled"]),
            helper.make_node("ReduceMax", ["scaled"], ["map"], axes=[3], keepdims=0),
            helper.make_node("ReduceMax", ["map"], ["score"], axes=[1, 2], keepdims=0),
        ],
        "graph",
        inputs or [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 8, 8, 3])],
        outputs
        or [
            helper.make_tensor_value_info("score", TensorProto.FLOAT, [1]),
            helper.make_tensor_value_info("map", TensorProto.FLOAT, [1, 8, 8]),
        ],
        weights or [numpy_helper.from_array(np.full((1, 1, 1, 3), 0.5, np.float32), "scale")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid(*pair) for pair in opsets], ir_version=8)
    helper.set_model_props(model, {"pyimgano.resize": "area"} if props is None else props)
    return model


def written(tmp_path: Path, model: Any) -> Path:
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "model.onnx"


def test_a_plain_graph_is_taken(tmp_path: Path) -> None:
    detector = GraphDetector(written(tmp_path, graph_of()))
    assert (detector.input_size, detector.makes_maps) == ((8, 8), True)
    scores = detector.infer([np.full((20, 30, 3), 100, np.uint8)])
    assert scores.image_scores.tolist() == [50.0]
    assert scores.maps is not None
    assert scores.maps.shape == (1, 8, 8)


def external() -> Any:
    model = graph_of()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../secret"), ("offset", "0"), ("length", "12")):
        tensor.external_data.add(key=key, value=value)
    return model


def external_in_an_attribute() -> Any:
    model = graph_of(
        weights=[numpy_helper.from_array(np.zeros(1, np.float32), "unused")],
        nodes=[
            helper.make_node("Constant", [], ["scale"], value=external().graph.initializer[0]),
            helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["floats", "scale"], ["scaled"]),
            helper.make_node("ReduceMax", ["scaled"], ["map"], axes=[3], keepdims=0),
            helper.make_node("ReduceMax", ["map"], ["score"], axes=[1, 2], keepdims=0),
        ],
    )
    return model


def external_in_a_branch() -> Any:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["inner"], ["out"])],
        "branch",
        [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1])],
        [external().graph.initializer[0]],
    )
    model = graph_of()
    model.graph.node.append(helper.make_node("If", ["image"], ["other"], then_branch=branch, else_branch=branch))
    return model


def of_another_domain() -> Any:
    model = graph_of(opsets=(("", 17), ("com.evil", 1)))
    model.graph.node[0].domain = "com.evil"
    return model


def contributed() -> Any:
    model = graph_of(opsets=(("", 17), ("com.microsoft", 1)))
    model.graph.node.append(helper.make_node("Gelu", ["floats"], ["other"], domain="com.microsoft"))
    return model


def with_a_function() -> Any:
    model = graph_of()
    function = helper.make_function(
        "", "Own", ["a"], ["b"], [helper.make_node("Identity", ["a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    model.functions.append(function)
    return model


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (external, "lie in other files"),
        (external_in_an_attribute, "lie in other files"),
        (external_in_a_branch, "lie in other files"),
        (of_another_domain, "operators of 'com.evil'"),
        (contributed, "operators of 'com.microsoft'"),
        (with_a_function, "functions of its own"),
    ],
)
def test_a_graph_that_needs_more_than_onnx_is_refused_before_it_is_loaded(
    tmp_path: Path, make: Callable[[], Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("onnxruntime was asked")

    monkeypatch.setattr("onnxruntime.InferenceSession", forbidden)
    with pytest.raises(CheckpointError, match=said):
        GraphDetector(written(tmp_path, make()))


U8, F32 = TensorProto.UINT8, TensorProto.FLOAT


def info(name: str, kind: int, shape: list[Any]) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"inputs": [info("pixels", U8, [1, 8, 8, 3])]}, None),
        ({"inputs": [info("image", U8, [1, 8, 8, 4])]}, None),
        ({"inputs": [info("image", U8, ["n", 8, 8, 3])]}, "inputs are"),
        ({"inputs": [info("image", U8, [1, "h", 8, 3])]}, "inputs are"),
        ({"inputs": [info("image", U8, [1, 100_000, 8, 3])]}, None),
        ({"inputs": [info("image", U8, [1, 8, 8, 3]), info("more", F32, [1])]}, "inputs are"),
        ({"inputs": [info("image", TensorProto.INT8, [1, 8, 8, 3])]}, "inputs are"),
        ({"outputs": [info("map", F32, [1, 8, 8])]}, "outputs are"),
        ({"outputs": [info("score", F32, [1]), info("floats", F32, [1, 8, 8, 3])]}, "outputs are"),
        ({"props": {}}, "pyimgano.resize is None"),
        ({"props": {"pyimgano.resize": "bicubic"}}, "pyimgano.resize is 'bicubic'"),
    ],
)
def test_a_graph_of_another_interface_is_refused(tmp_path: Path, parts: dict[str, Any], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        GraphDetector(written(tmp_path, graph_of(**parts)))


def test_a_graph_that_gives_no_number_scores_nothing(tmp_path: Path) -> None:
    weights = [numpy_helper.from_array(np.full((1, 1, 1, 3), np.nan, np.float32), "scale")]
    detector = GraphDetector(written(tmp_path, graph_of(weights=weights)))
    with pytest.raises(PyimganoError, match="gave the score nan"):
        detector.infer([np.zeros((8, 8, 3), np.uint8)])


def test_no_damage_to_a_graph_is_another_error(tmp_path: Path) -> None:
    whole, lots = graph_of().SerializeToString(), random.Random(0)
    for trial in range(400):
        data = bytearray(whole)
        if trial % 2:
            del data[lots.randrange(len(data)) :]
        for _ in range(lots.randint(1, 6)):
            if data:
                data[lots.randrange(len(data))] = lots.randrange(256)
        try:
            check_graph(bytes(data), where="graph")
        except CheckpointError:
            pass


def test_the_command_says_what_is_wrong_and_ends_with_five(
    graph_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {**members(graph_bundle), "more.txt": b""}
    bundle = str(zipped(tmp_path / "b.zip", files))
    assert main(["bundle", "validate", bundle, "--json"]) == 5
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert (found["valid"], found["error"]["type"]) == (False, "CheckpointError")
    assert "more.txt" in told.err
    for command in (["info", bundle], ["run", bundle, str(tmp_path)]):
        assert main(["bundle", *command]) == 5


def test_a_sample_that_gets_another_score_makes_a_bundle_invalid(
    graph_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = members(graph_bundle)
    expected = json.loads(files["samples/grass/expected.json"])
    expected["score"] *= 1.001
    files["samples/grass/expected.json"] = json.dumps(expected).encode()
    bundle = zipped(tmp_path / "b.zip", sealed(files))
    assert [outcome.problem is None for outcome in validate_bundle(bundle).samples] == [True, False]
    assert main(["bundle", "validate", str(bundle)]) == 1
    assert "is expected" in capsys.readouterr().out
