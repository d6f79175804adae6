"""What is wrong with a config, all of it at once, in the words of the person who wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from pyimgano.core.errors import ConfigError, ParameterError, PyimganoError
from pyimgano.core.names import nearest_names
from pyimgano.workbench.config.places import KeyPath

__all__ = ["ConfigProblem", "RunConfigError", "dotted", "from_validation", "parameter_problems", "problem_of"]


@dataclass(frozen=True)
class ConfigProblem:
    """One thing that is wrong.

    Attributes
    ----------
    path : tuple
        Path of the key.
    message : str
        What was wrong.
    where : str or None
        ``file:line:column``, or the option; None where nothing sets the key.
    allowed, hint : str or None
        What would be accepted, and what to type.
    exit_code : int
        That of the error behind it.
    """

    path: KeyPath
    message: str
    where: Optional[str] = None
    allowed: Optional[str] = None
    hint: Optional[str] = None
    exit_code: int = ConfigError.exit_code

    def __str__(self) -> str:
        text = ": ".join(part for part in (self.where, dotted(self.path), self.message) if part)
        if self.allowed:
            text += f"; allowed: {self.allowed}"
        if self.hint:
            text += f"; {self.hint}"
        return text


class RunConfigError(ConfigError):
    """A run config is not valid. The message lists every problem, one per line.

    Attributes
    ----------
    problems : tuple of ConfigProblem
    """

    def __init__(self, problems: Iterable[ConfigProblem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"{count} problem{'s' if count > 1 else ''} in the run config:\n{lines}")
        codes = {problem.exit_code for problem in self.problems}
        if len(codes) == 1:  # e.g. nothing is wrong but a distribution that is not installed
            self.exit_code = codes.pop()


def dotted(path: KeyPath) -> str:
    """Return the path of a key as it is typed: ``model.params.layers[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


_KINDS = {
    "bool_type": "true or false",
    "dict_type": "a table of keys",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "a table of keys",
    "string_too_short": "text that is not empty",
    "string_type": "text (in quotes)",
}
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}


def from_validation(errors: Sequence[Mapping[str, Any]], known: Mapping[KeyPath, Sequence[str]]) -> list[ConfigProblem]:
    """Translate pydantic's errors; places are added by the caller.

    Parameters
    ----------
    errors : sequence of mapping
        ``ValidationError.errors()``.
    known : mapping
        Path of each table → the keys that it may have; those of a list's tables have the path of the list.
    """
    return [_translate(error, known) for error in errors]


def _translate(error: Mapping[str, Any], known: Mapping[KeyPath, Sequence[str]]) -> ConfigProblem:
    path: KeyPath = tuple(error["loc"])
    kind, value, context = error["type"], error.get("input"), error.get("ctx") or {}
    given = repr(value) if not isinstance(value, dict) else "a table"
    if len(given) > 80:
        given = given[:77] + "…"
    if kind == "extra_forbidden":
        keys = known.get(tuple(part for part in path[:-1] if isinstance(part, str)), ())
        near = nearest_names(str(path[-1]), keys, 1)
        # A key of another table is a common slip: `alpha` at the top instead of in [calibration].
        elsewhere = [dotted((*table, str(path[-1]))) for table, names in known.items() if path[-1] in names]
        hint = f"did you mean {near[0]!r}?" if near else f"did you mean {elsewhere[0]!r}?" if elsewhere else None
        return ConfigProblem(path, "unknown key", allowed=", ".join(keys) or None, hint=hint)
    if kind == "missing":
        hint = "give it here or as --dataset PATH" if path == ("dataset", "root") else None
        return ConfigProblem(path, "is missing", hint=hint)
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return ConfigProblem(path, given, allowed=f"{words} {context[key]:g}")
    if kind == "literal_error":
        return ConfigProblem(path, given, allowed=str(context["expected"]))
    if kind == "value_error":
        return ConfigProblem(path, f"{given} {context['error']}")
    if kind in _KINDS:
        return ConfigProblem(path, given, allowed=_KINDS[kind])
    return ConfigProblem(path, f"{given}: {error['msg']}")


def problem_of(path: KeyPath, error: PyimganoError) -> ConfigProblem:
    """Return what an error says of the key at ``path``."""
    # The first line is about the name; what follows is about plugins that could not be asked.
    hint = (error.hint or "").split("\n", 1)[0] or None
    return ConfigProblem(path, error.message, allowed=error.allowed, hint=hint, exit_code=error.exit_code)


def parameter_problems(path: KeyPath, error: ParameterError, params: Mapping[str, Any]) -> list[ConfigProblem]:
    """Blame the parameters that the error names, where it names any."""
    named = [name for name in params if f"{name!r}" in error.message]
    if not named:
        first = error.message.split(" ", 1)[0].rstrip(":=")
        named = [first] if first in params else []
    problem = problem_of(path, error)
    if not named:
        return [problem]
    return [
        ConfigProblem((*path, name), problem.message, allowed=problem.allowed, hint=problem.hint) for name in named[:1]
    ] + [ConfigProblem((*path, name), "likewise") for name in named[1:]]
