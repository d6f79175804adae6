"""The parts together, as a user has them: the recipe on a dataset of this layout, and the command on its run."""

from __future__ import annotations

from pyimgano.core.files import load_json
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.training import run_recipe

from plugin_template.lots import lots as count_lots


def test_recipe_says_whether_the_category_is_accepted(lots, tmp_path, capsys):
    config = load_run_config(
        flags={
            "recipe": "plugin-template-acceptance",
            "recipe_params": {"max_overkill": 1.0},
            "dataset": {"root": str(lots), "format": "plugin-template-verdicts"},
            "preprocess": [{"name": "plugin-template-highlights", "params": {"percentile": 100}}],
            "calibration": {"alpha": 0.2},
            "output": {"dir": str(tmp_path / "runs"), "report": False},
        }
    )
    run = run_recipe(config).path
    (verdict,) = load_json(run / "artifacts" / "acceptance.json")["categories"].values()
    assert verdict["escape"] == 0.0
    assert verdict["accepted"] is True
    capsys.readouterr()
    count_lots(run)
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert {row[0]: int(row[2]) for row in rows}["L5"] >= 4
