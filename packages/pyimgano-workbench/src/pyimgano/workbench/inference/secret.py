"""Secrets come from the environment or from a file: a command line is seen by every user of the machine, and kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional

from pyimgano.core.errors import ConfigError

__all__ = ["read_secret"]


def read_secret(variable: str, path: Optional[Path], option: str) -> Optional[bytes]:
    """Return a secret without the white space around it; None where neither is given.

    Parameters
    ----------
    variable : str
        Environment variable; the file wins.
    path : Path or None
        File.
    option : str
        What to call it in an error.

    Raises
    ------
    ConfigError
        When the file cannot be read, or the secret is empty. It never tells any of it.
    """
    if path is None:
        text = os.environ.get(variable)
        if text is None:
            return None
        secret, where = text.encode("utf-8", "surrogateescape").strip(), variable
    else:
        try:
            secret, where = path.read_bytes().strip(), option
        except OSError as error:
            raise ConfigError(f"cannot read: {error.strerror or error}", where=f"{option} {path}") from error
    if not secret:
        raise ConfigError("the secret is empty", where=where)
    return secret
