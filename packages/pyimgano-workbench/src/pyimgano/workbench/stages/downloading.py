"""Bringing the weights that a run's model needs, when that was asked for: ``pyimgano train --download``."""

from __future__ import annotations

from pyimgano.core.weights import weights_provider
from pyimgano.workbench.config import RunConfig
from pyimgano.workbench.progress import Progress
from pyimgano.workbench.stages.fitting import create_bare_model

__all__ = ["download_weights"]


def download_weights(config: RunConfig, progress: Progress) -> bool:
    """Download the weights that the model's parameters ``backbone`` and ``weights`` name; tell whether that was done.

    Nothing is downloaded when they are on this machine, when they are a file or random, or when the model has no
    parameter ``backbone``. What a model takes beside its backbone is not known here.

    Raises
    ------
    UnknownNameError
        When nothing installed knows the backbone's weights.
    WeightsError
        When they cannot be had; its hint says what to bring from where.
    """
    detector = create_bare_model(config)
    backbone = getattr(detector, "backbone", None)
    if not isinstance(backbone, str):
        progress.note(f"the model {config.model.name} names no backbone: nothing to download")
        return False
    tag = getattr(detector, "weights", "default")
    provider = weights_provider(backbone)
    info = provider.describe(backbone, tag)
    if info.place is not None and info.problem is None:
        return False
    progress.note(f"the weights {info.tag} of {info.name} are not here: downloading them")
    info = provider.fetch(backbone, tag)
    progress.note(f"kept {info.path}")
    return True
