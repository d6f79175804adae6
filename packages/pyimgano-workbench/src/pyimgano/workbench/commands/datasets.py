"""``pyimgano datasets``: the layouts that can be read, and a look at a dataset before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Optional  # noqa: UP035 - typer evaluates the annotations, also on 3.9

import typer

from pyimgano.workbench.commands.completions import layout_names, layouts
from pyimgano.workbench.commands.dataset_audit import audit, manifest

__all__ = ["app"]

SHOWN = 40
"""How many folders and problems the text form shows; --json has all of them."""

app = typer.Typer(
    help="The dataset layouts that can be read, and a look into a dataset.\n\n"
    "Example: pyimgano datasets inspect parts/",
    no_args_is_help=True,
)
app.command("audit")(audit)
app.command("manifest")(manifest)


@app.command("list")
def list_layouts(
    tag: Optional[List[str]] = typer.Option(None, "--tag", help="Only layouts with this tag; may be repeated."),  # noqa: UP006
    names: bool = typer.Option(False, "--names", help="Give the names alone."),
    as_json: bool = typer.Option(False, "--json", help="Give a JSON array with everything that is known."),
) -> None:
    """List the dataset layouts, one per line.

    Example: pyimgano datasets list --names
    """
    from pyimgano.core.registry import DATASETS
    from pyimgano.workbench.commands.printing import print_json, print_table, print_text

    entries = [entry for entry in DATASETS.entries() if set(tag or ()) <= set(entry.spec.tags)]
    if as_json:
        print_json([entry.to_json() for entry in entries])
    elif names:
        for entry in entries:
            print_text(entry.spec.name)
    else:
        rows = [(entry.spec.name, entry.spec.summary, " ".join(entry.spec.tags) or "-") for entry in entries]
        print_table(("dataset", "summary", "tags"), rows)


@app.command("info")
def show_layout(
    name: str = typer.Argument(help="Name of the layout.", autocompletion=layout_names),
    as_json: bool = typer.Option(False, "--json", help="Give a JSON object."),
) -> None:
    """Show one layout: which folders and files it expects.

    Example: pyimgano datasets info mvtec
    """
    from pyimgano.core.registry import DATASETS
    from pyimgano.workbench.commands.printing import print_json, print_text

    entry = DATASETS.get(name)
    if as_json:
        print_json(entry.to_json())
        return
    print_text(f"{entry.spec.name}: {entry.spec.summary}")
    print_text()
    facts = {
        "layout": entry.spec.layout,
        "tags": ", ".join(entry.spec.tags),
        "home page": entry.spec.url,
        "paper": entry.spec.paper,
        "distribution": entry.distribution,
    }
    for title, value in facts.items():
        if value:
            print_text(f"{title + ':':<14}{value}")


@app.command("inspect")
def inspect(
    path: Path = typer.Argument(help="Folder of the dataset, or a manifest (.jsonl, .csv)."),
    format: str = typer.Option(
        "auto", "--format", help="Layout; auto finds out (see: pyimgano datasets list).", autocompletion=layouts
    ),
    category: Optional[List[str]] = typer.Option(  # noqa: UP006
        None, "--category", help="Only this category; may be repeated."
    ),
    as_json: bool = typer.Option(False, "--json", help="Give a JSON object with everything that was found."),
    fail_on_problems: bool = typer.Option(False, "--fail-on-problems", help="Exit with 4 when there is a problem."),
) -> None:
    """Say what a dataset holds: what each folder was taken for, counts, sizes, unreadable files, duplicates.

    Every image and mask is decoded. The exit code is 0 when the dataset could be inspected.

    Example: pyimgano datasets inspect parts/ --fail-on-problems
    """
    from pyimgano.datasets import inspect_samples, read_dataset
    from pyimgano.workbench.commands.console import ConsoleProgress
    from pyimgano.workbench.commands.printing import print_json

    samples = read_dataset(path, format=format, categories=category or None)
    with ConsoleProgress().stage("Reading images", len(samples)) as advance:
        found = inspect_samples(samples, advance=advance).to_json()
    if as_json:
        print_json(found)
    else:
        _print_inspection(found)
    if fail_on_problems and found["problems"]:
        raise typer.Exit(4)


def _print_inspection(found: dict[str, Any]) -> None:
    from pyimgano.workbench.commands.printing import print_table, print_text

    print_text(f"Dataset: {found['root']}")
    for note in found["notes"]:
        print_text(f"  {note}")
    print_text()
    rows = [
        (
            row["folder"],
            row["category"] or "-",
            row["split"] or "-",
            row["label"] + (f" ({row['defect']})" if row["defect"] else ""),
            str(row["images"]),
            str(row["masks"]),
        )
        for row in found["folders"][:SHOWN]
    ]
    print_table(("folder", "category", "split", "taken for", "images", "with mask"), rows, titles=True)
    _print_rest(len(found["folders"]), "folders")
    print_text()
    rows = []
    for category in found["categories"]:
        sizes = category["sizes"]
        rows.append(
            (
                category["category"] or "-",
                _counts(category["splits"]),
                f"{_span(sizes['width'])} × {_span(sizes['height'])} ({sizes['distinct']})",
                _shares(category["colour_models"]),
                _shares(category["bit_depths"]),
                _span(category["values"]),
            )
        )
    print_table(("category", "images", "sizes", "colours", "depth", "values"), rows, titles=True)
    print_text()
    problems = found["problems"]
    print_text(f"Problems: {len(problems) or 'none'}")
    for problem in problems[:SHOWN]:
        print_text(f"  {problem['kind']}: {', '.join(problem['files'])}: {problem['message']}")
    _print_rest(len(problems), "problems")
    for advice in found["advice"]:
        print_text(f"Note: {advice}")


def _print_rest(count: int, noun: str) -> None:
    from pyimgano.workbench.commands.printing import print_text

    if count > SHOWN:
        print_text(f"  … and {count - SHOWN} more {noun}; --json lists all")


def _counts(splits: dict[str, dict[str, int]]) -> str:
    parts = []
    for split in sorted(splits, key=lambda name: (("train", "validation", "test", "none").index(name), name)):
        labels = ", ".join(f"{count} {label}" for label, count in splits[split].items() if count)
        parts.append(f"{split}: {labels}")
    return "; ".join(parts)


def _span(values: Optional[list[float]]) -> str:
    if values is None:
        return "-"
    low, high = values
    return f"{low:g}" if low == high else f"{low:g}–{high:g}"


def _shares(counts: dict[str, int]) -> str:
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{name} ({count})" for name, count in counts.items()) or "-"
