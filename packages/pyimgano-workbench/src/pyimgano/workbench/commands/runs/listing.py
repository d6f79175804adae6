"""``pyimgano runs list``."""

from __future__ import annotations

from pathlib import Path

import typer

__all__ = ["list_all"]


def list_all(
    folder: Path = typer.Argument(Path("runs"), help="Folder that the runs lie in."),
    as_json: bool = typer.Option(False, "--json", help="Give a JSON array with everything that is known."),
) -> None:
    """List the runs in a folder, the oldest first.

    Example: pyimgano runs list runs --json
    """
    from pyimgano.workbench.commands.console import say
    from pyimgano.workbench.commands.printing import print_json, print_table
    from pyimgano.workbench.runs import list_runs

    found = list_runs(folder)
    if as_json:
        print_json([info.to_json() for info in found])
        return
    if not found:
        say(f"no runs in {folder}; pyimgano train --output {folder} makes one")
    rows = []
    for info in found:
        auroc = (info.means or {}).get("image_auroc", {}).get("value")
        rows.append(
            (
                info.name,
                info.state,
                info.model or "-",
                info.dataset or "-",
                str(info.n_categories) if info.n_categories is not None else "-",
                str(info.n_test) if info.n_test is not None else "-",
                f"{auroc:.3f}" if auroc is not None else "-",
            )
        )
    print_table(("run", "state", "model", "dataset", "categories", "test images", "image AUROC"), rows, titles=True)
