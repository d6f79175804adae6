"""The run config as typed, frozen models: what may be set, to what, and what it does.

A key that is not listed here is refused. Paths are kept absolute in memory; see
:meth:`RunConfig.to_json` for how they are written.
"""

# No `from __future__ import annotations`: pydantic evaluates these annotations, on Python 3.9 too.

import math
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pyimgano.workbench.config.base import ComponentConfig, Frozen, PlainJson
from pyimgano.workbench.config.pipelines import TilingConfig
from pyimgano.workbench.config.postprocessing import PostprocessConfig, RegionConfig

__all__ = [
    "AdaptConfig",
    "CalibrationConfig",
    "ComponentConfig",
    "DatasetConfig",
    "DriftConfig",
    "EvaluationConfig",
    "ModelConfig",
    "OutputConfig",
    "PostprocessConfig",
    "RegionConfig",
    "RunConfig",
    "TilingConfig",
    "relative_path",
    "run_config_schema",
]


def _holdout(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("must be a fraction between 0 and 1, or a whole number of images")
    if value >= 1 and value == int(value):
        return int(value)
    if not 0.0 < value < 1.0:
        raise ValueError("must be a fraction between 0 and 1, or a whole number of images")
    return float(value)


def _value_range(value: Any) -> Any:
    if value is None:
        return None
    numbers = isinstance(value, (list, tuple)) and all(
        isinstance(part, (int, float)) and not isinstance(part, bool) and math.isfinite(part) for part in value
    )
    if not numbers or len(value) != 2 or not value[0] < value[1]:
        raise ValueError("must be [low, high] with low < high")
    return (float(value[0]), float(value[1]))


def _pixel(value: Any) -> Any:
    if not isinstance(value, bool) and value != "auto":
        raise ValueError("must be true, false or 'auto'")
    return value


def _distinct(value: Any) -> Any:
    if value is not None:
        if not value:
            raise ValueError("must name at least one; leave the key out for the default")
        if len(set(value)) < len(value):
            raise ValueError("names one twice")
    return value


def _severities(value: Any) -> Any:
    whole = isinstance(value, (list, tuple)) and all(
        isinstance(part, int) and not isinstance(part, bool) and 1 <= part <= 5 for part in value
    )
    if not whole or len(value) != 2 or value[0] > value[1]:
        raise ValueError("must be [low, high], whole numbers from 1 to 5")
    return tuple(value)


def _some(value: Any) -> Any:
    if value is not None and not value:
        raise ValueError("must name at least one; leave the key out for the default")
    return value


def _folder_name(value: Any) -> Any:
    if isinstance(value, str) and (value in (".", "..") or any(part in value for part in '/\\:*?"<>|\0') or not value):
        raise ValueError('must be a plain folder name, without / \\ : * ? " < > |')
    return value


_Rate = Annotated[float, Field(gt=0.0, le=1.0)]
_Severity = Annotated[int, Field(ge=1, le=5)]


class DatasetConfig(Frozen):
    """Which images."""

    root: str = Field(description="Folder (or manifest file) of the dataset. Relative to this file.", min_length=1)
    format: str = Field(
        "auto", description="Layout: a name of `pyimgano datasets list`, or 'auto' to let the readers look."
    )
    categories: Annotated[Optional[list[str]], AfterValidator(_distinct)] = Field(
        None, description="Categories to take; null takes all. One detector is fitted for each."
    )
    limit: Optional[int] = Field(
        None,
        ge=1,
        description="At most this many images of each category's train split, and of its test split, "
        "drawn by seed and stratified by label.",
    )
    value_range: Annotated[Optional[tuple[float, float]], BeforeValidator(_value_range)] = Field(
        None,
        strict=False,
        description="Values that become black and white: needed for 10 or 12 bits in 16-bit files, and for floats "
        "outside [0, 1].",
    )


class ModelConfig(Frozen):
    """Which detector."""

    name: str = Field(description="A name of `pyimgano models list`. Default: the preset's.", min_length=1)
    params: Annotated[dict[str, Any], PlainJson] = Field(
        default_factory=dict,
        description="Parameters of the model (`pyimgano models info NAME`). Those of the preset's model are its "
        "defaults.",
    )


class DriftConfig(ComponentConfig):
    """One drift that good images may get while a model learns: a component of kind 'augment'."""

    severity: Annotated[tuple[_Severity, _Severity], BeforeValidator(_severities)] = Field(
        (1, 3), strict=False, description="Lowest and highest severity, 1 to 5; each between them is as likely."
    )
    probability: float = Field(0.3, gt=0.0, le=1.0, description="Share of the images that get it.")


class AdaptConfig(Frozen):
    """What good images go through while a model learns from them. Held-out and test images stay as they are."""

    drift_augment: bool = Field(
        False,
        description="Learn from drifted images too: a fit sees every good image and copies of it, a training draws new "
        "drifts for each image and epoch.",
    )
    augment: Annotated[Optional[list[DriftConfig]], AfterValidator(_some)] = Field(
        None,
        description="The drifts, in the order that they are applied in (`pyimgano augment list`). Null: rotation, "
        "shift, exposure, light-gradient, defocus and sensor-noise at severities 1 to 3, each with probability 0.3.",
    )
    copies: int = Field(
        2,
        ge=1,
        description="Drifted copies of each good image in a fit, and in the memory that an adapted backbone fills. "
        "Made when they are read; the time of the fit grows with them.",
    )


class CalibrationConfig(Frozen):
    """How the threshold is found, from good images that the model has not seen. Never from test images."""

    method: str = Field(
        "conformal",
        description="'conformal' bounds the overkill of new images by alpha; 'cross-conformal' is for few images; "
        "'quantile' takes the held-out quantile; or any component of kind 'threshold' "
        "(`pyimgano components list --tag threshold`).",
    )
    alpha: float = Field(0.05, gt=0.0, lt=1.0, description="Overkill to allow: the share of good images rejected.")
    holdout: Annotated[Union[int, float], BeforeValidator(_holdout)] = Field(
        0.2,
        description="Good training images kept from the fit for the calibration: a fraction below 1, or a number of "
        "images. Unused where the dataset brings a validation split of its own, and by 'cross-conformal'.",
    )
    defects: Literal["none", "train", "validation"] = Field(
        "none",
        description="Split whose labelled defective images help to find the threshold, for 'target-recall' and "
        "'cost-ratio'. Test images never do.",
    )
    params: Annotated[dict[str, Any], PlainJson] = Field(default_factory=dict, description="Parameters of the method.")
    review_alpha: Optional[float] = Field(
        None,
        gt=0.0,
        lt=1.0,
        description="Share of good images that may go to a person, larger than alpha: a second, lower threshold by "
        "the same method. Images between the two get the decision 'review'. Null: accept or reject only.",
    )
    pixel_method: Optional[str] = Field(
        None, description="Method for the pixel threshold, on the maxima of the held-out maps. Null: the same method."
    )
    pixel_alpha: Optional[float] = Field(
        None, gt=0.0, lt=1.0, description="Share of good images that may show a marked pixel. Null: alpha."
    )
    pixel_params: Annotated[dict[str, Any], PlainJson] = Field(
        default_factory=dict, description="Parameters of pixel_method, where it is set."
    )

    @model_validator(mode="after")
    def _review_is_wider(self) -> "CalibrationConfig":
        if self.review_alpha is not None and self.review_alpha <= self.alpha:
            raise ValueError(f"review_alpha = {self.review_alpha:g} must be larger than alpha = {self.alpha:g}")
        return self


class EvaluationConfig(Frozen):
    """What is measured on the test split."""

    pixel: Annotated[Union[bool, Literal["auto"]], BeforeValidator(_pixel)] = Field(
        "auto",
        description="Pixel metrics: 'auto' where the model has maps and the dataset has masks; true makes their "
        "absence an error; false leaves them out.",
    )
    pixel_mode: Literal["exact", "binned"] = Field(
        "exact",
        description="'exact' keeps the scores of all defective pixels (8 bytes and more each) and reads images with "
        "defects twice; 'binned' reads once, keeps a histogram, and gives each metric with the error that it may have.",
    )
    aupro_limits: Annotated[list[_Rate], AfterValidator(_distinct)] = Field(
        default_factory=lambda: [0.3, 0.05],
        description="False-positive rates up to which AUPRO (and sPRO, where the dataset has saturation thresholds) "
        "integrates.",
    )
    recall_at_fpr: Annotated[list[_Rate], AfterValidator(_distinct)] = Field(
        default_factory=lambda: [0.01, 0.05], description="False-positive rates at which the image recall is reported."
    )
    fpr_at_recall: Annotated[list[_Rate], AfterValidator(_distinct)] = Field(
        default_factory=lambda: [0.95, 0.99], description="Recalls at which the image false-positive rate is reported."
    )


class OutputConfig(Frozen):
    """Where the run goes, and what it keeps of each test image."""

    dir: str = Field(
        "runs", min_length=1, description="Folder that the run directory is made in. Relative to this file."
    )
    name: Annotated[Optional[str], AfterValidator(_folder_name)] = Field(
        None, description="Name of the run directory. Default: <UTC time>_<dataset>_<command>."
    )
    maps: bool = Field(False, description="Keep the raw anomaly map of every test image (32-bit float TIFF).")
    masks: bool = Field(False, description="Keep the predicted defect mask of every test image (PNG, 0/255).")
    overlays: bool = Field(False, description="Keep a picture of every test image with its heat-map (PNG).")
    report: bool = Field(True, description="Make report.html, a page with everything that was measured.")
    thumbnails: int = Field(
        400,
        ge=0,
        description="Test images of each category that are kept as small pictures for report.html: the worst false "
        "rejects and escapes first, then those nearest to the threshold.",
    )
    sinks: list[ComponentConfig] = Field(
        default_factory=list,
        description="Trackers that are told of the run when it is complete: components of kind 'sink' "
        "(`pyimgano components list --tag tracker`). One that fails is a warning.",
    )


class RunConfig(Frozen):
    """One run of a recipe: dataset → fit → calibration → evaluation → artifacts."""

    schema_version: Literal[1] = Field(1, description="Version of this schema.")
    recipe: str = Field("industrial-adapt", description="A name of `pyimgano recipes list`.")
    recipe_params: Annotated[dict[str, Any], PlainJson] = Field(
        default_factory=dict, description="Parameters of the recipe, where it has any."
    )
    preset: Optional[str] = Field(
        None, description="Defaults to start from; what is set here always wins. Null: the recipe's first preset."
    )
    seed: int = Field(0, ge=0, description="Every random choice of the run follows from it.")
    dataset: DatasetConfig
    model: ModelConfig
    preprocess: list[ComponentConfig] = Field(
        default_factory=list,
        description="What is done to every source image before the model sees it, in this order: components of kind "
        "'preprocess'.",
    )
    tiling: Optional[TilingConfig] = Field(None, description="Look at images in tiles. Null: whole.")
    adapt: AdaptConfig = Field(default_factory=AdaptConfig)
    calibration: CalibrationConfig = Field(default_factory=CalibrationConfig)
    postprocess: PostprocessConfig = Field(default_factory=PostprocessConfig)
    regions: RegionConfig = Field(default_factory=RegionConfig)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    output: OutputConfig = Field(default_factory=OutputConfig)
    on_error: Literal["error", "skip"] = Field(
        "error",
        description="An unreadable training image: 'error' ends the run and names it; 'skip' leaves it out and lists "
        "it in the report.",
    )
    max_errors: int = Field(
        0,
        ge=0,
        description="Unreadable test images to tolerate. Each is an error record and never a score; with more of them "
        "the run still completes, and the command ends with exit code 4.",
    )
    batch_size: Optional[int] = Field(
        None, ge=1, description="Images per step. Default: the model's own. It never changes a score."
    )

    def to_json(self, *, relative_to: Optional["os.PathLike[str]"] = None) -> dict[str, Any]:
        """Return the config as a JSON-friendly mapping.

        Parameters
        ----------
        relative_to : path-like, optional
            Folder that paths (``dataset.root``, ``output.dir``, …) are made relative to, which is the folder of the
            file that the config goes into; loading it from there gives the same config.
        """
        from pyimgano.workbench.config.layers import PATHS, TABLES_OF_PATHS, paths_in

        data = self.model_dump(mode="json")
        if relative_to is not None:
            for section, key in PATHS:
                value = data[section].get(key)
                if isinstance(value, str):
                    data[section][key] = relative_path(value, relative_to)
                elif isinstance(value, dict) and (section, key) in TABLES_OF_PATHS:
                    paths = {name: relative_path(value[name], relative_to) for name in paths_in(value)}
                    data[section][key] = {**value, **paths}
        return data


def relative_path(path: Union[str, "os.PathLike[str]"], folder: Union[str, "os.PathLike[str]"]) -> str:
    """Return ``path`` relative to ``folder``, with ``/``; absolute only where they lie on different drives."""
    try:
        # Real paths, so that `..` means the same whichever link the folder is reached by.
        return Path(os.path.relpath(os.path.realpath(path), os.path.realpath(folder))).as_posix()
    except ValueError:  # Windows: no relative path leads to another drive
        return Path(os.path.abspath(path)).as_posix()


def run_config_schema() -> dict[str, Any]:
    """Return the JSON Schema of a run config file, in which the preset's model may be left out."""
    schema = RunConfig.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    # A file may leave the model to the preset, and the dataset to --dataset.
    schema.pop("required", None)
    schema["$defs"]["ModelConfig"].pop("required", None)
    schema["$defs"]["DatasetConfig"].pop("required", None)
    settled: dict[str, Any] = _settled(schema)
    return settled


def _settled(node: Any) -> Any:
    """Return a schema as every version of pydantic would write it: older ones add and leave out what says nothing."""
    if isinstance(node, list):
        return [_settled(part) for part in node]
    if not isinstance(node, dict):
        return node
    node = {key: _settled(part) for key, part in node.items() if not (key == "enum" and "const" in node)}
    if node.get("type") == "object" and not node.keys() & {"properties", "additionalProperties"}:
        node = {"additionalProperties": True, **node}
    return node
