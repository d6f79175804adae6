"""What ``pyimgano cache`` asks of this package: where the weights of its backbones come from."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from pyimgano.core.downloads import check_digits
from pyimgano.core.errors import MissingDependencyError, ParameterError, WeightsError
from pyimgano.core.weight_files import SUFFIXES, Weights, is_no_tag, stated_digits
from pyimgano.core.weights import WeightsInfo
from pyimgano.models.backbones import LIBRARIES, LITE0, PLAIN_NAMES, Backbone
from pyimgano.models.weights import (
    PDNS,
    Source,
    cache_target,
    cached_weights,
    embedded_weights,
    find_weights,
    how_to_get,
    library_weights,
    store_weights,
    weights_source,
)

__all__ = ["BackboneWeights"]


class BackboneWeights:
    """The :class:`~pyimgano.core.weights.WeightsProvider` of the embedded backbone, PDNs, timm and torchvision.

    What timm and torchvision offer is known to them alone: asking for a name of theirs imports them, except for the
    ResNets of the papers, which :mod:`pyimgano.models.weights` knows itself.
    """

    def full_name(self, name: str) -> Optional[str]:
        """Return ``"timm/…"``, ``"torchvision/…"``, ``"onnx/…"``, or a name without a library; None for any other."""
        library, _, architecture = name.partition("/")
        if name in (LITE0, *PDNS) or (library in (*LIBRARIES, "onnx") and architecture):
            return name
        return f"torchvision/{name}" if name in PLAIN_NAMES else None

    def describe(self, name: str, tag: str = "default") -> WeightsInfo:
        """Return what is known of the weights of a backbone; opens no connection.

        Raises
        ------
        UnknownNameError, ParameterError
            When its library has no such model or tag.
        MissingDependencyError
            When its library is not installed.
        """
        backbone = self._name_alone(name)
        if backbone.library == "onnx":  # a graph is its own weights
            graph = find_weights(backbone, tag)
            return self._info(name, Source(graph.name), graph)
        if is_no_tag(tag):  # a file, or random weights
            given = find_weights(backbone, tag)
            return self._info(backbone.name, Source(given.name), given)
        if name == LITE0:
            return self._embedded(tag)
        source = weights_source(backbone, tag)
        found: Optional[Weights] = None
        problem: Optional[WeightsError] = None
        place = "cache"
        try:
            found = cached_weights(backbone, source)
            place = "hub" if source.hub_id else "torch"
            found = found or library_weights(source)
        except WeightsError as error:
            problem = error
        suffix = Path(source.page or "").suffix
        return self._info(
            f"timm/{backbone.architecture.partition('.')[0]}" if backbone.library == "timm" else backbone.name,
            source,
            found,
            place=place if problem is not None else None,
            problem=problem,
            target=cache_target(backbone, source, suffix if suffix in SUFFIXES else SUFFIXES[0]),
            hint=how_to_get(backbone, source) if found is None else None,
        )

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
        """Bring a backbone's weights into the cache; see :meth:`pyimgano.core.weights.WeightsProvider.fetch`."""
        check_digits(sha256)
        if self._name_alone(name).library == "onnx":
            raise ParameterError(f"{name} is a file, and its own weights: nothing to fetch", where="NAME")
        if file is not None and url is not None:
            raise ParameterError("a file and an address", where="--from, --url", allowed="one of them")
        if file is not None:
            store_weights(name, file, weights=tag, sha256=sha256)
        else:
            from pyimgano.models.fetching import fetch_weights

            fetch_weights(name, weights=tag, url=url, sha256=sha256, progress=progress)
        return self.describe(name, tag)

    def _embedded(self, tag: str) -> WeightsInfo:
        source = Source("imagenet")
        try:
            return self._info(LITE0, source, embedded_weights(self._name_alone(LITE0), tag))
        except MissingDependencyError as error:
            return self._info(LITE0, source, None, hint=error.hint)
        except WeightsError as error:
            return self._info(LITE0, source, None, place="package", problem=error, hint=error.hint)

    def _name_alone(self, name: str) -> Backbone:
        """Return a backbone without its layers, which only its library could tell, by making the model."""
        library, _, architecture = (self.full_name(name) or name).partition("/")
        if name in PDNS:
            return Backbone(name, "pdn", name, (), ())
        if not architecture:
            return Backbone(name, "embedded", name, (), ())
        return Backbone(f"{library}/{architecture}", library, architecture, (), ())

    def _info(
        self,
        name: str,
        source: Source,
        found: Optional[Weights],
        *,
        place: Optional[str] = None,
        problem: Optional[WeightsError] = None,
        target: Optional[Path] = None,
        hint: Optional[str] = None,
    ) -> WeightsInfo:
        path = None if found is None else found.path
        return WeightsInfo(
            name,
            source.tag,
            place=place if found is None else found.place,
            path=path,
            sha256=None if found is None else found.sha256,
            size=None if path is None else path.stat().st_size,
            url=source.page,
            stated=stated_digits(source.page) if source.page else None,
            license=source.license,
            target=target,
            problem=problem,
            hint=hint,
        )
