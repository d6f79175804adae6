"""Names of OpenCLIP's models: ``openclip/<model>[:<pretrained tag>]``, both as OpenCLIP spells them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from pyimgano.core.errors import ParameterError, UnknownNameError
from pyimgano.core.names import unknown_name_hint
from pyimgano.core.plugins import resolve
from pyimgano.core.specs import Requirement

__all__ = ["LIBRARY", "load_open_clip", "model_config", "root_logger_silenced", "split_name"]

LIBRARY = "openclip"
OPEN_CLIP = Requirement("open_clip", "open-clip-torch")
LISTING = 'python -c "import open_clip; print(open_clip.list_models())"'


def split_name(name: str) -> tuple[str, str]:
    """Return (model, tag) of ``openclip/<model>[:<tag>]``; the tag is ``""`` when there is none. Imports nothing.

    Raises
    ------
    ParameterError
        When it is no such name.
    """
    library, slash, rest = name.partition("/")
    model, _, tag = rest.partition(":")
    if library != LIBRARY or not slash or not model:
        raise ParameterError(f"{name!r} is no model of OpenCLIP", allowed="openclip/<model>[:<pretrained tag>]")
    return model, tag


def load_open_clip() -> Any:
    """Return the module ``open_clip``.

    Raises
    ------
    MissingDependencyError, PluginError
        When it is not installed, or is broken.
    """
    resolve("open_clip:create_model", requires=(OPEN_CLIP,), where="OpenCLIP")
    import open_clip

    return open_clip


def model_config(model: str) -> dict[str, Any]:
    """Return OpenCLIP's configuration of a model: ``embed_dim``, ``vision_cfg``, ``text_cfg``, ….

    Raises
    ------
    UnknownNameError
        When OpenCLIP has none of this name.
    """
    open_clip = load_open_clip()
    known = open_clip.list_models()
    config: dict[str, Any] = (open_clip.get_model_config(model) if model in known else None) or {}
    if not config:
        hint = unknown_name_hint(model, known, listing=LISTING)
        raise UnknownNameError(f"OpenCLIP has no model {model!r}", where="backbone", hint=hint)
    return config


@contextlib.contextmanager
def root_logger_silenced() -> Iterator[None]:
    """Keep OpenCLIP, which logs on the root logger, from printing, and from configuring logging for the process."""
    root = logging.getLogger()
    handler = logging.NullHandler()
    root.addHandler(handler)
    root.addFilter(_nothing)
    try:
        yield
    finally:
        root.removeFilter(_nothing)
        root.removeHandler(handler)


def _nothing(record: logging.LogRecord) -> bool:
    return False
