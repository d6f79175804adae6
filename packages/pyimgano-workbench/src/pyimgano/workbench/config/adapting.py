"""What a schema cannot tell of the section ``adapt``: which drifts there are, and whether what is set would be used."""

from __future__ import annotations

from typing import Any

from pyimgano.workbench.config.components import check_components
from pyimgano.workbench.config.models import AdaptConfig, DriftConfig
from pyimgano.workbench.config.places import KeyPath
from pyimgano.workbench.config.problems import ConfigProblem

__all__ = ["check_adapt"]

_SECTION: KeyPath = ("adapt",)


def check_adapt(adapt: Any, recipe: Any, detector: Any, problems: list[ConfigProblem]) -> None:
    """Tell what is wrong with the section, as far as its schema does not.

    Parameters
    ----------
    adapt : object
        The section as the user gave it; what has another shape is told by the schema.
    recipe, detector : object or None
        As they were made; None where that was told already. A recipe whose method ``uses_copies(detector)`` says False
        gives the model no drifted copies of whole images.
    problems : list of ConfigProblem
        Takes what is wrong.
    """
    if not isinstance(adapt, dict):
        return
    entries = adapt.get("augment")
    _check_drifts(entries, problems)
    wanted, copies = adapt.get("drift_augment", False), adapt.get("copies")
    copies_set = copies is not None and copies != AdaptConfig().copies
    if wanted is False:
        idle = [key for key, given in (("augment", entries is not None), ("copies", copies_set)) if given]
        for key in idle:
            problems.append(
                ConfigProblem(
                    (*_SECTION, key),
                    "would do nothing, since adapt.drift_augment is false",
                    hint="set adapt.drift_augment to true, or leave this out",
                )
            )
    elif copies_set and recipe is not None and detector is not None and hasattr(recipe, "uses_copies"):
        if not recipe.uses_copies(detector):
            problems.append(
                ConfigProblem(
                    (*_SECTION, "copies"),
                    "would do nothing: the model keeps nothing of the images but its trained weights",
                    hint="leave it out; the training itself draws new drifts for each image and epoch",
                )
            )


def _check_drifts(entries: Any, problems: list[ConfigProblem]) -> None:
    lowest = DriftConfig(name="-").severity[0]
    made = []
    for index, entry in enumerate(entries if isinstance(entries, (list, tuple)) else ()):
        params = entry.get("params", {}) if isinstance(entry, dict) else None
        if isinstance(params, dict) and "severity" in params:
            problems.append(
                ConfigProblem(
                    (*_SECTION, "augment", index, "params", "severity"),
                    "stands beside params: severity = [low, high]",
                )
            )
            params = {key: value for key, value in params.items() if key != "severity"}
        # Any severity will do: that those of the entry are some is the schema's to say.
        made.append({**entry, "params": {**params, "severity": lowest}} if isinstance(params, dict) else entry)
    check_components((*_SECTION, "augment"), "augment", made, problems)
