"""The section ``adapt`` of a run config: what is wrong is told with its key and its place. Takes two seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest

from pyimgano.workbench.config import RunConfigError, load_run_config
from pyimgano.workbench.config.problems import dotted

Make = Callable[..., Path]


@pytest.fixture
def problems(make_cells: Make, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Return the problems of a config with some settings, by their keys."""
    root = make_cells(tmp_path / "cells", train=4, good=1, defective=1)

    def found(adapt: dict[str, Any], **more: Any) -> dict[str, str]:
        file = tmp_path / "run.json"
        file.write_text(json.dumps({"model": {"name": "pixel-gaussian"}, **more, "adapt": adapt}))
        with pytest.raises(RunConfigError) as caught:
            load_run_config(file, flags={"dataset.root": root})
        assert all("run.json:1:" in str(problem) for problem in caught.value.problems)
        return {dotted(problem.path): str(problem) for problem in caught.value.problems}

    return found


@pytest.mark.parametrize(
    ("entry", "key", "message"),
    [
        ({"name": "glare", "severity": [1, 9]}, "severity", "must be [low, high], whole numbers from 1 to 5"),
        ({"name": "glare", "severity": [3, 2]}, "severity", "must be [low, high]"),
        ({"name": "glare", "severity": 3}, "severity", "must be [low, high]"),
        ({"name": "glare", "severity": [1.0, 2]}, "severity", "must be [low, high]"),
        ({"name": "glaer"}, "name", "unknown augment 'glaer'; allowed: background, conveyor-jitter"),
        ({"name": "glaer"}, "name", "did you mean 'glare'?"),
        ({"name": "glare", "params": {"radius": 3}}, "params.radius", "allowed: severity"),
        ({"name": "glare", "params": {"severity": 3}}, "params.severity", "stands beside params: severity"),
        ({"name": "glare", "probability": 0}, "probability", "allowed: above 0"),
        ({"name": "glare", "probability": 1.5}, "probability", "allowed: at most 1"),
        ({"name": "glare", "probabilty": 1}, "probabilty", "did you mean 'probability'?"),
        ({"severity": [1, 2]}, "name", "is missing"),
    ],
)
def test_a_drift_that_is_wrong_is_told_with_its_key(
    problems: Callable[..., dict[str, str]], entry: dict[str, Any], key: str, message: str
) -> None:
    found = problems({"drift_augment": True, "augment": [{"name": "gamma"}, entry]})
    assert list(found) == [f"adapt.augment[1].{key}"]
    assert message in found[f"adapt.augment[1].{key}"]


@pytest.mark.parametrize(
    ("adapt", "key", "message"),
    [
        ({"copies": 3}, "copies", "would do nothing, since adapt.drift_augment is false"),
        ({"augment": [{"name": "glare"}]}, "augment", "would do nothing, since adapt.drift_augment is false"),
        ({"drift_augment": True, "augment": []}, "augment", "must name at least one"),
        ({"drift_augment": True, "copies": 0}, "copies", "allowed: at least 1"),
        ({"drift_augment": "yes"}, "drift_augment", "allowed: true or false"),
        ({"drift": True}, "drift", "allowed: drift_augment, augment, copies"),
    ],
)
def test_a_section_that_is_wrong_or_would_do_nothing_is_told(
    problems: Callable[..., dict[str, str]], adapt: dict[str, Any], key: str, message: str
) -> None:
    found = problems(adapt)
    assert list(found) == [f"adapt.{key}"]
    assert message in found[f"adapt.{key}"]


def test_copies_are_refused_where_a_training_keeps_no_images(problems: Callable[..., dict[str, str]]) -> None:
    adapt = {"drift_augment": True, "copies": 3}
    found = problems(adapt, recipe="micro-finetune", model={"name": "stfpm"})
    assert "keeps nothing of the images but its trained weights" in found["adapt.copies"]


def test_a_resolved_config_is_a_config(make_cells: Make, tmp_path: Path) -> None:
    root = make_cells(tmp_path / "cells", train=4, good=1, defective=1)
    flags = {"dataset.root": root, "model.name": "pixel-gaussian"}
    for settings in ([], ["adapt.drift_augment=true", 'adapt.augment=[{"name": "dust", "severity": [4, 5]}]']):
        config = load_run_config(flags=flags, settings=settings)
        file = tmp_path / "resolved.json"
        file.write_text(json.dumps(config.to_json()))
        assert load_run_config(file) == config
