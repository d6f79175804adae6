"""``pyimgano runs import-anomalib``."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import typer

__all__ = ["import_anomalib"]


def import_anomalib(
    folder: Path = typer.Argument(metavar="DIR", help="Folder that anomalib wrote to, e.g. results."),
    output: Optional[Path] = typer.Option(
        None, "--output", "-o", metavar="DIR", help="Write a run config for each checkpoint into this folder."
    ),
    dataset: Optional[Path] = typer.Option(None, "--dataset", help="Dataset for the configs."),
    force: bool = typer.Option(False, "--force", help="Replace configs that are there."),
    as_json: bool = typer.Option(False, "--json", help="Give it as JSON."),
) -> None:
    """Find the checkpoints of anomalib in a folder, and write run configs that calibrate and evaluate them.

    Only files are read; anomalib need not be installed for this. It keeps no scores of images, so that no run can be
    made of its results alone: `pyimgano train --config` on a config written here makes one, with raw scores, a
    threshold from held-out images, and metrics that stand in one table with those of other models. What anomalib
    logged of a training is shown as its own figure.

    Example: pyimgano runs import-anomalib results/ --output configs --dataset parts/
    """
    from pyimgano.core.errors import ConfigError
    from pyimgano.core.files import dump_json
    from pyimgano.workbench.anomalib_results import checkpoint_config, distinct_names, find_checkpoints
    from pyimgano.workbench.commands.console import quoted, say
    from pyimgano.workbench.commands.printing import print_json, print_table

    found = find_checkpoints(folder)
    targets: list[Optional[Path]] = [None] * len(found)
    if output is not None:
        for index, name in enumerate(distinct_names(found)):
            target = output / f"{name}.json"
            if target.exists() and not force:
                hint = "name another folder, or replace it with --force"
                raise ConfigError("the file is there already", where=str(target), hint=hint)
            targets[index] = target
        output.mkdir(parents=True, exist_ok=True)
        for item, place in zip(found, targets):
            if place is not None:
                dump_json(checkpoint_config(item, dataset), place)
    table = []
    rows = []
    for item, place in zip(found, targets):
        rows.append({**item.to_json(), "config": None if place is None else str(place)})
        figures = ", ".join(f"{name} {value:.3f}" for name, value in item.metrics.items()) or "-"
        named = "/".join(part for part in (item.dataset, item.category) if part) or "-"
        table.append((item.model or "-", named, item.version or "-", item.kind, figures, str(place or item.path)))
    if as_json:
        print_json({"schema_version": 1, "checkpoints": rows})
        return
    last = "file" if output is None else "config"
    print_table(("model", "dataset", "version", "kind", "anomalib's own figures", last), table, titles=True)
    if any(item.metrics for item in found):
        say("anomalib's own figures are of scores that it clamped, on images of its own split: compare none with ours")
    if any(item.kind == "torch" for item in found):
        say("a .pt is a pickled model and runs code when it is loaded: set model.params.trust for one of your own")
    say("calibrate on good images that the training has not seen: from its own, the threshold comes out too low")
    first = next((place for place in targets if place is not None), None)
    if first is None:
        say(f"\nNext:\n  pyimgano runs import-anomalib {quoted(folder)} --dataset DATASET --output configs")
    else:
        more = "" if dataset is not None else " --dataset DATASET"
        say(f"\nNext:\n  pyimgano train --config {quoted(first)}{more}")
