"""What tests of several packages share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Callable

import pytest

PlugIn = Callable[..., Path]


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlugIn]:
    """Return ``plug_in(name, entry_points, modules, version="1.0")``, which installs a distribution for one test.

    It writes what pip would leave in site-packages (metadata, entry points, modules) into a folder of its own, first on
    the path of this process and of those that it starts. ``entry_points`` is group → entry name → value, ``modules``
    is module name → source.
    """
    from pyimgano.core.registry import forget_plugins

    before = set(sys.modules)

    def forget() -> None:
        forget_plugins()
        if "pyimgano.cli.discovery" in sys.modules:
            sys.modules["pyimgano.cli.discovery"].find_commands.cache_clear()

    def install(
        name: str,
        entry_points: Mapping[str, Mapping[str, str]] = {},
        modules: Mapping[str, str] = {},
        version: str = "1.0",
    ) -> Path:
        site = tmp_path / f"site-of-{name}-{version}"
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        lines = []
        for group, entries in entry_points.items():
            lines += [f"[{group}]", *(f"{entry} = {value}" for entry, value in entries.items())]
        (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
        for module, source in modules.items():
            file = site / (module.replace(".", "/") + ".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source, encoding="utf-8")
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")])))
        forget()
        return site

    yield install
    monkeypatch.undo()
    for module in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[module], "__file__", "")):
            del sys.modules[module]
    forget()
