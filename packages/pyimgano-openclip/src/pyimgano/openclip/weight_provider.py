"""What ``pyimgano cache`` asks of this package: where the weights of OpenCLIP's models come from, and bringing them."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from pyimgano.core.cache import cache_dir
from pyimgano.core.downloads import Remote, check_digits, fetch_file, remote_at, remote_on_hub, steps_by_hand
from pyimgano.core.errors import ParameterError, WeightsError
from pyimgano.core.weight_files import SUFFIXES, Weights, given_weights, keep_file
from pyimgano.core.weights import WeightsInfo
from pyimgano.openclip.names import LIBRARY, split_name
from pyimgano.openclip.pretrained import (
    Pretrained,
    cache_target,
    fetch_command,
    find_cached,
    find_in_hub,
    find_pretrained,
    how_to_get,
)

__all__ = ["OpenClipWeights"]


class OpenClipWeights:
    """The :class:`~pyimgano.core.weights.WeightsProvider` of ``openclip/<model>[:<pretrained tag>]``."""

    def full_name(self, name: str) -> Optional[str]:
        """Return ``name`` when it begins with ``openclip/``, else None; imports nothing."""
        return name if name.startswith(f"{LIBRARY}/") and len(name) > len(LIBRARY) + 1 else None

    def describe(self, name: str, tag: str = "default") -> WeightsInfo:
        """Return what is known of the weights of a model; opens no connection.

        Raises
        ------
        UnknownNameError, ParameterError
            When OpenCLIP has no such model or tag.
        MissingDependencyError
            When OpenCLIP is not installed.
        """
        model, own = split_name(name)
        pretrained = find_pretrained(model, own, tag)
        given = given_weights(tag)
        if given is not None:
            return _info(Pretrained(model, given.name, {}), given)
        found: Optional[Weights] = None
        problem: Optional[WeightsError] = None
        try:
            found = find_cached(pretrained) or find_in_hub(pretrained)
        except WeightsError as error:
            problem = error
        return _info(pretrained, found, problem=problem, hint=how_to_get(pretrained) if found is None else None)

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
        """Bring a model's weights into the cache; see :meth:`pyimgano.core.weights.WeightsProvider.fetch`."""
        check_digits(sha256)
        if file is not None and url is not None:
            raise ParameterError("a file and an address", where="--from, --url", allowed="one of them")
        model, own = split_name(name)
        pretrained = find_pretrained(model, own, tag)
        if not pretrained.tag:
            raise ParameterError(f"weights = {tag!r}", where="--tag", allowed="a pretrained tag of OpenCLIP")
        if file is not None:
            self._keep(pretrained, file, sha256=sha256)
            return self.describe(name, tag)
        target = str(cache_target(pretrained, ".*"))
        command = fetch_command(pretrained)
        hint = steps_by_hand(pretrained.page, command, target, url=url, hub=pretrained.hub_id is not None)
        remote = remote_at(url, sha256) if url else _remote(pretrained, hint)
        fetch_file(
            remote,
            cache_dir("weights", LIBRARY, create=True),
            lambda received: self._keep(pretrained, received, origin=remote.url, move=True),
            name=f"{LIBRARY}/{pretrained.model}:{pretrained.tag}",
            transfer=lambda address, received: _transfer(address, received, progress=progress),
            hint=hint,
            sha256=sha256,
        )
        return self.describe(name, tag)

    def _keep(
        self,
        pretrained: Pretrained,
        file: Path,
        *,
        sha256: Optional[str] = None,
        origin: str = "file",
        move: bool = False,
    ) -> Path:
        """Put a file into the cache, once it was found to be what it should be and to fit the model."""
        from pyimgano.openclip.networks import create_clip

        if file.suffix.lower() not in SUFFIXES:
            raise WeightsError("not the name of a weights file", where=str(file), allowed=", ".join(SUFFIXES))
        given = given_weights(str(file.resolve()))
        assert given is not None
        if sha256 is not None and not str(given.sha256).startswith(sha256.lower()):
            raise WeightsError(
                f"checksum mismatch: the file has sha256 {given.sha256}, expected was {sha256.lower()}",
                where=str(file),
                hint="it was altered or cut off on the way, or is another file: get it again",
            )
        create_clip(pretrained, given)
        target = cache_target(pretrained, file.suffix.lower())
        cache_dir("weights", LIBRARY, create=True)
        model = f"{LIBRARY}/{pretrained.model}"
        keep_file(file, target, model=model, version=pretrained.tag, move=move, origin=origin, license=None)
        return target


def _remote(pretrained: Pretrained, hint: str) -> Remote:
    if pretrained.hub_id:
        return remote_on_hub(pretrained.hub_id, pretrained.files, hint=hint, pip="pip install huggingface_hub")
    if pretrained.url:
        return Remote(pretrained.url, pretrained.url, pretrained.stated)
    raise WeightsError("OpenCLIP names no file to download", hint=hint)


def _transfer(address: str, file: Path, *, progress: bool) -> None:
    """Download with torch.hub, which shows the bar and renames the file when its stream ended."""
    from torch.hub import download_url_to_file

    download_url_to_file(address, str(file), progress=progress)


def _info(
    pretrained: Pretrained,
    found: Optional[Weights],
    *,
    problem: Optional[WeightsError] = None,
    hint: Optional[str] = None,
) -> WeightsInfo:
    path = None if found is None else found.path
    suffix = Path(pretrained.page or "").suffix
    known = suffix if suffix in SUFFIXES else SUFFIXES[0]
    place = "cache" if problem is not None else None
    return WeightsInfo(
        f"{LIBRARY}/{pretrained.model}",
        pretrained.tag,
        place=place if found is None else found.place,
        path=path,
        sha256=None if found is None else found.sha256,
        size=None if path is None else path.stat().st_size,
        url=pretrained.page,
        stated=pretrained.stated,
        target=cache_target(pretrained, known) if pretrained.config else None,
        problem=problem,
        hint=hint,
    )
