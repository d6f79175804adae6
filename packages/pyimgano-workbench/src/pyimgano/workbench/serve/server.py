"""The service as a process: listens, and stops as it is told to."""

from __future__ import annotations

import errno
import signal
import socket
from typing import Any, Callable, Optional

import uvicorn

from pyimgano.core.errors import ConfigError
from pyimgano.workbench.serve.settings import ServeSettings

__all__ = ["listen", "serve"]


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound.

    Raises
    ------
    ConfigError
        When the address is unknown, not of this machine, or taken.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, proto)
    except OSError as error:
        raise ConfigError(f"unknown address: {error.strerror or error}", where=f"--host {host}") from error
    try:
        if hasattr(signal, "SIGKILL"):  # elsewhere, this would let two processes have one port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        taken = error.errno == errno.EADDRINUSE
        raise ConfigError(
            f"cannot listen: {error.strerror or error}",
            where=f"{host}:{port}",
            hint="--port 0 takes one that is free" if taken else None,
        ) from error
    return bound


class _Server(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = started

    async def startup(self, sockets: Optional[list[socket.socket]] = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._tell()


def serve(app: Any, settings: ServeSettings, bound: socket.socket, *, started: Callable[[], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; then answer what was accepted, at most for ``settings.stop_seconds``."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        # Who asks is not judged by; a header that any client can write is not believed either.
        proxy_headers=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=max(1, round(settings.stop_seconds)),
    )
    # uvicorn raises the signal again when it has ended, for those who want to die by it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    _Server(config, started).run(sockets=[bound])
