"""Everything that this distribution offers keeps pyimgano's contract: one case per rule."""

from __future__ import annotations

from pyimgano.core.testing import parametrize_with_plugin_checks


@parametrize_with_plugin_checks("plugin-template")
def test_contract(check):
    check()
