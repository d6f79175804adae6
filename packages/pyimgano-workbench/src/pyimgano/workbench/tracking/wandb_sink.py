"""Runs in Weights & Biases: config, metrics as the summary, and the curves of trainings."""

from __future__ import annotations

from typing import Optional

from pyimgano.core.sinks import FinishedRun

__all__ = ["WandbSink"]


class WandbSink:
    """Makes one run of a project.

    Parameters
    ----------
    project : str
        Made when it is missing.
    mode : {"online", "offline", "disabled"}, optional
        Default: W&B's own (``WANDB_MODE``). What was kept ``offline`` is brought to a server by ``wandb sync``.
    folder : str, optional
        For its files; default: W&B's own (``WANDB_DIR``, else ``wandb`` in the working directory).
    """

    def __init__(self, project: str = "pyimgano", mode: Optional[str] = None, folder: Optional[str] = None) -> None:
        self.project = project
        self.mode = mode
        self.folder = folder

    def record(self, run: FinishedRun) -> None:
        """Write the run."""
        import wandb

        mine = wandb.init(
            project=self.project,
            name=run.name,
            config=dict(run.config),
            mode=self.mode,
            dir=self.folder,
            # What it prints would stand among our output; who made the run on what machine is in the run already.
            settings=wandb.Settings(silent=True, console="off", x_disable_meta=True, x_disable_stats=True),
        )
        try:
            for row in run.steps:
                # Steps of the next category begin anew, which W&B's own counter does not allow.
                mine.log(
                    {
                        f"{row.category}/step": row.step,
                        **{f"{row.category}/{name}": value for name, value in row.values.items()},
                    }
                )
            mine.summary.update(dict(run.metrics))
        except BaseException:
            mine.finish(exit_code=1)
            raise
        mine.finish()
