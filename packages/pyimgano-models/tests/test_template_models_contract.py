"""What all template models keep: the contract, parameters, light imports, the same bits on any threads. 10 s."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from pyimgano.core.creation import create_model
from pyimgano.core.errors import ParameterError
from pyimgano.core.testing import parametrize_with_checks
from pyimgano.models.nearest_image import NearestImage
from pyimgano.models.pixel_median import PixelMedian
from pyimgano.models.template_ncc import TemplateNcc
from pyimgano.models.template_phase import TemplatePhase
from pyimgano.models.template_ssim import TemplateSsim

TEMPLATES = ("nearest-image", "pixel-median", "template-ncc", "template-phase", "template-ssim")


@parametrize_with_checks(
    {
        "nearest-image": lambda: NearestImage(input_size=48, neighbors=2),
        "nearest-image-oblong-sample": lambda: NearestImage(
            input_size=(40, 56), color="grey", shift=0, standardize=False
        ),
        "nearest-image-sample": lambda: NearestImage(input_size=48, max_images=9),
        "pixel-median": lambda: PixelMedian(input_size=48),
        "pixel-median-grey-sample": lambda: PixelMedian(input_size=(40, 56), color="grey", max_images=9, map_sigma=0.0),
        "template-ncc": lambda: TemplateNcc(input_size=48, n_templates=4),
        "template-ncc-rgb": lambda: TemplateNcc(input_size=(40, 56), color="rgb", normalize=False, max_images=9),
        "template-phase": lambda: TemplatePhase(input_size=48, block=16, n_templates=4),
        "template-phase-rgb": lambda: TemplatePhase(input_size=(40, 56), color="rgb", block=16, shift=0, max_images=9),
        "template-ssim": lambda: TemplateSsim(input_size=48, n_templates=4),
        "template-ssim-rgb": lambda: TemplateSsim(input_size=(40, 56), color="rgb", normalize=False, max_images=9),
    },
    batch_tolerance=0.0,
)
def test_the_contract_is_kept(check):
    check()


@pytest.mark.parametrize("model", ["pixel-gaussian", *TEMPLATES])
def test_scores_do_not_depend_on_the_number_of_threads(model, photographs, monkeypatch):
    good = [photographs["coffee"][:64, left : left + 64] for left in range(0, 384, 32)]
    several = create_model(model).fit(good).infer(good[:3])

    monkeypatch.setattr("pyimgano.models.parallel.usable_cores", lambda: 1)
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            one = create_model(model).fit(good).infer(good[:3])
    finally:
        cv2.setNumThreads(before)

    assert one.image_scores.tobytes() == several.image_scores.tobytes()
    assert one.maps.tobytes() == several.maps.tobytes()


@pytest.mark.parametrize(
    ("model", "params"),
    [
        *((name, {"input_size": 4}) for name in TEMPLATES),
        *((name, {"color": "hsv"}) for name in TEMPLATES),
        *((name, {"max_images": 0}) for name in TEMPLATES),
        *((name, {"seed": -1}) for name in TEMPLATES),
        *((name, {"standardize": 1}) for name in TEMPLATES if name != "pixel-median"),
        *((name, {"map_sigma": "1"}) for name in TEMPLATES),
        *((name, {"n_templates": 0}) for name in TEMPLATES if name.startswith("template")),
        ("pixel-median", {"epsilon": 0.0}),
        ("template-ncc", {"window": 8}),
        ("template-ncc", {"window": 1}),
        ("template-ncc", {"epsilon": 0}),
        ("template-phase", {"block": 15}),
        ("template-phase", {"block": 160}),
        ("template-phase", {"band": 0.0}),
        ("template-phase", {"shift": 8}),
        ("template-phase", {"epsilon": -1.0}),
        ("nearest-image", {"neighbors": 0}),
        ("nearest-image", {"shift": 1.5}),
        ("nearest-image", {"shift": 64}),
    ],
    ids=str,
)
def test_parameters_out_of_range_are_refused_at_creation(model, params):
    with pytest.raises(ParameterError) as caught:
        create_model(model, **params)
    assert next(iter(params)) in str(caught.value)
    assert caught.value.allowed


@pytest.mark.parametrize("model", TEMPLATES)
def test_images_of_one_colour_are_scored(model):
    good = [np.full((50, 60, 3), value, np.uint8) for value in (0, 128, 255)]
    scores = create_model(model).fit(good).infer([np.full((50, 60, 3), 7, np.uint8)])
    assert np.isfinite(scores.image_scores).all()
    assert np.isfinite(scores.maps).all()


def test_template_models_import_neither_torch_nor_scikit_learn():
    code = (
        "import sys, numpy as np\n"
        "from pyimgano.core.creation import create_model\n"
        "images = [np.full((40, 40, 3), v, np.uint8) for v in (90, 100, 110)]\n"
        f"for name in {TEMPLATES!r}:\n"
        "    create_model(name).fit(images).infer(images)\n"
        "assert not {'torch', 'sklearn', 'onnxruntime', 'timm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
