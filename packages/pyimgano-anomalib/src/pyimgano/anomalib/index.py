"""What the installed anomalib offers, read from its sources: importing it takes ten seconds, reading some ms."""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.errors import MissingDependencyError, PluginError

__all__ = ["NEEDS_DEPTH", "Constructor", "ConstructorParameter", "ImageModel", "constructor_of", "image_models"]

NEEDS_DEPTH = ("cfm",)
"""Modules of models that take depth maps beside images, which no dataset of pyimgano has: left out."""

OWN_COMPONENTS = ("pre_processor", "post_processor", "evaluator", "visualizer")
"""Parameters that every model of anomalib has and that are not the user's here."""


@dataclass(frozen=True)
class ImageModel:
    """One image model of the installed anomalib.

    Attributes
    ----------
    name : str
        What pyimgano calls it: the name of its module, words joined by ``-``.
    module : str
        Of its package below ``anomalib.models.image``.
    class_name : str
        Of its Lightning module.
    title : str
        What anomalib's own list calls it; the class's name where it says nothing.
    """

    name: str
    module: str
    class_name: str
    title: str


@dataclass(frozen=True)
class ConstructorParameter:
    """One parameter of a model's constructor.

    Attributes
    ----------
    name : str
    annotation : str or None
        As it stands in the source.
    default : object
        None where the default is no literal, too: then ``expression`` says what it is.
    expression : str or None
        The source of a default that is no literal, such as that of an enumeration's member.
    """

    name: str
    annotation: Optional[str]
    default: Any
    expression: Optional[str] = None


@dataclass(frozen=True)
class Constructor:
    """The constructor of a model.

    Attributes
    ----------
    parameters : tuple of ConstructorParameter
        Without :data:`OWN_COMPONENTS`.
    sets_length : bool
        Whether the model decides itself how long it is trained.
    """

    parameters: tuple[ConstructorParameter, ...]
    sets_length: bool


def _models_folder() -> Path:
    spec = importlib.util.find_spec("anomalib")
    if spec is None:
        raise MissingDependencyError("needs 'anomalib'", hint='pip install "pyimgano-anomalib"')
    for place in spec.submodule_search_locations or ():
        folder = Path(place, "models", "image")
        if (folder / "__init__.py").is_file():
            return folder
    raise PluginError(
        "the installed anomalib has no models/image: it is not anomalib 2, or damaged",
        where=str(spec.origin or "anomalib"),
        hint='pip install --force-reinstall "anomalib>=2"',
    )


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise PluginError(
            f"anomalib is installed but broken: {type(error).__name__}: {error}",
            where=str(path),
            hint='pip install --force-reinstall "anomalib>=2"',
        ) from error


@functools.lru_cache(maxsize=1)
def image_models() -> tuple[ImageModel, ...]:
    """Return the image models of the installed anomalib, sorted by name.

    Raises
    ------
    MissingDependencyError
        When anomalib is not installed.
    PluginError
        When it is, and its list of models cannot be read.
    """
    tree = _parse(_models_folder() / "__init__.py")
    titles = dict(re.findall(r"- :class:`(\w+)`: (.+)", ast.get_docstring(tree) or ""))
    plain_titles = {name.lower(): title.strip() for name, title in titles.items()}
    found: dict[str, ImageModel] = {}
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom) or node.level != 1 or not node.module or "." in node.module:
            continue
        for alias in node.names:
            class_name = alias.asname or alias.name
            name = node.module.replace("_", "-")
            if node.module in NEEDS_DEPTH or not class_name[:1].isupper():
                continue
            if name in found:  # a module with two models
                name = f"{name}-{class_name.lower()}"
            title = plain_titles.get(class_name.lower(), class_name)
            found[name] = ImageModel(name, node.module, class_name, title)
    return tuple(found[name] for name in sorted(found))


@functools.cache
def constructor_of(model: ImageModel) -> Constructor:
    """Return the constructor of a model, without importing it.

    Raises
    ------
    PluginError
        When its source does not hold one.
    """
    path = _models_folder() / model.module / "lightning_model.py"
    for node in _parse(path).body:
        if isinstance(node, ast.ClassDef) and node.name == model.class_name:
            methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
            if "__init__" in methods:
                arguments = methods["__init__"].args
                return Constructor(tuple(_parameters(arguments)), _sets_length(methods.get("trainer_arguments")))
    raise PluginError(
        f"this anomalib's {model.class_name} has no constructor that can be read",
        where=str(path),
        hint='pip install --upgrade "anomalib>=2"',
    )


def _parameters(arguments: ast.arguments) -> list[ConstructorParameter]:
    names = arguments.args[1:]
    defaults: list[Optional[ast.expr]] = [None] * (len(names) - len(arguments.defaults)) + list(arguments.defaults)
    pairs = [*zip(names, defaults), *zip(arguments.kwonlyargs, arguments.kw_defaults)]
    return [_parameter(name, default) for name, default in pairs if name.arg not in OWN_COMPONENTS]


def _parameter(argument: ast.arg, default: Optional[ast.expr]) -> ConstructorParameter:
    annotation = None if argument.annotation is None else ast.unparse(argument.annotation)
    if default is None:
        return ConstructorParameter(argument.arg, annotation, None)
    try:
        return ConstructorParameter(argument.arg, annotation, ast.literal_eval(default))
    except ValueError:
        return ConstructorParameter(argument.arg, annotation, None, ast.unparse(default))


def _sets_length(function: Optional[ast.FunctionDef]) -> bool:
    if function is None:
        return False
    constants = {node.value for node in ast.walk(function) if isinstance(node, ast.Constant)}
    return bool({"max_epochs", "max_steps"} & {value for value in constants if isinstance(value, str)})
