"""Registries: names, conflicts, broken plugins, and what is registered in the process."""

from __future__ import annotations

import pytest

from pyimgano.core.errors import MissingDependencyError, PluginError, UnknownNameError
from pyimgano.core.plugins import EntryPoint
from pyimgano.core.registry import MODELS, Registry
from pyimgano.core.specs import ComponentSpec, ModelSpec, Requirement


def source(*names, **fields):
    extra = "".join(f", {key}={value!r}" for key, value in fields.items())
    specs = ", ".join(f"ModelSpec({name!r}, 'A model', 'collections:OrderedDict'{extra})" for name in names)
    return f"from pyimgano.core.specs import ModelSpec\nMODELS = ({specs},)"


@pytest.fixture
def registry(monkeypatch, plug_in):
    """A registry whose only built-in entry is ``home_specs`` of ``pyimgano-home``."""
    plug_in("home", modules={"home_specs": source("patchcore", "padim")})
    table = {"pyimgano.models": (("pyimgano-home", "home", "home_specs:MODELS"),)}
    monkeypatch.setattr("pyimgano.core.plugins.FIRST_PARTY", table)
    monkeypatch.setenv("PYIMGANO_PLUGINS", "one,two,broken")
    return Registry("pyimgano.models", "model")


def test_names_are_sorted_and_hold_every_plugins(registry, plug_in):
    plug_in("one", {"pyimgano.models": {"x": "one_specs:MODELS"}}, {"one_specs": source("aaa", "zzz")})
    assert registry.names() == ("aaa", "padim", "patchcore", "zzz")
    assert [entry.distribution for entry in registry.entries()] == ["one", "pyimgano-home", "pyimgano-home", "one"]


def test_builtin_name_is_found_without_a_scan(registry, monkeypatch):
    def no_scan():
        raise AssertionError("a built-in name started a scan of all distributions")

    monkeypatch.setattr("pyimgano.core.plugins._scan", no_scan)
    assert registry.get("padim").distribution == "pyimgano-home"


def test_first_party_keeps_its_name_and_the_loser_stays_reachable(registry, plug_in):
    plug_in("one", {"pyimgano.models": {"x": "one_specs:MODELS"}}, {"one_specs": source("patchcore", "free")})
    assert registry.get("patchcore").distribution == "pyimgano-home"
    assert registry.get("one:patchcore").distribution == "one"
    assert registry.get("one:free").distribution == "one"
    assert registry.get("pyimgano-home:patchcore").distribution == "pyimgano-home"
    (record,) = (r for r in registry.records() if r.entry.distribution == "one")
    assert record.status == "conflict"
    assert record.conflicts == ("patchcore",)
    assert record.message == "'patchcore' belongs to pyimgano-home"
    assert record.hint == "reach it as one:patchcore"
    assert registry.names() == ("free", "padim", "patchcore")


def test_among_strangers_the_first_distribution_by_name_wins(registry, plug_in):
    plug_in("two", {"pyimgano.models": {"x": "two_specs:MODELS"}}, {"two_specs": source("same")})
    plug_in("one", {"pyimgano.models": {"x": "one_specs:MODELS"}}, {"one_specs": source("same")})
    assert registry.get("same").distribution == "one"
    assert registry.get("two:same").distribution == "two"


def test_broken_plugin_hurts_no_other_and_is_named_on_a_miss(registry, plug_in):
    plug_in("broken", {"pyimgano.models": {"x": "broken_specs:MODELS"}}, {"broken_specs": "1 / 0"})
    plug_in("two", {"pyimgano.models": {"x": "two_specs:MODELS"}}, {"two_specs": source("works")})
    assert registry.names() == ("padim", "patchcore", "works")
    assert registry.load("works")
    with pytest.raises(UnknownNameError) as caught:
        registry.get("patchcor")
    text = str(caught.value)
    assert "unknown model 'patchcor'" in text
    assert "did you mean 'patchcore'?" in text
    assert "pyimgano models list" in text
    assert "broken offers nothing: ZeroDivisionError" in text
    assert caught.value.exit_code == 2


def test_broken_first_party_distribution_is_an_error_of_its_own(monkeypatch, plug_in):
    plug_in("home", modules={"home_specs": "1 / 0"})
    table = {"pyimgano.models": (("pyimgano-home", "home", "home_specs:MODELS"),)}
    monkeypatch.setattr("pyimgano.core.plugins.FIRST_PARTY", table)
    monkeypatch.setenv("PYIMGANO_PLUGINS", "none")
    with pytest.raises(PluginError, match="pyimgano-home: ZeroDivisionError"):
        Registry("pyimgano.models", "model").get("patchcore")


def test_absent_first_party_distribution_gives_its_pip_command(monkeypatch):
    table = {"pyimgano.models": (("pyimgano-absent", "x", "pyimgano.absent.specs:MODELS"),)}
    monkeypatch.setattr("pyimgano.core.plugins.FIRST_PARTY", table)
    monkeypatch.setenv("PYIMGANO_PLUGINS", "none")
    registry = Registry("pyimgano.models", "model")
    assert registry.names() == ()
    with pytest.raises(UnknownNameError, match="pip install pyimgano-absent"):
        registry.get("patchcore")


def test_registering_the_same_spec_twice_is_fine_and_another_is_refused(registry):
    spec = ModelSpec("mine", "Mine", "collections:OrderedDict")
    registry.register(spec)
    registry.register(spec)
    assert registry.get("mine").distribution == "in-process"
    assert "mine" in registry.names()
    other = ModelSpec("mine", "Another", "collections:OrderedDict")
    with pytest.raises(PluginError, match="already registered"):
        registry.register(other)
    registry.register(other, replace=True)
    assert registry.get("mine").spec is other


def test_builtin_name_is_not_registered_over_by_accident(registry):
    mine = ModelSpec("padim", "My own", "collections:OrderedDict")
    with pytest.raises(PluginError, match="already registered by pyimgano-home"):
        registry.register(mine)
    registry.register(mine, replace=True)
    assert registry.get("padim").spec is mine
    (listed,) = (entry for entry in registry.entries() if entry.spec.key == "padim")
    assert listed.spec is mine


def test_snapshot_and_restore_undo_what_a_process_registered(registry):
    before = registry.snapshot()
    registry.register(ModelSpec("mine", "Mine", "collections:OrderedDict"))
    registry.restore(before)
    with pytest.raises(UnknownNameError):
        registry.get("mine")


def test_load_names_the_model_that_lacks_a_requirement(registry):
    needs = (Requirement("absent_backend", "some-models", "fast"),)
    registry.register(ModelSpec("mine", "Mine", "collections:OrderedDict", requires=needs))
    with pytest.raises(MissingDependencyError) as caught:
        registry.load("mine")
    assert str(caught.value) == "model 'mine': needs 'absent_backend'\nhint: pip install \"some-models[fast]\""


def test_component_is_kept_under_its_kind(monkeypatch):
    monkeypatch.setattr("pyimgano.core.plugins.FIRST_PARTY", {"pyimgano.components": ()})
    monkeypatch.setenv("PYIMGANO_PLUGINS", "none")
    registry = Registry("pyimgano.components", "component")
    registry.register(ComponentSpec("mine", "Mine", "collections:OrderedDict", kind="sink"))
    assert registry.get("sink/mine").spec.kind == "sink"
    with pytest.raises(UnknownNameError, match="did you mean 'sink/mine'"):
        registry.get("mine")


def test_entry_point_order_puts_first_party_before_every_stranger():
    ours = EntryPoint(False, "zzz", "z", "z:Z", "pyimgano.models")
    theirs = EntryPoint(True, "aaa", "a", "a:A", "pyimgano.models")
    assert sorted([theirs, ours]) == [ours, theirs]


def test_model_registry_lists_json_friendly_entries():
    from pyimgano.core.files import dumps_json

    for entry in MODELS.entries():
        assert dumps_json(entry.to_json())
