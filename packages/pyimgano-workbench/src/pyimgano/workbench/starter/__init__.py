"""A first run config for a dataset: settings that its images support, and a file that explains every key."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from pyimgano.workbench.starter.choose import Choice, choose_settings
from pyimgano.workbench.starter.text import FORMATS, starter_text

__all__ = ["FORMATS", "Choice", "choose_settings", "starter_config", "starter_text"]


def starter_config(
    dataset: Path, output: Path, *, preset: Optional[str] = None, form: str = "toml", seed: int = 0
) -> tuple[str, tuple[str, ...]]:
    """Return the content of a first config for a dataset, and what was found on the way.

    Parameters
    ----------
    dataset : Path
        Folder or manifest.
    output : Path
        The file that the text is for: the dataset's path in it is relative to its folder.
    preset : str, optional
        Preset of the recipe; default: its first.
    form : {"toml", "yaml", "json"}
    seed : int
        The run's seed.

    Returns
    -------
    text : str
    notes : tuple of str
        What the dataset was taken for, its numbers of images, and why the threshold is calibrated as it is.

    Raises
    ------
    DatasetError
        When the dataset cannot be read, or has no good images to train on.
    UnknownNameError
        When the recipe has no such preset.
    """
    from pyimgano.datasets import read_dataset
    from pyimgano.workbench.config import RunConfig, relative_path
    from pyimgano.workbench.recipe import preset_defaults

    samples = read_dataset(dataset, seed=seed)
    recipe = str(RunConfig.model_fields["recipe"].default)
    chosen = _preset(recipe, preset)
    defaults = preset_defaults(recipe, chosen)
    model: dict[str, Any] = defaults.get("model", {})
    choice = choose_settings(samples, few=defaults.get("calibration", {}).get("method") == "cross-conformal")
    settings = {
        "recipe": recipe,
        "preset": chosen,
        "seed": seed,
        "dataset.root": relative_path(dataset, output.absolute().parent),
        **choice.settings,
        "evaluation.pixel": "auto",
        "output.dir": "runs",
    }
    shown: dict[str, Any] = {f"model.{key}": value for key, value in model.items()}
    if samples.categories():
        shown["dataset.categories"] = list(samples.categories())
    legend = "A key behind a # shows its default, or an example; remove the # to set it. "
    legend += f"Those of the model are the preset's, {chosen!r}."
    notes = [f"A run of pyimgano: pyimgano train --config {output.name}", legend, *choice.notes]
    return starter_text(settings, form=form, notes=notes, shown=shown), choice.notes


def _preset(recipe: str, preset: Optional[str]) -> str:
    from pyimgano.core.errors import UnknownNameError
    from pyimgano.core.names import unknown_name_hint
    from pyimgano.workbench.recipe import recipe_presets

    presets = recipe_presets(recipe)
    if preset is None:
        return presets[0]
    if preset not in presets:
        hint = unknown_name_hint(preset, presets)
        raise UnknownNameError(f"unknown preset {preset!r}", allowed=", ".join(presets), hint=hint)
    return preset
