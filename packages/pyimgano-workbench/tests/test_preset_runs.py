"""The presets on real cells: what few images support, what is refused, and what is said of each. Some 15 s."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest

from pyimgano.core.conformal import conformal_rank
from pyimgano.core.contracts import DescribesPresets
from pyimgano.core.errors import CalibrationError
from pyimgano.core.registry import RECIPES
from pyimgano.workbench.calibrate.few_images import few_images_calibration
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.progress import Silent
from pyimgano.workbench.stages import prepare_data
from pyimgano.workbench.training import run_recipe

SMALL = ["model.params.input_size=64", "output.report=false", "output.thumbnails=0"]


@pytest.mark.parametrize(("count", "alpha"), [(5, 0.2), (10, 0.1)])
def test_few_images_are_all_fitted_on_and_the_threshold_is_of_models_that_have_not_seen_them(
    make_cells: Callable[..., Path], tmp_path: Path, count: int, alpha: float
) -> None:
    root = make_cells(tmp_path / "cells", train=count, good=5, defective=5)
    flags = {"dataset.root": root, "preset": "few-shot", "output.dir": tmp_path / "runs", "calibration.alpha": alpha}
    run = run_recipe(load_run_config(settings=SMALL, flags=flags))
    (report,) = (part.report() for part in run.categories())
    assert (report["data"]["n_fit"], report["data"]["n_folds"]) == (count, count)
    card = report["calibration"]
    scores = sorted(card["held_out_scores"])
    assert len(scores) == count
    assert sum(score < card["threshold"] for score in scores) == conformal_rank(count, alpha)
    assert report["metrics"]["image_auroc"]["value"] > 0.5


def test_leaving_out_one_of_many_images_is_refused_with_the_way_out(
    make_cells: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_cells(tmp_path / "cells", train=60, good=5, defective=5)
    flags = {"dataset.root": root, "preset": "few-shot"}
    with pytest.raises(CalibrationError, match="'few-shot' fits a model for each of 60 good images") as caught:
        prepare_data(load_run_config(flags=flags), Silent())
    assert caught.value.allowed == "at most 50 images with this preset"
    assert caught.value.hint is not None
    assert "--set calibration.params.folds=5" in caught.value.hint
    (data,) = prepare_data(load_run_config(settings=["calibration.params.folds=5"], flags=flags), Silent()).categories
    assert len(data.folds) == 5
    settings = ["calibration.method=conformal", "calibration.holdout=9"]
    (data,) = prepare_data(load_run_config(settings=settings, flags=flags), Silent()).categories
    assert len(data.calibration) == 9


def test_alpha_of_few_images_is_the_least_that_they_support() -> None:
    found = {n: (few_images_calibration(n) or {}).get("alpha") for n in (1, 3, 4, 8, 9, 18, 19, 100)}
    assert found == {1: None, 3: None, 4: 0.2, 8: 0.2, 9: 0.1, 18: 0.1, 19: 0.05, 100: 0.05}


@pytest.mark.parametrize("recipe", ["industrial-adapt", "micro-finetune"])
def test_every_preset_says_what_it_does_and_where_its_figures_come_from(recipe: str, root: Path) -> None:
    factory = RECIPES.load(recipe)
    assert isinstance(factory, DescribesPresets)
    for preset in RECIPES.get(recipe).spec.presets:
        told = factory.describe_preset(preset)
        assert told["summary"].endswith(".")
        assert len(told["stages"]) == 5
        assert told["settings"] == load_defaults(recipe, preset)
        assert "of good images may be rejected" in told["calibration"]
        assert recipe != "industrial-adapt" or told["measured"], f"{preset} was never measured"
        for figures in told["measured"]:
            assert (root / figures["source"]).is_file()
            assert f"{figures['image_auroc']:.3f}" in figures["text"]


def load_defaults(recipe: str, preset: str) -> dict[str, object]:
    from pyimgano.workbench.recipe import preset_defaults

    return preset_defaults(recipe, preset)


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).resolve().parents[3]
