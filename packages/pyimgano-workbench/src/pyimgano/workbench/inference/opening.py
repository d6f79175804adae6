"""What commands take as a bundle: an exported one, or the complete run itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional, Union

from pyimgano.core.errors import RunError
from pyimgano.workbench.inference.fitted import RunModels
from pyimgano.workbench.inference.models import FittedModels
from pyimgano.workbench.runs import open_run

__all__ = ["open_models"]


def open_models(path: Union[str, os.PathLike[str]], *, category: Optional[str] = None) -> FittedModels:
    """Return the fitted models of a run.

    Parameters
    ----------
    path : path-like
        A complete run.
    category : str, optional
        Use this one for all images.

    Raises
    ------
    RunError
        When there is nothing, or it is neither.
    UnknownNameError
        When it has no such category.
    """
    if not Path(path).exists():
        raise RunError("there is no such bundle or run", where=str(path))
    return RunModels(open_run(path), category=category)
