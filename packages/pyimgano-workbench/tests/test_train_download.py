"""``pyimgano train --download``: the weights of the model's backbone, from whoever knows them, and nothing else."""

from __future__ import annotations

import pytest

from pyimgano.core.errors import UnknownNameError, WeightsError
from pyimgano.core.registry import COMPONENTS, MODELS
from pyimgano.core.specs import ComponentSpec, ModelSpec
from pyimgano.core.weights import WeightsInfo
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.progress import Silent
from pyimgano.workbench.stages.downloading import download_weights

ASKED = []


class Acme:
    """Knows ``acme/…``; ``acme/here`` is here."""

    def full_name(self, name):
        return name if name.startswith("acme/") else None

    def describe(self, name, tag="default"):
        problem = WeightsError("checksum mismatch") if name == "acme/damaged" else None
        return WeightsInfo(name, tag, place=None if name == "acme/absent" else "cache", problem=problem)

    def fetch(self, name, tag="default", *, file=None, url=None, sha256=None, progress=False):
        ASKED.append((name, tag, file, url))
        return WeightsInfo(name, tag, place="cache")


class WithBackbone:
    def __init__(self, backbone="acme/absent", weights="default"):
        self.backbone = backbone
        self.weights = weights


@pytest.fixture
def config(tmp_path):
    """Return ``config(**params)`` of a run whose model has a backbone, or another model by ``name``."""
    components, models = COMPONENTS.snapshot(), MODELS.snapshot()
    COMPONENTS.register(ComponentSpec("acme", "Acme's weights", f"{__name__}:Acme", kind="weights"))
    MODELS.register(ModelSpec("with-backbone", "A model with a backbone", f"{__name__}:WithBackbone"))
    (tmp_path / "data").mkdir()
    ASKED.clear()

    def load(name="with-backbone", **params):
        flags = {"dataset.root": tmp_path / "data", "model.name": name, "model.params": params}
        return load_run_config(None, flags=flags)

    yield load
    COMPONENTS.restore(components)
    MODELS.restore(models)


def test_the_default_backbone_counts_too(config):
    assert download_weights(config(), Silent())
    assert ASKED == [("acme/absent", "default", None, None)]


def test_damaged_weights_are_fetched_under_the_tag_of_the_config(config):
    assert download_weights(config(backbone="acme/damaged", weights="v2"), Silent())
    assert ASKED == [("acme/damaged", "v2", None, None)]


def test_weights_that_are_here_are_not_fetched(config):
    assert not download_weights(config(backbone="acme/here"), Silent())
    assert ASKED == []


def test_a_model_without_a_backbone_needs_none(config):
    assert not download_weights(config("pixel-gaussian"), Silent())


def test_a_backbone_that_nobody_knows_is_an_error(config):
    with pytest.raises(UnknownNameError, match="nothing installed knows weights called 'other/net'"):
        download_weights(config(backbone="other/net"), Silent())


@pytest.mark.parametrize("params", [{}, {"backbone": "resnet18", "weights": "random"}])
def test_embedded_and_random_weights_need_no_connection(config, params):
    assert not download_weights(config("sklearn-isolation-forest", **params), Silent())
