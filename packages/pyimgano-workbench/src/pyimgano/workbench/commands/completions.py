"""What the shell offers for the values of options and arguments; ``pyimgano completion`` makes it ask.

Each function gets what was typed so far. Only what is quickly known is offered: nothing here imports a model, reads an
image or walks through a dataset. Where nothing is offered, the shell offers files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

import typer

__all__ = [
    "defect_kinds",
    "drift_list",
    "drift_tags",
    "layout_names",
    "layouts",
    "model_list",
    "models",
    "one_of",
    "presets",
    "run_categories",
    "schemas",
    "suites",
]

Offer = list[tuple[str, str]]


def one_of(*values: str) -> Callable[[str], list[str]]:
    """Return what completes one of a few fixed values."""

    def complete(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return complete


def models(incomplete: str) -> Offer:
    """Complete the name of a model."""
    from pyimgano.core.registry import MODELS

    return MODELS.beginning_with(incomplete)


def model_list(incomplete: str) -> Offer:
    """Complete the last of several models with commas between them."""
    return _last_of_list(incomplete, models(""))


def presets(incomplete: str) -> Offer:
    """Complete a preset of any recipe, with the recipes that have it."""
    from pyimgano.core.registry import RECIPES

    owners: dict[str, list[str]] = {}
    for entry in RECIPES.entries():
        for preset in entry.spec.presets:
            owners.setdefault(preset, []).append(entry.spec.name)
    return [(preset, ", ".join(owners[preset])) for preset in sorted(owners) if preset.startswith(incomplete)]


def suites(incomplete: str) -> Offer:
    """Complete the name of a benchmark's suite."""
    from pyimgano.workbench.bench.suites import SUITES

    return [(name, text) for name, text in SUITES.items() if name.startswith(incomplete)]


def layout_names(incomplete: str) -> Offer:
    """Complete the name of a dataset layout."""
    from pyimgano.core.registry import DATASETS

    return DATASETS.beginning_with(incomplete)


def layouts(incomplete: str) -> Offer:
    """Complete the layout that a dataset is read in: a name, or ``auto``."""
    found = [("auto", "finds out")] if "auto".startswith(incomplete) else []
    return found + layout_names(incomplete)


def drift_list(incomplete: str) -> Offer:
    """Complete the last of several drifts with commas between them."""
    return _last_of_list(incomplete, _components("augment"))


def drift_tags(incomplete: str) -> list[str]:
    """Complete a tag of the drifts."""
    from pyimgano.core.registry import COMPONENTS

    known = {tag for entry in COMPONENTS.entries() if entry.spec.kind == "augment" for tag in entry.spec.tags}
    return sorted(tag for tag in known if tag.startswith(incomplete))


def defect_kinds(incomplete: str) -> Offer:
    """Complete the last of several kinds of defect with commas between them."""
    return _last_of_list(incomplete, _components("defects"))


def schemas(incomplete: str) -> Offer:
    """Complete the name of a JSON Schema."""
    from pyimgano.workbench.schemas import SCHEMAS

    return [(name, text) for name, text in SCHEMAS.items() if name.startswith(incomplete)]


def run_categories(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete a category of the run that stands on the same command line, as ``--from-run`` or first argument."""
    from pyimgano.core.errors import PyimganoError
    from pyimgano.workbench.runs import open_run

    # The option that waits for its value keeps the parser from giving the arguments before it to their names.
    run = ctx.params.get("from_run") or ctx.params.get("run") or next(iter(ctx.args), None)
    try:
        names = [category.name for category in open_run(run).categories()] if run else []
    except (OSError, PyimganoError):  # not a run, or not one yet
        return []
    return sorted(name for name in names if name.startswith(incomplete))


def _components(kind: str) -> Offer:
    from pyimgano.core.registry import COMPONENTS

    return [(entry.spec.name, entry.spec.summary) for entry in COMPONENTS.entries() if entry.spec.kind == kind]


def _last_of_list(incomplete: str, offer: Sequence[tuple[str, str]]) -> Offer:
    """Offer what may follow the last comma, behind what stands before it; nothing twice."""
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    return [(before + comma + name, text) for name, text in offer if name.startswith(last) and name not in taken]
