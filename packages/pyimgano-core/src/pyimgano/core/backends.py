"""Backends that come as packages of their own, and what each would add: known without being installed.

It is what a listing shows of a package that is not there, so it is data and imports nothing. A test holds it against
what the packages offer.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import Any, Optional

__all__ = ["BACKENDS", "Backend", "absent_backends", "backend_of"]


@dataclass(frozen=True)
class Backend:
    """A first-party distribution that is installed by choice.

    Attributes
    ----------
    distribution : str
        What ``pip install`` is given.
    package : str
        What it is imported as.
    summary : str
        What it brings, in a few words.
    models : tuple of str
        Names of models that it registers; a trailing ``-`` stands for all that begin so.
    backbones : tuple of str
        Libraries of backbones that it brings: ``"openclip"`` for names ``openclip/…``.
    python : (int, int)
        The oldest Python that it runs on.
    """

    distribution: str
    package: str
    summary: str
    models: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    python: tuple[int, int] = (3, 9)

    @property
    def pip(self) -> str:
        """The command that installs it."""
        return f"pip install {self.distribution}"

    @property
    def runs_here(self) -> bool:
        """Whether this Python is new enough for it."""
        return sys.version_info[:2] >= self.python

    @property
    def absence(self) -> str:
        """Why it is not there, in a few words."""
        if self.runs_here:
            return "not installed"
        return "needs Python {}.{} or newer, this is {}.{}".format(*self.python, *sys.version_info[:2])

    @property
    def adds(self) -> tuple[str, ...]:
        """What it would add, as names."""
        models = tuple(f"{name}…" if name.endswith("-") else name for name in self.models)
        return (*models, *(f"backbones {library}/…" for library in self.backbones))

    def brings_model(self, name: str) -> bool:
        """Tell whether it registers a model of this name."""
        return any(name == known or (known.endswith("-") and name.startswith(known)) for known in self.models)

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping; ``reason`` says why it is not there."""
        data = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        data["python"] = "{}.{}".format(*self.python)
        return {**data, "reason": self.absence, "runs_here": self.runs_here, "pip": self.pip}


BACKENDS: tuple[Backend, ...] = (
    Backend(
        "pyimgano-anomalib",
        "pyimgano.anomalib",
        "anomalib: its image models trained by its Engine, and its checkpoints as detectors",
        models=("anomalib-", "anomalib-checkpoint"),
        python=(3, 10),
    ),
    Backend(
        "pyimgano-openclip",
        "pyimgano.openclip",
        "CLIP models of OpenCLIP: zero- and few-shot detectors, and their image towers as backbones",
        models=("clip-patch-map", "winclip"),
        backbones=("openclip",),
    ),
)
"""All of them, sorted by distribution."""


def absent_backends() -> tuple[Backend, ...]:
    """Return the backends that are not installed here."""
    from pyimgano.core.plugins import installed

    return tuple(backend for backend in BACKENDS if not installed(backend.package))


def backend_of(*, model: Optional[str] = None, backbones: Optional[str] = None) -> Optional[Backend]:
    """Return the absent backend that would bring a model or a library of backbones, or None."""
    for backend in absent_backends():
        if (model is not None and backend.brings_model(model)) or backbones in backend.backbones:
            return backend
    return None
