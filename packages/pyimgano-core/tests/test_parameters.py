"""Parameters are read from signatures; unknown ones are refused with the nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyimgano.core.errors import ConfigError, ParameterError
from pyimgano.core.files import dumps_json
from pyimgano.core.parameters import check_parameters, describe_parameters, require


class Model:
    def __init__(self, size: int = 3, *, layers: tuple = ("a", "b"), path: Path = Path("x"), seed=0) -> None:
        self.size = size


def needs(kind, *, alpha: float) -> None:
    """Takes one by position and one by name."""


def test_parameters_are_described_with_json_friendly_defaults():
    described = describe_parameters(Model)
    assert list(described) == ["size", "layers", "path", "seed"]
    assert described["size"] == {"default": 3, "annotation": "int", "required": False}
    assert described["layers"]["default"] == ["a", "b"]
    assert "x" in described["path"]["default"]
    assert described["seed"]["annotation"] is None
    assert dumps_json(described)


def test_parameter_without_default_is_required():
    assert describe_parameters(needs)["alpha"] == {"default": None, "annotation": "float", "required": True}


def test_unknown_parameters_are_all_named_with_their_nearest():
    with pytest.raises(ParameterError) as caught:
        check_parameters(Model, {"sise": 1, "seed": 2, "layer": 3}, where="model 'm'")
    text = str(caught.value)
    assert "model 'm': unknown parameters 'sise', 'layer'" in text
    assert "allowed: size, layers, path, seed" in text
    assert "'sise' → 'size', 'layer' → 'layers'" in text


def test_unknown_parameter_that_resembles_none_gets_no_guess():
    with pytest.raises(ParameterError) as caught:
        check_parameters(Model, {"qqqqqq": 1}, where="model 'm'")
    assert caught.value.hint is None


def test_missing_parameters_are_named():
    with pytest.raises(ParameterError, match="missing parameter 'kind', 'alpha'"):
        check_parameters(needs, {}, where="it")


def test_known_parameters_pass():
    check_parameters(Model, {"size": 1, "seed": 2}, where="it")
    check_parameters(needs, {"kind": 1, "alpha": 2}, where="it")


def test_factory_that_takes_anything_is_refused():
    with pytest.raises(ParameterError, match=r"\*\*kwargs"):
        check_parameters(lambda **kwargs: None, {}, where="it")


def test_parameter_errors_are_type_errors_and_config_errors():
    with pytest.raises(TypeError):
        require(False, "alpha", 2, "0 to 1")
    with pytest.raises(ConfigError, match=r"it: alpha = 2\nallowed: 0 to 1"):
        require(False, "alpha", 2, "0 to 1", where="it")
    require(True, "alpha", 0.5, "0 to 1")
