"""The stages of a run, for recipes to put together: data → fit → calibration → evaluation → artifacts.

Each takes what the one before returned, and leaves what it made in the run directory, so that an interrupted run can go
on behind the last one that was finished.
"""

from pyimgano.workbench.stages.artifacts import write_artifacts
from pyimgano.workbench.stages.calibration import calibrate_category
from pyimgano.workbench.stages.data import CategoryData, RunData, prepare_data
from pyimgano.workbench.stages.evaluation import evaluate_category, finished_report
from pyimgano.workbench.stages.finetuning import Finetuned, finetune_category, training_effect
from pyimgano.workbench.stages.fitting import Fitted, fit_category
from pyimgano.workbench.stages.postprocessing import learn_postprocess

__all__ = [
    "CategoryData",
    "Finetuned",
    "Fitted",
    "RunData",
    "calibrate_category",
    "evaluate_category",
    "finetune_category",
    "finished_report",
    "fit_category",
    "learn_postprocess",
    "prepare_data",
    "training_effect",
    "write_artifacts",
]
