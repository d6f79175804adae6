"""What the presets of a recipe do, in plain words, with what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyimgano.cli.output import print_text
from pyimgano.core.contracts import DescribesPresets

__all__ = ["preset_details", "print_presets"]


def preset_details(factory: Any, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return what each preset of a recipe does, in their order; the first one is the default.

    Parameters
    ----------
    factory : object
        What the recipe's spec names. If it is :class:`~pyimgano.core.contracts.DescribesPresets`, it is asked; else the
        settings of its attribute ``presets`` are all that is known.
    names : sequence of str
        Of the presets.
    """
    settings: Mapping[str, Mapping[str, Any]] = getattr(factory, "presets", {})
    details = []
    for position, name in enumerate(names):
        detail: dict[str, Any] = {"name": name, "default": position == 0}
        if isinstance(factory, DescribesPresets):
            detail.update(factory.describe_preset(name))
        elif name in settings:
            detail["settings"] = dict(settings[name])
        details.append(detail)
    return details


def print_presets(details: Sequence[Mapping[str, Any]]) -> None:
    """Print :func:`preset_details` for people."""
    stages = details[0].get("stages") or ()
    if stages:
        print_text("Stages:")
        for number, stage in enumerate(stages, start=1):
            print_text(f"  {number}. {stage}")
        print_text()
    print_text("Presets:")
    for detail in details:
        default = " (the default)" if detail["default"] else ""
        summary = f": {detail['summary']}" if detail.get("summary") else ""
        print_text(f"  {detail['name']}{default}{summary}")
        settings = ", ".join(f"{key} = {value}" for key, value in _flat(detail.get("settings") or {}))
        if settings:
            print_text(f"      sets: {settings}")
        if detail.get("calibration"):
            print_text(f"      threshold: {detail['calibration']}")
        for figures in detail.get("measured") or ():
            print_text(f"      measured: {figures['text']} [{figures['source']}]")


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted key and value of every leaf."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
