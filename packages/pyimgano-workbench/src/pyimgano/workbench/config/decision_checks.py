"""What a schema cannot check of the sections ``postprocess`` and ``regions``: names, shapes, contradictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyimgano.core.errors import PyimganoError
from pyimgano.workbench.config.components import check_components
from pyimgano.workbench.config.places import KeyPath
from pyimgano.workbench.config.problems import ConfigProblem

__all__ = ["check_decisions"]

NO_MAPS_HINT = "see the tag 'pixel': pyimgano models list --tag pixel"


def check_decisions(data: Mapping[str, Any], problems: list[ConfigProblem]) -> None:
    """Tell what is wrong with a config's ``postprocess`` and ``regions``; wrong types are told by the schema."""
    postprocess, regions = (_table(data, name) for name in ("postprocess", "regions"))
    made = check_components(("postprocess", "maps"), "postprocess", postprocess.get("maps"), problems)
    roi = postprocess.get("roi")
    if roi is not None:
        _check_roi(roi, problems)
    _check_score(postprocess, problems)
    _check_regions(regions, _table(data, "calibration"), problems)
    if any(getattr(rule, "learns", False) for rule in made):
        _check_learned(data, problems)
    _check_model(data, postprocess, regions, problems)


def _table(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = data.get(name)
    return table if isinstance(table, Mapping) else {}


def _check_roi(roi: Any, problems: list[ConfigProblem]) -> None:
    import os

    from pyimgano.workbench.postprocess.roi import is_table, roi_problems

    path: KeyPath = ("postprocess", "roi")
    wrong = roi_problems(roi, categories=True)
    for place, message, allowed in wrong:
        problems.append(ConfigProblem((*path, *place), message, allowed=allowed))
    files: dict[KeyPath, Any] = {path: roi}
    if isinstance(roi, Mapping):
        files = {} if is_table(roi) else {(*path, str(name)): part for name, part in roi.items()}
    for place, file in files.items():
        if isinstance(file, str) and file and not os.path.isfile(file):
            hint = "in a config file, relative paths start at its folder"
            problems.append(ConfigProblem(place, f"there is no file {file!r}", hint=hint))


def _check_score(postprocess: Mapping[str, Any], problems: list[ConfigProblem]) -> None:
    score = postprocess.get("image_score", "auto")
    restricted = [key for key in ("roi", "border") if postprocess.get(key)]
    if score == "model" and restricted:
        problems.append(
            ConfigProblem(
                ("postprocess", "image_score"),
                f"'model' contradicts postprocess.{restricted[0]}: the model's own score sees the whole image, and the "
                "regions do not",
                allowed="'auto', 'max' or 'top-mean'",
            )
        )
    if postprocess.get("top_share") is not None and score != "top-mean":
        hint = "set postprocess.image_score = 'top-mean', or leave it out"
        problems.append(
            ConfigProblem(("postprocess", "top_share"), f"has no effect with image_score = {score!r}", hint=hint)
        )


def _check_regions(regions: Mapping[str, Any], calibration: Mapping[str, Any], problems: list[ConfigProblem]) -> None:
    def number(key: str) -> Any:
        value = regions.get(key)
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    least, length, most = number("min_area"), number("min_length"), number("max_area")
    if length and not least:
        problems.append(
            ConfigProblem(
                ("regions", "min_length"), "has no effect: it keeps regions that min_area would remove", hint="set both"
            )
        )
    if most is not None and least is not None and most < least:
        problems.append(ConfigProblem(("regions", "max_area"), f"{most} is less than min_area = {least}: none is left"))
    alpha = number("hysteresis_alpha")
    if alpha is None:
        return
    place: KeyPath = ("regions", "hysteresis_alpha")
    if regions.get("hysteresis") is not None:
        problems.append(ConfigProblem(place, "is given, and regions.hysteresis, too", hint="leave one of them out"))
    pixel = calibration.get("pixel_alpha") or calibration.get("alpha", 0.05)
    if isinstance(pixel, (int, float)) and alpha <= pixel:
        problems.append(ConfigProblem(place, f"{alpha:g}", allowed=f"more than the pixel threshold's alpha, {pixel:g}"))
    if not _alpha_counts(calibration):
        problems.append(
            ConfigProblem(
                place, "has no effect: alpha does not move this method's threshold", hint="use regions.hysteresis"
            )
        )


def _alpha_counts(calibration: Mapping[str, Any]) -> bool:
    from pyimgano.workbench.calibrate.methods import create_method, uses_alpha

    prefix = "pixel_" if calibration.get("pixel_method") else ""
    try:
        method = create_method(
            calibration.get(f"{prefix}method", "conformal"), calibration.get(f"{prefix}params") or {}
        )
    except (PyimganoError, TypeError, AttributeError):
        return True  # told already
    return uses_alpha(method)


def _check_learned(data: Mapping[str, Any], problems: list[ConfigProblem]) -> None:
    """Refuse rules that learn where no image is held out that they could learn from."""
    from pyimgano.workbench.calibrate.methods import create_method, folds_of

    calibration = _table(data, "calibration")
    try:
        method = create_method(calibration.get("method", "conformal"), calibration.get("params") or {})
    except (PyimganoError, TypeError, AttributeError):
        return  # told already
    if folds_of(method) is not None:
        problems.append(
            ConfigProblem(
                ("postprocess", "maps"),
                "has a rule that learns from good images that the model has not seen, and "
                f"calibration.method = {calibration.get('method')!r} holds none out",
                allowed="rules that learn nothing, or a method that holds images out, such as 'conformal'",
            )
        )


def _check_model(
    data: Mapping[str, Any], postprocess: Mapping[str, Any], regions: Mapping[str, Any], problems: list[ConfigProblem]
) -> None:
    """Refuse what needs anomaly maps from a model that has none."""
    from pyimgano.core.registry import MODELS

    name = _table(data, "model").get("name")
    try:
        if not isinstance(name, str) or MODELS.get(name).spec.pixel_map:
            return
    except PyimganoError:
        return  # told already
    wanting: list[KeyPath] = [("postprocess", key) for key in ("maps", "roi", "border") if postprocess.get(key)]
    if postprocess.get("image_score") in ("max", "top-mean"):
        wanting.append(("postprocess", "image_score"))
    if regions.get("decide") == "regions":
        wanting.append(("regions", "decide"))
    for path in wanting:
        problems.append(ConfigProblem(path, f"the model {name!r} has no anomaly maps", hint=NO_MAPS_HINT))
