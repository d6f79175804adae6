"""The files of an audit: what was found, a page to look at, and a list to mark."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Union

from pyimgano.core.files import atomic_folder, atomic_open, dump_json
from pyimgano.workbench.audit.audit import Audit

__all__ = ["AUDIT_JSON", "REVIEW_CSV", "write_audit"]

AUDIT_JSON = "audit.json"
REVIEW_CSV = "review.csv"

COLUMNS = ("exclude", "image", "category", "split", "reason", "rank", "z")


def write_audit(audit: Audit, folder: Union[str, os.PathLike[str]], *, replace: bool = False) -> Path:
    """Write ``audit.json``, ``report.html`` and ``review.csv`` into a new folder, all or nothing.

    Parameters
    ----------
    audit : Audit
        What was found.
    folder : path-like
        Must be new or empty unless ``replace``.

    Raises
    ------
    StorageError
        When it cannot be written, or is not empty.
    """
    from pyimgano.workbench.report.audit import write_audit_report
    from pyimgano.workbench.report.page import REPORT_HTML

    target = Path(folder)
    with atomic_folder(target, replace=replace) as made:
        dump_json(audit.to_json(), made / AUDIT_JSON)
        write_audit_report(audit, made / REPORT_HTML)
        with atomic_open(made / REVIEW_CSV) as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(_rows(audit))
    return target


def _rows(audit: Audit) -> Iterator[tuple[str, ...]]:
    """Yield a line for everything that was found, in the page's order; nothing is marked."""
    for number, found in enumerate(audit.duplicates, start=1):
        reason = f"set {number} of {'copies' if found.kind == 'exact' else 'near-duplicates'}"
        reason += ", in two splits" if found.leak else ""
        reason += ", good and defective" if found.conflict else ""
        for sample in found.samples:
            yield ("", sample.id, sample.category or "", sample.split or "", reason, "", "")
    for odd in audit.oddities:
        sample = odd.sample
        yield ("", sample.id, sample.category or "", sample.split or "", f"{odd.kind}: {odd.message}", "", "")
    for ranking in audit.rankings:
        for outlier in ranking.ranked[: audit.settings.top]:
            sample = outlier.sample
            category, split = ranking.category or "", sample.split or ""
            yield ("", sample.id, category, split, "unlike the others", str(outlier.rank), f"{outlier.z:.2f}")
