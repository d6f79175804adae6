"""What a run will do and need, told before anything heavy starts."""

from pyimgano.workbench.plan.plan import PLAN_SCHEMA, RunPlan, plan_run
from pyimgano.workbench.plan.text import plan_lines

__all__ = ["PLAN_SCHEMA", "RunPlan", "plan_lines", "plan_run"]
