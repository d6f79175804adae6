"""The page of drifts and the classes' docstrings say the severities that the classes have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pyimgano.core.plugins import resolve
from pyimgano.workbench.augment.random_drifts import DEFAULT_DRIFTS
from pyimgano.workbench.augment.specs import AUGMENT
from pyimgano.workbench.config import AdaptConfig


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "augmentation.md").read_text(encoding="utf-8")


def rows(page: str, columns: int) -> list[list[str]]:
    """Return the cells of all tables' rows that have so many columns and begin with a name in backticks."""
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:3] == "| `"]
    return [row for row in found if len(row) == columns]


def test_the_page_has_the_values_of_every_class(page: str) -> None:
    expected = [
        [f"`{spec.name}`", quantity, *(f"{value:g}" for value in values)]
        for spec in AUGMENT
        for quantity, values in resolve(spec.factory).levels.items()
    ]
    assert sorted(rows(page, 7)) == sorted(expected)


def test_the_page_describes_every_drift_and_says_which_ones_move_masks(page: str) -> None:
    described = {row[0].strip("`"): row for row in rows(page, 3)}
    assert set(described) == {spec.name for spec in AUGMENT}
    for spec in AUGMENT:
        _, tag, text = described[spec.name]
        assert (tag,) == spec.tags
        assert ("moves masks" in text) == resolve(spec.factory).geometric


@pytest.mark.parametrize("spec", AUGMENT, ids=lambda spec: spec.name)
def test_the_docstring_of_a_drift_has_its_values(spec) -> None:
    drift = resolve(spec.factory)
    written = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", drift.__doc__)]
    for values in drift.levels.values():
        assert len(values) == 5
        assert any(written[start : start + 5] == list(values) for start in range(len(written)))


def test_the_default_drifts_are_those_that_page_and_schema_name(page: str) -> None:
    names = [choice.name for choice in DEFAULT_DRIFTS]
    assert {(choice.severity, choice.probability) for choice in DEFAULT_DRIFTS} == {((1, 3), 0.3)}
    listed = ", ".join(f"`{name}`" for name in names[:-1]) + f" and `{names[-1]}`"
    assert listed in " ".join(page.split())
    described = AdaptConfig.model_fields["augment"].description or ""
    assert f"{', '.join(names[:-1])} and {names[-1]} at severities 1 to 3, each with probability 0.3" in described
