"""The presets of the recipe ``industrial-adapt``, and what each is for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pyimgano.workbench.calibrate.few_images import MOST_LEFT_OUT, few_images_calibration
from pyimgano.workbench.recipe import PresetFacts

__all__ = ["FACTS", "PRESETS"]

LEAST = 5
"""Good images that the preset ``few-shot`` runs on as it is."""


def _patchcore(input_size: int, ratio: float) -> dict[str, Any]:
    params = {"backbone": "efficientnet-lite0", "input_size": input_size, "coreset_sampling_ratio": ratio}
    return {"name": "patchcore", "params": params}


PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "balanced": {"model": _patchcore(224, 0.1)},
        "fast": {"model": _patchcore(224, 0.01)},
        "accurate": {"model": _patchcore(320, 0.1)},
        "highres": {"model": _patchcore(448, 0.1)},
        "few-shot": {"model": _patchcore(224, 0.1), "calibration": few_images_calibration(LEAST) or {}},
        "noisy-train": {
            "model": {"name": "softpatch", "params": {"backbone": "efficientnet-lite0", "input_size": 224}},
            # Of the held-out images some are defective, too: the rank of a conformal threshold would be one of theirs.
            "calibration": {"method": "mean-sigma", "params": {"robust": True}},
        },
    }
)

FACTS: Mapping[str, PresetFacts] = MappingProxyType(
    {
        "balanced": PresetFacts("Where to begin: keeps a tenth of all patches of the good images."),
        "fast": PresetFacts("Keeps one patch in a hundred: smaller and quicker, a little less exact."),
        "accurate": PresetFacts(
            "Looks at images of 320 pixels instead of 224, for small defects; takes some times as long."
        ),
        "highres": PresetFacts(
            "Looks at images of 448 pixels, for small defects in large images; by far the slowest and the largest."
        ),
        "few-shot": PresetFacts(
            "For some 5 to 10 good images: all are fitted on, and each is scored by a model of the others, so that "
            "none has to be held out. From 9 images on, alpha can be 0.1.",
            most_images=MOST_LEFT_OUT,
        ),
        "noisy-train": PresetFacts(
            "For training images of which some are defective and nobody knows which: removes the patches that stick "
            "out among those of the same place; the threshold is one that some defective held-out images do not move.",
            own_model=True,
        ),
    }
)
