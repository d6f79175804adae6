"""``pyimgano export``: a run as a portable bundle, compared with the run before it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Optional  # noqa: UP035 - typer evaluates the annotations, also on 3.9

import typer

from pyimgano.workbench.commands.completions import one_of, run_categories

if TYPE_CHECKING:
    from pyimgano.workbench.bundle.export import Exported

__all__ = ["export"]


def export(
    run: Path = typer.Argument(metavar="RUN", help="A complete run; it is only read."),
    to: Optional[Path] = typer.Option(
        None,
        "--to",
        metavar="BUNDLE",
        help="A name in .zip, or a folder. Default: <name of the run>.zip here.",
    ),
    runtime: str = typer.Option(
        "auto",
        "--runtime",
        help="onnx, openvino: a graph for onnxruntime or OpenVINO alone; torch: what the run saved, for the model's "
        "own code. Default: onnx, where the model has a graph.",
        autocompletion=one_of("auto", "onnx", "openvino", "torch"),
    ),
    precision: str = typer.Option(
        "fp32",
        "--precision",
        help="Of the convolutions of graphs: fp32, fp16, or int8 (calibrated on good images).",
        autocompletion=one_of("fp32", "fp16", "int8"),
    ),
    categories: Optional[List[str]] = typer.Option(  # noqa: UP006
        None, "--category", help="Only this category; repeatable.", autocompletion=run_categories
    ),
    parity_images: Optional[Path] = typer.Option(
        None,
        "--parity-images",
        metavar="FOLDER",
        help="Images to compare on, where the run's dataset is gone; a category's own in a folder of its name.",
    ),
    parity_limit: int = typer.Option(
        100, "--parity-limit", metavar="N", min=1, help="Images of each category to compare on."
    ),
    allow_changed_decisions: bool = typer.Option(
        False,
        "--allow-changed-decisions",
        help="With fp16 or int8: export although decisions change; they are listed.",
    ),
    force: bool = typer.Option(False, "--force", help="Replace a bundle that is there."),
    as_json: bool = typer.Option(False, "--json", help="Give what was made and how it compares as JSON."),
) -> None:
    """Make a portable bundle of a run, compared with the run before it is kept.

    It holds detectors, thresholds, pre- and post-processing, samples and checksums. The bundle is run on held-out
    images and compared with the trained detector: scores equal to 1e-4, maps to 1e-3, decisions identical; else nothing
    is left, and the exit code is 1.

    Example: pyimgano export runs/new --to parts.zip
    """
    from pyimgano.workbench.bundle.export import ExportOptions, export_run
    from pyimgano.workbench.commands.console import ConsoleProgress
    from pyimgano.workbench.commands.printing import print_json, stdout_reserved
    from pyimgano.workbench.runs import open_run

    with stdout_reserved():
        opened = open_run(run)
        options = ExportOptions(
            runtime, precision, categories, parity_images, parity_limit, allow_changed_decisions, force
        )
        target = to if to is not None else Path(f"{opened.name}.zip")
        made = export_run(opened, target, options, progress=ConsoleProgress())
    if as_json:
        print_json(_as_json(made))
    else:
        _print(made)


def _as_json(made: Exported) -> dict[str, Any]:
    manifest = made.manifest
    return {
        "bundle": str(made.path),
        "size": made.size,
        "kind": manifest.kind,
        "precision": manifest.precision,
        "model": manifest.model,
        "requires": [need.pip for need in manifest.requires],
        "categories": [compared.to_json() for compared in made.parity],
    }


def _print(made: Exported) -> None:
    from pyimgano.workbench.commands.console import quoted, say
    from pyimgano.workbench.commands.printing import print_table, print_text

    rows = []
    for compared in made.parity:
        maps = "-" if compared.map_difference is None else f"{compared.map_difference:.1e}"
        row = (compared.category, len(compared.images), f"{compared.score_difference:.1e}", maps, len(compared.changed))
        rows.append(tuple(map(str, row)))
    print_table(("category", "images", "score difference", "map difference", "decisions changed"), rows, titles=True)
    for compared in made.parity:
        for moved in compared.moved:
            say(f"{compared.category}: {moved.name} moved from {moved.run:.9g} to {moved.bundle:.9g}, see parity.json")
    if made.manifest.precision != "fp32":
        _print_images(made)
    what = f"{made.manifest.kind}, {made.manifest.precision}, {made.size / 1e6:.1f} MB"
    print_text(f"{made.path}: {what}")
    say(f"next: pyimgano bundle run {quoted(made.path)} IMAGE… --output OUT")


def _print_images(made: Exported) -> None:
    """Print how the score of every image changed: with less precision, each one did."""
    from pyimgano.workbench.commands.printing import print_table

    rows = [
        (
            image.image,
            f"{image.trained:.6g}",
            f"{image.exported:.6g}",
            f"{image.difference:.2%}",
            image.decision if not image.changed else f"{image.decision} -> {image.exported_decision}",
        )
        for compared in made.parity
        for image in compared.images
    ]
    print_table(("image", "fp32", made.manifest.precision, "difference", "decision"), rows, titles=True)
