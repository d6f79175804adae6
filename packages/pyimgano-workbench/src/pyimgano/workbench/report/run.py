"""``report.html`` of a run, from the run's files alone: neither the dataset nor the model is needed."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.errors import PyimganoError, RunError
from pyimgano.core.files import load_json
from pyimgano.workbench.report.page import REPORT_HTML, write_page
from pyimgano.workbench.runs.directory import CONFIG_JSON, CURVES, ENVIRONMENT_JSON, CategoryFolder, RunDirectory
from pyimgano.workbench.stages.thumbnails import choose_thumbnails, thumbnail_files

__all__ = ["PICTURE_BUDGET", "write_run_report"]

PICTURE_BUDGET = 40_000_000
"""Bytes of pictures in a page, as base64: more would not open at once."""

COLUMNS = (
    "image",
    "label",
    "defect",
    "group",
    "score",
    "p_value",
    "decision",
    "overruled_by",
    "regions",
    "regions_left_out",
    "error",
)
"""What of a record a page shows."""


def write_run_report(
    run: RunDirectory,
    output: Optional[Path] = None,
    *,
    thumbnails: Optional[int] = None,
    budget: int = PICTURE_BUDGET,
) -> Path:
    """Write the page of a run whose ``report.json`` is there.

    Parameters
    ----------
    run : RunDirectory
        Complete, or about to be.
    output : Path, optional
        Default: ``report.html`` in the run.
    thumbnails : int, optional
        Pictures to embed of each category, at most. Default: all that the run has kept.
    budget : int
        Bytes of pictures to embed over all categories, as base64. What is left out for its sake is stated in the page.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    RunError
        When a file of the run is missing or damaged.
    StorageError
        When the page cannot be written.
    """
    target = output if output is not None else run.path / REPORT_HTML
    report = run.report()
    write_page(
        target,
        title=f"{report.get('model', 'run')} on {report.get('dataset', run.name)}",
        scripts=("decision.js", "run.js"),
        blocks=_blocks(run, report, thumbnails, budget),
    )
    return target


def _blocks(
    run: RunDirectory, report: Mapping[str, Any], thumbnails: Optional[int], budget: int
) -> Iterator[tuple[str, Any]]:
    # A recipe of its own kind may keep other things than images with scores.
    folders = [folder for folder in run.categories() if folder.complete and folder.per_image.is_file()]
    yield (
        "run",
        {
            "name": run.name,
            "report": report,
            "config": load_json(run.path / CONFIG_JSON),
            "environment": load_json(run.path / ENVIRONMENT_JSON),
            "categories": [folder.name for folder in folders],
        },
    )
    for index, folder in enumerate(folders):
        category_report = folder.report()
        records = _records(folder.per_image)
        curves = load_json(folder.path / CURVES) if (folder.path / CURVES).is_file() else {}
        pictures, note = _pictures(folder, category_report, records, thumbnails, budget // len(folders))
        yield (
            f"category-{index}",
            {
                "report": category_report,
                "curves": curves,
                "records": {
                    name: [record.get(name) for record in records]
                    for name in COLUMNS
                    # Only where regions decide: most pages do not need it.
                    if name != "overruled_by" or any(name in record for record in records)
                },
                "pictures": {"n": len(pictures), "note": note},
            },
        )
        yield f"pictures-{index}", pictures


def _records(path: Path) -> list[dict[str, Any]]:
    """Return the lines as they are: records of an earlier version lack some keys, and that is all."""
    import json

    records = []
    try:
        with open(path, encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    record = json.loads(line)
                except ValueError as error:
                    raise RunError(f"not a prediction record: {error}", where=f"{path}:{number}") from error
                if not isinstance(record, dict) or not isinstance(record.get("image"), str):
                    raise RunError("not a prediction record: it names no image", where=f"{path}:{number}")
                records.append(record)
    except OSError as error:
        raise RunError(f"cannot read: {error.strerror or error}", where=str(path)) from error
    return records


def _pictures(
    folder: CategoryFolder,
    report: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
    limit: Optional[int],
    budget: int,
) -> tuple[dict[str, list[Optional[str]]], Optional[str]]:
    """Return row number → [image, heat-map] as base64, and what to say about those that are not there."""
    threshold = report.get("calibration", {}).get("threshold")
    kept = [index for index, record in enumerate(records) if thumbnail_files(folder.path, record["image"])[0].is_file()]
    if not kept:
        return {}, "The run has kept no pictures (output.thumbnails)." if records else None
    order = [kept[at] for at in choose_thumbnails([records[index] for index in kept], threshold, len(kept))]
    wanted = order if limit is None else order[:limit]
    pictures: dict[str, list[Optional[str]]] = {}
    for index in wanted:
        image, heat = (_base64(path) for path in thumbnail_files(folder.path, records[index]["image"]))
        budget -= len(image or "") + len(heat or "")
        if budget < 0:
            break
        pictures[str(index)] = [image, heat]
    if len(pictures) == len(records):
        return pictures, None
    note = f"{len(pictures)} of {len(records)} images have a picture here"
    if len(kept) < len(records):
        note += f"; the run has kept {len(kept)} (output.thumbnails)"
    if len(pictures) < len(wanted):
        note += f"; {len(wanted) - len(pictures)} were left out to keep this page small"
    return pictures, note + "."


def _base64(path: Path) -> Optional[str]:
    try:
        return base64.b64encode(path.read_bytes()).decode("ascii")
    except FileNotFoundError:  # a model without maps has no heat-map
        return None
    except OSError as error:
        raise PyimganoError(f"cannot read: {error.strerror or error}", where=str(path)) from error
