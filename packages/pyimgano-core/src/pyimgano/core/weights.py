"""Where the weights of a name come from: the contract between who knows that and ``pyimgano cache``.

A provider is a component of the kind ``weights``: a distribution that brings backbones registers one, and its names
work with ``pyimgano cache info`` and ``pyimgano cache fetch``. Finding a provider imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Protocol, runtime_checkable

from pyimgano.core.errors import UnknownNameError, WeightsError
from pyimgano.core.plugins import FIRST_PARTY
from pyimgano.core.registry import COMPONENTS

__all__ = ["WeightsInfo", "WeightsProvider", "full_name", "weights_provider"]


@dataclass(frozen=True)
class WeightsInfo:
    """What is known of the weights of one name.

    Attributes
    ----------
    name : str
        Full name of the model, e.g. ``"timm/resnet18"``.
    tag : str
        Which of its weights; ``""`` when the library has only one set and gives it no name.
    place : {"package", "cache", "torch", "hub", "file", "random"} or None
        Where the file is: in an installed package, in pyimgano's cache, in that of torch or of the Hugging Face hub, or
        where the tag itself says; ``"random"`` weights need none. None when it is nowhere.
    path : Path or None
        The file, when it is here.
    sha256 : str or None
        Of the file that is here, in hexadecimal.
    size : int or None
        Of the file that is here, in bytes.
    url : str or None
        Where the file is downloaded from.
    stated : str or None
        The SHA-256 that it must have, or its first digits, as far as that is known without asking the network.
    license : str or None
        As the library's own config states it.
    target : Path or None
        What the file is called in pyimgano's cache; its suffix is that of the downloaded file.
    problem : WeightsError or None
        Why a file that is here cannot be used.
    hint : str or None
        What to type when the weights are not here, one command a line.
    """

    name: str
    tag: str
    place: Optional[str] = None
    path: Optional[Path] = None
    sha256: Optional[str] = None
    size: Optional[int] = None
    url: Optional[str] = None
    stated: Optional[str] = None
    license: Optional[str] = None
    target: Optional[Path] = None
    problem: Optional[WeightsError] = None
    hint: Optional[str] = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping; ``here`` says whether the weights can be used."""
        return {
            "name": self.name,
            "tag": self.tag,
            "here": self.place is not None and self.problem is None,
            "place": self.place,
            "path": None if self.path is None else str(self.path),
            "sha256": self.sha256,
            "size": self.size,
            "url": self.url,
            "stated_sha256": self.stated,
            "license": self.license,
            "target": None if self.target is None else str(self.target),
            "problem": None if self.problem is None else self.problem.to_json(),
            "hint": self.hint,
        }


@runtime_checkable
class WeightsProvider(Protocol):
    """Knows where the weights of some names come from.

    ``factory()`` of a component of the kind ``weights`` gives one.
    """

    def full_name(self, name: str) -> Optional[str]:
        """Return the full name of a model of this provider (``"resnet18"`` → ``"torchvision/resnet18"``), else None.

        It only looks at the name: nothing heavy is imported, and the model may turn out not to exist.
        """

    def describe(self, name: str, tag: str = "default") -> WeightsInfo:
        """Return what is known of the weights of a name; opens no connection.

        Parameters
        ----------
        name : str
            As a user types it.
        tag : str
            What the parameter ``weights`` of a model may be: ``"default"``, a tag of the library, a file, ``"random"``.

        Raises
        ------
        UnknownNameError, ParameterError
            When there is no such model or tag; it holds those that there are.
        """

    def fetch(
        self,
        name: str,
        tag: str = "default",
        *,
        file: Optional[Path] = None,
        url: Optional[str] = None,
        sha256: Optional[str] = None,
        progress: bool = False,
    ) -> WeightsInfo:
        """Bring weights into the cache, and return what is then known of them.

        The file gets its name in the cache only after its checksum was found right and it was found to fit the model.

        Parameters
        ----------
        name, tag : str
            As in :meth:`describe`.
        file : Path, optional
            Copy this file; no connection is opened.
        url : str, optional
            Download from this address in place of the library's own.
        sha256 : str, optional
            The checksum that the file must have, or its first digits (8 at least).
        progress : bool
            Show a progress bar on stderr.

        Raises
        ------
        WeightsError
            When the file cannot be had, has another checksum, or does not fit; nothing is kept then. Its hint says
            which file to bring from where, and what to type.
        """


def weights_provider(name: str) -> WeightsProvider:
    """Return the provider that knows a name: the first-party ones are asked first, then third parties by name.

    Raises
    ------
    UnknownNameError
        When no provider knows it.
    MissingDependencyError, PluginError
        When a provider cannot be loaded.
    """
    provider = _find(name)
    if provider is None:
        known = [entry.spec.key for entry in COMPONENTS.entries() if entry.spec.kind == "weights"]
        raise UnknownNameError(
            f"nothing installed knows weights called {name!r}",
            hint=f"asked were: {', '.join(known)}" if known else "pip install pyimgano-models",
        )
    return provider


def full_name(name: str) -> str:
    """Return the full name that a provider has for ``name``; ``name`` itself when there is none."""
    provider = _find(name)
    return name if provider is None else provider.full_name(name) or name


def _find(name: str) -> Optional[WeightsProvider]:
    own = {distribution for distribution, _, _ in FIRST_PARTY["pyimgano.components"]}
    entries = [entry for entry in COMPONENTS.entries() if entry.spec.kind == "weights"]
    for entry in sorted(entries, key=lambda entry: (entry.distribution not in own, entry.spec.name)):
        provider: WeightsProvider = COMPONENTS.load(entry.spec.key)()
        if provider.full_name(name) is not None:
            return provider
    return None
