"""The page of models says what the specs and the kept runs say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pyimgano.models.specs import METHODS


def test_the_page_is_what_the_specs_and_the_kept_runs_give(root: Path) -> None:
    tool = [sys.executable, str(root / "tools" / "write_models_page.py"), "--check"]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_model_has_a_run_on_both_data_sets(root: Path) -> None:
    for dataset in ("elpv", "textures"):
        kept = {path.stem: path for path in (root / "benchmarks" / "models" / dataset).glob("*.json")}
        assert sorted(kept) == sorted(spec.name for spec in METHODS)
        for name, path in kept.items():
            record = json.loads(path.read_text(encoding="utf-8"))
            assert (record["model"], record["dataset"]) == (name, dataset)
            assert record["config"]["model"]["name"] == name
