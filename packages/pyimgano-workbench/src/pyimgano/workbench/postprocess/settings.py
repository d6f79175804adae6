"""From a config to a post-processing that has learned nothing yet, and to the artifact that inference reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.errors import CheckpointError
from pyimgano.core.state import read_state, write_state
from pyimgano.workbench.postprocess.processing import TOP_SHARE, PostProcess
from pyimgano.workbench.postprocess.roi import Roi
from pyimgano.workbench.postprocess.rules import MapRule, create_rule, learns

if TYPE_CHECKING:
    from pyimgano.workbench.config import PostprocessConfig

__all__ = ["FOLDER", "configured", "keep_learned", "load_kept", "read_settings", "resolved_score", "settings_of"]

FOLDER = "postprocess"
"""In a checkpoint: what the rules have learned."""


def resolved_score(config: PostprocessConfig) -> str:
    """Return what the image score is: ``"auto"`` is the model's own where nothing else is set, else the maximum."""
    if config.image_score != "auto":
        return config.image_score
    return "max" if config.maps or config.roi is not None or config.border else "model"


def settings_of(config: PostprocessConfig) -> Optional[dict[str, Any]]:
    """Return what all categories share, JSON-friendly, or None where nothing is set."""
    settings = {
        "maps": [{"name": rule.name, "params": dict(rule.params)} for rule in config.maps],
        "border": config.border,
        "image_score": resolved_score(config),
        "top_share": TOP_SHARE if config.top_share is None else config.top_share,
    }
    if config.maps or config.border or config.roi is not None or settings["image_score"] != "model":
        return settings
    return None


def configured(config: PostprocessConfig, roi: Optional[Roi]) -> PostProcess:
    """Return the post-processing of one category, whose rules have learned nothing yet.

    Parameters
    ----------
    roi : Roi or None
        The category's.
    """
    settings = settings_of(config)
    return PostProcess() if settings is None else read_settings(settings, roi)


def read_settings(settings: Mapping[str, Any], roi: Optional[Roi]) -> PostProcess:
    """Return what :func:`settings_of` described.

    Raises
    ------
    KeyError, TypeError, ValueError
        When it describes nothing.
    PyimganoError
        When a rule cannot be made.
    """
    rules = tuple(create_rule(entry["name"], entry["params"]) for entry in settings["maps"])
    border, score, share = settings["border"], settings["image_score"], settings["top_share"]
    if type(border) is not int or border < 0:
        raise ValueError(f"border = {border!r}, not a whole number >= 0")
    if score not in ("model", "max", "top-mean"):
        raise ValueError(f"image_score = {score!r}")
    return PostProcess(rules, roi, border, score, float(share))


def keep_learned(rules: Sequence[MapRule], folder: Path, identity: Mapping[str, Any]) -> None:
    """Write what the rules have learned, without pickle.

    Parameters
    ----------
    folder : Path
        The checkpoint's.
    identity : mapping
        What they have learned from, JSON-friendly.
    """
    arrays: dict[str, Any] = {}
    facts = []
    for index, rule in enumerate(rules):
        own, known = rule.state() if learns(rule) else ({}, {})
        arrays.update({f"{index}.{name}": array for name, array in own.items()})
        facts.append(dict(known))
    write_state(folder / FOLDER, arrays, {"identity": dict(identity), "rules": facts})


def load_kept(rules: Sequence[MapRule], folder: Path, identity: Optional[Mapping[str, Any]] = None) -> bool:
    """Give the rules what they have learned, and say whether they could have it: not what is of another identity.

    Parameters
    ----------
    identity : mapping, optional
        What they must have learned from; None: whatever it was.

    Raises
    ------
    CheckpointError
        When something is missing or damaged.
    """
    arrays, record = read_state(folder / FOLDER)
    if identity is not None and record.get("identity") != dict(identity):
        return False
    facts = record.get("rules")
    if not isinstance(facts, list) or len(facts) != len(rules):
        raise CheckpointError("was kept for other rules", where=str(folder / FOLDER))
    for index, (rule, known) in enumerate(zip(rules, facts)):
        if learns(rule):
            mark = f"{index}."
            rule.restore({n[len(mark) :]: a for n, a in arrays.items() if n.startswith(mark)}, known)
    return True
