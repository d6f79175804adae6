from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

from pyimgano.core.parameters import describe_parameters
from pyimgano.models import create_model, list_models, model_info
from pyimgano.models.classical_specs import CLASSICAL_MODELS, FEATURES
from pyimgano.models.specs import COMPONENTS, METHODS

OURS = {
    "anomaly-dino",
    "cflow",
    "dfm",
    "draem",
    "efficient-ad",
    "fastflow",
    "musc",
    "nearest-image",
    "padim",
    "patchcore",
    "pixel-gaussian",
    "pixel-median",
    "reverse-distillation",
    "simplenet",
    "sklearn-isolation-forest",
    "softpatch",
    "spade",
    "stfpm",
    "supersimplenet",
    "template-ncc",
    "template-phase",
    "template-ssim",
}
CLASSICAL = {
    "sklearn-elliptic-envelope",
    "sklearn-gaussian",
    "sklearn-gaussian-mixture",
    "sklearn-kernel-density",
    "sklearn-local-outlier-factor",
    "sklearn-nearest-neighbors",
    "sklearn-one-class-svm",
    "sklearn-pca",
    "sklearn-sgd-one-class-svm",
}


def test_importing_the_package_and_listing_its_models_imports_nothing_heavy():
    code = (
        "import sys; import pyimgano.models as m, pyimgano.models.specs\n"
        "m.list_models()\n"
        "heavy = {'numpy', 'cv2', 'torch', 'sklearn', 'scipy', 'timm', 'torchvision', 'onnxruntime'}\n"
        "heavy |= {'safetensors', 'pyod', 'numba'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=_plain_environment())


def _plain_environment():
    import os

    return {**os.environ, "PYIMGANO_PLUGINS": "none"}


def test_the_models_and_feature_extractors_are_listed():
    assert {entry["name"] for entry in list_models()} >= OURS
    assert {spec.name for spec in METHODS} == OURS
    assert {spec.name for spec in CLASSICAL_MODELS} == CLASSICAL
    assert {spec.key for spec in COMPONENTS} == {f"features/{spec.name}" for spec in FEATURES} | {
        "features/efficientnet-lite0",
        "features/timm",
        "features/torchvision",
        "weights/backbones",
    }


@pytest.mark.parametrize("spec", [*METHODS, *CLASSICAL_MODELS, *COMPONENTS], ids=lambda spec: spec.key)
def test_every_factory_exists_documents_its_parameters_and_takes_no_unnamed_ones(spec):
    module, _, attribute = spec.factory.partition(":")
    factory = getattr(importlib.import_module(module), attribute)
    assert inspect.getdoc(factory)
    kinds = {parameter.kind for parameter in inspect.signature(factory).parameters.values()}
    assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}


@pytest.mark.parametrize("name", sorted(OURS | CLASSICAL))
def test_every_model_is_made_with_its_defaults_and_says_what_they_are(name):
    info = model_info(name)
    assert info["available"]
    made = create_model(name)
    defaults = {key: value["default"] for key, value in describe_parameters(type(made)).items()}
    params = {key: list(v) if isinstance(v, tuple) else v for key, v in made.get_params().items()}
    assert params == defaults
    assert all(requirement["pip"].startswith('pip install "pyimgano-models[') for requirement in info["requires"])


def test_the_models_that_say_so_can_be_finetuned():
    from pyimgano.core.contracts import Finetunable

    for spec in METHODS:
        assert isinstance(create_model(spec.name), Finetunable) == spec.finetune
