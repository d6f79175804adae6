"""Lists of components in a config: known names, and parameters that their constructors take."""

from __future__ import annotations

from typing import Any

from pyimgano.core.creation import create_component
from pyimgano.core.errors import ParameterError, PyimganoError, UnknownNameError
from pyimgano.core.names import unknown_name_hint
from pyimgano.core.registry import COMPONENTS
from pyimgano.workbench.config.places import KeyPath
from pyimgano.workbench.config.problems import ConfigProblem, parameter_problems, problem_of

__all__ = ["check_components", "component_names"]


def component_names(kind: str) -> tuple[str, ...]:
    """Return the names of all components of a kind, sorted."""
    return tuple(sorted(entry.spec.name for entry in COMPONENTS.entries() if entry.spec.kind == kind))


def check_components(path: KeyPath, kind: str, entries: Any, problems: list[ConfigProblem]) -> list[Any]:
    """Make every component of a list, and tell what is wrong with those that cannot be made.

    Parameters
    ----------
    path : tuple
        Path of the list in the config.
    kind : str
        Kind of its components.
    entries : object
        ``[{"name": …, "params": {…}}, …]`` as the user gave it; what has another shape is told by the schema.
    problems : list of ConfigProblem
        Takes what is wrong.

    Returns
    -------
    list
        The components that could be made, in order.
    """
    made = []
    for index, entry in enumerate(entries if isinstance(entries, (list, tuple)) else ()):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            continue
        name, params = entry["name"], entry.get("params", {})
        if not isinstance(params, dict):
            continue
        here = (*path, index)
        try:
            made.append(create_component(kind, name, params))
        except UnknownNameError:
            names = component_names(kind)
            hint = unknown_name_hint(name, names)
            problems.append(
                ConfigProblem((*here, "name"), f"unknown {kind} {name!r}", allowed=", ".join(names), hint=hint)
            )
        except ParameterError as error:
            problems += parameter_problems((*here, "params"), error, params)
        except PyimganoError as error:
            problems.append(problem_of((*here, "name"), error))
    return made
