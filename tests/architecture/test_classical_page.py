"""The page of classical detectors says of every detector of PyOD what the table says."""

from __future__ import annotations

import re
from pathlib import Path

from pyimgano.core.specs import ComponentSpec
from pyimgano.models.classical_specs import FEATURES
from pyimgano.models.pyod_table import PYOD_DETECTORS
from pyimgano.workbench.bench import SUITES


def test_every_detector_of_pyod_stands_where_it_belongs(root: Path) -> None:
    text = (root / "docs" / "classical.md").read_text(encoding="utf-8")
    rows = {m[1]: set(re.findall(r"`([a-z0-9-]+)`", m[2])) for m in re.finditer(r"\| `(\w+)` \|[^|]*\| (`.*) \|", text)}
    for scored in ("native", "single", "beside", "refused"):
        assert rows[scored] == {entry.name for entry in PYOD_DETECTORS if entry.scored == scored}
    (paragraph,) = (part for part in text.split("\n\n") if part.startswith("Not applicable"))
    assert set(re.findall(r"`([a-z0-9-]+)`", paragraph)) == {
        entry.name for entry in PYOD_DETECTORS if entry.scored == "not-applicable"
    }


def test_all_features_and_suites_are_told(root: Path) -> None:
    text = (root / "docs" / "classical.md").read_text(encoding="utf-8")
    told: tuple[ComponentSpec, ...] = FEATURES
    assert not [spec.name for spec in told if f"\n| `{spec.name}` | " not in text]
    assert not [name for name in SUITES if f"\n| `{name}` | " not in text]
