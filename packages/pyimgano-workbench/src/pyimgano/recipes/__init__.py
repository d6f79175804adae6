"""Recipes: a frozen config in, a run directory out.

A third party brings one through the entry-point group ``pyimgano.recipes``; :func:`register_recipe` adds one for the
life of a process.
"""

from __future__ import annotations

from typing import Callable, Optional, TypeVar

from pyimgano.core.errors import PluginError
from pyimgano.core.registry import RECIPES
from pyimgano.core.specs import RecipeSpec

__all__ = ["register_recipe"]

R = TypeVar("R", bound=type)


def register_recipe(
    name: str, *, summary: str, tags: tuple[str, ...] = (), presets: Optional[tuple[str, ...]] = None
) -> Callable[[R], R]:
    """Register a recipe class for the life of this process.

    Parameters
    ----------
    name : str
        What a run config calls it.
    summary : str
        One line for listings.
    tags : tuple of str
        Words to filter listings by.
    presets : tuple of str, optional
        Names of its presets, the default one first. Default: the keys of the class's attribute ``presets``, in order.

    Returns
    -------
    callable
        The decorator; it returns the class as it is.

    Raises
    ------
    PluginError
        When the name is taken, the class is not at the top of a module, or it has no ``run(config, run)``.

    Examples
    --------
    >>> @register_recipe("my-recipe", summary="Fit twice")
    ... class MyRecipe:
    ...     def run(self, config, run): ...
    """

    def register(recipe: R) -> R:
        where = f"recipe {name!r}"
        if "<locals>" in recipe.__qualname__:
            raise PluginError("is defined inside a function", where=where, hint="move it to the top of its module")
        if not callable(getattr(recipe, "run", None)):
            raise PluginError("has no method run(config, run)", where=where)
        own = tuple(getattr(recipe, "presets", {}))
        RECIPES.register(
            RecipeSpec(
                name,
                summary,
                f"{recipe.__module__}:{recipe.__qualname__}",
                tags=tags,
                presets=own if presets is None else presets,
            )
        )
        return recipe

    return register
