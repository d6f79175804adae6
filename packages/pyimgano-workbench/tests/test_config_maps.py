"""Whether a model has maps may depend on its parameters: the config asks the model. Under a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyimgano.core.errors import ConfigError
from pyimgano.workbench.config import load_run_config


def load(root: Path, *settings: str) -> None:
    load_run_config(settings=settings, flags={"dataset.root": root, "model.name": "sklearn-pca"})


def test_a_detector_of_whole_images_is_refused_where_maps_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, "output.maps=true")
    assert "the model 'sklearn-pca' has no anomaly maps" in str(refused.value)


@pytest.mark.parametrize("level", ["patch", "position"])
def test_the_same_detector_of_patches_is_not(level: str, tmp_path: Path) -> None:
    load(tmp_path, "output.maps=true", f"model.params.level={level}", "model.params.features=patches")
