"""What drift does to a finished run: every drift in every severity, at the threshold that was calibrated without it."""

from pyimgano.workbench.robust.comparing import common_conditions, compare_measured
from pyimgano.workbench.robust.conditions import CLEAN, Condition, plan_conditions
from pyimgano.workbench.robust.folder import RobustFolder
from pyimgano.workbench.robust.measuring import measure_condition, measure_missing
from pyimgano.workbench.robust.results import evaluate_measured
from pyimgano.workbench.robust.subject import Subject, load_subject

__all__ = [
    "CLEAN",
    "Condition",
    "RobustFolder",
    "Subject",
    "common_conditions",
    "compare_measured",
    "evaluate_measured",
    "load_subject",
    "measure_condition",
    "measure_missing",
    "plan_conditions",
]
