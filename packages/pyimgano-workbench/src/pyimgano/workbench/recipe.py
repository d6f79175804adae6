"""Recipes by name: their presets, their parameters, and their making."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from pyimgano.core.contracts import Recipe
from pyimgano.core.errors import PluginError
from pyimgano.core.parameters import check_parameters
from pyimgano.core.registry import RECIPES

__all__ = ["PresetFacts", "create_recipe", "preset_defaults", "preset_facts", "recipe_presets"]


@dataclass(frozen=True)
class PresetFacts:
    """What a preset is for; a recipe may have them in its attribute ``preset_facts``, preset → facts.

    Attributes
    ----------
    summary : str
        In plain words, one sentence or two.
    own_model : bool
        Whether the preset is its model: naming another one beside it is a contradiction.
    most_images : int, optional
        Good images of a category beyond which leaving out one at a time, which the preset does, is refused.
    """

    summary: str
    own_model: bool = False
    most_images: Optional[int] = None


def preset_facts(name: str, preset: Optional[str]) -> PresetFacts:
    """Return what a recipe says of a preset; empty facts where it says nothing.

    Raises
    ------
    UnknownNameError
        When no recipe has that name.
    """
    known: Mapping[str, PresetFacts] = getattr(RECIPES.load(name), "preset_facts", {})
    return known.get(preset or "", PresetFacts(""))


def recipe_presets(name: str) -> tuple[str, ...]:
    """Return the presets of a recipe, the default one first.

    Raises
    ------
    UnknownNameError
        When no recipe has that name.
    """
    return RECIPES.get(name).spec.presets


def preset_defaults(name: str, preset: str) -> dict[str, Any]:
    """Return the part of a run config that a preset gives defaults for, from the recipe's attribute ``presets``.

    Raises
    ------
    PluginError
        When the recipe lists the preset in its spec but does not define it.
    """
    presets: Mapping[str, Mapping[str, Any]] = getattr(RECIPES.load(name), "presets", {})
    if preset not in presets:
        raise PluginError(
            f"the recipe {name!r} lists the preset {preset!r} but does not define it",
            hint="its class needs the attribute presets = {name: part of a run config}",
        )
    return copy.deepcopy(dict(presets[preset]))


def create_recipe(name: str, params: Optional[Mapping[str, Any]] = None) -> Recipe:
    """Return the recipe called ``name``, made with ``params``.

    Raises
    ------
    UnknownNameError, ParameterError, MissingDependencyError, PluginError
        Each says what is allowed or what to install.
    """
    factory = RECIPES.load(name)
    if not isinstance(factory, type) and isinstance(factory, Recipe):  # an instance takes no parameters
        check_parameters(_no_parameters, params or {}, where=f"recipe {name!r}")
        return factory
    check_parameters(factory, params or {}, where=f"recipe {name!r}")
    recipe: Recipe = factory(**(params or {}))
    return recipe


def _no_parameters() -> None:
    pass
