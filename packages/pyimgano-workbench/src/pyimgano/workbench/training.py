"""A run from its config to its directory: the one way in for ``train``, ``demo`` and ``benchmark``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Union

from pyimgano.core.errors import PyimganoError, RunError
from pyimgano.workbench.progress import Progress
from pyimgano.workbench.recipe import create_recipe
from pyimgano.workbench.runs import RunDirectory, open_run
from pyimgano.workbench.runs.directory import REPORT_JSON

if TYPE_CHECKING:
    from pyimgano.workbench.config import RunConfig

__all__ = ["resume_run", "run_recipe"]


def run_recipe(config: RunConfig, *, entrypoint: str = "train", progress: Optional[Progress] = None) -> RunDirectory:
    """Carry out a config's recipe and return the complete run.

    Parameters
    ----------
    config : RunConfig
        See :func:`pyimgano.workbench.config.load_run_config`.
    entrypoint : str
        What made the run; the last part of its name.
    progress : Progress, optional
        Who listens.

    Raises
    ------
    PyimganoError
        When it fails. What is finished by then stays as an incomplete run, and the hint says how to go on; a run in
        which nothing is finished is removed.
    """
    recipe = create_recipe(config.recipe, config.recipe_params)
    run = RunDirectory.create(
        config, dataset=Path(config.dataset.root).stem or "dataset", entrypoint=entrypoint, progress=progress
    )
    return _carry_out(recipe, config, run)


def resume_run(path: Union[str, os.PathLike[str]], *, progress: Optional[Progress] = None) -> RunDirectory:
    """Finish an incomplete run: what is fitted is not fitted again, what is evaluated not evaluated again.

    Raises
    ------
    RunError
        When there is no such run, it is complete, or another process is working on it.
    """
    run = open_run(path, complete=False, progress=progress)
    if run.complete:
        raise RunError("the run is complete: there is nothing to resume", where=str(run.path))
    if (run.path / REPORT_JSON).is_file():  # killed between its last file and its final name
        with run:
            run.seal()
        return run
    config = run.config()
    return _carry_out(create_recipe(config.recipe, config.recipe_params), config, run)


def _carry_out(recipe: object, config: RunConfig, run: RunDirectory) -> RunDirectory:
    try:
        with run:
            recipe.run(config, run)  # type: ignore[attr-defined]
            if not run.complete:
                raise PyimganoError(
                    f"the recipe {config.recipe!r} ended without finishing its run",
                    hint="it must call run.finish(report)",
                )
    except BaseException as error:
        if not run.complete:
            if run.has_results():
                note = f'what is finished is kept; go on with: pyimgano train --resume "{run.path}"'
                if isinstance(error, PyimganoError):
                    error.hint = f"{error.hint}\n{note}" if error.hint else note
                else:
                    run.progress.note(note)
            else:
                run.discard()
        raise
    if config.output.sinks:
        from pyimgano.workbench.tracking import tell_sinks

        tell_sinks(config, run)
    return run
