"""What commands take as a bundle: an exported one, or the complete run itself."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Optional, Union

from pyimgano.core.errors import RunError
from pyimgano.workbench.bundle.bundle import load_bundle
from pyimgano.workbench.bundle.names import MANIFEST
from pyimgano.workbench.inference.fitted import RunModels
from pyimgano.workbench.inference.models import FittedModels
from pyimgano.workbench.runs import open_run

__all__ = ["open_models"]


def open_models(path: Union[str, os.PathLike[str]], *, category: Optional[str] = None) -> FittedModels:
    """Return the fitted models of a bundle or a run.

    Parameters
    ----------
    path : path-like
        What ``pyimgano export`` made, a folder or a zip; or a complete run. What a zip was unpacked to is removed when
        the models are not used any more, at the latest when the program ends.
    category : str, optional
        Use this one for all images.

    Raises
    ------
    RunError
        When there is nothing, or it is neither.
    CheckpointError
        When a bundle is damaged, or holds what it must not.
    UnknownNameError
        When it has no such category.
    """
    if not Path(path).exists():
        raise RunError("there is no such bundle or run", where=str(path))
    place = Path(path)
    if place.is_file() or (place / MANIFEST).is_file():
        bundle = load_bundle(place, category=category)
        weakref.finalize(bundle.models, bundle.contents.close)
        return bundle.models
    return RunModels(open_run(place), category=category)
