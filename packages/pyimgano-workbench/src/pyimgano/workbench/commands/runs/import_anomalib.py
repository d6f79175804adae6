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

    Only files are read; anomalib need not be installed for this. It keeps no scores of images, so that no run can be made
    of its results alone: `pyimgano train --config` on a config written here makes one, with raw scores, a threshold
    from held-out images, and metrics that stand in one table with those of other models. What anomalib logged of a
    training is shown as its own figure.
    """
    from pyimgano.core.errors import ConfigError
    from pyimgano.core.files import dump_json
    from pyimgano.workbench.anomalib_results import checkpoint_config, find_checkpoints, trained_name
    from pyimgano.workbench.commands.console import quoted, say
    from pyimgano.workbench.commands.printing import print_json, print_table

    found = find_checkpoints(folder)
    written: list[Optional[Path]] = [None] * len(found)
    if output is not None:
        names: dict[str, int] = {}
        for index, item in enumerate(found):
            name = trained_name(item)
            names[name] = names.get(name, 0) + 1
            numbered = name if names[name] == 1 else f"{name}-{names[name]}"
            target = output / f"{numbered}.json"
            if target.exists() and not force:
                raise ConfigError(
                    "the file is there already", where=str(target), hint="name another folder, or replace it with --force"
                )
            written[index] = target
        for item, target in zip(found, written):
            assert target is not None
            target.parent.mkdir(parents=True, exist_ok=True)
            dump_json(checkpoint_config(item, dataset), target)
    if as_json:
        rows = [
            {**item.to_json(), "config": None if target is None else str(target)} for item, target in zip(found, written)
        ]
        print_json({"schema_version": 1, "checkpoints": rows})
        return
    table = []
    for item, target in zip(found, written):
        figures = ", ".join(f"{name} {value:.3f}" for name, value in item.metrics.items()) or "-"
        table.append(
            (
                item.model or "-",
                "/".join(part for part in (item.dataset, item.category) if part) or "-",
                item.version or "-",
                item.kind,
                figures,
                str(item.path if target is None else target),
            )
        )
    last = "file" if output is None else "config"
    print_table(("model", "dataset", "version", "kind", "anomalib's own figures", last), table, titles=True)
    if any(item.metrics for item in found):
        say("anomalib's own figures are of scores that it clamped, on images of its own split: compare none with ours")
    if any(item.kind == "torch" for item in found):
        say("a .pt is a pickled model and runs code when it is loaded: set model.params.trust for one of your own")
    first = next((target for target in written if target is not None), None)
    if first is None:
        say(f"\nNext:\n  pyimgano runs import-anomalib {quoted(folder)} --dataset DATASET --output configs")
    else:
        more = "" if dataset is not None else " --dataset DATASET"
        say(f"\nNext:\n  pyimgano train --config {quoted(first)}{more}")
