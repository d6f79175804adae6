"""What is known of anomalib without importing it, and a listing beside a broken or missing one. Takes 15 s."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyimgano.core.creation import create_model, list_models, model_info
from pyimgano.core.errors import ParameterError, UnknownNameError

LISTING = """
import json, sys
from pyimgano.core.creation import list_models
names = [entry["name"] for entry in list_models(tags=("anomalib",))]
print(json.dumps([names, sorted(sys.modules)]))
"""


def run(code: str, *path: Path, **env: str) -> str:
    found = {**os.environ, **env, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYIMGANO_PLUGINS": "none"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=found, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def offered():
    from pyimgano.anomalib.making import import_anomalib

    return import_anomalib()


def test_every_image_model_of_the_installed_anomalib_is_listed(offered) -> None:
    from pyimgano.anomalib.index import NEEDS_DEPTH, image_models

    listed = {model.class_name: model for model in image_models()}
    left_out = {name for name in offered.__all__ if name.lower() in NEEDS_DEPTH}
    assert set(listed) == set(offered.__all__) - left_out
    assert left_out == {"CFM"}
    names = {entry["name"] for entry in list_models(tags=("anomalib",))}
    assert names == {f"anomalib-{model.name}" for model in listed.values()} | {"anomalib-checkpoint"}
    assert {"anomalib-patchcore", "anomalib-efficient-ad", "anomalib-reverse-distillation"} <= names


def test_constructors_are_read_as_they_are(offered) -> None:
    from pyimgano.anomalib.index import OWN_COMPONENTS, constructor_of, image_models

    literal = 0
    for model in image_models():
        actual = dict(inspect.signature(getattr(offered, model.class_name).__init__).parameters)
        for name in ("self", *OWN_COMPONENTS):
            actual.pop(name, None)
        read = {parameter.name: parameter for parameter in constructor_of(model).parameters}
        assert list(read) == list(actual), model.name
        for name, parameter in read.items():
            if parameter.expression is None:
                assert parameter.default == actual[name].default, (model.name, name)
                literal += 1
            else:
                assert actual[name].default is not None
    assert literal > 100


def test_which_models_decide_their_length_is_read(offered) -> None:
    from pyimgano.anomalib.index import constructor_of, image_models

    deciding = {model.name for model in image_models() if constructor_of(model).sets_length}
    assert {"patchcore", "padim", "dfm", "mh-patchcore"} <= deciding
    assert not deciding & {"stfpm", "fastflow", "efficient-ad", "reverse-distillation"}


def test_parameters_are_anomalibs_and_ours_and_typing_errors_are_refused() -> None:
    parameters = model_info("anomalib-patchcore")["parameters"]
    assert parameters["coreset_sampling_ratio"]["default"] == 0.1
    assert parameters["layers"]["default"] == ["layer2", "layer3"]
    assert parameters["precision"]["default"] is None  # an enumeration's member, left to anomalib
    assert {"input_size", "backbone_weights", "epochs", "seed", "device"} <= set(parameters)
    assert "pre_processor" not in parameters
    with pytest.raises(ParameterError, match="coreset_ratio") as caught:
        create_model("anomalib-patchcore", coreset_ratio=0.1)
    assert "'coreset_sampling_ratio'" in str(caught.value)
    with pytest.raises(UnknownNameError, match="anomalib-patchcore"):
        create_model("anomalib-patchcor")


def test_a_parameter_of_both_is_one_parameter() -> None:
    assert list(model_info("anomalib-ganomaly")["parameters"]).count("batch_size") == 1
    assert model_info("anomalib-general-ad")["parameters"]["epochs"]["default"] == 160
    assert model_info("anomalib-efficient-ad")["parameters"]["batch_size"]["default"] == 1


@pytest.mark.parametrize(
    ("model", "params", "told"),
    [
        ("patchcore", {"epochs": 5}, "decides itself how long"),
        ("stfpm", {"epochs": 0}, "epochs = 0"),
        ("stfpm", {"holdout": 1.0}, "holdout = 1.0"),
        ("stfpm", {"input_size": "256"}, "input_size = '256'"),
        ("stfpm", {"pixel_mean": [0.5]}, "pixel_mean = \\[0.5\\]"),
        ("stfpm", {"device": "tpu"}, "device = 'tpu'"),
    ],
)
def test_values_out_of_range_are_refused_before_anything_is_imported(model, params, told) -> None:
    with pytest.raises(ParameterError, match=told):
        create_model(f"anomalib-{model}", **params)


def test_a_listing_imports_nothing_of_it() -> None:
    names, modules = json.loads(run(LISTING))
    assert len(names) > 25
    roots = {module.partition(".")[0] for module in modules}
    assert not roots & {"anomalib", "lightning", "numpy", "torch", "timm"}


def test_the_packages_of_this_backend_cost_help_no_module() -> None:
    code = """
import sys
sys.argv = ["pyimgano", "--help"]
from pyimgano.cli.main import main
try:
    main()
except SystemExit:
    pass
print("\\nMODULES", *(name for name in sys.modules if name.startswith("pyimgano.anomalib")))
"""
    assert run(code).splitlines()[-1] == "MODULES"


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH with an anomalib that cannot even be parsed."""
    folder = tmp_path / "broken"
    (folder / "anomalib" / "models" / "image").mkdir(parents=True)
    for place in ("anomalib", "anomalib/models", "anomalib/models/image"):
        (folder / place / "__init__.py").write_text("this is no Python\n", encoding="utf-8")
    return folder


def test_a_broken_anomalib_disturbs_no_listing_and_no_other_model(broken: Path, nowhere: Path) -> None:
    names, _ = json.loads(run(LISTING, broken))
    assert names == ["anomalib-checkpoint"]
    code = """
import numpy as np
from pyimgano.core.creation import create_model
from pyimgano.core.errors import PyimganoError
images = [np.zeros((64, 64, 3), np.uint8)] * 2
create_model("pixel-median").fit(images)
print("fitted")
try:
    create_model("patchcor")
except PyimganoError as error:
    print(error)
open("model.ckpt", "wb").close()
try:
    create_model("anomalib-checkpoint", path="model.ckpt", model="patchcore").fit(images)
except PyimganoError as error:
    print(type(error).__name__, error)
"""
    printed = run(code, broken)
    assert printed.startswith("fitted\nunknown model 'patchcor'")
    assert "did you mean 'patchcore'" in printed
    assert "SyntaxError" in printed
    assert "anomalib failed" in printed


def test_an_older_anomalib_is_told_and_disturbs_nobody(tmp_path: Path) -> None:
    (tmp_path / "anomalib").mkdir()
    (tmp_path / "anomalib" / "__init__.py").write_text("", encoding="utf-8")
    code = """
from pyimgano.anomalib.index import image_models
from pyimgano.core.errors import PyimganoError
try:
    image_models()
except PyimganoError as error:
    print(error)
"""
    assert json.loads(run(LISTING, tmp_path))[0] == ["anomalib-checkpoint"]
    assert "it is not anomalib 2, or damaged" in run(code, tmp_path)
