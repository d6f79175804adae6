"""Who knows where the weights of a name come from is asked in order, and anybody may register."""

from __future__ import annotations

import pytest

from pyimgano.core.errors import UnknownNameError
from pyimgano.core.registry import COMPONENTS
from pyimgano.core.specs import ComponentSpec
from pyimgano.core.weights import WeightsInfo, WeightsProvider, full_name, weights_provider


class Acme:
    def full_name(self, name):
        return {"bolt": "acme/bolt", "acme/bolt": "acme/bolt"}.get(name)

    def describe(self, name, tag="default"):
        return WeightsInfo("acme/bolt", tag)

    def fetch(self, name, tag="default", *, file=None, url=None, sha256=None, progress=False):
        return self.describe(name, tag)


@pytest.fixture
def acme():
    before = COMPONENTS.snapshot()
    COMPONENTS.register(ComponentSpec("acme", "Acme's weights", f"{__name__}:Acme", kind="weights"))
    yield
    COMPONENTS.restore(before)


def test_a_strangers_provider_is_found_by_its_names(acme):
    provider = weights_provider("bolt")
    assert isinstance(provider, Acme)
    assert isinstance(provider, WeightsProvider)
    assert full_name("bolt") == "acme/bolt"


def test_a_name_that_nobody_knows_is_an_error_that_says_who_was_asked(acme):
    with pytest.raises(UnknownNameError, match="'acme/nut'") as caught:
        weights_provider("acme/nut")
    assert "weights/acme" in caught.value.hint
    assert full_name("acme/nut") == "acme/nut"


def test_weights_that_are_here_but_damaged_count_as_not_here():
    from pyimgano.core.errors import WeightsError

    assert WeightsInfo("a", "b", place="cache").to_json()["here"]
    assert not WeightsInfo("a", "b").to_json()["here"]
    damaged = WeightsInfo("a", "b", place="cache", problem=WeightsError("checksum mismatch")).to_json()
    assert not damaged["here"]
    assert damaged["problem"]["message"] == "checksum mismatch"
