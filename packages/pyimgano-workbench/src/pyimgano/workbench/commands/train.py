"""``pyimgano train``: from a run config to a run directory."""

from __future__ import annotations

from pathlib import Path
from typing import (  # noqa: UP035 - typer evaluates the annotations, also on 3.9
    TYPE_CHECKING,
    Any,
    List,
    Optional,
    Sequence,
)

import typer

from pyimgano.workbench.commands.completions import models, presets

if TYPE_CHECKING:
    from pyimgano.workbench.config import RunConfig
    from pyimgano.workbench.plan import RunPlan
    from pyimgano.workbench.runs import RunDirectory

__all__ = ["train"]


def train(
    config: Optional[Path] = typer.Option(None, "--config", "-c", help="Run config: JSON, TOML or YAML."),
    settings: Optional[List[str]] = typer.Option(  # noqa: UP006
        None,
        "--set",
        metavar="KEY=VALUE",
        help="Override a key of the config, e.g. calibration.alpha=0.01; repeatable.",
    ),
    dataset: Optional[Path] = typer.Option(None, "--dataset", help="Folder or manifest of the dataset."),
    model: Optional[str] = typer.Option(None, "--model", help="Model (pyimgano models list).", autocompletion=models),
    preset: Optional[str] = typer.Option(
        None, "--preset", help="Preset of the recipe, e.g. fast, balanced, accurate.", autocompletion=presets
    ),
    seed: Optional[int] = typer.Option(None, "--seed", metavar="N", help="Seed of every random choice."),
    output: Optional[Path] = typer.Option(None, "--output", "-o", help="Folder that the run directory is made in."),
    resume: Optional[Path] = typer.Option(
        None, "--resume", metavar="RUN", help="Finish an interrupted run instead of starting one."
    ),
    dry_run: bool = typer.Option(
        False,
        "--dry-run",
        help="Check config and data, print the resolved config as JSON, say what the run will do and about how long it "
        "will take (on stderr), and stop before the fit.",
    ),
    download: bool = typer.Option(
        False, "--download", help="First download the weights of the model's backbone, if they are not here."
    ),
    list_recipes: bool = typer.Option(False, "--list-recipes", help="List the recipes with their presets and stop."),
    list_models: bool = typer.Option(False, "--list-models", help="List the models and stop."),
    as_json: bool = typer.Option(
        False, "--json", help="Print the run's report as JSON instead of its path; with --dry-run, config and plan."
    ),
) -> None:
    """Fit on good images, calibrate a threshold on held-out ones, and evaluate.

    All is kept in a run directory, whose path is printed. With more unreadable test images than max_errors the run is
    complete, but the exit code is 4.

    Example: pyimgano train --dataset parts/ --model patchcore --preset fast --output runs
    """
    from pyimgano.workbench.commands.console import ConsoleProgress
    from pyimgano.workbench.commands.printing import print_json, print_text, stdout_reserved
    from pyimgano.workbench.training import resume_run, run_recipe

    if list_recipes or list_models:
        _print_listings(list_recipes, list_models)
        return
    flags = {"dataset.root": dataset, "model.name": model, "preset": preset, "seed": seed, "output.dir": output}
    with stdout_reserved():
        if resume is not None:
            _refuse_beside_resume(config, settings, flags, other=dry_run or download)
            run = resume_run(resume, progress=ConsoleProgress())
        else:
            _refuse_download_of_nothing(download=download, dry_run=dry_run)
            resolved = _load(config, settings or (), flags)
            if dry_run:
                plan = _plan(resolved)
            else:
                if download:
                    _download(resolved)
                run = run_recipe(resolved, progress=ConsoleProgress())
    if dry_run:
        print_json({"config": resolved.to_json(), "plan": plan.to_json()} if as_json else resolved.to_json())
        return
    report = run.report()
    _tell(run)
    if as_json:
        print_json(report)
    else:
        print_text(str(run.path))
    errors = report.get("errors")
    if errors is not None and not errors.get("tolerated", True):
        raise typer.Exit(4)


def _load(config: Optional[Path], settings: Sequence[str], flags: dict[str, Any]) -> RunConfig:
    from pyimgano.core.errors import ConfigError
    from pyimgano.workbench.config import load_run_config

    if config is None and flags["dataset.root"] is None and not settings:
        raise ConfigError(
            "nothing to train on",
            allowed="--config FILE, or --dataset PATH",
            hint="pyimgano init DATASET writes a config; pyimgano demo shows the whole way",
        )
    return load_run_config(config, settings=settings, flags=flags)


def _refuse_beside_resume(config: object, settings: object, flags: dict[str, Any], *, other: bool) -> None:
    from pyimgano.core.errors import ConfigError

    if config is not None or settings or other or any(value is not None for value in flags.values()):
        raise ConfigError(
            "a run is resumed with its own config", where="--resume", allowed="--resume RUN alone, or with --json"
        )


def _refuse_download_of_nothing(*, download: bool, dry_run: bool) -> None:
    from pyimgano.core.errors import ConfigError

    if download and dry_run:
        raise ConfigError("a dry run downloads nothing", where="--download", hint="leave --dry-run or --download out")


def _download(config: RunConfig) -> None:
    from pyimgano.workbench.commands.console import ConsoleProgress
    from pyimgano.workbench.stages.downloading import download_weights

    download_weights(config, ConsoleProgress())


def _plan(config: RunConfig) -> RunPlan:
    """Read the dataset as a run would, tell what the run will do, and return the plan."""
    from pyimgano.workbench.commands.console import ConsoleProgress, say
    from pyimgano.workbench.plan import plan_lines, plan_run
    from pyimgano.workbench.stages import prepare_data

    progress = ConsoleProgress()
    data = prepare_data(config, progress)
    for note in data.notes:
        say(note)
    plan = plan_run(config, data, progress)
    for line in plan_lines(plan):
        say(line)
    say("config and data are sound; nothing was fitted")
    return plan


def _tell(run: RunDirectory) -> None:
    from pyimgano.workbench.commands.console import say
    from pyimgano.workbench.report import REPORT_HTML
    from pyimgano.workbench.summary import run_summary

    say()
    for line in run_summary(run):
        say(line)
    say(f"run: {run.path}")
    if (run.path / REPORT_HTML).is_file():
        say(f"page: {run.path / REPORT_HTML}")
    say(f'next: pyimgano infer --from-run "{run.path}" IMAGES')


def _print_listings(recipes: bool, models: bool) -> None:
    from pyimgano.core.registry import MODELS, RECIPES
    from pyimgano.workbench.commands.printing import print_table, stdout_reserved

    with stdout_reserved():
        recipe_rows = [(e.spec.name, ", ".join(e.spec.presets), e.spec.summary) for e in RECIPES.entries()]
        model_rows = [(e.spec.name, e.spec.summary) for e in MODELS.entries()]
    if recipes:
        print_table(("recipe", "presets", "summary"), recipe_rows)
    if models:
        print_table(("model", "summary"), model_rows)
