"""The errors that pyimgano raises on purpose.

Every one of them says what was wrong, where, what is allowed and what to type. The CLI prints them without a
traceback and turns :attr:`PyimganoError.exit_code` into the exit status of the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional, Union

__all__ = [
    "CalibrationError",
    "CheckpointError",
    "ConfigError",
    "DatasetError",
    "ImageError",
    "MissingDependencyError",
    "NotCalibratedError",
    "NotFittedError",
    "ParameterError",
    "PluginError",
    "PyimganoError",
    "RunError",
    "StorageError",
    "UnknownNameError",
    "WeightsError",
]


class PyimganoError(Exception):
    """Base of all errors that a user is meant to read.

    Parameters
    ----------
    message : str
        What was wrong, in one sentence.
    where : str, optional
        The place: a file with line and column, a key of a config, an image, a command-line option.
    allowed : str or sequence of str, optional
        What would have been accepted.
    hint : str, optional
        What to do next, preferably a command to type.

    Attributes
    ----------
    exit_code : int
        Exit status of a command that ends with this error (see ``docs/cli.md``).
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        where: Optional[str] = None,
        allowed: Union[str, Sequence[str], None] = None,
        hint: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.allowed = allowed if allowed is None or isinstance(allowed, str) else ", ".join(map(str, allowed))
        self.hint = hint

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.message}" if self.where else self.message]
        if self.allowed:
            lines.append(f"allowed: {self.allowed}")
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Optional[str]]:
        """Return the error as a JSON-friendly mapping (``type``, ``message``, ``where``, ``allowed``, ``hint``)."""
        return {
            "type": type(self).__name__,
            "message": self.message,
            "where": self.where,
            "allowed": self.allowed,
            "hint": self.hint,
        }


class ConfigError(PyimganoError):
    """A configuration, option or argument is not valid."""

    exit_code = 2


class ParameterError(ConfigError, TypeError):
    """A parameter of a model, component or recipe is unknown or out of range."""


class UnknownNameError(ConfigError, LookupError):
    """A name (of a model, recipe, dataset, component, command, category, …) is not registered."""


class MissingDependencyError(PyimganoError, ImportError):
    """Something needs a distribution that is not installed; the hint holds the command that installs it."""

    exit_code = 3


class PluginError(PyimganoError):
    """A plugin failed to load, or was asked for although it is broken."""

    exit_code = 3


class WeightsError(PyimganoError):
    """Weights are neither installed nor cached, or their checksum does not match."""

    exit_code = 3


class DatasetError(PyimganoError):
    """A dataset cannot be read as asked: layout, split, masks, labels."""

    exit_code = 4


class ImageError(PyimganoError):
    """One image cannot be decoded or does not fit; it is never turned into a score."""

    exit_code = 4


class CalibrationError(PyimganoError):
    """A threshold cannot be calibrated as asked, e.g. an α that the number of images cannot support."""

    exit_code = 4


class NotFittedError(PyimganoError, AttributeError):
    """A detector was used before ``fit`` or ``load``."""


class NotCalibratedError(PyimganoError, AttributeError):
    """A decision was asked of a detector that has no threshold."""


class CheckpointError(PyimganoError):
    """A saved detector cannot be loaded: missing file, wrong checksum, other model, unknown schema."""

    exit_code = 5


class RunError(PyimganoError):
    """A run directory is missing, incomplete, or not what was asked for."""

    exit_code = 5


class StorageError(PyimganoError):
    """A file cannot be written: the folder is missing or read-only, or the disk is full."""

    exit_code = 74
