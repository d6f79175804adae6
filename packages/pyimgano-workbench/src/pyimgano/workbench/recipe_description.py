"""What a preset does, in plain words, and what was measured with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

from pyimgano.workbench.recipe import preset_defaults, preset_facts

__all__ = ["describe_preset", "measured_figures"]

MEASURED = "measured.json"
"""In the package ``pyimgano.recipes``; written by ``tools/write_presets_page.py`` from ``benchmarks/presets``."""


def describe_preset(recipe: str, preset: str, stages: Sequence[str]) -> dict[str, Any]:
    """Return what a preset does, JSON-friendly; see :class:`pyimgano.core.contracts.DescribesPresets`.

    Parameters
    ----------
    recipe, preset : str
        Registered names.
    stages : sequence of str
        What the recipe does, one sentence each.

    Raises
    ------
    UnknownNameError, PluginError
        When there is no such recipe or preset.
    """
    from pyimgano.workbench.plan.words import calibration_words

    defaults = preset_defaults(recipe, preset)
    return {
        "summary": preset_facts(recipe, preset).summary,
        "stages": list(stages),
        "settings": defaults,
        "calibration": calibration_words(defaults.get("calibration", {})),
        "measured": measured_figures(recipe, preset),
    }


def measured_figures(recipe: str, preset: str) -> list[dict[str, Any]]:
    """Return the figures of the kept runs of a preset, each with the file that they come from.

    Empty where nothing was measured.
    """
    found: list[dict[str, Any]] = _measured().get(recipe, {}).get(preset, [])
    return found


@lru_cache(maxsize=1)
def _measured() -> dict[str, Any]:
    text = (resources.files("pyimgano.recipes") / MEASURED).read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)["recipes"]
    return loaded
