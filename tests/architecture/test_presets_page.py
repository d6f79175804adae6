"""The page of presets, and the figures in the package, say what the kept runs say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pyimgano.core.registry import RECIPES
from pyimgano.workbench.recipe import preset_defaults


def test_page_and_figures_are_what_the_kept_runs_give(root: Path) -> None:
    tool = [sys.executable, str(root / "tools" / "write_presets_page.py"), "--check"]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_preset_was_measured_as_it_is_now(root: Path) -> None:
    kept = [json.loads(path.read_text(encoding="utf-8")) for path in (root / "benchmarks/presets").glob("*/*.json")]
    presets = RECIPES.get("industrial-adapt").spec.presets
    assert {record["preset"] for record in kept} == set(presets)
    for record in kept:
        defaults = preset_defaults("industrial-adapt", record["preset"])
        config = record["config"]
        assert config["preset"] == record["preset"]
        assert config["model"] == defaults["model"]
        for key, value in defaults.get("calibration", {}).items():
            assert config["calibration"][key] == value
