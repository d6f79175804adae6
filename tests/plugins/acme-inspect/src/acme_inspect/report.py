"""A command: the images of a run that stand out most."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyimgano.core.errors import RunError

__all__ = ["report"]


def report(run: Path, top: int = 5) -> None:
    """Name the images of a run with the highest scores.

    One line each: score, category, image.
    """
    files = sorted(run.rglob("per_image.jsonl"))
    if not files:
        raise RunError("holds no per_image.jsonl", where=str(run), hint="give the folder of a finished run")
    rows = []
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if record.get("score") is not None:
                rows.append((record["score"], file.parent.name, record["image"]))
    for score, category, image in sorted(rows, reverse=True)[:top]:
        sys.stdout.write(f"{score:.6g}\t{category}\t{image}\n")
