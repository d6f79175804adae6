"""Backends that are installed by choice: told of when absent, harmless when broken. Takes 15 s.

What is absent or broken here is installed: a hook in a process of its own hides it or breaks it.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pyimgano.core import backends
from pyimgano.core.backends import BACKENDS, Backend
from pyimgano.core.errors import MissingDependencyError
from pyimgano.core.plugins import EntryPoint, failure_record
from pyimgano.core.registry import COMPONENTS, MODELS

HIDDEN = """
import importlib.abc, sys

class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == {name!r} or name.startswith({name!r} + "."):
            raise {error}

sys.meta_path.insert(0, Hide())
"""
ABSENT = HIDDEN.format(name="pyimgano.openclip", error="ModuleNotFoundError('hidden', name='pyimgano.openclip')")
CLI = """
from pyimgano.cli.main import main
try:
    code = main()
except SystemExit as stop:
    code = stop.code
sys.exit(code)
"""
CREATE = """
from pyimgano.core.creation import create_model
from pyimgano.core.errors import PyimganoError
import numpy as np
try:
    create_model(*{args!r}, **{params!r}).fit([np.zeros((64, 64, 3), np.uint8)])
except PyimganoError as error:
    print(type(error).__name__, error)
"""


def run(before, *arguments, code=CLI, **env):
    import os

    return subprocess.run(
        [sys.executable, "-c", before + "\nsys.argv = ['pyimgano', *sys.argv[1:]]\n" + code, *arguments],
        env={**os.environ, "PYIMGANO_PLUGINS": "none", "COLUMNS": "200", **env},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture(scope="module")
def broken_open_clip(tmp_path_factory):
    """A folder for PYTHONPATH in which open_clip cannot be imported."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "open_clip.py").write_text("raise RuntimeError('its wheels fell off')\n", encoding="utf-8")
    return str(folder)


def test_the_catalogue_is_what_the_packages_offer():
    for backend in BACKENDS:
        if not backend.runs_here:
            continue  # a newer Python tells
        offered = {entry.spec.name for entry in MODELS.entries() if entry.distribution == backend.distribution}
        assert offered, f"{backend.distribution} is not installed: run `nox -s tests`"
        assert {name for name in offered if backend.brings_model(name)} == offered
        assert all(any(Backend("x", "x", "x", (known,)).brings_model(n) for n in offered) for known in backend.models)
        features = {e.spec.name for e in COMPONENTS.entries() if e.distribution == backend.distribution}
        assert set(backend.backbones) <= features
    assert list(BACKENDS) == sorted(BACKENDS, key=lambda backend: backend.distribution)


def test_a_listing_tells_what_an_absent_backend_would_add():
    done = run(ABSENT, "models", "list")
    assert done.returncode == 0
    assert "\nwinclip" not in done.stdout
    note = "note: pyimgano-openclip (not installed) would add clip-patch-map, winclip, backbones openclip/…"
    assert f"{note}\nhint: pip install pyimgano-openclip\n" in done.stderr
    listed = {entry["name"]: entry for entry in json.loads(run(ABSENT, "models", "list", "--json").stdout)}
    assert listed["winclip"]["available"] is False
    assert listed["winclip"]["missing"] == ["pip install pyimgano-openclip"]
    assert set(listed["winclip"]) == set(listed["patchcore"])
    assert "winclip" not in run(ABSENT, "models", "list", "--names").stdout.split()
    components = run(ABSENT, "components", "list")
    assert "would add features/openclip" in components.stderr
    assert "openclip" not in run(ABSENT, "recipes", "list").stderr


def test_plugins_and_the_doctor_tell_of_it_without_alarm():
    records = json.loads(run(ABSENT, "plugins", "list", "--json").stdout)
    found = {r["group"]: r for r in records if r["distribution"] == "pyimgano-openclip"}
    assert {r["status"] for r in found.values()} == {"not-installed"}
    message = "pyimgano-openclip: not installed; it would add clip-patch-map, winclip, backbones openclip/…"
    assert found["pyimgano.models"]["message"] == message
    assert found["pyimgano.models"]["hint"] == "pip install pyimgano-openclip"


@pytest.mark.parametrize(
    ("args", "params"),
    [(["winclip"], {}), (["patchcore"], {"backbone": "openclip/ViT-B-32"})],
    ids=["model", "backbone"],
)
def test_asking_for_what_it_would_bring_names_it(args, params):
    done = run(ABSENT, code=CREATE.format(args=args, params=params))
    assert done.stdout.startswith("MissingDependencyError")
    assert "pyimgano-openclip: not installed" in done.stdout
    assert "hint: pip install pyimgano-openclip" in done.stdout


def test_a_name_that_nobody_knows_says_nothing_of_it():
    done = run(ABSENT, code=CREATE.format(args=["patchcoer"], params={}))
    assert "did you mean 'patchcore'" in done.stdout
    assert "openclip" not in done.stdout
    done = run(ABSENT, code=CREATE.format(args=["patchcore"], params={"backbone": "nobody/net"}))
    assert done.stdout.startswith("UnknownNameError backbone 'nobody/net': nothing installed brings backbones")


def test_a_backend_for_a_newer_python_is_listed_with_the_reason(monkeypatch):
    future = Backend(
        "pyimgano-future", "pyimgano.future", "…", models=("future-",), backbones=("future",), python=(9, 9)
    )
    monkeypatch.setattr(backends, "BACKENDS", (future,))
    entry = EntryPoint(False, "pyimgano-future", "pyimgano-future", "pyimgano.future.specs:MODELS", "pyimgano.models")
    cause = ModuleNotFoundError("absent", name="pyimgano.future")
    try:
        raise MissingDependencyError("absent") from cause
    except MissingDependencyError as error:
        record = failure_record(entry, error)
    version = "{}.{}".format(*sys.version_info[:2])
    assert record.message == (
        f"pyimgano-future: needs Python 9.9 or newer, this is {version}; it would add future-…, backbones future/…"
    )
    assert (record.status, record.hint) == ("not-installed", None)
    with pytest.raises(MissingDependencyError, match=r"needs Python 9\.9") as caught:
        MODELS.get("future-net")
    assert caught.value.hint is None
    assert future.to_json()["python"] == "9.9"


@pytest.mark.parametrize("arguments", [("--help",), ("models", "list"), ("components", "list"), ("plugins", "list")])
def test_a_broken_library_disturbs_no_listing(arguments, broken_open_clip):
    done = run("import sys", *arguments, PYTHONPATH=broken_open_clip)
    assert done.returncode == 0
    assert "wheels" not in done.stdout + done.stderr


def test_a_broken_library_is_told_when_it_is_used_and_hurts_nobody_else(broken_open_clip):
    for args, params in ((["winclip"], {}), (["patchcore"], {"backbone": "openclip/ViT-B-32"})):
        done = run("import sys", code=CREATE.format(args=args, params=params), PYTHONPATH=broken_open_clip)
        assert "PluginError OpenCLIP: is installed but broken: RuntimeError: its wheels fell off" in done.stdout
    code = CREATE.format(args=["pixel-median"], params={}) + "\nprint('fitted')"
    assert run("import sys", code=code, PYTHONPATH=broken_open_clip).stdout == "fitted\n"
    done = run("import sys", "cache", "info", "efficientnet-lite0", PYTHONPATH=broken_open_clip)
    assert done.returncode == 0


def test_a_broken_package_is_a_failed_record_and_hurts_nobody_else():
    broken = HIDDEN.format(name="pyimgano.openclip.specs", error="RuntimeError('half an update')")
    records = json.loads(run(broken, "plugins", "list", "--json").stdout)
    found = [r for r in records if r["distribution"] == "pyimgano-openclip"]
    assert {r["status"] for r in found} == {"failed"}
    assert all("half an update" in r["message"] and r["traceback"] for r in found)
    done = run(broken, "models", "list", "--names")
    assert done.returncode == 0
    assert "patchcore" in done.stdout.split()
    assert "half an update" in done.stderr
    assert run(broken, code=CREATE.format(args=["pixel-median"], params={}) + "\nprint('fitted')").stdout == "fitted\n"
