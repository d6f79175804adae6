"""Recipes and commands of a plugin, checked as their users meet them: through the installed command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.files import dump_json
from pyimgano.core.images import write_png
from pyimgano.core.plugins import PluginRecord, installed, resolve
from pyimgano.core.registry import MODELS
from pyimgano.core.specs import RecipeSpec
from pyimgano.core.testing._images import make_check_images
from pyimgano.core.testing._recipe_checks import check_recipe
from pyimgano.core.testing._remedies import REMEDIES
from pyimgano.core.testing._results import BrokenRule, NotChecked, own_line

__all__ = ["check_command", "check_presets", "check_recipe_run"]

_REMEDIES = {
    "conflict": REMEDIES["check_names_are_free"],
    "missing-dependency": "import it in the function that needs it, or make it a dependency in pyproject.toml",
    "failed": (
        "the value of the entry point is 'module:function', or a typer.Typer; `pyimgano plugins list --traceback` "
        "shows where its import fails"
    ),
}
"""Status of a command that is not well → how to mend it."""


def _pyimgano(*arguments: str, folder: Optional[Path] = None) -> subprocess.CompletedProcess[str]:
    """Run the installed command line in a process of its own."""
    if not installed("pyimgano.cli"):
        raise NotChecked("needs the command line", "pip install pyimgano-cli")
    return subprocess.run(
        [sys.executable, "-m", "pyimgano.cli", *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def check_command(record: PluginRecord) -> None:
    """A command is imported, has its name to itself, and shows a help that says what it does."""
    entry = record.entry
    told = _pyimgano("plugins", "info", entry.distribution, "--json")
    assert told.returncode == 0, told.stderr.strip()
    found = [one for one in json.loads(told.stdout) if (one["group"], one["name"]) == (entry.group, entry.name)]
    assert found, f"pyimgano plugins info {entry.distribution} does not know it"
    status, message = found[0]["status"], str(found[0]["message"])
    if status != "ok":
        raise BrokenRule(message, _REMEDIES.get(status, _REMEDIES["failed"]))
    shown = _pyimgano(entry.name, "--help")
    assert shown.returncode == 0, f"--help ended with {shown.returncode}: {shown.stderr.strip()}"
    target = resolve(entry.value)
    info = getattr(target, "info", None)  # a typer.Typer
    texts = [getattr(info, "help", None), getattr(target, "__doc__", None) if info is None else None]
    callback = getattr(getattr(target, "registered_callback", None), "callback", None)
    texts.append(getattr(callback, "__doc__", None))
    assert any(isinstance(text, str) and text.strip() for text in texts), "it has no docstring, so its help is empty"


def check_presets(spec: RecipeSpec) -> None:
    """Every preset that the spec lists is defined by the recipe."""
    missing = _undefined_presets(spec)
    defined = getattr(_recipe(spec), "presets", {})
    assert not missing, f"the spec lists {', '.join(missing)}; the recipe defines {', '.join(defined) or 'none'}"


def _undefined_presets(spec: RecipeSpec) -> list[str]:
    defined: Mapping[str, Any] = getattr(_recipe(spec), "presets", {})
    return [preset for preset in spec.presets if preset not in defined]


def _recipe(spec: RecipeSpec) -> Any:
    from pyimgano.core.errors import PluginError

    try:
        return resolve(spec.factory, requires=spec.requires, where=spec.key)
    except PluginError as error:
        raise NotChecked("its factory does not resolve, see check_factory") from error


def check_recipe_run(spec: RecipeSpec, distribution: str) -> None:
    """``pyimgano train`` with its default preset leaves a run directory in order, and does so twice, byte for byte."""
    if not installed("pyimgano.workbench"):
        raise NotChecked("needs `pyimgano train`", "pip install pyimgano-workbench")
    if _undefined_presets(spec):
        raise NotChecked("it has no presets to run with, see check_presets")
    config: dict[str, Any] = {
        "recipe": spec.key,
        "dataset": {"root": "images", "format": "folder"},
        "calibration": {"alpha": 0.2},
        **_model(spec, distribution),
    }

    def run(output: Path) -> Path:
        images = make_check_images(train=24, good=8, defective=6)
        folders = {"train/good": images.train, "test/good": images.good, "test/square": images.defective}
        for name, members in folders.items():
            folder = output / "images" / name
            folder.mkdir(parents=True)
            for index, image in enumerate(members):
                write_png(image, folder / f"{index:02}.png")
        dump_json({**config, "output": {"dir": "runs"}}, output / "run.json")
        done = _pyimgano("--debug", "train", "--config", "run.json", folder=output)
        told = _message(done.stderr) + own_line(done.stderr, spec.factory)
        assert done.returncode == 0, f"pyimgano train ended with {done.returncode}: {told}"
        found = [path for path in (output / "runs").iterdir() if path.is_dir()]
        assert len(found) == 1, f"the recipe left {len(found)} folders in output.dir"
        return found[0]

    check_recipe(run)


def _message(text: str) -> str:
    """Return what a command that failed told at its end."""
    start = text.rfind("\nerror: ") + 1
    return text[start:].strip() or "no message"


def _model(spec: RecipeSpec, distribution: str) -> dict[str, Any]:
    """Return what a config must say of the model: nothing where the default preset does."""
    presets: Mapping[str, Mapping[str, Any]] = getattr(_recipe(spec), "presets", {})
    default = presets.get(spec.presets[0], {}) if spec.presets else {}
    if default.get("model", {}).get("name"):
        return {}
    ready = [entry for entry in MODELS.entries() if not entry.missing]
    own = [entry.spec.key for entry in ready if entry.distribution == distribution]
    known = [entry.spec.key for entry in ready if entry.spec.key == "pixel-gaussian"]
    if not own + known:
        raise NotChecked("its default preset names no model, and there is none at hand", "pip install pyimgano-models")
    return {"model": {"name": (own + known)[0]}}
