"""Discovery: every entry point becomes a record, whatever its module does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pyimgano.core.errors import MissingDependencyError, PluginError
from pyimgano.core.plugins import (
    FIRST_PARTY,
    EntryPoint,
    entry_points,
    find_distribution_version,
    load_spec_plugin,
    resolve,
)
from pyimgano.core.specs import Requirement

SPECS = """
from pyimgano.core.specs import ModelSpec
MODELS = [ModelSpec("wall", "A model", "somewhere.else:Wall")]
"""


def entry(value, *, third_party=True, group="pyimgano.models", distribution="stranger"):
    return EntryPoint(third_party, distribution, "entry", value, group)


def found(group, name):
    return [point for point in entry_points(group) if point.distribution == name]


def test_first_party_table_agrees_with_the_installed_metadata():
    import importlib.metadata

    from pyimgano.core.backends import BACKENDS

    absent = {backend.distribution for backend in BACKENDS if not backend.runs_here}
    for group, entries in FIRST_PARTY.items():
        for distribution, name, value in entries:
            if distribution in absent:
                continue
            points = importlib.metadata.distribution(distribution).entry_points
            assert (name, value) in {(p.name, p.value) for p in points if p.group == group}, (group, name)
    for distribution in {entry[0] for entries in FIRST_PARTY.values() for entry in entries} - absent:
        for point in importlib.metadata.distribution(distribution).entry_points:
            if point.group.startswith("pyimgano."):
                assert (distribution, point.name, point.value) in FIRST_PARTY[point.group]


def test_installed_plugin_is_found_and_loaded(plug_in):
    plug_in("Stranger_One", {"pyimgano.models": {"x": "stranger_one:MODELS"}}, {"stranger_one": SPECS})
    (point,) = found("pyimgano.models", "stranger-one")  # the name is normalised
    record = load_spec_plugin(point)
    assert record.status == "ok"
    assert [spec.name for spec in record.specs] == ["wall"]
    assert record.to_json()["version"] == "1.0"


def test_first_party_comes_first_then_distributions_by_name(plug_in):
    plug_in("zebra", {"pyimgano.models": {"b": "zebra:M", "a": "zebra:M"}})
    plug_in("aardvark", {"pyimgano.models": {"c": "aardvark:M"}})
    points = entry_points("pyimgano.models")
    ours = [p for p in points if p.distribution in ("zebra", "aardvark")]
    assert [(p.distribution, p.name) for p in ours] == [("aardvark", "c"), ("zebra", "a"), ("zebra", "b")]
    assert [p.third_party for p in points] == sorted(p.third_party for p in points)


def test_first_distribution_on_the_path_is_the_one_that_counts(plug_in):
    plug_in("twice", {"pyimgano.models": {"old": "twice:M"}}, version="1.0")
    plug_in("twice", {"pyimgano.models": {"new": "twice:M"}}, version="2.0")
    assert [p.name for p in found("pyimgano.models", "twice")] == ["new"]


def test_distribution_cannot_pose_as_first_party(plug_in):
    plug_in("pyimgano-models", {"pyimgano.models": {"x": "impostor:MODELS"}})
    assert [p.value for p in found("pyimgano.models", "pyimgano-models")] == ["pyimgano.models.specs:MODELS"]


@pytest.mark.parametrize("choice", ["none", "off", "0", "NONE "])
def test_environment_switches_third_parties_off(plug_in, monkeypatch, choice):
    plug_in("stranger", {"pyimgano.models": {"x": "stranger:M"}})
    monkeypatch.setenv("PYIMGANO_PLUGINS", choice)
    assert not any(point.third_party for point in entry_points("pyimgano.models"))
    assert entry_points("pyimgano.models")


def test_environment_selects_distributions_by_any_spelling(plug_in, monkeypatch):
    plug_in("one-stranger", {"pyimgano.models": {"x": "one:M"}})
    plug_in("other-stranger", {"pyimgano.models": {"x": "other:M"}})
    monkeypatch.setenv("PYIMGANO_PLUGINS", "One_Stranger, nobody")
    assert [p.distribution for p in entry_points("pyimgano.models") if p.third_party] == ["one-stranger"]


def test_archive_on_the_path_is_scanned_too(tmp_path, monkeypatch, plug_in):
    import zipfile

    archive = tmp_path / "plugin.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("zipped-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: zipped\nVersion: 1.0\n")
        stream.writestr("zipped-1.0.dist-info/entry_points.txt", "[pyimgano.models]\nx = zipped:MODELS\n")
    plug_in("other")  # forgets the scan, now and at the end
    monkeypatch.syspath_prepend(str(archive))
    assert found("pyimgano.models", "zipped")


def test_without_plugins_the_scan_does_not_import_importlib_metadata(tmp_path):
    code = (
        "import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p] + [sys.argv[1]]\n"
        "from pyimgano.core.plugins import entry_points\n"
        "assert not any(e.third_party for e in entry_points('pyimgano.models'))\n"
        "sys.exit('importlib.metadata' in sys.modules)"
    )
    import pyimgano.core

    source = str(pyimgano.core.__path__[0]).removesuffix("/pyimgano/core").removesuffix("\\pyimgano\\core")
    # -S: no .pth file of this environment imports anything before
    done = subprocess.run([sys.executable, "-S", "-c", code, source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import sys; sys.exit('good bye')", "SystemExit: good bye"),
        ("from json import nothing_like_it", "ImportError: cannot import name"),
        ("import stranger_part.absent", "ModuleNotFoundError: No module named 'stranger_part.absent'"),
        ("X = 1", "has no attribute 'MODELS'"),
        ("MODELS = [1]", "holds a int, not a ModelSpec"),
        ("MODELS = 5", "TypeError"),
        ("MODELS = (1 / 0 for _ in 'x')", "ZeroDivisionError"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_broken_plugin_becomes_a_record_with_a_traceback(plug_in, source, said):
    plug_in("stranger", modules={"stranger_part/__init__": "", "stranger_part.specs": source})
    record = load_spec_plugin(entry("stranger_part.specs:MODELS"))
    assert record.status == "failed"
    assert said in record.message
    assert "Error" in record.traceback or "Exit" in record.traceback
    assert "authors of stranger" in record.hint
    assert record.specs == ()


def test_missing_dependency_is_told_from_a_broken_plugin(plug_in):
    plug_in("stranger", modules={"stranger_needs": "import absent_backend.core"})
    record = load_spec_plugin(entry("stranger_needs:MODELS"))
    assert (record.status, record.hint) == ("missing-dependency", "pip install absent_backend")
    assert "absent_backend" in record.message


def test_plugin_for_another_api_is_incompatible(plug_in):
    plug_in("stranger", modules={"foreign": SPECS.replace('Wall")', 'Wall", api=2)')})
    record = load_spec_plugin(entry("foreign:MODELS"))
    assert record.status == "incompatible"
    assert "API 2" in record.message
    assert record.specs == ()


def test_first_party_distribution_that_is_absent_is_not_installed():
    absent = entry("pyimgano.absent.specs:MODELS", third_party=False, distribution="pyimgano-absent")
    record = load_spec_plugin(absent)
    assert (record.status, record.hint) == ("not-installed", "pip install pyimgano-absent")


def test_first_party_distribution_that_lacks_a_module_is_broken():
    record = load_spec_plugin(entry("pyimgano.core.gone:MODELS", third_party=False, distribution="pyimgano-core"))
    assert record.status == "failed"
    assert record.hint == "pip install --force-reinstall pyimgano-core"


@pytest.mark.parametrize(
    ("missing", "distribution"),
    [("pyimgano.absent.x", "pyimgano-absent"), ("absent_thing.x", "absent_thing")],
)
def test_hint_names_the_distribution_of_a_missing_module(plug_in, missing, distribution):
    plug_in("stranger", modules={"stranger_uses": f"import {missing}"})
    with pytest.raises(MissingDependencyError) as caught:
        resolve("stranger_uses:X")
    assert caught.value.hint == f"pip install {distribution}"


def test_resolve_gives_the_requirements_own_command():
    needs = (Requirement("absent_backend", "some-models", "fast"),)
    with pytest.raises(MissingDependencyError) as caught:
        resolve("json:loads", requires=needs, where="model 'x'")
    assert caught.value.hint == 'pip install "some-models[fast]"'
    assert caught.value.where == "model 'x'"
    assert caught.value.exit_code == 3


def test_resolve_follows_dots_in_the_attribute():
    assert resolve("json:JSONDecoder.decode").__name__ == "decode"


def test_what_a_module_prints_while_it_is_imported_goes_to_stderr(plug_in, capfd):
    plug_in("chatty", {}, {"chatty": "print('hello')\nvalue = 1"})
    assert resolve("chatty:value") == 1
    assert capfd.readouterr() == ("", "hello\n")


def test_resolve_keeps_the_cause_of_a_broken_module(plug_in):
    plug_in("stranger", modules={"breaks": "1 / 0"})
    with pytest.raises(PluginError, match="installed but broken: ZeroDivisionError") as caught:
        resolve("breaks:X")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_version_of_an_absent_distribution_is_none():
    assert find_distribution_version("pyimgano-core")
    assert find_distribution_version("no-such-distribution-anywhere") is None
