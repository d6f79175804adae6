"""What a listing knows of the trackers."""

from pyimgano.core.specs import ComponentSpec, Requirement

__all__ = ["SINKS"]

_PLACE = "pyimgano.workbench.tracking"

SINKS = (
    ComponentSpec(
        "mlflow",
        "Complete runs as runs of MLflow: parameters, metrics, curves, report",
        f"{_PLACE}.mlflow_sink:MlflowSink",
        requires=(Requirement("mlflow", "pyimgano-workbench", "mlflow"),),
        tags=("tracker",),
        kind="sink",
    ),
    ComponentSpec(
        "tensorboard",
        "Complete runs as TensorBoard's event files: metrics, config, curves",
        f"{_PLACE}.tensorboard_sink:TensorBoardSink",
        requires=(Requirement("tensorboard", "pyimgano-workbench", "tracking"),),
        tags=("tracker",),
        kind="sink",
    ),
    ComponentSpec(
        "wandb",
        "Complete runs as runs of Weights & Biases: config, metrics, curves",
        f"{_PLACE}.wandb_sink:WandbSink",
        requires=(Requirement("wandb", "pyimgano-workbench", "wandb"),),
        tags=("tracker",),
        kind="sink",
    ),
)
