"""A detector that is fitted on the spot: a run like any other, made for one inference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyimgano.core.errors import ConfigError
from pyimgano.workbench.progress import Progress
from pyimgano.workbench.runs import RunDirectory

__all__ = ["fit_run"]


def fit_run(
    model: str, train_dir: Path, folder: Path, *, settings: Sequence[str] = (), seed: int = 0, progress: Progress
) -> RunDirectory:
    """Fit a model on the good images of a folder and calibrate it on a part of them, by the default recipe.

    Parameters
    ----------
    model : str
        A registered model.
    train_dir : Path
        A folder of good images, or any dataset.
    folder : Path
        Where the run directory is made.
    settings : sequence of str
        ``"param=value"`` of the model; the value is JSON, else text.
    seed : int
        Of the split and the fit.
    progress : Progress
        Told why the threshold is calibrated as it is, and about the fit.

    Raises
    ------
    PyimganoError
        When the dataset has no good images, the model or a parameter is unknown, or the fit fails.
    """
    from pyimgano.datasets import read_dataset
    from pyimgano.workbench.config import load_run_config
    from pyimgano.workbench.starter import choose_settings
    from pyimgano.workbench.training import run_recipe

    for setting in settings:
        if "=" not in setting:
            raise ConfigError(
                f"{setting!r} is not param=value", where="--set", hint="for example: --set num_neighbors=1"
            )
    choice = choose_settings(read_dataset(train_dir, seed=seed))
    config = load_run_config(
        settings=[f"model.params.{setting}" for setting in settings],
        flags={
            "dataset.root": train_dir,
            "model.name": model,
            "seed": seed,
            "output.dir": folder,
            # What is asked for is inference: the test images of a whole dataset are scored, their pixels not compared.
            "evaluation.pixel": False,
            **choice.settings,
        },
    )
    progress.note(choice.notes[-1])
    return run_recipe(config, entrypoint="infer", progress=progress)
