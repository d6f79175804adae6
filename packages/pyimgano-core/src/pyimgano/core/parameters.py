"""Parameters of a factory, read from its signature: unknown ones are refused with the nearest name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Callable, Optional

from pyimgano.core.errors import ParameterError
from pyimgano.core.names import nearest_names

__all__ = ["check_parameters", "describe_parameters", "require"]


def describe_parameters(factory: Callable[..., Any]) -> dict[str, dict[str, Any]]:
    """Return name → ``{"default", "annotation", "required"}`` of a factory's parameters, JSON-friendly.

    A default that JSON has no form for is given by its ``repr``.
    """
    described: dict[str, dict[str, Any]] = {}
    for name, parameter in _parameters(factory).items():
        required = parameter.default is inspect.Parameter.empty
        default = None if required else parameter.default
        if isinstance(default, tuple):
            default = list(default)
        if not isinstance(default, (bool, int, float, str, list, dict, type(None))):
            default = repr(default)
        annotation = parameter.annotation
        if annotation is inspect.Parameter.empty:
            text = None
        else:
            text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
        described[name] = {"default": default, "annotation": text, "required": required}
    return described


def _parameters(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {n: p for n, p in inspect.signature(factory).parameters.items() if p.kind in kinds and n != "self"}


def check_parameters(factory: Callable[..., Any], given: Mapping[str, Any], *, where: str) -> None:
    """Refuse parameters that ``factory`` does not know, and name those that it needs and were not given.

    Parameters
    ----------
    factory : callable
        A class or function whose signature has no ``**kwargs``; one that has is a mistake of its author, since its
        parameters could not be told from typing errors.
    given : mapping
        The parameters about to be passed.
    where : str
        What is being made, e.g. ``"model 'patchcore'"``.

    Raises
    ------
    ParameterError
        With all unknown names, the nearest known ones, and the allowed list.
    """
    signature = inspect.signature(factory)
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in signature.parameters.values()):
        raise ParameterError(
            "its factory takes **kwargs, so its parameters cannot be checked", where=where, hint="name each parameter"
        )
    known = _parameters(factory)
    unknown = [name for name in given if name not in known]
    if unknown:
        guesses = [f"{name!r} → {near[0]!r}" for name in unknown for near in [nearest_names(name, known, 1)] if near]
        noun = "unknown parameter" + ("s" if len(unknown) > 1 else "")
        raise ParameterError(
            f"{noun} {', '.join(map(repr, unknown))}",
            where=where,
            allowed=", ".join(known) or "no parameters",
            hint=f"did you mean {', '.join(guesses)}?" if guesses else None,
        )
    missing = [n for n, p in known.items() if p.default is inspect.Parameter.empty and n not in given]
    if missing:
        raise ParameterError(f"missing parameter {', '.join(map(repr, missing))}", where=where)


def require(condition: bool, name: str, value: Any, allowed: str, *, where: Optional[str] = None) -> None:
    """Raise :class:`ParameterError` unless ``condition``: ``name`` has ``value``, and ``allowed`` says what may be."""
    if not condition:
        raise ParameterError(f"{name} = {value!r}", where=where, allowed=allowed)
