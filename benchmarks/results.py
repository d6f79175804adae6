"""Rows of the table, and the files that they are written to."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Options:
    """What a run of the suite was asked for.

    Attributes
    ----------
    rounds : int
        Rounds of A B A B for what takes minutes.
    quick : bool
        Fewer images and one round: checks that the suite runs; the goals do not apply.
    full : bool
        Also the rows that take an hour.
    threads : int
        Threads and cores of every measured process.
    seed : int
        Seed of the split where one split is enough.
    """

    rounds: int = 2
    quick: bool = False
    full: bool = False
    threads: int = 2
    seed: int = 0

    @property
    def n_train(self) -> int:
        """Number of training images."""
        return 40 if self.quick else 200

    @property
    def n_test(self) -> int:
        """Number of test images of each kind."""
        return 20 if self.quick else 100


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    name : str
        What is measured.
    ours, other : str
        Both sides' figures with units.
    ratio : float or None
        The figure that the goal speaks of.
    goal : str
        The goal as text, empty if the row only informs.
    passed : bool or None
        Whether the goal is reached; None if it does not apply.
    method : str
        What each side did.
    """

    name: str
    ours: str
    other: str
    ratio: str
    goal: str
    passed: bool | None
    method: str


@dataclass
class Outcome:
    """What one group of rows returns.

    Attributes
    ----------
    rows : list of Row
        The lines.
    raw : dict
        Every single measurement, JSON-friendly.
    """

    rows: list[Row]
    raw: dict[str, Any] = field(default_factory=dict)


def verdict(row: Row) -> str:
    """Return the word for the table's last column.

    Parameters
    ----------
    row : Row
        The row.

    Returns
    -------
    str
        ``pass``, ``FAIL`` or a dash.
    """
    return {True: "pass", False: "**FAIL**", None: "–"}[row.passed]


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table.

    Parameters
    ----------
    rows : list of Row
        The rows.

    Returns
    -------
    str
        The table.
    """
    lines = ["| | pyimgano | beside it | ratio | goal | |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [f"| {r.name} | {r.ours} | {r.other} | {r.ratio} | {r.goal or '–'} | {verdict(r)} |" for r in rows]
    return "\n".join(lines)


def write(
    output: Path,
    outcomes: dict[str, Outcome],
    options: Options,
    about: dict[str, Any],
    failures: dict[str, str],
    groups: Sequence[str],
) -> None:
    """Write the table as Markdown, and every measurement as JSON beside it.

    What the file holds of other groups stays, where it was measured on the same machine with the same versions and
    options: a table that takes an hour can be measured in parts.

    Parameters
    ----------
    output : Path
        The Markdown file.
    outcomes : dict
        Outcome by group.
    options : Options
        The run's options.
    about : dict
        The machine, versions and date.
    failures : dict
        First line of the error of each group that could not be measured.
    groups : sequence of str
        All groups, in the order of the table.
    """
    found = {name: kept for name, kept in _earlier(output, options, about).items() if name not in failures}
    for name, outcome in outcomes.items():
        measured = {"rows": [asdict(row) for row in outcome.rows], "measurements": outcome.raw}
        found[name] = {"date": about["date"], **measured}
    found = {name: found[name] for name in groups if name in found}
    rows = [Row(**row) for group in found.values() for row in group["rows"]]
    machine = about["machine"]
    chosen = f" --only {' '.join(found)}" if len(found) + len(failures) == 1 else ""
    command = f"python -m benchmarks{chosen}" + " --quick" * options.quick + " --full" * options.full
    dates = sorted({group["date"] for group in found.values()} | {about["date"]})
    parts = [
        "# Benchmark results",
        "",
        f"Written by `{command}` on {' to '.join(dict.fromkeys((dates[0], dates[-1])))}; do not edit.",
        "Both sides of a row were measured in one run, in turn, in processes of their own; figures are medians.",
        "Absolute times depend on the machine: read the ratios.",
        "",
        f"- Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GiB, {machine['system']}.",
        f"- Every measured process: {options.threads} threads and at most as many cores.",
        f"- Cores busy with other work meanwhile: {_others(found)}.",
        f"- Python {machine['python']}; " + ", ".join(f"{k} {v}" for k, v in about["versions"].items()) + ".",
        f"- Data: ELPV mono cells, split by seed ({options.seed} where a row names none):",
        f"  {options.n_train} good to fit on, {options.n_test} good and {options.n_test} defective to score;",
        "  224 px by resizing alone.",
        "- Backbone: EfficientNet-Lite0 with the same ImageNet weights on both sides, in 32-bit floats.",
    ]
    if options.quick:
        parts.append("- **Quick run**: cut data and one round; the goals do not apply.")
    parts += ["", table(rows), "", "## What each side did", ""]
    parts += [f"- **{row.name}**: {row.method}" for row in rows]
    if failures:
        parts += ["", "## Not measured", ""] + [f"- `{name}`: {reason}" for name, reason in failures.items()]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("\n".join(parts) + "\n", encoding="utf-8")
    raw = {"about": about, "options": asdict(options), "groups": found, "failures": failures}
    text = json.dumps(raw, indent=1, allow_nan=False, ensure_ascii=False)
    text = re.sub(r"\[[-\d.eE+,\s]+\]", lambda numbers: re.sub(r"\s+", "", numbers[0]), text)  # one line each
    output.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


def _earlier(output: Path, options: Options, about: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the groups that a file has from a run like this one."""
    try:
        raw = json.loads(output.with_suffix(".json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    same = raw["options"] == asdict(options) and all(raw["about"][key] == about[key] for key in ("machine", "versions"))
    groups: dict[str, dict[str, Any]] = raw.get("groups", {}) if same else {}
    return groups


def _others(groups: dict[str, dict[str, Any]]) -> str:
    """Return how many cores other work took while each group was measured."""
    found = {name: group["measurements"]["whole group"]["other_cores"] for name, group in groups.items()}
    return ", ".join(f"{name} {'unknown' if cores is None else f'{cores:.2f}'}" for name, cores in found.items())
