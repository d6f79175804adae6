"""A command: what became of each lot. ``--help`` imports this module, so what is heavy is imported in the function."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from pyimgano.core.errors import RunError

__all__ = ["lots"]


def lots(run: Path) -> None:
    """Count the decisions of a run, lot by lot.

    One line each: lot, images, rejected, sent to review, unreadable. Example: pyimgano plugin-template runs/RUN
    """
    files = sorted(run.glob("categories/*/per_image.jsonl"))
    if not files:
        # Errors of pyimgano.core.errors are printed without a traceback, and give the exit code.
        raise RunError("is no finished run", where=str(run), hint="pyimgano runs list")
    counted: dict[str, Counter[str]] = {}
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            decision = "unreadable" if "error" in record else record["decision"]
            counted.setdefault(record.get("group") or "-", Counter())[decision] += 1
    # Data goes to stdout; messages go through logging.getLogger(__name__).
    for lot, decisions in sorted(counted.items()):
        row = (lot, sum(decisions.values()), *(decisions[name] for name in ("defective", "review", "unreadable")))
        sys.stdout.write("\t".join(map(str, row)) + "\n")
