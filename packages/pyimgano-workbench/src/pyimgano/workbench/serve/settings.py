"""How the service is set up."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Optional

from pyimgano.core.errors import ConfigError, ParameterError
from pyimgano.workbench.inference.declared_size import MAX_PIXELS

__all__ = ["ServeSettings"]


@dataclasses.dataclass(frozen=True)
class ServeSettings:
    """Limits and places of the service.

    Attributes
    ----------
    host : str
        Address to listen on.
    port : int
        0: one that is free.
    queue : int
        Requests that may be accepted and not answered; one more is answered with 429.
    max_bytes : int
        Of a request's body.
    max_pixels : int
        Of an image, by its header.
    read_seconds : float
        For which a request's body may take to arrive.
    stop_seconds : float
        For which accepted requests may take to be answered when the service is told to stop.
    records : Path or None
        JSONL file that every record is written to before it is answered.
    key : bytes or None
        What clients must send; None: nothing.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    queue: int = 64
    max_bytes: int = 32 << 20
    max_pixels: int = MAX_PIXELS
    read_seconds: float = 30.0
    stop_seconds: float = 30.0
    records: Optional[Path] = None
    key: Optional[bytes] = None

    def __post_init__(self) -> None:
        for name, least in (("queue", 1), ("max_bytes", 1), ("max_pixels", 1), ("port", 0)):
            if getattr(self, name) < least:
                raise ParameterError(f"{name} = {getattr(self, name)}", where="serve", allowed=f"≥ {least}")
        if self.records is not None and self.records.suffix.lower() != ".jsonl":
            raise ConfigError("records are appended as JSONL", where="--records", allowed="a file that ends in .jsonl")
        if self.records is not None and not self.records.resolve().parent.is_dir():
            raise ConfigError("there is no such folder", where=str(self.records.parent), hint="make it first")
