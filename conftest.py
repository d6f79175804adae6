"""What tests of several packages share."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


@dataclass
class Served:
    """A file of :class:`FileServer`: ``failures`` are the statuses of the first answers, ``cut`` ends the body early.

    With ``hold``, the connection stays open after what was sent until it is set; ``reached`` tells that it waits.
    """

    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    failures: list[int] = field(default_factory=list)
    cut: int | None = None
    hold: threading.Event | None = None
    reached: threading.Event = field(default_factory=threading.Event)


class FileServer:
    """A real HTTP server on loopback: ``files`` is path → :class:`Served`, ``asked`` what it was asked for."""

    def __init__(self) -> None:
        files: dict[str, Served] = {}
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                self.answer(body=True)

            def answer(self, *, body: bool) -> None:
                asked.append(f"{self.command} {self.path}")
                file = files.get(self.path)
                status = 404 if file is None else file.failures.pop(0) if file.failures else 200
                self.send_response(status)
                for name, value in ({} if file is None else file.headers).items():
                    self.send_header(name, value)
                content = file.content if file is not None and status == 200 else b""
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if not body or file is None:
                    return
                self.wfile.write(content[: file.cut])
                self.wfile.flush()
                if file.hold is not None:
                    file.reached.set()
                    file.hold.wait(60)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.files, self.asked = files, asked
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def serve(self, path: str, content: bytes, **how: object) -> Served:
        """Serve a file, and return it to change how."""
        self.files[path] = Served(content, **how)  # type: ignore[arg-type]
        return self.files[path]

    def close(self) -> None:
        """End it; nothing listens on its port afterwards."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def file_server() -> Iterator[FileServer]:
    """Return an HTTP server for the tests of one module."""
    server = FileServer()
    yield server
    server.close()
