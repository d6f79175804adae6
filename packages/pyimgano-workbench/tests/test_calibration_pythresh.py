"""The threshold ``pythresh``: PyThresh's own cut, on the scale of the scores, and what it says of itself."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from pyimgano.core.errors import CalibrationError, MissingDependencyError, ParameterError, UnknownNameError
from pyimgano.workbench.calibrate.methods import create_method

NORMAL = np.random.default_rng(0).normal(10.0, 2.0, 60)


@pytest.fixture
def thresholds() -> object:
    return pytest.importorskip("pythresh.thresholds", reason="PyThresh is not installed")


@pytest.mark.usefixtures("thresholds")
@pytest.mark.parametrize("rule", ["filter", "iqr", "karch", "mad", "zscore", "ocsvm"])
def test_the_threshold_flags_what_pythresh_flags(rule: str) -> None:
    from importlib import import_module

    method = create_method("pythresh", {"rule": rule})
    labels = getattr(import_module(f"pythresh.thresholds.{rule}"), rule.upper())(random_state=0).eval(np.sort(NORMAL))
    threshold = method.threshold(NORMAL, 0.05)
    assert int((threshold <= NORMAL).sum()) == int(np.sum(labels))
    assert method.details(NORMAL, 0.05)["reached_by"] == int(np.sum(labels))  # type: ignore[attr-defined]


@pytest.mark.usefixtures("thresholds")
def test_it_moves_with_the_scale_of_the_scores() -> None:
    method = create_method("pythresh", {"rule": "iqr"})
    once = method.threshold(NORMAL, 0.05)
    assert method.threshold(7.0 * NORMAL - 3.0, 0.05) == pytest.approx(7.0 * once - 3.0)
    quartiles = np.percentile(NORMAL, [25, 75], method="midpoint")  # as PyThresh takes them
    assert once == pytest.approx(quartiles[1] + 1.5 * (quartiles[1] - quartiles[0]))


@pytest.mark.usefixtures("thresholds")
def test_parameters_reach_the_rule_and_the_global_generator_is_left_alone() -> None:
    loose = create_method("pythresh", {"rule": "zscore", "params": {"factor": 1.5}})
    np.random.seed(5)
    expected = np.random.rand()
    np.random.seed(5)
    assert loose.threshold(NORMAL, 0.05) > create_method("pythresh", {"rule": "zscore"}).threshold(NORMAL, 0.05)
    assert np.random.rand() == expected


@pytest.mark.usefixtures("thresholds")
def test_what_is_wrong_is_said() -> None:
    with pytest.raises(UnknownNameError) as unknown:
        create_method("pythresh", {"rule": "karsh"})
    assert "karch" in str(unknown.value.hint)
    with pytest.raises(ParameterError):
        create_method("pythresh", {"rule": "iqr", "params": {"factr": 3}})
    with pytest.raises(CalibrationError, match="'zscore' fails on these n = 60 scores"):  # none is so far out
        create_method("pythresh", {"rule": "zscore", "params": {"factor": 30}}).threshold(NORMAL, 0.05)
    with pytest.raises(CalibrationError, match="not all equal"):
        create_method("pythresh", {"rule": "iqr"}).threshold(np.full(20, 3.0), 0.05)


def test_without_pythresh_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "pythresh"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pythresh", None)
    with pytest.raises(MissingDependencyError) as missing:
        create_method("pythresh")
    assert missing.value.hint == "pip install pythresh"
