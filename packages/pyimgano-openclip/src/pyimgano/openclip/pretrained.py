"""The weights of OpenCLIP's models: which tags there are, where the files are, which is here. Nothing is downloaded.

A file is looked for in this order: the path given as ``weights``; pyimgano's own cache; the cache of the Hugging Face
hub. Otherwise the error says which file to bring from where, and what to type.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.cache import cache_dir
from pyimgano.core.errors import ParameterError, WeightsError
from pyimgano.core.files import sha256_file
from pyimgano.core.weight_files import (
    SUFFIXES,
    Weights,
    cached_file,
    given_weights,
    hub_endpoint,
    in_hub_cache,
    is_no_tag,
    stated_digits,
)
from pyimgano.openclip.names import LIBRARY, load_open_clip, model_config

__all__ = ["RANDOM_WARNING", "Pretrained", "cache_target", "find_pretrained", "find_weights", "has_tags", "how_to_get"]

RANDOM_WARNING = 'the model has random weights: scores say little about images (weights = "random")'
HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""What the file is called in a repository of the hub, the preferred name first."""


@dataclass(frozen=True)
class Pretrained:
    """One set of weights of a model.

    Attributes
    ----------
    model, tag : str
        As OpenCLIP calls them.
    config : dict
        What OpenCLIP says of it: ``mean``, ``std``, ``interpolation``, ``quick_gelu``, …; empty for no tag.
    hub_id : str or None
        Repository of the Hugging Face hub, which is preferred to ``url``.
    files : tuple of str
        Names of the file in that repository, the preferred one first.
    url : str or None
        Address of the file.
    """

    model: str
    tag: str
    config: dict[str, Any]
    hub_id: Optional[str] = None
    files: tuple[str, ...] = ()
    url: Optional[str] = None

    @property
    def page(self) -> Optional[str]:
        """Address of the file that would be downloaded; opens no connection."""
        return f"{hub_endpoint()}/{self.hub_id}/resolve/main/{self.files[0]}" if self.hub_id else self.url

    @property
    def stated(self) -> Optional[str]:
        """The SHA-256 of the file, or its first digits, where its address states it."""
        if self.hub_id or not self.url:
            return None
        folder = self.url.split("/")[-2]  # OpenAI's files lie in a folder that is called after their checksum
        return folder if len(folder) == 64 and set(folder) <= set("0123456789abcdef") else stated_digits(self.url)


def find_pretrained(model: str, tag: str = "", weights: str = "default") -> Pretrained:
    """Return which set of weights is meant.

    Parameters
    ----------
    model, tag : str
        As :func:`~pyimgano.openclip.names.split_name` gives them.
    weights : str
        ``"default"`` (the tag of the name, else the first that OpenCLIP lists), a tag, a file, or ``"random"``. With
        the latter two, the tag of the name says how images are prepared.

    Raises
    ------
    UnknownNameError, ParameterError
        When OpenCLIP has no such model or tag; it holds those that there are.
    """
    model_config(model)
    open_clip = load_open_clip()
    tags = list(open_clip.list_pretrained_tags_by_model(model))
    chosen = tag if weights == "default" or is_no_tag(weights) else weights
    if tag and chosen != tag:
        raise ParameterError(
            f"weights = {weights!r} of openclip/{model}:{tag}", where="weights", allowed=["default", tag]
        )
    if not chosen:
        if is_no_tag(weights):
            return Pretrained(model, "", {})
        if not tags:
            raise ParameterError(
                f"OpenCLIP has no weights of {model}", where="weights", allowed="a file, random, random:<seed>"
            )
        chosen = tags[0]
    config = dict(open_clip.get_pretrained_cfg(model, chosen) or {})
    if not config:
        raise ParameterError(
            f"OpenCLIP has no weights {chosen!r} of {model}",
            where="weights",
            allowed=["default", *tags, "a file", "random"],
        )
    hub_id, _, file = str(config.get("hf_hub") or "").rpartition("/")
    if not hub_id:
        return Pretrained(model, chosen, config, url=config.get("url") or None)
    files: tuple[str, ...] = HUB_FILES
    if file:
        stem = file.rpartition(".")[0]
        files = (file,) if file.endswith(".safetensors") else (f"{stem}.safetensors", file)
    return Pretrained(model, chosen, config, hub_id, files, config.get("url") or None)


def has_tags(model: str) -> bool:
    """Tell whether OpenCLIP has pretrained weights of a model."""
    return bool(load_open_clip().list_pretrained_tags_by_model(model))


def find_weights(pretrained: Pretrained, weights: str = "default") -> Weights:
    """Return the weights, when they are on this machine; opens no connection.

    Raises
    ------
    WeightsError
        When they are not here, or are not what they should be.
    """
    found = given_weights(weights) or find_cached(pretrained) or find_in_hub(pretrained)
    if found is None:
        raise WeightsError(
            f"the weights {pretrained.tag} of openclip/{pretrained.model} are not on this machine",
            allowed='weights = "<path of a .safetensors or .bin file>", or "random"',
            hint=how_to_get(pretrained),
        )
    return found


def find_cached(pretrained: Pretrained) -> Optional[Weights]:
    """Look in pyimgano's own cache."""
    for suffix in SUFFIXES:
        path = cache_target(pretrained, suffix)
        found = cached_file(path, model=f"{LIBRARY}/{pretrained.model}", version=pretrained.tag)
        if found is not None:
            return found
    return None


def find_in_hub(pretrained: Pretrained) -> Optional[Weights]:
    """Look in the cache of the Hugging Face hub."""
    path = in_hub_cache(pretrained.hub_id, pretrained.files) if pretrained.hub_id else None
    return None if path is None else Weights(pretrained.tag, path, sha256_file(path), place="hub")


def cache_target(pretrained: Pretrained, suffix: str) -> Path:
    """Return what the file is called in pyimgano's cache."""
    return cache_dir("weights", LIBRARY) / f"{pretrained.model}.{pretrained.tag}{suffix}"


def fetch_command(pretrained: Pretrained) -> str:
    """Return what is typed to bring the weights into the cache."""
    return f"pyimgano cache fetch {LIBRARY}/{pretrained.model}:{pretrained.tag}"


def how_to_get(pretrained: Pretrained) -> str:
    """Return the commands that bring the weights, one a line: with a network, and without one."""
    command = fetch_command(pretrained)
    if pretrained.page is None:
        return f"OpenCLIP names no file to download; with a file of yours: {command} --from FILE"
    file = pretrained.page.rpartition("/")[2]
    suffix = Path(file).suffix
    target = cache_target(pretrained, suffix if suffix in SUFFIXES else SUFFIXES[0])
    return (
        f"where there is internet: {command}\n"
        f"elsewhere, with the file from {pretrained.page} copied to this machine: {command} --from {file}\n"
        f"it becomes {target}"
    )
