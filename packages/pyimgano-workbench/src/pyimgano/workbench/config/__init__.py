"""The typed run config: what a run does, from files, ``--set`` options and flags, checked as a whole before it begins.

The only package beside the recipes that uses pydantic.
"""

from __future__ import annotations

from pyimgano.workbench.config.loading import load_run_config
from pyimgano.workbench.config.models import (
    AdaptConfig,
    CalibrationConfig,
    ComponentConfig,
    DatasetConfig,
    DriftConfig,
    EvaluationConfig,
    ModelConfig,
    OutputConfig,
    PostprocessConfig,
    RegionConfig,
    RunConfig,
    TilingConfig,
    relative_path,
    run_config_schema,
)
from pyimgano.workbench.config.problems import ConfigProblem, RunConfigError

__all__ = [
    "AdaptConfig",
    "CalibrationConfig",
    "ComponentConfig",
    "ConfigProblem",
    "DatasetConfig",
    "DriftConfig",
    "EvaluationConfig",
    "ModelConfig",
    "OutputConfig",
    "PostprocessConfig",
    "RegionConfig",
    "RunConfig",
    "RunConfigError",
    "TilingConfig",
    "load_run_config",
    "relative_path",
    "run_config_schema",
]
