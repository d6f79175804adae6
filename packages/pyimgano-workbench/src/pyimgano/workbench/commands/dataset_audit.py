"""``pyimgano datasets audit`` and ``datasets manifest``: look at a training set, and leave images out of it."""

from __future__ import annotations

from pathlib import Path
from typing import (  # noqa: UP035 - typer evaluates the annotations, also on 3.9
    TYPE_CHECKING,
    Any,
    List,
    Optional,
    Tuple,
)

import typer

from pyimgano.workbench.commands.completions import layouts, models

if TYPE_CHECKING:
    from pyimgano.workbench.audit import Audit

__all__ = ["audit", "manifest"]

SHOWN = 10
"""Sets, odd images, and outliers of a category that the text form shows; --json and the page have more."""


def audit(
    path: Path = typer.Argument(metavar="DATASET", help="Folder of the dataset, or a manifest (.jsonl, .csv)."),
    format: str = typer.Option(
        "auto", "--format", help="Layout; auto finds out (see: pyimgano datasets list).", autocompletion=layouts
    ),
    category: Optional[List[str]] = typer.Option(  # noqa: UP006
        None, "--category", help="Only this category; may be repeated."
    ),
    output: Optional[Path] = typer.Option(
        None, "--output", "-o", help="Folder for audit.json, report.html and review.csv; must be new or empty."
    ),
    model: Optional[str] = typer.Option(
        None,
        "--model",
        help="Model that ranks the good images. Default: that of the preset fast, else pixel-gaussian.",
        autocompletion=models,
    ),
    settings: Optional[List[str]] = typer.Option(  # noqa: UP006
        None, "--set", metavar="KEY=VALUE", help="Parameter of the model, e.g. input_size=128; repeatable."
    ),
    no_outliers: bool = typer.Option(False, "--no-outliers", help="Do not rank the good images: files only."),
    likeness: float = typer.Option(
        0.99, "--likeness", metavar="X", help="From which likeness on two images are near-duplicates."
    ),
    folds: int = typer.Option(
        5, "--folds", metavar="N", help="Models per category; each scores the images that it has not seen."
    ),
    most: int = typer.Option(500, "--most", metavar="N", help="Images that a model is fitted on at most."),
    top: int = typer.Option(50, "--top", metavar="N", help="Images per category that are listed."),
    seed: int = typer.Option(0, "--seed", metavar="N", help="Seed of folds and models."),
    value_range: Optional[Tuple[float, float]] = typer.Option(  # noqa: UP006
        None, "--value-range", metavar="LOW HIGH", help="Values that become black and white, for 10 or 12 bits."
    ),
    force: bool = typer.Option(False, "--force", help="Replace what lies in the output folder."),
    as_json: bool = typer.Option(False, "--json", help="Give a JSON object (pyimgano schema audit)."),
    fail_on_problems: bool = typer.Option(
        False,
        "--fail-on-problems",
        help="Exit with 4 on copies in two splits or with two labels, or unreadable images.",
    ),
) -> None:
    """Find copies, odd files, and good images that look unlike the others.

    It ranks and judges nothing: look at report.html, mark what shall go in review.csv, then use datasets manifest.

    Example: pyimgano datasets audit data/screws --output audit
    """
    from pyimgano.datasets import read_dataset
    from pyimgano.workbench.audit import AuditSettings, audit_samples
    from pyimgano.workbench.audit.files import REVIEW_CSV, write_audit
    from pyimgano.workbench.commands.console import ConsoleProgress, quoted, say
    from pyimgano.workbench.commands.printing import print_json, stdout_reserved

    _refuse_filled(output, force)
    with stdout_reserved():
        wanted = AuditSettings(likeness=likeness, outliers=not no_outliers, folds=folds, most=most, top=top)
        config = _model_config(path, model, settings or (), seed, value_range)
        samples = read_dataset(path, format=format, categories=category or None, seed=seed)
        found = audit_samples(samples, config, ConsoleProgress(), wanted)
        if output is not None:
            write_audit(found, output, replace=force)
    if as_json:
        print_json(found.to_json())
    else:
        _print_audit(found)
    if output is not None:
        say(f"page: {output / 'report.html'}")
        review = output / REVIEW_CSV
        kept = quoted(path.with_name(f"{path.stem}-reviewed.jsonl"))
        say(f"next: look at it, mark in {review} what shall go, then")
        say(f"  pyimgano datasets manifest {quoted(path)} --exclude {quoted(review)} --output {kept}")
    if fail_on_problems and found.problems:
        raise typer.Exit(4)


def manifest(
    path: Path = typer.Argument(metavar="DATASET", help="Folder of the dataset, or a manifest (.jsonl, .csv)."),
    output: Path = typer.Option(..., "--output", "-o", help="The manifest to write (.jsonl)."),
    exclude: Optional[Path] = typer.Option(
        None, "--exclude", help="Images to leave out: an audit's review.csv, or a text with one image a line."
    ),
    format: str = typer.Option(
        "auto", "--format", help="Layout; auto finds out (see: pyimgano datasets list).", autocompletion=layouts
    ),
    category: Optional[List[str]] = typer.Option(  # noqa: UP006
        None, "--category", help="Only this category; may be repeated."
    ),
    seed: int = typer.Option(0, "--seed", metavar="N", help="Decides on the test images of data that has no split."),
    force: bool = typer.Option(False, "--force", help="Replace the file if it is there."),
    as_json: bool = typer.Option(False, "--json", help="Print the manifest's path and the counts as JSON."),
) -> None:
    """Write what a dataset was read as into a manifest, without images that were marked.

    No image is moved or changed. Prints the manifest's path, which every command takes as a dataset.

    Example: pyimgano datasets manifest data/screws --exclude audit/review.csv --output screws.jsonl
    """
    from pyimgano.core.errors import ConfigError
    from pyimgano.datasets import read_dataset
    from pyimgano.datasets.writing import read_marked, without_marked, write_manifest
    from pyimgano.workbench.commands.console import say
    from pyimgano.workbench.commands.printing import print_json, print_text

    if output.suffix.lower() != ".jsonl":
        raise ConfigError(
            f"cannot write a manifest {output.name!r}", where="--output", allowed="a name ending in .jsonl"
        )
    if output.exists() and not force:
        hint = "choose another name with --output, or replace it with --force"
        raise ConfigError("the file is there already", where=str(output), hint=hint)
    samples = read_dataset(path, format=format, categories=category or None, seed=seed)
    kept = samples if exclude is None else without_marked(samples, read_marked(exclude))
    write_manifest(kept, output)
    say(f"{len(kept)} of {len(samples)} images are listed, {len(samples) - len(kept)} left out")
    if as_json:
        print_json({"manifest": output, "listed": len(kept), "left_out": len(samples) - len(kept)})
    else:
        print_text(str(output))


def _refuse_filled(output: Optional[Path], force: bool) -> None:
    from pyimgano.core.errors import ConfigError

    if output is not None and not force and output.is_dir() and any(output.iterdir()):
        raise ConfigError(
            "the folder is not empty", where=str(output), hint="choose another --output, or replace it with --force"
        )


def _model_config(path: Path, model: Optional[str], settings: Any, seed: int, value_range: Any) -> Any:
    from pyimgano.core.files import dumps_json
    from pyimgano.workbench.audit.audit import default_model
    from pyimgano.workbench.config import load_run_config

    name, params = default_model() if model is None else (model, {})
    given = [f"model.params.{key}={dumps_json(value)}" for key, value in params.items()]
    given += [f"model.params.{setting}" for setting in settings]
    flags = {"dataset.root": path, "model.name": name, "seed": seed, "dataset.value_range": value_range}
    return load_run_config(settings=given, flags=flags)


def _print_audit(found: Audit) -> None:
    from pyimgano.workbench.commands.printing import print_table, print_text

    data = found.to_json()
    counts = data["counts"]
    print_text(f"Dataset: {data['dataset']}, {data['images']} images")
    print_text(
        f"Copies: {counts['exact_sets']} sets of the same content, {counts['near_sets']} of near-duplicates; "
        f"{counts['leaks']} in two splits, {counts['label_conflicts']} called good and defective"
    )
    for one in data["duplicates"][:SHOWN]:
        words = [
            word for key, word in (("leak", "in two splits"), ("label_conflict", "good and defective")) if one[key]
        ]
        images = ", ".join(f"{image['image']} ({image['split'] or 'no split'})" for image in one["images"][:4])
        more = f" and {len(one['images']) - 4} more" if len(one["images"]) > 4 else ""
        print_text(f"  {', '.join([*words, one['kind']])}: {images}{more}")
    _print_rest(len(data["duplicates"]), "sets")
    print_text(f"Images of another kind: {counts['odd'] or 'none'}")
    for odd in data["odd"][:SHOWN]:
        print_text(f"  {odd['kind']}: {odd['image']}: {odd['message']}")
    _print_rest(len(data["odd"]), "images")
    for ranking in data["outliers"]:
        print_text()
        where = f" of {ranking['category']}" if ranking["category"] else ""
        print_text(
            f"Good images{where} that look least like the other {ranking['images'] - 1} ({data['model']['name']}, "
            f"{ranking['folds']} folds):"
        )
        rows = [
            (str(one["rank"]), f"{one['z']:.1f}", f"{one['score']:.5g}", one["image"])
            for one in ranking["ranked"][:SHOWN]
        ]
        print_table(("rank", "z", "score", "image"), rows, titles=True)
    for note in data["notes"]:
        print_text(f"Note: {note}")


def _print_rest(count: int, noun: str) -> None:
    from pyimgano.workbench.commands.printing import print_text

    if count > SHOWN:
        print_text(f"  … and {count - SHOWN} more {noun}; --json lists all")
