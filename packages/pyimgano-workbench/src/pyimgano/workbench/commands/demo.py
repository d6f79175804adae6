"""``pyimgano demo``: the whole loop on real photographs, in about a minute."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from pyimgano.workbench.commands.completions import one_of, presets

if TYPE_CHECKING:
    from pyimgano.workbench.demo.loop import DemoResult

__all__ = ["demo"]


def demo(
    data: str = typer.Option(
        "textures",
        "--data",
        help="textures: photographs of brick, grass and gravel with synthesised defects (comes with scikit-image); "
        "elpv: real solar cells (where elpv-dataset is installed).",
        autocompletion=one_of("textures", "elpv"),
    ),
    output: Path = typer.Option(
        Path("pyimgano-demo"), "--output", "-o", help="Folder for dataset, config, run and pictures."
    ),
    preset: Optional[str] = typer.Option("fast", "--preset", help="Preset of the recipe.", autocompletion=presets),
    seed: int = typer.Option(0, "--seed", metavar="N", min=0, help="Seed of the dataset, its split, and the fit."),
    as_json: bool = typer.Option(False, "--json", help="Print what was found, and where it lies, as JSON."),
) -> None:
    """Run the whole loop on real photographs, in about a minute.

    Dataset, config, training, calibrated threshold, evaluation, inference. It does nothing that the other commands do
    not do, and says at its end which to type next.

    Example: pyimgano demo --output pyimgano-demo
    """
    from pyimgano.workbench.commands.console import ConsoleProgress
    from pyimgano.workbench.commands.printing import print_json, print_text
    from pyimgano.workbench.demo.loop import run_demo

    result = run_demo(output, ConsoleProgress(), data=data, preset=preset, seed=seed)
    if as_json:
        places = ("dataset", "config", "run", "pictures")
        print_json({**{name: getattr(result, name) for name in places}, "report": result.report})
        return
    for line in _story(result):
        print_text(line)


def _story(result: DemoResult) -> list[str]:
    """Return what was found, where it lies, and what to type next."""
    from pyimgano.workbench.commands.console import quoted
    from pyimgano.workbench.runs import open_run
    from pyimgano.workbench.summary import run_summary

    category, run = result.category, _shown(result.run)
    chosen = f" --category {category}" if category and len(result.report["categories"]) > 1 else ""
    return [
        "",
        *run_summary(open_run(result.run)),
        "",
        f"dataset   {result.dataset}",
        f"config    {result.config}",
        f"run       {run}",
        f"page      {run / 'report.html'}",
        f"overlays  {result.pictures / 'overlays'}",
        "",
        "Next:",
        f"  pyimgano runs show {quoted(run)}",
        f"  pyimgano infer --from-run {quoted(run)}{chosen} {quoted(result.example)}",
        f"  pyimgano train --config {quoted(result.config)} --preset balanced",
        "  pyimgano init FOLDER_OF_YOUR_IMAGES",
    ]


def _shown(path: Path) -> Path:
    """Return a path as it would be typed from here: relative where it lies below the current folder."""
    try:
        return path.absolute().relative_to(Path.cwd())
    except ValueError:
        return path
